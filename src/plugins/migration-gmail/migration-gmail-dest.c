/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The destination's mailboxes: a message of Gmail's that lies in another one
   already is copied from there. */

#include "lib.h"
#include "array.h"
#include "seq-range-array.h"
#include "dbox-save.h"
#include "index-storage.h"
#include "gmail-copy.h"
#include "dbox-repair.h"
#include "migration-run.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

/* letters from a to z */
#define MAILDIR_MAX_KEYWORDS 26

struct migration_gmail_saved {
	const char *msgid;
	/* its place among all that the transaction saves */
	unsigned int idx;
};

struct migration_gmail_dest {
	union mailbox_module_context module_ctx;
	/* mails of the transaction that goes on */
	pool_t pool;
	ARRAY(struct migration_gmail_saved) saved;
	/* highest UID that has a POP3 UIDL */
	uint32_t pop3_uidl_uid;
	bool keywords_reported:1;
};

static MODULE_CONTEXT_DEFINE_INIT(migration_gmail_dest_module,
				  &mail_storage_module_register);
#define MIGRATION_GMAIL_DEST_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_gmail_dest_module)

bool migration_gmail_storage_is_dbox(const struct mail_storage *storage)
{
	return strcmp(storage->name, "sdbox") == 0 ||
		strcmp(storage->name, "mdbox") == 0;
}

static const struct migration_gmail_entry *
migration_gmail_dest_source_entry(struct mail *mail)
{
	struct migration_gmail_mailbox *gbox;
	const struct migration_gmail_entry *entry;

	if (strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) != 0)
		return NULL;
	gbox = MIGRATION_GMAIL_CONTEXT(mail->box);
	if (gbox == NULL ||
	    migration_gmail_mailbox_lookup(gbox, mail->uid, &entry) < 0)
		return NULL;
	return entry;
}

/* dsync gives the POP3 fields of most mails, but not of all. */
static int
migration_gmail_dest_fill_pop3(struct mail_save_context *ctx, struct mail *mail)
{
	const char *uidl, *order;
	unsigned int num;

	if (ctx->data.pop3_uidl == NULL) {
		if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0)
			return -1;
		if (*uidl != '\0')
			mailbox_save_set_pop3_uidl(ctx, uidl);
	}
	if (ctx->data.pop3_order == 0) {
		if (mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &order) < 0)
			return -1;
		if (str_to_uint(order, &num) == 0)
			mailbox_save_set_pop3_order(ctx, num);
	}
	return 0;
}

const char *migration_gmail_not_from(struct mail_user *user, const char *vname)
{
	return user->dsyncing ? vname : "";
}

static enum gmail_copy_way
migration_gmail_dest_decide(struct mail_save_context *ctx,
			    const struct migration_gmail_entry *entry,
			    struct mail *local_mail, const char **reason_r)
{
	struct mail_storage *storage = ctx->transaction->box->storage;
	struct gmail_copy_mail source = {
		.size = entry->size,
		.received_date = entry->received_date,
		.pop3_uidl = ctx->data.pop3_uidl == NULL ? "" :
			ctx->data.pop3_uidl,
		.pop3_order = ctx->data.pop3_order,
	};
	struct gmail_copy_mail local;
	const char *order;

	if (local_mail->box->storage != storage) {
		*reason_r = "it is in another namespace";
		return GMAIL_COPY_TEXT;
	}
	if (migration_gmail_local_mail_read(local_mail, &local) < 0) {
		*reason_r = "the local mail cannot be read";
		return GMAIL_COPY_FETCH;
	}
	if (mail_get_special(local_mail, MAIL_FETCH_UIDL_BACKEND,
			     &local.pop3_uidl) < 0 ||
	    mail_get_special(local_mail, MAIL_FETCH_POP3_ORDER, &order) < 0) {
		*reason_r = "the local mail's POP3 fields cannot be read";
		return GMAIL_COPY_TEXT;
	}
	if (str_to_uint32(order, &local.pop3_order) < 0)
		local.pop3_order = 0;
	return gmail_copy_decide(&source, &local, migration_gmail_storage_is_dbox(storage),
				 reason_r);
}

/* The new mail refers to the same stored mail. */
static int
migration_gmail_dest_share(struct migration_gmail_dest *dest,
			   struct mail_save_context *ctx,
			   struct mail *local_mail)
{
	struct mailbox_transaction_context *t = ctx->transaction;
	bool have_uidl = ctx->data.pop3_uidl != NULL;
	bool have_order = ctx->data.pop3_order != 0;
	bool old_disable = t->box->disable_reflink_copy_to;
	struct dbox_save_context *dbox_ctx;
	int ret;

