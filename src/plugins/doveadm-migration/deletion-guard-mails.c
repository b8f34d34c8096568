/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Single mails that dsync expunges: counted until their transaction is committed,
   which then deletes all of them or none. Those that it saves into mdbox are
   written down before (save-journal.h). */

#include "lib.h"
#include "array.h"
#include "mail-index.h"
#include "mail-user.h"
#include "dbox-repair.h"
#include "mail-reuse.h"
#include "migration-elsewhere.h"
#include "migration-run.h"
#include "save-journal.h"
#include "run-mailbox.h"
#include "deletion-guard-private.h"

#define GUARD_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, guard_mail_module)

/* dsync's transaction for flags and expunges */
#define DSYNC_IMPORT_REASON "dsync import"

/* of a transaction of dsync's work */
struct guard_transaction {
	union mailbox_transaction_module_context module_ctx;
	/* dsync's own, whose expunges are decided on together */
	bool decides;
	ARRAY_TYPE(seq_range) expunges;
	/* NULL: it saves nothing that needs one */
	struct save_journal *journal;
};

struct guard_mail {
	union mail_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(guard_mail_module,
				  &mail_module_register);

static struct mailbox_transaction_context *
guard_transaction_begin(struct mailbox *box,
			enum mailbox_transaction_flags flags,
			const char *reason)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct mailbox_transaction_context *t;
	struct guard_transaction *gt;

	t = rbox->module_ctx.super.transaction_begin(box, flags, reason);
	if (deletion_guard_is_on(box->storage->user)) {
		gt = i_new(struct guard_transaction, 1);
		gt->decides = strcmp(reason, DSYNC_IMPORT_REASON) == 0;
		i_array_init(&gt->expunges, 8);
		MODULE_CONTEXT_SET(t, deletion_guard_storage_module, gt);
	}
	return t;
}

static bool guard_was_moved(const struct guard_mailbox *gbox, uint32_t uid)
{
	return array_is_created(&gbox->moved) &&
		seq_range_exists(&gbox->moved, uid);
}

static void guard_mail_expunge(struct mail *_mail)
{
	struct mail_private *mail = (struct mail_private *)_mail;
	struct guard_mail *gmail = GUARD_MAIL_CONTEXT_REQUIRE(mail);
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(_mail->box);
	struct guard_transaction *gt = GUARD_CONTEXT(_mail->transaction);

	/* the commit decides */
	if (gt != NULL && gt->decides && !rbox->guard.passing &&
	    !_mail->box->deleting &&
	    !guard_was_moved(&rbox->guard, _mail->uid))
		seq_range_array_add(&gt->expunges, _mail->uid);
	else
		gmail->module_ctx.super.expunge(_mail);
}

/* The mail gets its GUID here if the source has none for it: mdbox would make it
   up when the mail is written. */
static int guard_save_begin(struct mail_save_context *ctx, struct istream *input)
{
	struct mailbox *box = ctx->transaction->box;
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct guard_transaction *gt = GUARD_CONTEXT(ctx->transaction);
	guid_128_t guid;

	if (gt != NULL && mailbox_is_mdbox(box)) {
		if (ctx->data.guid == NULL) {
			guid_128_generate(guid);
			mailbox_save_set_guid(ctx, guid_128_to_string(guid));
		}
		if (gt->journal == NULL)
			gt->journal = save_journal_init(box);
		save_journal_begin_save(gt->journal, ctx->data.guid);
	}
	return rbox->module_ctx.super.save_begin(ctx, input);
}

/* dsync gives a mail another UID by moving it within its mailbox. */
static int guard_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct mailbox *box = ctx->transaction->box;
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	bool moves = ctx->moving && mail->box == box;

	if (save_check_copy(ctx, mail) < 0)
		return -1;
	if (moves) {
		if (!array_is_created(&rbox->guard.moved))
			p_array_init(&rbox->guard.moved, box->pool, 8);
		seq_range_array_add(&rbox->guard.moved, mail->uid);
	}
	return 0;
}

static void guard_replay(struct mailbox_transaction_context *t,
			 const ARRAY_TYPE(seq_range) *uids)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(t->box);
	struct seq_range_iter iter;
	struct mail *mail;
	unsigned int n = 0;
	uint32_t uid;

	rbox->guard.passing = TRUE;
	mail = mail_alloc(t, 0, NULL);
	seq_range_array_iter_init(&iter, uids);
	while (seq_range_array_iter_nth(&iter, n++, &uid)) {
		if (mail_set_uid(mail, uid))
			mail_expunge(mail);
	}
	mail_free(&mail);
	rbox->guard.passing = FALSE;
}

