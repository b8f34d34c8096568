/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "module-dir.h"
#include "seq-range-array.h"
#include "sleep.h"
#include "mail-index.h"
#include "mail-namespace.h"
#include "mail-storage-hooks.h"
#include "mail-storage-private.h"
#include "mailbox-list-private.h"
#include "mail-user.h"
#include "imapc-storage.h"
#include "compat-imapc.h"
#include "doveadm-mail.h"
#include "dbox-repair.h"
#include "mail-replace.h"
#include "mail-reuse.h"
#include "mailbox-marked.h"
#include "mailbox-reset.h"
#include "migration-elsewhere.h"
#include "migration-run.h"
#include "migration-user.h"
#include "second-user.h"
#include "source-filter.h"
#include "deletion-compare.h"
#include "deletion-guard.h"

#define GUARD_CONTEXT(obj) MODULE_CONTEXT(obj, guard_storage_module)
#define GUARD_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, guard_storage_module)
#define GUARD_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, guard_mail_module)
#define GUARD_LIST_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, guard_list_module)

/* dsync's transaction for flags and expunges */
#define DSYNC_IMPORT_REASON "dsync import"
/* the mailbox's index remembers that a run has completed it */
#define GUARD_INDEX_EXT_NAME "migration"
#define GUARD_COMPLETED 1

/* What the run knows of a mailbox that it has deleted something in, or has
   refused to. */
struct guard_record {
	const char *vname;
	/* ... without what dsync has escaped in it */
	const char *name;
	/* the last question about single mails, and its answer */
	struct delete_question question;
	bool mails_refused;
	/* the source has them, with other UIDs */
	bool mails_allowed;
	unsigned int mails_deleted;

	/* dsync wanted to delete the mailbox, and was refused */
	bool box_refused;
	struct delete_question box_question;
	/* it may, as long as the mailbox is still what it was */
	bool box_allowed;
	bool box_deleted;

	/* compared with the source since it was refused something */
	bool reviewed;
	struct deletion_comparison comparison;
	const char *review_error;
	/* mails whose text is kept for the mailbox that takes this one's place */
	unsigned int kept;
};

struct deletion_guard {
	pool_t pool;
	struct mail_user *user;
	struct delete_limit limit;
	ARRAY(struct guard_record *) records;
	/* names of the mailboxes that the source has, as in guard_record.name */
	HASH_TABLE(char *, char *) source_names;
	/* a mailbox was deleted for the first time in this run(), which ends
	   dsync's work if it was because of a UID conflict */
	bool deleted;
	/* looked for what is below */
	bool examine_checked;
};

struct guard_mailbox {
	union mailbox_module_context module_ctx;
	uint32_t ext_id;
	/* mails expunged since the mailbox was opened */
	unsigned int expunged;
	/* looked for what a killed commit left */
	bool synced;
	/* expunges that were decided on go through */
	bool passing;
	/* mails that got another UID: expunging what had the old one loses
	   nothing, and leaving it would show the mail twice */
	ARRAY_TYPE(seq_range) moved;
};

/* of a dsync transaction that may expunge */
struct guard_transaction {
	union mailbox_transaction_module_context module_ctx;
	ARRAY_TYPE(seq_range) expunges;
};

struct guard_mail {
	union mail_module_context module_ctx;
};

struct guard_list {
	union mailbox_list_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(guard_storage_module,
				  &mail_storage_module_register);
static MODULE_CONTEXT_DEFINE_INIT(guard_mail_module,
				  &mail_module_register);
static MODULE_CONTEXT_DEFINE_INIT(guard_list_module,
				  &mailbox_list_module_register);

/* doveadm works for one user at a time */
static struct deletion_guard *guard;

/* courier-examine: the source's mailboxes must be selected */
static bool source_needs_select;

static bool guard_is_on(struct mail_user *user)
{
	return guard != NULL && user->dsyncing;
}

static struct guard_record *guard_find(const char *vname)
{
	struct guard_record *record;

	array_foreach_elem(&guard->records, record) {
		if (strcmp(record->vname, vname) == 0)
			return record;
	}
	return NULL;
}

/* Outside of dsync's work nothing is escaped. */
static const char *guard_plain_name(struct mailbox *box)
{
	return compat_imapc_list_unescape(box->list, box->vname);
}

static struct guard_record *guard_get(struct mailbox *box)
{
	struct guard_record *record = guard_find(box->vname);

