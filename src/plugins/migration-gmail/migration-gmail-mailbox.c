/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The metadata of a mailbox's messages: one UID FETCH for all of them, and for
   the INBOX the search for what POP3 does not show, sent together, before the
   first search of the mailbox. Stock would ask for the ids mail by mail. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "imap-arg.h"
#include "imap-date.h"
#include "imap-seqset.h"
#include "seq-range-array.h"
#include "imapc-client.h"
#include "imapc-msgmap.h"
#include "migration-run.h"
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

static int
migration_gmail_entry_cmp(const struct migration_gmail_entry *e1,
			  const struct migration_gmail_entry *e2)
{
	return e1->uid < e2->uid ? -1 : (e1->uid > e2->uid ? 1 : 0);
}

static int
migration_gmail_entry_uid_cmp(const uint32_t *uid,
			      const struct migration_gmail_entry *entry)
{
	return *uid < entry->uid ? -1 : (*uid > entry->uid ? 1 : 0);
}

/* ---- replies. imapc is waiting: nothing here may wait for anything ---- */

static const char *labels_key(const ARRAY_TYPE(gmail_label) *labels)
{
	const struct gmail_label *label;
	string_t *key = t_str_new(128);

	array_foreach(labels, label) {
		/* no name has a line feed */
		str_append(key, label->imap_name);
		str_append_c(key, '\n');
	}
	return str_c(key);
}

static const struct migration_gmail_mapping *
migration_gmail_mailbox_map(struct migration_gmail_mailbox *gbox,
			    const struct imap_arg *arg)
{
	struct migration_gmail_mapping *mapping;
	ARRAY_TYPE(gmail_label) labels;
	struct gmail_message msg;
	const char *key;

	if (gmail_labels_parse(arg, pool_datastack_create(), &labels) < 0)
		return NULL;
	key = labels_key(&labels);
	mapping = hash_table_lookup(gbox->mappings, key);
	if (mapping == NULL) {
		i_zero(&msg);
		msg.labels = array_get(&labels, &msg.labels_count);
		msg.place = gbox->place;
		msg.place_name = gbox->place_name;
		mapping = migration_gmail_list_map(gbox->mlist, &msg, gbox->pool);
		key = p_strdup(gbox->pool, key);
		hash_table_insert(gbox->mappings, key, mapping);
	}
	return mapping;
}

/* of a server without labels */
static const char *const no_keywords[] = { NULL };
static const struct migration_gmail_mapping no_mapping = {
	.keywords = no_keywords,
	.labels = no_keywords,
	.shown_in = "",
};

