/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A mailbox that is opened without being selected: what EXAMINE and the first
   FETCH would have said was fetched ahead (migration-imapc-ahead.h), and stock
   imapc gets it from there, as replies that look like the server's. The order
   of steps is that of imapc_mailbox_select() and of the replies to it.

   imapc has no mailbox selected on its connection then, so whatever it would
   send for this mailbox is refused by itself. Whoever needs something that was
   not fetched ahead has to call migration_imapc_virtual_leave() first, which
   selects the mailbox after all. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "imap-arg.h"
#include "sha1.h"
#include "mail-index-modseq.h"
#include "index-storage.h"
#include "imapc-client-private.h"
#include "migration-metadata.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* ---- replies that look like the server's ---- */

static void arg_set_atom(struct imap_arg *arg, const char *text)
{
	i_zero(arg);
	arg->type = IMAP_ARG_ATOM;
	arg->_data.str = text;
	arg->str_len = strlen(text);
}

static void arg_set_eol(struct imap_arg *arg)
{
	i_zero(arg);
	arg->type = IMAP_ARG_EOL;
}

/* The list is complete: arg becomes it. */
static void arg_set_list(struct imap_arg *arg, ARRAY_TYPE(imap_arg_list) *list)
{
	arg_set_eol(array_append_space(list));
	i_zero(arg);
	arg->type = IMAP_ARG_LIST;
	arg->_data.list = *list;
}

static void arg_append_atom(ARRAY_TYPE(imap_arg_list) *list, const char *text)
{
	arg_set_atom(array_append_space(list), text);
}

/* arg becomes a list of these words, which lie in the pool. */
static void arg_set_words(struct imap_arg *arg, pool_t pool, const char *words)
{
	ARRAY_TYPE(imap_arg_list) list;
	/* the two Dovecots return different types */
	const char *const *word = (const void *)p_strsplit_spaces(pool, words, " ");

	p_array_init(&list, pool, 8);
	for (; *word != NULL; word++)
		arg_append_atom(&list, *word);
	arg_set_list(arg, &list);
}

static void
virtual_say(struct imapc_mailbox *mbox, const struct imapc_untagged_reply *reply)
{
	const struct imapc_mailbox_event_callback *callback;

	array_foreach(&mbox->untagged_callbacks, callback) {
		if (strcasecmp(callback->name, reply->name) == 0)
			callback->callback(reply, mbox);
	}
}

static void
virtual_say_code(struct imapc_mailbox *mbox, const char *key, const char *value)
{
	const struct imapc_mailbox_event_callback *callback;
	struct imapc_untagged_reply reply;
	struct imap_arg eol;

	arg_set_eol(&eol);
	i_zero(&reply);
	reply.name = "OK";
	reply.args = &eol;
	reply.resp_text_key = key;
	reply.resp_text_value = value;
	reply.untagged_box_context = mbox;
	array_foreach(&mbox->resp_text_callbacks, callback) {
		if (strcasecmp(callback->name, key) == 0)
			callback->callback(&reply, mbox);
	}
}

/* FETCH (UID 1 FLAGS (\Seen) MODSEQ (7)), which is said of one mail after the
   other */
struct virtual_fetch {
	struct imapc_untagged_reply reply;
	pool_t pool;
	/* the mailbox's one copy of some flags -> the list of them */
	HASH_TABLE(const char *, struct imap_arg *) flags;
	struct imap_arg args[2];
	/* in the list that args[0] is; no MODSEQ if modseq_key ends it */
	struct imap_arg *uid, *flags_list, *modseq_key, *modseq;
	char uid_text[MAX_INT_STRLEN], modseq_text[MAX_INT_STRLEN];
};

