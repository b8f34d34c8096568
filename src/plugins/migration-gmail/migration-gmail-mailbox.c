/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The metadata of a mailbox's messages: one UID FETCH for all of them, and for
   the INBOX the search for what POP3 does not show, sent together, before the
   first search of the mailbox. Stock would ask for the ids mail by mail. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "imap-arg.h"
#include "imap-seqset.h"
#include "seq-range-array.h"
#include "imapc-client.h"
#include "imapc-msgmap.h"
#include "migration-run.h"
#include "source-select.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

struct pop3_search {
	struct imapc_client *client;
	bool finished, failed;
	/* imapc closes the connection at a BAD reply */
	bool disconnected;
	/* what the server said, on the data stack */
	const char *text;
	imapc_mailbox_callback_t *stock_handler;
};

/* ---- replies. imapc is waiting: nothing here may wait for anything ---- */

static void
migration_gmail_mailbox_read_fetch(struct migration_gmail_mailbox *gbox,
				   const struct imap_arg *list)
{
	const struct imap_arg *arg;
	const char *key, *value;
	uint32_t uid = 0;

	for (arg = list; !IMAP_ARG_IS_EOL(&arg[0]) && !IMAP_ARG_IS_EOL(&arg[1]);
	     arg += 2) {
		if (imap_arg_atom_equals(&arg[0], "UID") &&
		    (!imap_arg_get_atom(&arg[1], &value) ||
		     str_to_uint32(value, &uid) < 0))
			return;
	}
	if (uid == 0)
		return;
	for (arg = list; !IMAP_ARG_IS_EOL(&arg[0]) && !IMAP_ARG_IS_EOL(&arg[1]);
	     arg += 2) {
		if (!imap_arg_get_atom(&arg[0], &key))
			return;
		migration_gmail_table_add(gbox->table, uid, key, &arg[1]);
	}
}

static void
migration_gmail_untagged_fetch(const struct imapc_untagged_reply *reply,
			       struct imapc_mailbox *mbox)
{
	struct migration_gmail_mailbox *gbox;
	const struct imap_arg *list;

	if (mbox == NULL)
		return;
	gbox = MIGRATION_GMAIL_CONTEXT_REQUIRE(&mbox->box);
	if (!gbox->fetching || !imap_arg_get_list(reply->args, &list))
		return;
	T_BEGIN {
		migration_gmail_mailbox_read_fetch(gbox, list);
	} T_END;
}

/* * ESEARCH (TAG "x") ALL 1:3,7 - sequence numbers; no ALL if there are none */
static void
migration_gmail_untagged_esearch(const struct imapc_untagged_reply *reply,
				 struct imapc_mailbox *mbox)
{
	struct migration_gmail_mailbox *gbox;
	const struct imap_arg *args = reply->args, *list;
	ARRAY_TYPE(seq_range) seqs;
	struct imapc_msgmap *msgmap;
	struct seq_range_iter iter;
	const char *tag, *set;
	unsigned int n = 0;
	uint32_t seq;

	if (mbox == NULL)
		return;
	gbox = MIGRATION_GMAIL_CONTEXT_REQUIRE(&mbox->box);
	if (gbox->pop3_search_tag == NULL ||
	    !imap_arg_get_list(&args[0], &list) ||
	    !imap_arg_atom_equals(&list[0], "TAG") ||
	    !imap_arg_get_astring(&list[1], &tag) ||
	    strcmp(tag, gbox->pop3_search_tag) != 0)
		return;
	if (!imap_arg_atom_equals(&args[1], "ALL") ||
	    !imap_arg_get_atom(&args[2], &set))
		return;

	t_array_init(&seqs, 16);
	if (imap_seq_set_nostar_parse(set, &seqs) < 0)
		return;
	msgmap = imapc_client_mailbox_get_msgmap(mbox->client_box);
	seq_range_array_iter_init(&iter, &seqs);
	while (seq_range_array_iter_nth(&iter, n++, &seq)) {
		if (seq > imapc_msgmap_count(msgmap))
			break;
		seq_range_array_add(&gbox->pop3_deleted_uids,
				    imapc_msgmap_rseq_to_uid(msgmap, seq));
	}
}

/* ---- asking ---- */

static void
pop3_search_callback(const struct imapc_command_reply *reply, void *context)
{
	struct pop3_search *search = context;

	search->finished = TRUE;
	search->failed = reply->state != IMAPC_COMMAND_STATE_OK;
	search->disconnected = reply->state == IMAPC_COMMAND_STATE_BAD;
	search->text = t_strdup(reply->text_full);
	imapc_client_stop(search->client);
}