	if (ctx->copy_src_mail != NULL)
		ctx->copy_src_mail = local_mail;
	/* dbox only shares if it is not asked for a GUID, and then takes the
	   stored mail's, which is the same */
	if (migration_gmail_storage_is_dbox(t->box->storage))
		ctx->data.guid = NULL;
	/* migration_import wants no links to the source's mails; this one is the
	   user's own */
	t->box->disable_reflink_copy_to = FALSE;
	ret = dest->module_ctx.super.copy(ctx, local_mail);
	t->box->disable_reflink_copy_to = old_disable;
	if (ret < 0)
		return -1;
	if (migration_gmail_storage_is_dbox(t->box->storage)) {
		/* a copy does not do this, and POP3 would not look for them */
		dbox_ctx = DBOX_SAVECTX(t->save_ctx);
		if (have_uidl || have_order) {
			dbox_ctx->highest_pop3_uidl_seq = I_MAX(
				dbox_ctx->highest_pop3_uidl_seq, dbox_ctx->seq);
		}
		dbox_ctx->have_pop3_uidls = dbox_ctx->have_pop3_uidls || have_uidl;
		dbox_ctx->have_pop3_orders = dbox_ctx->have_pop3_orders || have_order;
	}
	return 0;
}

static void
migration_gmail_dest_saved(struct migration_gmail_dest *dest,
			   const char *msgid, unsigned int idx, uint32_t uid,
			   bool have_uidl)
{
	struct migration_gmail_saved *saved;

	if (dest->pool == NULL) {
		dest->pool = pool_alloconly_create("migration gmail saved", 4096);
		p_array_init(&dest->saved, dest->pool, 128);
	}
	saved = array_append_space(&dest->saved);
	saved->msgid = p_strdup(dest->pool, msgid);
	saved->idx = idx;
	if (have_uidl && dest->pop3_uidl_uid < uid)
		dest->pop3_uidl_uid = uid;
}

static int
migration_gmail_dest_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct mailbox *box = ctx->transaction->box;
	struct migration_gmail_dest *dest =
		MIGRATION_GMAIL_DEST_CONTEXT_REQUIRE(box);
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(box->storage->user);
	const struct migration_gmail_entry *entry =
		migration_gmail_dest_source_entry(mail);
	struct mail *local_mail = NULL;
	enum gmail_copy_way way = GMAIL_COPY_FETCH;
	const char *reason;
	unsigned int idx = ctx->transaction->save_count;
	uint32_t uid = ctx->data.uid;
	bool have_uidl;
	int ret;

	/* A context that is not the storage's own is migration_import's: it saves
	   the mail elsewhere, if at all, and comes by here again. */
	if (entry == NULL || !migration_gmail_user_copies(box->storage->user) ||
	    muser->local == NULL || ctx->transaction->save_ctx != ctx)
		return dest->module_ctx.super.copy(ctx, mail);

	if (migration_gmail_dest_fill_pop3(ctx, mail) < 0) {
		mailbox_save_cancel(&ctx);
		return -1;
	}
	have_uidl = ctx->data.pop3_uidl != NULL;
	local_mail = migration_gmail_local_get_mail(muser->local, entry->msgid,
					migration_gmail_not_from(box->storage->user,
							 box->vname));
	if (local_mail != NULL) {
		way = migration_gmail_dest_decide(ctx, entry, local_mail,
						  &reason);
		e_debug(muser->event, "mailbox %s: UID %u: %s mailbox %s UID "
			"%u: %s", box->vname, uid,
			way == GMAIL_COPY_SHARE ? "shared with" :
			way == GMAIL_COPY_TEXT ? "text taken from" :
			"not copied from", local_mail->box->vname,
			local_mail->uid, reason);
	}
	ret = way == GMAIL_COPY_SHARE ?
		migration_gmail_dest_share(dest, ctx, local_mail) :
		dest->module_ctx.super.copy(ctx, mail);
	if (ret == 0) {
		migration_gmail_dest_saved(dest, entry->msgid, idx, uid,
					   have_uidl);
		if (way == GMAIL_COPY_SHARE)
			muser->shared_count++;
	}
	return ret;
}

/* dsync asks for this, and nobody else does, before it synchronises a mailbox;
   it leaves out one that answers so, without a failure. */
static int
migration_gmail_dest_get_metadata(struct mailbox *box,
				  enum mailbox_metadata_items items,
				  struct mailbox_metadata *metadata_r)
{
	struct migration_gmail_dest *dest =
		MIGRATION_GMAIL_DEST_CONTEXT_REQUIRE(box);