static void
virtual_fetch_init(struct virtual_fetch *fetch, struct imapc_mailbox *mbox)
{
	ARRAY_TYPE(imap_arg_list) list, modseq;
	struct imap_arg *items;

	i_zero(fetch);
	fetch->pool = pool_alloconly_create("migration imapc flags", 1024);
	hash_table_create_direct(&fetch->flags, fetch->pool, 0);
	p_array_init(&modseq, fetch->pool, 2);
	arg_append_atom(&modseq, "");
	p_array_init(&list, fetch->pool, 7);
	arg_append_atom(&list, "UID");
	arg_append_atom(&list, "");
	arg_append_atom(&list, "FLAGS");
	arg_append_atom(&list, "");
	arg_append_atom(&list, "MODSEQ");
	arg_set_list(array_append_space(&list), &modseq);
	arg_set_list(&fetch->args[0], &list);
	arg_set_eol(&fetch->args[1]);

	items = array_front_modifiable(&list);
	fetch->uid = &items[1];
	fetch->flags_list = &items[3];
	fetch->modseq_key = &items[4];
	fetch->modseq = array_front_modifiable(&modseq);

	fetch->reply.name = "FETCH";
	fetch->reply.args = fetch->args;
	fetch->reply.untagged_box_context = mbox;
}

static void virtual_fetch_deinit(struct virtual_fetch *fetch)
{
	hash_table_destroy(&fetch->flags);
	pool_unref(&fetch->pool);
}

/* Most mails of a mailbox have one of a few sets of flags. */
static const struct imap_arg *
virtual_fetch_flags(struct virtual_fetch *fetch, const char *flags)
{
	struct imap_arg *arg = hash_table_lookup(fetch->flags, flags);

	if (arg == NULL) {
		arg = p_new(fetch->pool, struct imap_arg, 1);
		arg_set_words(arg, fetch->pool, flags);
		hash_table_insert(fetch->flags, flags, arg);
	}
	return arg;
}

static void
virtual_say_mail(struct imapc_mailbox *mbox, struct virtual_fetch *fetch,
		 uint32_t rseq, const struct ahead_mail *mail)
{
	arg_set_atom(fetch->uid, dec2str_buf(fetch->uid_text, mail->uid));
	*fetch->flags_list = *virtual_fetch_flags(fetch, mail->flags);
	if (mail->modseq == 0)
		arg_set_eol(fetch->modseq_key);
	else {
		arg_set_atom(fetch->modseq_key, "MODSEQ");
		arg_set_atom(fetch->modseq, dec2str_buf(fetch->modseq_text,
							mail->modseq));
	}
	fetch->reply.num = rseq;
	virtual_say(mbox, &fetch->reply);
}

/* ---- opening ---- */

static void virtual_reset_modseqs(struct imapc_mailbox *mbox)
{
	if (!imapc_mailbox_has_modseqs(mbox))
		return;
	if (!array_is_created(&mbox->rseq_modseqs))
		i_array_init(&mbox->rseq_modseqs, 32);
	else
		array_clear(&mbox->rseq_modseqs);
}

/* What stock does at the tagged reply to UID FETCH 1:* (FLAGS), for an index
   that was empty before. */
static void virtual_finish_flags(struct imapc_mailbox *mbox)
{
	mbox->state_fetching_uid1 = FALSE;
	mbox->delayed_untagged_exists = FALSE;
	mbox->sync_next_lseq = 0;
	mbox->sync_next_rseq = 0;
	mbox->state_fetched_success = TRUE;
	mbox->selected = TRUE;
}

static void
virtual_say_mails(struct imapc_mailbox *mbox,
		  const struct ahead_mailbox *mailbox)
{
	const struct ahead_mail *mail;
	struct virtual_fetch fetch;
	uint32_t rseq = 0;

	if (imapc_mailbox_has_modseqs(mbox))
		mail_index_modseq_enable(mbox->box.index);
	mbox->sync_next_lseq = 1;
	mbox->sync_next_rseq = 1;
	mbox->state_fetched_success = FALSE;
	mbox->state_fetching_uid1 = TRUE;
	virtual_fetch_init(&fetch, mbox);
	array_foreach(&mailbox->mails, mail) T_BEGIN {
		virtual_say_mail(mbox, &fetch, ++rseq, mail);
	} T_END;
	virtual_fetch_deinit(&fetch);
	virtual_finish_flags(mbox);
}