	if (record == NULL) {
		record = p_new(guard->pool, struct guard_record, 1);
		record->vname = p_strdup(guard->pool, box->vname);
		record->name = p_strdup(guard->pool, guard_plain_name(box));
		array_push_back(&guard->records, &record);
	}
	return record;
}

/*
 * Completed mailboxes
 */

static bool guard_is_completed(struct mailbox *box, struct mail_index_view *view)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	const void *data;
	size_t size;
	uint32_t state = 0;

	mail_index_get_header_ext(view, gbox->ext_id, &data, &size);
	if (size >= sizeof(state))
		memcpy(&state, data, sizeof(state));
	return state == GUARD_COMPLETED;
}

bool deletion_guard_is_completed(struct mailbox *box)
{
	return GUARD_CONTEXT(box) != NULL && guard_is_completed(box, box->view);
}

static void guard_mark_completed(struct mailbox *box,
				 struct mail_index_transaction *trans)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	uint32_t state = GUARD_COMPLETED;

	mail_index_update_header_ext(trans, gbox->ext_id, 0,
				     &state, sizeof(state));
}

/* dsync raises UIDNEXT when everything else of the mailbox was done. */
static int
guard_update_box(struct mailbox *box, const struct mailbox_update *update)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	struct mail_index_transaction *trans;
	struct guard_record *record;

	if (gbox->module_ctx.super.update_box(box, update) < 0)
		return -1;
	if (!guard_is_on(box->storage->user) || update->min_next_uid == 0 ||
	    box->view == NULL || guard_is_completed(box, box->view))
		return 0;
	record = guard_find(box->vname);
	if (record != NULL && (record->mails_refused || record->box_refused))
		return 0;
	trans = mail_index_transaction_begin(box->view,
				MAIL_INDEX_TRANSACTION_FLAG_EXTERNAL);
	guard_mark_completed(box, trans);
	/* without it the next run is a first one again */
	(void)mail_index_transaction_commit(&trans);
	return 0;
}

/*
 * Single mails
 */

static struct mailbox_transaction_context *
guard_transaction_begin(struct mailbox *box,
			enum mailbox_transaction_flags flags,
			const char *reason)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	struct mailbox_transaction_context *t;
	struct guard_transaction *gt;

	t = gbox->module_ctx.super.transaction_begin(box, flags, reason);
	if (guard_is_on(box->storage->user) &&
	    strcmp(reason, DSYNC_IMPORT_REASON) == 0) {
		gt = i_new(struct guard_transaction, 1);
		i_array_init(&gt->expunges, 8);
		MODULE_CONTEXT_SET(t, guard_storage_module, gt);
	}
	return t;
}

static void guard_mail_expunge(struct mail *_mail)
{
	struct mail_private *mail = (struct mail_private *)_mail;
	struct guard_mail *gmail = GUARD_MAIL_CONTEXT_REQUIRE(mail);
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(_mail->box);
	struct guard_transaction *gt = GUARD_CONTEXT(_mail->transaction);

	/* the commit decides */
	if (gt != NULL && !gbox->passing && !_mail->box->deleting &&
	    !seq_range_exists(&gbox->moved, _mail->uid))
		seq_range_array_add(&gt->expunges, _mail->uid);
	else
		gmail->module_ctx.super.expunge(_mail);
}

/* dsync gives a mail another UID by moving it within its mailbox. */
static int guard_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct mailbox *box = ctx->transaction->box;
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	bool moves = ctx->moving && mail->box == box;

	if (gbox->module_ctx.super.copy(ctx, mail) < 0)
		return -1;
	if (moves)
		seq_range_array_add(&gbox->moved, mail->uid);
	return 0;
}

static void guard_replay(struct mailbox_transaction_context *t,
			 const ARRAY_TYPE(seq_range) *uids)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(t->box);
	struct seq_range_iter iter;
	struct mail *mail;
	unsigned int n = 0;
	uint32_t uid;

	gbox->passing = TRUE;
	mail = mail_alloc(t, 0, NULL);
	seq_range_array_iter_init(&iter, uids);
	while (seq_range_array_iter_nth(&iter, n++, &uid)) {
		if (mail_set_uid(mail, uid))
			mail_expunge(mail);
	}
	mail_free(&mail);
	gbox->passing = FALSE;
}

