/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whole mailboxes that dsync deletes, and those that it makes in their place. */

#include "lib.h"
#include "hash.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "dbox-repair.h"
#include "mail-replace.h"
#include "mail-reuse.h"
#include "mailbox-marked.h"
#include "mailbox-reset.h"
#include "migration-elsewhere.h"
#include "migration-run.h"
#include "migration-user.h"
#include "source-filter.h"
#include "run-mailbox.h"
#include "deletion-guard-private.h"

#define GUARD_LIST_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, guard_list_module)

struct guard_list {
	union mailbox_list_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(guard_list_module,
				  &mailbox_list_module_register);

/* The source's mailbox has to be brought again, with what it has in common with
   this one. */
static bool
guard_should_keep(struct mailbox *box, const struct guard_record *record,
		  unsigned int mails)
{
	return mails > 0 && !record->reviewed && mail_reuse_is_served() &&
		hash_table_lookup(deletion_guard->source_names,
				  deletion_guard_plain_name(box)) != NULL;
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
	question->completed = deletion_guard_box_is_completed(box, box->view);
	return delete_guard_decide(&deletion_guard->limit, question, &reason) &&
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
	migration_run_finding(migration_run_find(deletion_guard->user),
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
	struct migration_run *run = migration_run_find(deletion_guard->user);
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
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	int ret;

	ret = mailbox_reset_is_needed(box) ? mailbox_reset(box) :
		rbox->module_ctx.super.delete_box(box);
	if (ret == 0 && !record->box_deleted)
		record->box_deleted = deletion_guard->deleted = TRUE;
	if (ret == 0 && mails > 0)
		guard_count_deleted(box, record, mails);
	return ret;
}

static int guard_delete_box(struct mailbox *box)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct guard_record *record;
	unsigned int mails;
	const char *reason;

	/* not the user's mailboxes but the suite's, or nothing that has mails */
	if (!deletion_guard_is_on(box->storage->user) || !box->opened ||
	    mail_replace_is_temporary(box) || mail_reuse_is_kept(box) ||
	    box->deleting_must_be_empty)
		return rbox->module_ctx.super.delete_box(box);
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
	record = deletion_guard_get(box);
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

	if (deletion_guard_is_on(list->ns->user)) {
		vname = mailbox_list_get_vname(list, name);
		if (source_filter_hides(list->ns->user, list, vname, &reason))
			return 0;
		record = deletion_guard_find(vname);
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
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct guard_record *record;
	struct mailbox_update uid_update;
	struct mailbox_status status;
	const char *text;
	enum mail_error error;

	if (deletion_guard_is_on(box->storage->user)) {
		record = deletion_guard_find(box->vname);
		if (record != NULL && record->box_refused) {
			/* 2.3's maildir would change its UIDVALIDITY (quirk
			   maildir-create-update) */
			mail_storage_set_error(box->storage, MAIL_ERROR_EXISTS,
				"Deletion "DELETION_GUARD_REFUSED);
			return -1;
		}
		if (!directory && box->storage->user == deletion_guard->user)
			mailbox_finish_deletion(box);
	}
	if (!directory && dbox_repair_open_map(box) < 0)
		return -1;
	if (rbox->module_ctx.super.create_box(box, update, directory) == 0)
		return 0;
	text = t_strdup(mailbox_get_last_error(box, &error));
	if (error != MAIL_ERROR_EXISTS || directory || update == NULL ||
	    update->uid_validity == 0 ||
	    !deletion_guard_is_on(box->storage->user) ||
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

void deletion_guard_mailboxes_init(struct mailbox_vfuncs *v)
{
	v->create_box = guard_create_box;
	v->delete_box = guard_delete_box;
}

void deletion_guard_list_created(struct mailbox_list *list)
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