static void
virtual_select(struct imapc_mailbox *mbox,
	       const struct migration_imapc_ahead *ahead,
	       const struct ahead_mailbox *mailbox)
{
	mbox->capabilities = ahead->capabilities;
	if ((ahead->capabilities & IMAPC_CAPABILITY_X_GM_EXT_1) != 0)
		mbox->guid_fetch_field_name = "X-GM-MSGID";
	virtual_reset_modseqs(mbox);
	/* sends nothing */
	mbox->client_box = imapc_client_mailbox_open(ahead->client, mbox);
	mbox->selecting = TRUE;
	mbox->exists_received = TRUE;
	mbox->exists_count = mailbox->pool == NULL ? 0 :
		array_count(&mailbox->mails);
	T_BEGIN {
		virtual_say_code(mbox, "UIDVALIDITY",
				 dec2str(mailbox->source.uidvalidity));
	} T_END;
	mbox->sync_uid_next = I_MAX(mailbox->source.uidnext, mailbox->uidnext);
	mbox->sync_highestmodseq = mailbox->highestmodseq;
	mbox->selecting = FALSE;
	if (mbox->exists_count > 0)
		virtual_say_mails(mbox, mailbox);
	else
		imap_mailbox_select_finish(mbox);
}

static struct ahead_mailbox *
virtual_find(struct migration_imapc_mailbox *mmbox)
{
	struct mailbox *box = &mmbox->mbox->box;
	struct migration_imapc_list *mlist = mmbox->mlist;
	struct ahead_mailbox *mailbox;

	if (mlist == NULL ||
	    !migration_imapc_user_is_source(box->storage->user) ||
	    box->deleting || (box->flags & MAILBOX_FLAG_SAVEONLY) != 0)
		return NULL;
	/* what dsync changes at the source in a sync of both directions selects
	   the mailbox (migration-imapc-serve.c) */
	if ((box->flags & MAILBOX_FLAG_READONLY) == 0 &&
	    !box->storage->user->dsyncing)
		return NULL;
	if (migration_imapc_user_is_imported(box->storage->user))
		migration_imapc_listing_ask_mailbox(mlist, box->vname);
	if (mlist->ahead == NULL)
		return NULL;
	mailbox = migration_imapc_ahead_find(mlist->ahead, box->vname);
	/* a second time in one run: somebody wants to see something new */
	return mailbox == NULL || mailbox->visited ? NULL : mailbox;
}

static void
virtual_note_source(struct migration_imapc_mailbox *mmbox,
		    const struct ahead_mailbox *mailbox)
{
	unsigned char digest[SHA1_RESULTLEN];
	/* what is left out is not to be expected at the destination */
	struct sync_side source = mailbox->source;

	if (mmbox->mlist->record == NULL)
		return;
	source.messages -= I_MIN(source.messages,
				 seq_range_count(&mmbox->filtered_uids));
	migration_imapc_record_digest_source(mailbox, digest);
	migration_imapc_sides_set_source(mmbox->muser, mailbox->dest_name,
					 &source, digest);
}

/* imapc would only try again what was tried often enough. */
static bool virtual_is_lost(struct migration_imapc_mailbox *mmbox)
{
	if (!migration_imapc_ahead_is_lost(mmbox->mlist->ahead))
		return FALSE;
	mail_storage_set_error(mmbox->mbox->box.storage, MAIL_ERROR_TEMP,
		t_strdup_printf("Lost the connection to %s",
				migration_imapc_list_source(mmbox->mlist)));
	return TRUE;
}

/* What is on its way is not for the mailbox that imapc is about to select. */
static int virtual_open_stock(struct migration_imapc_mailbox *mmbox)
{
	if (mmbox->mlist != NULL && mmbox->mlist->ahead != NULL)
		migration_imapc_ahead_drain(mmbox->mlist->ahead);
	return 0;
}