static void guard_decide(struct mailbox_transaction_context *t,
			 const ARRAY_TYPE(seq_range) *uids)
{
	struct mailbox *box = t->box;
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	struct guard_record *record = guard_get(box);
	unsigned int lost, count = seq_range_count(uids);
	struct migration_run *run;
	const char *reason;

	i_zero(&record->question);
	record->question.mails = gbox->expunged +
		mail_index_view_get_messages_count(t->view);
	/* a mail that another mailbox has, too, is not lost */
	lost = count - migration_elsewhere_count(box, uids);
	record->question.wanted = gbox->expunged + lost;
	record->question.completed = guard_is_completed(box, t->view);
	if (!delete_guard_decide(&guard->limit, &record->question, &reason) &&
	    !record->mails_allowed) {
		record->mails_refused = TRUE;
		e_debug(box->event, "migration: nothing is deleted: %s",
			reason);
		return;
	}
	reason = t_strdup_printf("%u of %u mails", count, record->question.mails);
	record->mails_refused = FALSE;
	guard_replay(t, uids);
	gbox->expunged += lost;
	record->mails_deleted += count;
	run = migration_run_find(guard->user);
	migration_run_count(run, MIGRATION_COUNTER_MAILS_EXPUNGED, count);
	migration_run_mailbox(run, box->vname)->deleted += count;
	i_info("Mailbox %s: deleting %s that the source does not have%s",
	       box->vname, reason,
	       record->mails_allowed ? " with these UIDs" : "");
}

static void guard_transaction_free(struct guard_transaction *gt)
{
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
	if (guard_is_on(box->storage->user))
		migration_run_count(run, MIGRATION_COUNTER_MAILS_SAVED, count);
}

static int
guard_transaction_commit(struct mailbox_transaction_context *t,
			 struct mail_transaction_commit_changes *changes_r)
{
	struct mailbox *box = t->box;
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	struct guard_transaction *gt = GUARD_CONTEXT(t);

	if (gt != NULL) {
		if (array_count(&gt->expunges) > 0) T_BEGIN {
			guard_decide(t, &gt->expunges);
		} T_END;
		guard_transaction_free(gt);
	}
	dbox_repair_failed_save(t);
	/* Who finds it empty puts everything into it that is there later. */
	if (guard_is_on(t->box->storage->user) && t->save_count > 0 &&
	    mail_index_get_header(t->box->view)->messages_count == 0 &&
	    !guard_is_completed(t->box, t->box->view))
		guard_mark_completed(t->box, t->itrans);
	if (gbox->module_ctx.super.transaction_commit(t, changes_r) < 0)
		return -1;
	guard_count_saved(box, changes_r);
	return 0;
}

static void
guard_transaction_rollback(struct mailbox_transaction_context *t)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(t->box);
	struct guard_transaction *gt = GUARD_CONTEXT(t);

	if (gt != NULL)
		guard_transaction_free(gt);
	gbox->module_ctx.super.transaction_rollback(t);
}

/*
 * Whole mailboxes
 */

/* The source's mailbox has to be brought again, with what it has in common with
   this one. */
static bool
guard_should_keep(struct mailbox *box, const struct guard_record *record,
		  unsigned int mails)
{
	return mails > 0 && !record->reviewed && mail_reuse_is_served() &&
		hash_table_lookup(guard->source_names,
				  guard_plain_name(box)) != NULL;
}

static bool guard_may_delete(struct mailbox *box, struct guard_record *record)
{
	struct mailbox_status status;
	struct delete_question *question = &record->box_question;
	const char *reason;

	mailbox_get_open_status(box, STATUS_MESSAGES | STATUS_UIDNEXT, &status);
	if (record->box_allowed &&
	    record->comparison.mails == status.messages &&
	    record->comparison.uid_next == status.uidnext)
		return TRUE;
	i_zero(question);
	question->mails = status.messages;
	question->wanted = status.messages -
		migration_elsewhere_count(box, NULL);
	question->completed = guard_is_completed(box, box->view);
	return delete_guard_decide(&guard->limit, question, &reason) &&
		!guard_should_keep(box, record, status.messages);
}

/* It takes the place of one that has the same mails, which are not lost. */
static void
guard_made_again(struct mailbox *box, const struct guard_record *record,
		 unsigned int lost)
{
	const struct deletion_comparison *comparison = &record->comparison;
	enum finding_kind what = FINDING_MAILBOX_MADE_AGAIN;
	const char *why = "";

	if (comparison->uid_validity != comparison->source_uid_validity) {
		what = FINDING_UIDVALIDITY_CHANGED;
		why = t_strdup_printf("at the source from %u to %u: ",
				      comparison->uid_validity,
				      comparison->source_uid_validity);
	}
	migration_run_finding(migration_run_find(guard->user),
		MIGRATION_SEVERITY_INFO, box->vname, 0, what,
		"%sthe mailbox is made again. Of the source's %u mails %u were "
		"here with the same size and header, and are not fetched; of "
		"those that were here %u are deleted", why,
		comparison->source_mails, record->kept, lost);
	i_info("Mailbox %s: made again, with %u mails that were here",
	       box->vname, record->kept);
}