	if ((items & MAILBOX_METADATA_CACHE_FIELDS) != 0 &&
	    migration_gmail_archive_skips(box)) {
		mail_storage_set_error(box->storage, MAIL_ERROR_NOTPOSSIBLE,
			"migration_gmail_all=archived keeps its mails from dsync");
		return -1;
	}
	return dest->module_ctx.super.get_metadata(box, items, metadata_r);
}

static void migration_gmail_dest_forget(struct migration_gmail_dest *dest)
{
	dest->pop3_uidl_uid = 0;
	pool_unref(&dest->pool);
}

/* maildir-keywords: file names have letters for 26 keywords */
static void migration_gmail_dest_check_keywords(struct migration_gmail_dest *dest,
						struct mailbox *box)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(box->storage->user);
	unsigned int count;

	if (dest->keywords_reported ||
	    !migration_gmail_user_copies(box->storage->user) ||
	    muser->policy == GMAIL_LABELS_FOLDERS ||
	    strcmp(box->storage->name, "maildir") != 0)
		return;
	count = array_count(mail_index_get_keywords(box->index));
	if (count <= MAILDIR_MAX_KEYWORDS)
		return;
	dest->keywords_reported = TRUE;
	migration_run_finding(migration_run_find(box->storage->user),
		MIGRATION_SEVERITY_WARNING, box->vname, 0,
		FINDING_MAILDIR_KEYWORDS,
		"the mailbox has %u keywords, and Maildir has room for %u: the "
		"others are in Dovecot's index only and go when the index is "
		"lost. Use sdbox or mdbox, or migration_gmail_labels=folders.",
		count, MAILDIR_MAX_KEYWORDS);
}

/* The mails that were saved have UIDs now, in the order in which they were
   saved. Whoever uses them looks whether it is the right mail. */
static void
migration_gmail_dest_learn(struct migration_gmail_dest *dest,
			   struct migration_gmail_user *muser,
			   struct mailbox *box,
			   const struct mail_transaction_commit_changes *changes)
{
	const struct migration_gmail_saved *saved;
	struct seq_range_iter iter;
	uint32_t uid;

	seq_range_array_iter_init(&iter, &changes->saved_uids);
	array_foreach(&dest->saved, saved) {
		if (seq_range_array_iter_nth(&iter, saved->idx, &uid)) {
			migration_gmail_local_learn(muser->local, box, uid,
						    saved->msgid);
		}
	}
}

static int
migration_gmail_dest_transaction_commit(struct mailbox_transaction_context *t,
			struct mail_transaction_commit_changes *changes_r)
{
	struct mailbox *box = t->box;
	struct migration_gmail_dest *dest =
		MIGRATION_GMAIL_DEST_CONTEXT_REQUIRE(box);
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(box->storage->user);
	int ret;

	if (dest->pop3_uidl_uid != 0) {
		(void)dbox_repair_uidl_max(box, t->view, t->itrans,
					   dest->pop3_uidl_uid);
	}
	ret = dest->module_ctx.super.transaction_commit(t, changes_r);
	if (ret == 0)
		migration_gmail_dest_check_keywords(dest, box);
	if (ret == 0 && dest->pool != NULL && muser->local != NULL)
		migration_gmail_dest_learn(dest, muser, box, changes_r);
	migration_gmail_dest_forget(dest);
	return ret;
}

static void
migration_gmail_dest_transaction_rollback(struct mailbox_transaction_context *t)
{
	struct migration_gmail_dest *dest =
		MIGRATION_GMAIL_DEST_CONTEXT_REQUIRE(t->box);

	dest->module_ctx.super.transaction_rollback(t);
	migration_gmail_dest_forget(dest);
}

void migration_gmail_dest_mailbox_allocated(struct mailbox *box)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(box->storage->user);
	struct mailbox_vfuncs *v = box->vlast;
	struct migration_gmail_dest *dest;

	if (muser == NULL || muser->local == NULL ||
	    (box->storage->class_flags &
	     MAIL_STORAGE_CLASS_FLAG_HAVE_MAIL_SAVE_GUIDS) == 0)
		return;

	dest = p_new(box->pool, struct migration_gmail_dest, 1);
	dest->module_ctx.super = *v;
	box->vlast = &dest->module_ctx.super;
	v->get_metadata = migration_gmail_dest_get_metadata;
	v->copy = migration_gmail_dest_copy;
	v->transaction_commit = migration_gmail_dest_transaction_commit;
	v->transaction_rollback = migration_gmail_dest_transaction_rollback;
	MODULE_CONTEXT_SET(box, migration_gmail_dest_module, dest);
}