int migration_imapc_virtual_open(struct migration_imapc_mailbox *mmbox)
{
	struct mailbox *box = &mmbox->mbox->box;
	struct migration_imapc_ahead *ahead;
	struct ahead_mailbox *mailbox = virtual_find(mmbox);
	int ret;

	if (mailbox == NULL)
		return virtual_open_stock(mmbox);
	ahead = mmbox->mlist->ahead;
	mailbox->visited = TRUE;
	migration_imapc_sides_forget_source(mmbox->muser, mailbox->vname);
	if (migration_imapc_record_is_unchanged(mmbox->mlist, mailbox,
						&mmbox->unchanged_dest)) {
		if (index_storage_mailbox_open(box, FALSE) < 0)
			return -1;
		mailbox->unchanged = TRUE;
		mmbox->unchanged = TRUE;
		mmbox->mbox->capabilities = ahead->capabilities;
		migration_imapc_mail_filter_unchanged(mmbox, mailbox);
		return 1;
	}
	mailbox->open = TRUE;
	if (!migration_imapc_changes_dest_is_same(ahead, mailbox))
		migration_imapc_ahead_list_anew(ahead, mailbox);
	if (mailbox->source.messages > 0 &&
	    !migration_imapc_ahead_wait_parts(ahead, mailbox,
					      AHEAD_PART_FLAGS)) {
		migration_imapc_ahead_leave(ahead, mailbox);
		return virtual_is_lost(mmbox) ? -1 : virtual_open_stock(mmbox);
	}
	ret = migration_imapc_mail_filter_served(mmbox, mailbox);
	if (ret <= 0) {
		migration_imapc_ahead_leave(ahead, mailbox);
		return ret < 0 || virtual_is_lost(mmbox) ? -1 : 0;
	}
	if (index_storage_mailbox_open(box, FALSE) < 0) {
		migration_imapc_ahead_leave(ahead, mailbox);
		return -1;
	}
	virtual_select(mmbox->mbox, ahead, mailbox);
	if (mailbox->extra != NULL) {
		migration_metadata_opened(mailbox->extra, box,
					  mmbox->mbox->sync_uid_next);
	}
	virtual_note_source(mmbox, mailbox);
	mmbox->served = mailbox;
	return 1;
}

/* ---- the end ---- */

void migration_imapc_virtual_closed(struct migration_imapc_mailbox *mmbox)
{
	struct ahead_mailbox *mailbox = mmbox->served;

	mmbox->unchanged = FALSE;
	if (mailbox == NULL)
		mailbox = mmbox->kept;
	if (mailbox == NULL)
		return;
	mmbox->served = mmbox->kept = NULL;
	mailbox->kept = FALSE;
	migration_imapc_ahead_leave(mmbox->mlist->ahead, mailbox);
}

/* dsync changes the source while it is still comparing headers. Its mails are
   the same then, whoever serves them. */
static bool
virtual_is_kept(const struct migration_imapc_ahead *ahead,
		const struct ahead_mailbox *mailbox)
{
	return ahead->both_directions && !ahead->mixed_up && !mailbox->refused;
}

int migration_imapc_virtual_leave(struct migration_imapc_mailbox *mmbox,
				  const char *reason)
{
	struct imapc_mailbox *mbox = mmbox->mbox;
	struct ahead_mailbox *mailbox = mmbox->served;
	struct migration_imapc_ahead *ahead;

	if (mailbox == NULL)
		return 0;
	/* waiting does not nest */
	if (imapc_client_is_running(mbox->storage->client->client)) {
		mail_storage_set_internal_error(mbox->box.storage);
		return -1;
	}
	if (virtual_is_lost(mmbox))
		return -1;
	ahead = mmbox->mlist->ahead;
	e_debug(mmbox->muser->event, "mailbox %s: selecting it after all: %s",
		mbox->box.vname, reason);
	mmbox->served = NULL;
	mailbox->kept = virtual_is_kept(ahead, mailbox);
	mmbox->kept = mailbox->kept ? mailbox : NULL;
	mailbox->refused = TRUE;
	migration_imapc_ahead_leave(ahead, mailbox);
	migration_imapc_ahead_drain(ahead);

	imapc_client_mailbox_close(&mbox->client_box);
	mbox->initial_sync_done = FALSE;
	mbox->selected = FALSE;
	mbox->state_fetched_success = FALSE;
	mbox->exists_received = FALSE;
	mbox->sync_uid_validity = 0;
	mbox->min_append_uid = 0;
	if (imapc_mailbox_select(mbox) < 0) {
		migration_imapc_mailbox_failed(mmbox->mlist, &mbox->box);
		return -1;
	}
	/* the mails are those of the index that is open already */
	mbox->initial_sync_done = TRUE;
	return 0;
}