static void guard_decide(struct mailbox_transaction_context *t,
			 const ARRAY_TYPE(seq_range) *uids)
{
	struct mailbox *box = t->box;
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct guard_record *record = deletion_guard_get(box);
	unsigned int lost, count = seq_range_count(uids);
	struct migration_run *run;
	const char *reason;

	i_zero(&record->question);
	record->question.mails = rbox->guard.expunged +
		mail_index_view_get_messages_count(t->view);
	/* a mail that another mailbox has, too, is not lost */
	lost = count - migration_elsewhere_count(box, uids);
	record->question.wanted = rbox->guard.expunged + lost;
	record->question.completed =
		deletion_guard_box_is_completed(box, t->view);
	if (!delete_guard_decide(&deletion_guard->limit, &record->question,
				 &reason) &&
	    !record->mails_allowed) {
		record->mails_refused = TRUE;
		e_debug(box->event, "migration: nothing is deleted: %s",
			reason);
		return;
	}
	reason = t_strdup_printf("%u of %u mails", count, record->question.mails);
	record->mails_refused = FALSE;
	guard_replay(t, uids);
	rbox->guard.expunged += lost;
	record->mails_deleted += count;
	run = migration_run_find(deletion_guard->user);
	migration_run_count(run, MIGRATION_COUNTER_MAILS_EXPUNGED, count);
	migration_run_mailbox(run, box->vname)->deleted += count;
	i_info("Mailbox %s: deleting %s that the source does not have%s",
	       box->vname, reason,
	       record->mails_allowed ? " with these UIDs" : "");
}

static void guard_transaction_free(struct guard_transaction *gt, bool committed)
{
	if (gt == NULL)
		return;
	if (gt->journal != NULL) {
		save_journal_end_commit(gt->journal, committed);
		save_journal_deinit(&gt->journal);
	}
	array_free(&gt->expunges);
	i_free(gt);
}

static void
guard_count_saved(struct mailbox *box,
		  const struct mail_transaction_commit_changes *changes)
{
	unsigned int count = seq_range_count(&changes->saved_uids);
	struct migration_run *run;

	if (count == 0 || mail_reuse_is_kept(box))
		return;
	run = migration_run_find(box->storage->user);
	migration_run_mailbox(run, box->vname)->saved += count;
	/* import counts its own */
	if (deletion_guard_is_on(box->storage->user))
		migration_run_count(run, MIGRATION_COUNTER_MAILS_SAVED, count);
}

static int
guard_transaction_commit(struct mailbox_transaction_context *t,
			 struct mail_transaction_commit_changes *changes_r)
{
	struct mailbox *box = t->box;
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct guard_transaction *gt = GUARD_CONTEXT(t);
	const uint32_t rebuild_count = dbox_repair_rebuild_count(box);
	int ret;

	if (gt != NULL && array_count(&gt->expunges) > 0) T_BEGIN {
		guard_decide(t, &gt->expunges);
	} T_END;
	dbox_repair_failed_save(t);
	/* Who finds it empty puts everything into it that is there later. */
	if (deletion_guard_is_on(t->box->storage->user) && t->save_count > 0 &&
	    mail_index_get_header(t->box->view)->messages_count == 0 &&
	    !deletion_guard_box_is_completed(t->box, t->box->view))
		deletion_guard_mark_completed(t->box, t->itrans);
	if (gt != NULL && gt->journal != NULL)
		save_journal_begin_commit(gt->journal);
	ret = rbox->module_ctx.super.transaction_commit(t, changes_r);
	guard_transaction_free(gt, ret == 0);
	dbox_repair_end_rebuild(box, rebuild_count);
	if (ret < 0)
		return -1;
	guard_count_saved(box, changes_r);
	return 0;
}

static void
guard_save_commit_post(struct mail_save_context *ctx,
		       struct mail_index_transaction_commit_result *result)
{
	struct run_mailbox *rbox =
		RUN_MAILBOX_REQUIRE(ctx->transaction->box);
	struct mail_private mail;

	dbox_repair_commit_post(ctx, &mail);
	rbox->module_ctx.super.transaction_save_commit_post(ctx, result);
}

static void
guard_transaction_rollback(struct mailbox_transaction_context *t)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(t->box);
	struct guard_transaction *gt = GUARD_CONTEXT(t);

	rbox->module_ctx.super.transaction_rollback(t);
	guard_transaction_free(gt, FALSE);
}

void deletion_guard_mails_init(struct mailbox_vfuncs *v)
{
	v->copy = guard_copy;
	v->save_begin = guard_save_begin;
	v->transaction_begin = guard_transaction_begin;
	v->transaction_commit = guard_transaction_commit;
	v->transaction_save_commit_post = guard_save_commit_post;
	v->transaction_rollback = guard_transaction_rollback;
}

void deletion_guard_mail_allocated(struct mail *_mail)
{
	struct mail_private *mail = (struct mail_private *)_mail;
	struct mail_vfuncs *v = mail->vlast;
	struct guard_mail *gmail;

	if (RUN_MAILBOX(_mail->box) == NULL)
		return;
	gmail = p_new(mail->pool, struct guard_mail, 1);
	gmail->module_ctx.super = *v;
	mail->vlast = &gmail->module_ctx.super;
	v->expunge = guard_mail_expunge;
	MODULE_CONTEXT_SET(mail, guard_mail_module, gmail);
}