static void
guard_count_deleted(struct mailbox *box, const struct guard_record *record,
		    unsigned int mails)
{
	struct migration_run *run = migration_run_find(guard->user);
	unsigned int lost = mails - I_MIN(mails, record->kept);

	migration_run_mailbox(run, box->vname)->deleted += lost;
	if (record->kept > 0) {
		guard_made_again(box, record, lost);
		return;
	}
	migration_run_count(run, MIGRATION_COUNTER_MAILBOXES_DELETED, 1);
	migration_run_finding(run, MIGRATION_SEVERITY_INFO, box->vname, 0,
			      FINDING_MAILBOX_DELETED, "it had %u mails", mails);
	i_info("Mailbox %s: deleted with %u mails", box->vname, mails);
}

static int
guard_delete_allowed(struct mailbox *box, struct guard_record *record,
		     unsigned int mails)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	int ret;

	ret = mailbox_reset_is_needed(box) ? mailbox_reset(box) :
		gbox->module_ctx.super.delete_box(box);
	if (ret == 0 && !record->box_deleted)
		record->box_deleted = guard->deleted = TRUE;
	if (ret == 0 && mails > 0)
		guard_count_deleted(box, record, mails);
	return ret;
}

static int guard_delete_box(struct mailbox *box)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	struct guard_record *record;
	unsigned int mails;
	const char *reason;

	/* not the user's mailboxes but the suite's, or nothing that has mails */
	if (!guard_is_on(box->storage->user) || !box->opened ||
	    mail_replace_is_temporary(box) || mail_reuse_is_kept(box) ||
	    box->deleting_must_be_empty)
		return gbox->module_ctx.super.delete_box(box);
	if (mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		return -1;
	if (source_filter_hides(box->storage->user, box->list, box->vname,
				&reason)) {
		/* dsync does not look whether it is gone */
		e_debug(box->event, "migration: the mailbox is kept: %s",
			reason);
		return 0;
	}
	mails = mail_index_view_get_messages_count(box->view);
	record = guard_get(box);
	if (guard_may_delete(box, record)) {
		/* what comes under the name now is a new mailbox */
		record->box_refused = record->box_allowed = FALSE;
		return guard_delete_allowed(box, record, mails);
	}
	e_debug(box->event, "migration: the mailbox is not deleted, "
		"it has %u mails", mails);
	if (!record->box_refused) {
		record->box_refused = TRUE;
		record->reviewed = FALSE;
	}
	/* dsync takes this one for a conflict and goes on */
	mail_storage_set_error(box->storage, MAIL_ERROR_EXISTS,
			       "Deletion "DELETION_GUARD_REFUSED);
	return -1;
}

static int guard_list_delete_dir(struct mailbox_list *list, const char *name)
{
	struct guard_list *glist = GUARD_LIST_CONTEXT_REQUIRE(list);
	struct guard_record *record;
	const char *vname, *reason;

	if (guard_is_on(list->ns->user)) {
		vname = mailbox_list_get_vname(list, name);
		if (source_filter_hides(list->ns->user, list, vname, &reason))
			return 0;
		record = guard_find(vname);
		if (record != NULL && record->box_refused) {
			mailbox_list_set_error(list, MAIL_ERROR_EXISTS,
				"Deletion "DELETION_GUARD_REFUSED);
			return -1;
		}
	}
	return glist->module_ctx.super.delete_dir(list, name);
}

/* maildir-inbox-delete: dsync makes the mailbox again that it has deleted, and
   gives it the source's UIDVALIDITY. This one is still there, and empty. */