static bool
migration_gmail_mailbox_wants_pop3_search(struct migration_gmail_mailbox *gbox)
{
	return gbox->table->place == GMAIL_PLACE_INBOX &&
		gbox->mbox->storage->set->pop3_deleted_flag[0] != '\0' &&
		(gbox->mbox->capabilities & IMAPC_CAPABILITY_ESEARCH) != 0;
}

/* imapc's own handler takes the reply to a search that it does not know for an
   error: it is replaced while the search is under way. */
static imapc_mailbox_callback_t *
replace_esearch_handler(struct imapc_mailbox *mbox,
			imapc_mailbox_callback_t *callback)
{
	struct imapc_mailbox_event_callback *handler;
	imapc_mailbox_callback_t *old_callback = NULL;

	array_foreach_modifiable(&mbox->untagged_callbacks, handler) {
		if (strcmp(handler->name, "ESEARCH") == 0) {
			old_callback = handler->callback;
			handler->callback = callback;
		}
	}
	return old_callback;
}

static void
pop3_search_send(struct migration_gmail_mailbox *gbox,
		 struct pop3_search *search)
{
	struct imapc_command *cmd;

	cmd = imapc_client_mailbox_cmd(gbox->mbox->client_box,
				       pop3_search_callback, search);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	gbox->pop3_search_tag = p_strdup(gbox->table->pool, imapc_command_get_tag(cmd));
	search->stock_handler = replace_esearch_handler(gbox->mbox,
					migration_gmail_untagged_esearch);
	/* stock's spelling, the only one that is known to work */
	imapc_command_send(cmd, "SEARCH RETURN (ALL) X-GM-RAW \"in:^pop\"");
}

/* imapc closed the connection: select the mailbox again. */
static int migration_gmail_mailbox_reopen(struct migration_gmail_mailbox *gbox)
{
	struct imapc_mailbox *mbox = gbox->mbox;

	imapc_client_mailbox_close(&mbox->client_box);
	mbox->prev_skipped_rseq = 0;
	mbox->prev_skipped_uid = 0;
	mbox->initial_sync_done = FALSE;
	mbox->state_fetched_success = FALSE;
	mbox->selected = FALSE;
	return imapc_mailbox_select(mbox);
}

/* gmail-pop3-search-refused: the key is not documented. Without it the mails
   that POP3 does not show any more are shown again, no mail is lost. */
static int
pop3_search_wait(struct migration_gmail_mailbox *gbox,
		 struct pop3_search *search)
{
	struct mailbox *box = &gbox->mbox->box;

	if (gbox->pop3_search_tag == NULL)
		return 0;
	while (!search->finished)
		imapc_client_run(search->client);
	gbox->pop3_search_tag = NULL;
	(void)replace_esearch_handler(gbox->mbox, search->stock_handler);
	if (!search->failed)
		return 0;
	migration_run_finding(migration_run_find(box->storage->user),
		MIGRATION_SEVERITY_INFO, box->vname, 0,
		FINDING_GMAIL_POP3_SEARCH_REFUSED,
		"the server refused to say which messages POP3 does not show, so "
		"none gets pop3_deleted_flag: %s", search->text);
	return search->disconnected ? migration_gmail_mailbox_reopen(gbox) : 0;
}

static int
migration_gmail_mailbox_ask(struct migration_gmail_mailbox *gbox)
{
	struct imapc_mailbox *mbox = gbox->mbox;
	struct imapc_storage_client *client = mbox->storage->client;
	struct migration_run *run = migration_run_find(mbox->box.storage->user);
	struct imapc_simple_context sctx;
	struct imapc_command *cmd;
	struct pop3_search search = { .client = client->client };
	bool first = gbox->table->next_uid == 1;

	imapc_simple_context_init(&sctx, client);
	cmd = imapc_client_mailbox_cmd(mbox->client_box,
				       imapc_simple_callback, &sctx);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	gbox->fetching = TRUE;
	imapc_command_sendf(cmd, gbox->table->objectid ?
		"UID FETCH %u:* (EMAILID RFC822.SIZE INTERNALDATE)" :
		"UID FETCH %u:* (X-GM-MSGID X-GM-LABELS RFC822.SIZE INTERNALDATE)",
		gbox->table->next_uid);
	migration_run_count(run, MIGRATION_COUNTER_IMAP_COMMANDS, 1);
	if (first && migration_gmail_mailbox_wants_pop3_search(gbox)) {
		pop3_search_send(gbox, &search);
		migration_run_count(run, MIGRATION_COUNTER_IMAP_COMMANDS, 1);
	}
	imapc_simple_run(&sctx, &cmd);
	gbox->fetching = FALSE;
	if (pop3_search_wait(gbox, &search) < 0)
		sctx.ret = -1;
	migration_run_count(run, MIGRATION_COUNTER_WAITS, 1);
	return sctx.ret;
}

