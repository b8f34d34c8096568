/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sdbox-uidl-max: the destination, if it is sdbox. Its index header says up to
   which UID mails may have a stored UIDL, so that others need not be opened for
   it. Stock raises it only when the mailbox was empty at the beginning of the
   transaction (it compares a sequence of the mailbox with an index inside the
   transaction), so that each UIDL which is saved later is on disk but never
   seen. Raise it ourselves, and never lower it. */

#include "lib.h"
#include "index-storage.h"
#include "dbox-repair.h"
#include "migration-pop3-private.h"

#define MIGRATION_POP3_DEST_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_pop3_dest_module)

struct migration_pop3_dest {
	union mailbox_module_context module_ctx;

	/* of the transaction that is being filled */
	struct mailbox_transaction_context *trans;
	/* highest UID that was given with a UIDL or order */
	uint32_t max_uid;
	/* mails with a UIDL or order whose UID the commit decides */
	bool uid_unknown;
};

static MODULE_CONTEXT_DEFINE_INIT(migration_pop3_dest_module,
				  &mail_storage_module_register);

static void dest_note(struct mail_save_context *ctx)
{
	struct migration_pop3_dest *dest =
		MIGRATION_POP3_DEST_CONTEXT_REQUIRE(ctx->transaction->box);

	if (ctx->data.pop3_uidl == NULL && ctx->data.pop3_order == 0)
		return;
	if (dest->trans != ctx->transaction) {
		dest->trans = ctx->transaction;
		dest->max_uid = 0;
		dest->uid_unknown = FALSE;
	}
	if (ctx->data.uid == 0)
		dest->uid_unknown = TRUE;
	else
		dest->max_uid = I_MAX(dest->max_uid, ctx->data.uid);
}

static int dest_save_begin(struct mail_save_context *ctx, struct istream *input)
{
	struct migration_pop3_dest *dest =
		MIGRATION_POP3_DEST_CONTEXT_REQUIRE(ctx->transaction->box);

	dest_note(ctx);
	return dest->module_ctx.super.save_begin(ctx, input);
}

static int dest_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct migration_pop3_dest *dest =
		MIGRATION_POP3_DEST_CONTEXT_REQUIRE(ctx->transaction->box);

	dest_note(ctx);
	return dest->module_ctx.super.copy(ctx, mail);
}

bool migration_pop3_dest_show_uidls(struct mailbox *box)
{
	struct mail_index_view *view;
	struct mail_index_transaction *trans;
	bool raised;

	if (!mailbox_is_sdbox(box) ||
	    mail_index_refresh(box->index) < 0)
		return FALSE;
	view = mail_index_view_open(box->index);
	trans = mail_index_transaction_begin(view,
				MAIL_INDEX_TRANSACTION_FLAG_EXTERNAL);
	raised = dbox_repair_uidl_max(box, view, trans,
			mail_index_get_header(view)->next_uid - 1);
	if (mail_index_transaction_commit(&trans) < 0)
		raised = FALSE;
	mail_index_view_close(&view);
	return raised;
}

static int
dest_transaction_commit(struct mailbox_transaction_context *t,
			struct mail_transaction_commit_changes *changes_r)
{
	struct mailbox *box = t->box;
	struct migration_pop3_dest *dest =
		MIGRATION_POP3_DEST_CONTEXT_REQUIRE(box);
	bool ours = dest->trans == t, uid_unknown = dest->uid_unknown;
	int ret;

	if (ours) {
		dest->trans = NULL;
		if (dest->max_uid != 0) {
			(void)dbox_repair_uidl_max(box, t->view, t->itrans,
						   dest->max_uid);
		}
	}
	ret = dest->module_ctx.super.transaction_commit(t, changes_r);
	/* the commit decided the UIDs */
	if (ret == 0 && ours && uid_unknown)
		(void)migration_pop3_dest_show_uidls(box);
	return ret;
}

static void dest_transaction_rollback(struct mailbox_transaction_context *t)
{
	struct migration_pop3_dest *dest =
		MIGRATION_POP3_DEST_CONTEXT_REQUIRE(t->box);

	if (dest->trans == t)
		dest->trans = NULL;
	dest->module_ctx.super.transaction_rollback(t);
}

void migration_pop3_dest_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct migration_pop3_dest *dest;

	if (!mailbox_is_sdbox(box))
		return;
	dest = p_new(box->pool, struct migration_pop3_dest, 1);
	dest->module_ctx.super = *v;
	box->vlast = &dest->module_ctx.super;
	v->save_begin = dest_save_begin;
	v->copy = dest_copy;
	v->transaction_commit = dest_transaction_commit;
	v->transaction_rollback = dest_transaction_rollback;
	MODULE_CONTEXT_SET(box, migration_pop3_dest_module, dest);
}