static int
guard_create_box(struct mailbox *box, const struct mailbox_update *update,
		 bool directory)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	struct guard_record *record;
	struct mailbox_update uid_update;
	struct mailbox_status status;
	const char *text;
	enum mail_error error;

	if (guard_is_on(box->storage->user)) {
		record = guard_find(box->vname);
		if (record != NULL && record->box_refused) {
			/* 2.3's maildir would change its UIDVALIDITY (quirk
			   maildir-create-update) */
			mail_storage_set_error(box->storage, MAIL_ERROR_EXISTS,
				"Deletion "DELETION_GUARD_REFUSED);
			return -1;
		}
		if (!directory && box->storage->user == guard->user)
			mailbox_finish_deletion(box);
	}
	if (!directory && dbox_repair_open_map(box) < 0)
		return -1;
	if (gbox->module_ctx.super.create_box(box, update, directory) == 0)
		return 0;
	text = t_strdup(mailbox_get_last_error(box, &error));
	if (error != MAIL_ERROR_EXISTS || directory || update == NULL ||
	    update->uid_validity == 0 || !guard_is_on(box->storage->user) ||
	    !mailbox_reset_is_needed(box))
		return -1;
	if (mailbox_open(box) < 0 ||
	    mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		return -1;
	mailbox_get_open_status(box, STATUS_MESSAGES | STATUS_UIDVALIDITY |
				STATUS_UIDNEXT, &status);
	if (status.messages == 0 && status.uidnext <= 1 &&
	    status.uidvalidity != update->uid_validity) {
		i_zero(&uid_update);
		uid_update.uid_validity = update->uid_validity;
		if (mailbox_update(box, &uid_update) < 0)
			return -1;
	}
	mail_storage_set_error(box->storage, error, text);
	return -1;
}

/* Only dsync asks for the cache fields, and leaves out a mailbox that answers
   so. */
static int
guard_get_metadata(struct mailbox *box, enum mailbox_metadata_items items,
		   struct mailbox_metadata *metadata_r)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	struct guard_record *record;

	if ((items & MAILBOX_METADATA_CACHE_FIELDS) != 0 &&
	    guard_is_on(box->storage->user)) {
		record = guard_find(box->vname);
		if (record != NULL && record->box_refused) {
			mail_storage_set_error(box->storage,
				MAIL_ERROR_NOTPOSSIBLE,
				"Deletion "DELETION_GUARD_REFUSED);
			return -1;
		}
	}
	if (gbox->module_ctx.super.get_metadata(box, items, metadata_r) < 0)
		return -1;
	if ((items & MAILBOX_METADATA_CACHE_FIELDS) != 0 &&
	    guard_is_on(box->storage->user) &&
	    box->storage->user != guard->user && box->view != NULL) {
		/* the source's: dsync has just synced it */
		migration_run_mailbox(migration_run_find(guard->user),
				      box->vname)->source_mails =
			mail_index_view_get_messages_count(box->view);
	}
	return 0;
}

/* dsync asks for the state of each of the source's mailboxes before it changes
   anything. */
static int
guard_get_status(struct mailbox *box, enum mailbox_status_items items,
		 struct mailbox_status *status_r)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	const char *name;
	char *copy;

	if (gbox->module_ctx.super.get_status(box, items, status_r) < 0)
		return -1;
	if (guard_is_on(box->storage->user) &&
	    box->storage->user != guard->user) {
		name = guard_plain_name(box);
		if (hash_table_lookup(guard->source_names, name) == NULL) {
			copy = p_strdup(guard->pool, name);
			hash_table_insert(guard->source_names, copy, copy);
		}
	}
	return 0;
}

/*
 * Opening
 */

static int guard_open(struct mailbox *box)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);

	if (guard_is_on(box->storage->user) &&
	    box->storage->user == guard->user &&
	    dbox_repair_open_map(box) < 0)
		return -1;
	if (gbox->module_ctx.super.open(box) < 0)
		return -1;
	gbox->ext_id = mail_index_ext_register(box->index,
		GUARD_INDEX_EXT_NAME, sizeof(uint32_t), 0, 0);
	gbox->expunged = 0;
	gbox->synced = FALSE;
	return 0;
}

static struct mailbox_sync_context *
guard_sync_init(struct mailbox *box, enum mailbox_sync_flags flags)
{
	struct guard_mailbox *gbox = GUARD_CONTEXT_REQUIRE(box);
	ARRAY_TYPE(seq_range) uids;

	if (!gbox->synced && guard_is_on(box->storage->user) &&
	    mailbox_is_sdbox(box)) {
		gbox->synced = TRUE;
		t_array_init(&uids, 8);
		dbox_repair_find_killed_commit(box, &uids);
		if (array_count(&uids) > 0) {
			i_info("Mailbox %s: %u mails of an interrupted run are "
			       "added to the index", box->vname,
			       seq_range_count(&uids));
			flags |= MAILBOX_SYNC_FLAG_FORCE_RESYNC |
				MAILBOX_SYNC_FLAG_FIX_INCONSISTENT;
		}
	}
	return gbox->module_ctx.super.sync_init(box, flags);
}