/* The table is complete for what the mailbox shows. */
static void
migration_gmail_mailbox_finish(struct migration_gmail_mailbox *gbox,
			       uint32_t uidnext)
{
	struct migration_gmail_table *table = gbox->table;
	struct migration_gmail_entry *entry;
	unsigned int pop3_deleted = 0;

	migration_gmail_table_finish(table);
	table->next_uid = I_MAX(table->next_uid, uidnext);
	array_foreach_modifiable(&table->entries, entry) {
		entry->pop3_deleted = seq_range_exists(&gbox->pop3_deleted_uids,
						       entry->uid);
		if (entry->pop3_deleted)
			pop3_deleted++;
	}
	e_debug(gbox->mlist->muser->event, "mailbox %s: %u messages with %u "
		"different sets of labels; %u are not shown by POP3",
		gbox->mbox->box.vname, array_count(&table->entries),
		hash_table_count(table->mappings), pop3_deleted);
	if (!table->objectid)
		migration_gmail_counts_add(gbox);
	if (table->place == GMAIL_PLACE_ALL)
		gbox->mlist->all_messages = array_count(&table->entries);
}

static void migration_gmail_mailbox_forget(struct migration_gmail_mailbox *gbox)
{
	if (gbox->table == NULL)
		return;
	array_free(&gbox->pop3_deleted_uids);
	migration_gmail_table_deinit(&gbox->table);
}

static void
migration_gmail_mailbox_set_table(struct migration_gmail_mailbox *gbox,
				  struct migration_gmail_table *table)
{
	gbox->table = table;
	i_array_init(&gbox->pop3_deleted_uids, 16);
	if (!table->objectid)
		gbox->mlist->read = TRUE;
}

void migration_gmail_mailbox_take(struct mailbox *box,
				  struct migration_gmail_table *table,
				  uint32_t uidnext)
{
	struct migration_gmail_mailbox *gbox =
		MIGRATION_GMAIL_CONTEXT_REQUIRE(box);

	migration_gmail_mailbox_forget(gbox);
	migration_gmail_mailbox_set_table(gbox, table);
	migration_gmail_mailbox_finish(gbox, uidnext);
}

/* Whatever the server complains of, usually a limit: it is worth trying again,
   and without its labels no message is right. */
static void migration_gmail_mailbox_set_error(struct mailbox *box)
{
	const char *error = mailbox_get_last_error(box, NULL);

	mail_storage_set_error(box->storage, MAIL_ERROR_TEMP, t_strdup_printf(
		"Can't fetch the Gmail labels of its messages: %s", error));
}

static bool
migration_gmail_mailbox_is_gmails(const struct migration_gmail_mailbox *gbox)
{
	return (gbox->mbox->capabilities & IMAPC_CAPABILITY_X_GM_EXT_1) != 0;
}

/* Returns 1 if the table is complete for what the mailbox shows, 0 if there is
   nothing to ask, -1 if asking failed. */
static int migration_gmail_mailbox_load(struct migration_gmail_mailbox *gbox)
{
	struct imapc_mailbox *mbox = gbox->mbox;
	const struct mail_index_header *hdr;
	bool objectid;

	if (!mbox->box.opened || mbox->client_box == NULL ||
	    (!migration_gmail_mailbox_is_gmails(gbox) &&
	     !gbox->mlist->muser->set->objectid))
		return 0;
	hdr = mail_index_get_header(mbox->box.view);
	if (gbox->table != NULL && hdr->next_uid <= gbox->table->next_uid)
		return 1;
	/* waiting does not nest */
	if (imapc_client_is_running(mbox->storage->client->client))
		return gbox->table != NULL ? 1 : 0;
	objectid = !migration_gmail_list_load(gbox->mlist);
	if (objectid && (migration_gmail_mailbox_is_gmails(gbox) ||
			 !migration_gmail_objectid_is_used(gbox->mlist)))
		return 0;
	if (gbox->table == NULL) {
		migration_gmail_mailbox_set_table(gbox,
			migration_gmail_table_init(gbox->mlist, mbox->box.vname,
				imapc_mailbox_get_remote_name(mbox), objectid));
	}
	if (mbox->exists_count > 0 &&
	    (migration_source_select(&mbox->box, "its labels are wanted") < 0 ||
	     migration_gmail_mailbox_ask(gbox) < 0)) {
		migration_gmail_mailbox_set_error(&mbox->box);
		return -1;
	}
	migration_gmail_mailbox_finish(gbox, hdr->next_uid);
	return 1;
}