static void
migration_gmail_mailbox_read_fetch(struct migration_gmail_mailbox *gbox,
				   const struct imap_arg *list)
{
	struct migration_gmail_entry entry;
	const char *key, *value;
	int tz;

	i_zero(&entry);
	entry.size = UOFF_T_MAX;
	entry.received_date = (time_t)-1;
	if (gbox->objectid)
		entry.mapping = &no_mapping;
	for (; !IMAP_ARG_IS_EOL(&list[0]) && !IMAP_ARG_IS_EOL(&list[1]);
	     list += 2) {
		if (!imap_arg_get_atom(&list[0], &key))
			return;
		if (strcasecmp(key, "UID") == 0) {
			if (!imap_arg_get_atom(&list[1], &value) ||
			    str_to_uint32(value, &entry.uid) < 0)
				return;
		} else if (strcasecmp(key, "X-GM-MSGID") == 0) {
			if (imap_arg_get_astring(&list[1], &value))
				entry.msgid = value;
		} else if (strcasecmp(key, "EMAILID") == 0) {
			entry.msgid = migration_gmail_objectid_parse(&list[1]);
		} else if (strcasecmp(key, "RFC822.SIZE") == 0) {
			if (!imap_arg_get_atom(&list[1], &value) ||
			    str_to_uoff(value, &entry.size) < 0)
				entry.size = UOFF_T_MAX;
		} else if (strcasecmp(key, "INTERNALDATE") == 0) {
			if (!imap_arg_get_astring(&list[1], &value) ||
			    !imap_parse_datetime(value, &entry.received_date, &tz))
				entry.received_date = (time_t)-1;
		} else if (strcasecmp(key, "X-GM-LABELS") == 0)
			entry.mapping = migration_gmail_mailbox_map(gbox, &list[1]);
	}
	/* other FETCH replies come by here, too */
	if (entry.uid == 0 || entry.msgid == NULL || entry.mapping == NULL)
		return;
	entry.msgid = p_strdup(gbox->pool, entry.msgid);
	array_push_back(&gbox->entries, &entry);
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
	return gbox->place == GMAIL_PLACE_INBOX &&
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
	gbox->pop3_search_tag = p_strdup(gbox->pool, imapc_command_get_tag(cmd));
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
	bool first = gbox->next_uid == 1;

	imapc_simple_context_init(&sctx, client);
	cmd = imapc_client_mailbox_cmd(mbox->client_box,
				       imapc_simple_callback, &sctx);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	gbox->fetching = TRUE;
	imapc_command_sendf(cmd, gbox->objectid ?
		"UID FETCH %u:* (EMAILID RFC822.SIZE INTERNALDATE)" :
		"UID FETCH %u:* (X-GM-MSGID X-GM-LABELS RFC822.SIZE INTERNALDATE)",
		gbox->next_uid);
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

static void
migration_gmail_mailbox_finish(struct migration_gmail_mailbox *gbox)
{
	struct migration_gmail_entry *entry;
	unsigned int pop3_deleted = 0;

	/* After a reconnection everything was sent again: the later entry of
	   two is the newer one, but they only differ if a label was changed
	   this very moment. Lookups may find either. */
	array_sort(&gbox->entries, migration_gmail_entry_cmp);
	array_foreach_modifiable(&gbox->entries, entry) {
		if (entry->uid >= gbox->next_uid)
			gbox->next_uid = entry->uid + 1;
		entry->pop3_deleted = seq_range_exists(&gbox->pop3_deleted_uids,
						       entry->uid);
		if (entry->pop3_deleted)
			pop3_deleted++;
	}
	e_debug(gbox->mlist->muser->event, "mailbox %s: %u messages with %u "
		"different sets of labels; %u are not shown by POP3",
		gbox->mbox->box.vname, array_count(&gbox->entries),
		hash_table_count(gbox->mappings), pop3_deleted);
}

static void migration_gmail_mailbox_init_place(struct migration_gmail_mailbox *gbox)
{
	struct migration_gmail_place *place;

	place = hash_table_lookup(gbox->mlist->places,
				  imapc_mailbox_get_remote_name(gbox->mbox));
	gbox->place = place == NULL ? GMAIL_PLACE_OTHER : place->place;
	gbox->place_name = place == NULL ? gbox->mbox->box.vname : place->name;
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

	if (!mbox->box.opened || mbox->client_box == NULL ||
	    (!migration_gmail_mailbox_is_gmails(gbox) &&
	     !gbox->mlist->muser->set->objectid))
		return 0;
	hdr = mail_index_get_header(mbox->box.view);
	if (gbox->pool != NULL && hdr->next_uid <= gbox->next_uid)
		return 1;
	/* waiting does not nest */
	if (imapc_client_is_running(mbox->storage->client->client))
		return gbox->pool != NULL ? 1 : 0;
	if (migration_gmail_list_load(gbox->mlist))
		gbox->mlist->read = TRUE;
	else {
		gbox->objectid = !migration_gmail_mailbox_is_gmails(gbox) &&
			migration_gmail_objectid_is_used(gbox->mlist);
		if (!gbox->objectid)
			return 0;
	}
	if (gbox->pool == NULL) {
		gbox->pool = pool_alloconly_create("migration gmail mailbox",
						   1024*16);
		gbox->next_uid = 1;
		i_array_init(&gbox->entries, 256);
		i_array_init(&gbox->pop3_deleted_uids, 16);
		hash_table_create(&gbox->mappings, default_pool, 0,
				  str_hash, strcmp);
		if (!gbox->objectid)
			migration_gmail_mailbox_init_place(gbox);
	}
	if (mbox->exists_count > 0 && migration_gmail_mailbox_ask(gbox) < 0) {
		migration_gmail_mailbox_set_error(&mbox->box);
		return -1;
	}
	migration_gmail_mailbox_finish(gbox);
	if (!gbox->objectid)
		migration_gmail_counts_add(gbox);
	if (gbox->place == GMAIL_PLACE_ALL)
		gbox->mlist->all_messages = array_count(&gbox->entries);
	gbox->next_uid = I_MAX(gbox->next_uid, hdr->next_uid);
	return 1;
}

static void migration_gmail_mailbox_forget(struct migration_gmail_mailbox *gbox)
{
	if (gbox->pool == NULL)
		return;
	array_free(&gbox->entries);
	array_free(&gbox->pop3_deleted_uids);
	hash_table_destroy(&gbox->mappings);
	pool_unref(&gbox->pool);
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
	*entry_r = array_bsearch(&gbox->entries, &uid,
				 migration_gmail_entry_uid_cmp);
	return 0;
}

int migration_gmail_mailbox_foreach(struct migration_gmail_mailbox *gbox,
	void (*callback)(const struct migration_gmail_entry *entry,
			 void *context), void *context)
{
	const struct migration_gmail_entry *entry;

	if (migration_gmail_mailbox_load(gbox) <= 0)
		return -1;
	array_foreach(&gbox->entries, entry)
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