/*
 * The run
 */

void deletion_guard_begin(struct mail_user *user,
			  const struct delete_limit *limit)
{
	pool_t pool = pool_alloconly_create("deletion guard", 1024);

	i_assert(guard == NULL);
	guard = p_new(pool, struct deletion_guard, 1);
	guard->pool = pool;
	guard->user = user;
	guard->limit = *limit;
	source_needs_select = FALSE;
	p_array_init(&guard->records, pool, 8);
	hash_table_create(&guard->source_names, pool, 0, str_hash, strcmp);
}

/* What dsync deletes because of its UID is not lost if the source has it with
   another one. */
static bool guard_loses_little(struct guard_record *record,
			       struct delete_question *question)
{
	const char *reason;

	question->mails = record->comparison.mails;
	question->wanted = record->comparison.only_here;
	return delete_guard_decide(&guard->limit, question, &reason);
}

/* The mailbox will be made again: what is the same at the source need not be
   fetched. */
static void guard_keep(struct guard_record *record, struct mail_user *user)
{
	const struct deletion_comparison *comparison = &record->comparison;
	const char *error;

	if (!mail_reuse_is_served() || array_is_empty(&comparison->pairs))
		return;
	if (mail_reuse_keep(user, record->name, comparison->source_uid_validity,
			    &comparison->pairs, &error) < 0) {
		e_warning(user->event, "Mailbox %s: its mails are fetched "
			  "again, because they can't be kept: %s",
			  record->name, error);
	} else {
		record->kept = array_count(&comparison->pairs);
	}
}

static void guard_review_failed(struct guard_record *record, const char *error)
{
	const char *reason;

	record->reviewed = TRUE;
	record->review_error = p_strdup(guard->pool, error);
	/* it was only looked for what could be kept */
	if (record->box_refused &&
	    delete_guard_decide(&guard->limit, &record->box_question, &reason))
		record->box_refused = FALSE;
}

static void guard_review(struct guard_record *record, struct mail_user *user,
			 struct mail_user *source_user)
{
	struct delete_question question = record->question;
	const char *error;

	record->reviewed = TRUE;
	if (deletion_compare(user, source_user, record->name, record->name,
			     guard->pool, &record->comparison, &error) < 0) {
		guard_review_failed(record, error);
		return;
	}
	if (record->box_refused) {
		record->box_allowed =
			guard_loses_little(record, &record->box_question);
		record->box_refused = !record->box_allowed;
	} else {
		record->mails_allowed = guard_loses_little(record, &question);
	}
	e_debug(user->event, "migration: mailbox %s: %u of %u mails are only "
		"here: %s", record->vname, record->comparison.only_here,
		record->comparison.mails,
		record->box_allowed || record->mails_allowed ?
		"dsync may delete what it wants" : "nothing is deleted");
}

static bool guard_record_needs_review(const struct guard_record *record)
{
	return (record->box_refused || record->mails_refused) &&
		!record->reviewed;
}

static bool guard_needs_review(void)
{
	struct guard_record *record;

	array_foreach_elem(&guard->records, record) {
		if (guard_record_needs_review(record))
			return TRUE;
	}
	return FALSE;
}

static struct mail_user *
guard_source_init(struct doveadm_mail_cmd_context *ctx, const char *location,
		  const char **error_r)
{
	static const char *const no_options[] = { NULL };
	struct mail_user *source_user;

	if (second_user_init(ctx->storage_service, ctx->cur_service_user,
			     location, no_options, &source_user, error_r) < 0)
		return NULL;
	return source_user;
}

/* courier-examine: what the source tells of a mailbox that nobody has selected
   is the present time. Asked again a second later, on another connection. */
static bool
guard_source_invents_uidvalidity(struct doveadm_mail_cmd_context *ctx,
				 const char *location, const char *vname,
				 uint32_t uidvalidity)
{
	struct mail_user *source_user;
	const char *error;
	uint32_t later;

	i_sleep_msecs(1100);
	source_user = guard_source_init(ctx, location, &error);
	if (source_user == NULL)
		return FALSE;
	later = deletion_source_uidvalidity(source_user, vname);
	mail_user_deinit(&source_user);
	return uidvalidity != 0 && later != 0 && uidvalidity != later;
}