int migration_gmail_mailbox_lookup(struct migration_gmail_mailbox *gbox,
				   uint32_t uid,
				   const struct migration_gmail_entry **entry_r)
{
	int ret;

	*entry_r = NULL;
	ret = migration_gmail_mailbox_load(gbox);
	if (ret <= 0)
		return ret;
	*entry_r = migration_gmail_table_lookup(gbox->table, uid);
	return 0;
}

int migration_gmail_mailbox_foreach(struct migration_gmail_mailbox *gbox,
	void (*callback)(const struct migration_gmail_entry *entry,
			 void *context), void *context)
{
	const struct migration_gmail_entry *entry;

	if (migration_gmail_mailbox_load(gbox) <= 0)
		return -1;
	array_foreach(&gbox->table->entries, entry)
		callback(entry, context);
	return 0;
}

/* ---- methods ---- */

static struct mail_search_context *
migration_gmail_search_init(struct mailbox_transaction_context *t,
			    struct mail_search_args *args,
			    const enum mail_sort_type *sort_program,
			    enum mail_fetch_field wanted_fields,
			    struct mailbox_header_lookup_ctx *wanted_headers)
{
	struct migration_gmail_mailbox *gbox =
		MIGRATION_GMAIL_CONTEXT_REQUIRE(t->box);

	/* a failure comes up again with the first mail */
	(void)migration_gmail_mailbox_load(gbox);
	return gbox->module_ctx.super.search_init(t, args, sort_program,
						  wanted_fields, wanted_headers);
}

static int
migration_gmail_mailbox_get_status(struct mailbox *box,
				   enum mailbox_status_items items,
				   struct mailbox_status *status_r)
{
	struct migration_gmail_mailbox *gbox =
		MIGRATION_GMAIL_CONTEXT_REQUIRE(box);

	if (gbox->module_ctx.super.get_status(box, items, status_r) < 0)
		return -1;
	/* gmail-modseq-labels: nothing says that a change of labels raises the
	   mailbox's modification sequence, so an unchanged one must not make
	   dsync skip the mailbox. */
	if (box->opened && migration_gmail_mailbox_is_gmails(gbox))
		status_r->nonpermanent_modseqs = TRUE;
	else if (box->opened && gbox->mlist->muser->set->objectid &&
		 migration_gmail_mailbox_load(gbox) > 0)
		status_r->have_guids = TRUE;
	return 0;
}

static void migration_gmail_mailbox_close(struct mailbox *box)
{
	struct migration_gmail_mailbox *gbox =
		MIGRATION_GMAIL_CONTEXT_REQUIRE(box);
	struct migration_gmail_user *dest =
		migration_gmail_user_find_dest(box->storage->user);

	if (dest != NULL && dest->local != NULL)
		migration_gmail_local_close(dest->local);
	gbox->module_ctx.super.close(box);
	migration_gmail_mailbox_forget(gbox);
}

void migration_gmail_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct migration_gmail_mailbox *gbox;
	struct migration_gmail_list *mlist;

	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) != 0 ||
	    strcmp(box->list->name, MAILBOX_LIST_NAME_IMAPC) != 0)
		return;
	mlist = MIGRATION_GMAIL_LIST_CONTEXT(box->list);
	if (mlist == NULL)
		return;

	gbox = p_new(box->pool, struct migration_gmail_mailbox, 1);
	gbox->mlist = mlist;
	gbox->mbox = IMAPC_MAILBOX(box);
	gbox->module_ctx.super = *v;
	box->vlast = &gbox->module_ctx.super;
	v->search_init = migration_gmail_search_init;
	v->get_status = migration_gmail_mailbox_get_status;
	v->close = migration_gmail_mailbox_close;
	MODULE_CONTEXT_SET(box, migration_gmail_storage_module, gbox);
	imapc_mailbox_register_untagged(gbox->mbox, "FETCH",
					migration_gmail_untagged_fetch);
}