/* Returns the first mailbox that may be deleted now, or NULL. */
static struct guard_record *
guard_review_refused(struct mail_user *user, struct mail_user *source_user,
		     const char *error, bool *allowed_r)
{
	struct guard_record *record, *first = NULL;

	*allowed_r = FALSE;
	array_foreach_elem(&guard->records, record) {
		if (!guard_record_needs_review(record))
			continue;
		if (source_user == NULL) {
			guard_review_failed(record, error);
		} else T_BEGIN {
			guard_review(record, user, source_user);
		} T_END;
		if (record->box_allowed && first == NULL)
			first = record;
		if (record->box_allowed || record->mails_allowed ||
		    (!record->box_refused && !record->mails_refused))
			*allowed_r = TRUE;
	}
	return first;
}

static void
guard_keep_all(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	       const char *location, bool compare_again)
{
	struct mail_user *source_user = NULL;
	struct guard_record *record;
	const char *error;

	if (compare_again)
		source_user = guard_source_init(ctx, location, &error);
	array_foreach_elem(&guard->records, record) T_BEGIN {
		if (record->box_allowed && !record->box_deleted &&
		    (source_user == NULL ||
		     deletion_compare(user, source_user, record->name,
				      record->name, guard->pool,
				      &record->comparison, &error) == 0))
			guard_keep(record, user);
	} T_END;
	if (source_user != NULL)
		mail_user_deinit(&source_user);
}

/* Returns TRUE if something may be deleted now that was refused before. */
static bool
guard_review_all(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
		 const char *location)
{
	struct guard_record *first;
	struct mail_user *source_user;
	bool allowed, compare_again = FALSE;
	const char *error = NULL;
	uint32_t uidvalidity = 0;

	source_user = guard_source_init(ctx, location, &error);
	first = guard_review_refused(user, source_user, error, &allowed);
	if (first != NULL) {
		uidvalidity = deletion_source_uidvalidity(source_user,
							  first->name);
	}
	if (source_user != NULL)
		mail_user_deinit(&source_user);
	if (first != NULL && !guard->examine_checked) {
		guard->examine_checked = TRUE;
		source_needs_select =
			guard_source_invents_uidvalidity(ctx, location,
							 first->name,
							 uidvalidity);
		/* what was compared had another UIDVALIDITY than the next
		   run() will see */
		compare_again = source_needs_select;
	}
	if (first != NULL)
		guard_keep_all(ctx, user, location, compare_again);
	return allowed;
}

bool deletion_guard_wants_another_run(struct doveadm_mail_cmd_context *ctx,
				      struct mail_user *user,
				      const char *location)
{
	struct guard_record *record;
	bool again, failed = ctx->exit_code != 0 && ctx->exit_code != 2;

	if (doveadm_is_killed())
		return FALSE;
	/* a mailbox that dsync deletes because of a UID conflict ends its run */
	again = failed && guard->deleted;
	guard->deleted = FALSE;
	if (guard_needs_review()) {
		/* ... and so does one that it could not delete */
		array_foreach_elem(&guard->records, record) {
			if (failed && record->box_refused && !record->reviewed)
				again = TRUE;
		}
		if (guard_review_all(ctx, user, location))
			again = TRUE;
	}
	return again;
}

static void guard_report_box(struct migration_run *run,
			     const struct guard_record *record)
{
	const char *reason;

	if (record->review_error != NULL) {
		migration_run_finding(run, MIGRATION_SEVERITY_ERROR,
			record->vname, 0, FINDING_DELETION_REFUSED,
			"The mailbox has %u mails, does not fit the source's "
			"and was left as it is, because it could not be "
			"compared: %s", record->box_question.mails,
			record->review_error);
		return;
	}
	(void)delete_guard_decide(&guard->limit, &record->box_question,
				  &reason);
	migration_run_finding(run, MIGRATION_SEVERITY_ERROR, record->vname, 0,
		FINDING_DELETION_REFUSED,
		"The mailbox was left as it is. To make it "
		"equal to the source's it would have to be deleted with what is "
		"only here: %s. Raise it to delete them, or keep them and "
		"bring what is new with doveadm sync -1R", reason);
}

static void guard_report(struct migration_run *run,
			 const struct guard_record *record)
{
	const char *reason;

	if (record->mails_deleted > 0) {
		migration_run_finding(run, MIGRATION_SEVERITY_INFO,
			record->vname, 0, FINDING_MAILS_DELETED,
			"%u mails were deleted, the source does not have them",
			record->mails_deleted);
	}
	if (record->mails_refused) {
		(void)delete_guard_decide(&guard->limit, &record->question,
					  &reason);
		migration_run_finding(run, MIGRATION_SEVERITY_ERROR,
			record->vname, 0, FINDING_DELETION_REFUSED,
			"The source does not have %s: none was deleted. Raise "
			"it to delete them", reason);
	}
	if (record->box_refused)
		guard_report_box(run, record);
}

void deletion_guard_end(struct migration_run *run, bool complete)
{
	struct guard_record *record;
	pool_t pool = guard->pool;

	array_foreach_elem(&guard->records, record) T_BEGIN {
		guard_report(run, record);
	} T_END;
	/* otherwise the next run goes on with what is kept */
	if (complete && mail_reuse_is_served())
		mail_reuse_clean_up(guard->user);
	hash_table_destroy(&guard->source_names);
	guard = NULL;
	pool_unref(&pool);
}

/*
 * Hooks
 */

static void guard_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct guard_mailbox *gbox;

	if (!migration_user_has_plugin(box->storage->user))
		return;
	gbox = p_new(box->pool, struct guard_mailbox, 1);
	p_array_init(&gbox->moved, box->pool, 1);
	gbox->module_ctx.super = *v;
	box->vlast = &gbox->module_ctx.super;
	v->open = guard_open;
	v->sync_init = guard_sync_init;
	v->create_box = guard_create_box;
	v->update_box = guard_update_box;
	v->delete_box = guard_delete_box;
	v->get_metadata = guard_get_metadata;
	v->get_status = guard_get_status;
	v->copy = guard_copy;
	v->transaction_begin = guard_transaction_begin;
	v->transaction_commit = guard_transaction_commit;
	v->transaction_rollback = guard_transaction_rollback;
	MODULE_CONTEXT_SET(box, guard_storage_module, gbox);
}

static void guard_mail_allocated(struct mail *_mail)
{
	struct mail_private *mail = (struct mail_private *)_mail;
	struct mail_vfuncs *v = mail->vlast;
	struct guard_mail *gmail;

	if (GUARD_CONTEXT(_mail->box) == NULL)
		return;
	gmail = p_new(mail->pool, struct guard_mail, 1);
	gmail->module_ctx.super = *v;
	mail->vlast = &gmail->module_ctx.super;
	v->expunge = guard_mail_expunge;
	MODULE_CONTEXT_SET(mail, guard_mail_module, gmail);
}

static void guard_mailbox_list_created(struct mailbox_list *list)
{
	struct mailbox_list_vfuncs *v = list->vlast;
	struct guard_list *glist;

	if (!migration_user_has_plugin(list->ns->user))
		return;
	glist = p_new(list->pool, struct guard_list, 1);
	glist->module_ctx.super = *v;
	list->vlast = &glist->module_ctx.super;
	v->delete_dir = guard_list_delete_dir;
	MODULE_CONTEXT_SET(list, guard_list_module, glist);
}

/* The next run() makes its source's user again. */
static void guard_mail_storage_created(struct mail_storage *storage)
{
	struct imapc_storage *istorage;

	if (!source_needs_select ||
	    strcmp(storage->name, IMAPC_STORAGE_NAME) != 0)
		return;
	istorage = IMAPC_STORAGE(storage);
	compat_imapc_enable_no_examine(istorage->set);
	migration_run_finding(migration_run_find(guard->user),
		MIGRATION_SEVERITY_INFO, NULL, 0, FINDING_SOURCE_SELECTED,
		"The source tells another UIDVALIDITY each time for mailboxes "
		"that nobody has selected: they are selected now, and keep "
		"the UIDVALIDITY of this run");
}

static struct mail_storage_hooks guard_mail_storage_hooks = {
	.mail_storage_created = guard_mail_storage_created,
	.mailbox_allocated = guard_mailbox_allocated,
	.mail_allocated = guard_mail_allocated,
	.mailbox_list_created = guard_mailbox_list_created,
};

/* Hooks are sorted by the file names of their modules, and those of this
   doveadm module would come late. */
static char guard_module_path[] = "lib04_migration_guard";
static struct module guard_module = { .path = guard_module_path };

void deletion_guard_init(void)
{
	/* forced: needs no word in mail_plugins, the hooks ask for themselves.
	   They are not removed: doveadm unloads this module when the list of
	   hooks is gone. */
	mail_storage_hooks_add_forced(&guard_module,
				      &guard_mail_storage_hooks);
}
