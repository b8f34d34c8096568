/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mailboxes that dsync wanted to delete, or to delete from, and was refused: each
   is compared with its source. */

#include "lib.h"
#include "array.h"
#include "sleep.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "mail-reuse.h"
#include "migration-run.h"
#include "second-user.h"
#include "deletion-guard-private.h"

/* What dsync deletes because of its UID is not lost if the source has it with
   another one. */
static bool review_loses_little(struct guard_record *record,
			       struct delete_question *question)
{
	const char *reason;

	question->mails = record->comparison.mails;
	question->wanted = record->comparison.only_here;
	return delete_guard_decide(&deletion_guard->limit, question, &reason);
}

/* The mailbox will be made again: what is the same at the source need not be
   fetched. */
static void review_keep(struct guard_record *record, struct mail_user *user)
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

static void review_failed(struct guard_record *record, const char *error)
{
	const char *reason;

	record->reviewed = TRUE;
	record->review_error = p_strdup(deletion_guard->pool, error);
	/* it was only looked for what could be kept */
	if (record->box_refused &&
	    delete_guard_decide(&deletion_guard->limit, &record->box_question,
				&reason))
		record->box_refused = FALSE;
}

static void review_record(struct guard_record *record, struct mail_user *user,
			 struct mail_user *source_user)
{
	struct delete_question question = record->question;
	const char *error;

	record->reviewed = TRUE;
	if (deletion_compare(user, source_user, record->name, record->name,
			     deletion_guard->pool, &record->comparison,
			     &error) < 0) {
		review_failed(record, error);
		return;
	}
	if (record->box_refused) {
		record->box_allowed =
			review_loses_little(record, &record->box_question);
		record->box_refused = !record->box_allowed;
	} else {
		record->mails_allowed = review_loses_little(record, &question);
	}
	e_debug(user->event, "migration: mailbox %s: %u of %u mails are only "
		"here: %s", record->vname, record->comparison.only_here,
		record->comparison.mails,
		record->box_allowed || record->mails_allowed ?
		"dsync may delete what it wants" : "nothing is deleted");
}

static bool review_record_is_needed(const struct guard_record *record)
{
	return (record->box_refused || record->mails_refused) &&
		!record->reviewed;
}

static bool review_is_needed(void)
{
	struct guard_record *record;

	array_foreach_elem(&deletion_guard->records, record) {
		if (review_record_is_needed(record))
			return TRUE;
	}
	return FALSE;
}

static struct mail_user *
review_source_init(struct doveadm_mail_cmd_context *ctx, const char *location,
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
review_source_invents_uidvalidity(struct doveadm_mail_cmd_context *ctx,
				 const char *location, const char *vname,
				 uint32_t uidvalidity)
{
	struct mail_user *source_user;
	const char *error;
	uint32_t later;

	i_sleep_msecs(1100);
	source_user = review_source_init(ctx, location, &error);
	if (source_user == NULL)
		return FALSE;
	later = deletion_source_uidvalidity(source_user, vname);
	mail_user_deinit(&source_user);
	return uidvalidity != 0 && later != 0 && uidvalidity != later;
}

/* Returns the first mailbox that may be deleted now, or NULL. */
static struct guard_record *
review_refused(struct mail_user *user, struct mail_user *source_user,
		     const char *error, bool *allowed_r)
{
	struct guard_record *record, *first = NULL;

	*allowed_r = FALSE;
	array_foreach_elem(&deletion_guard->records, record) {
		if (!review_record_is_needed(record))
			continue;
		if (source_user == NULL) {
			review_failed(record, error);
		} else T_BEGIN {
			review_record(record, user, source_user);
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
review_keep_all(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	       const char *location, bool compare_again)
{
	struct mail_user *source_user = NULL;
	struct guard_record *record;
	const char *error;

	if (compare_again)
		source_user = review_source_init(ctx, location, &error);
	array_foreach_elem(&deletion_guard->records, record) T_BEGIN {
		if (record->box_allowed && !record->box_deleted &&
		    (source_user == NULL ||
		     deletion_compare(user, source_user, record->name,
				      record->name, deletion_guard->pool,
				      &record->comparison, &error) == 0))
			review_keep(record, user);
	} T_END;
	if (source_user != NULL)
		mail_user_deinit(&source_user);
}

/* Returns TRUE if something may be deleted now that was refused before. */
static bool
review_all(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
		 const char *location)
{
	struct guard_record *first;
	struct mail_user *source_user;
	bool allowed, compare_again = FALSE;
	const char *error = NULL;
	uint32_t uidvalidity = 0;

	source_user = review_source_init(ctx, location, &error);
	first = review_refused(user, source_user, error, &allowed);
	if (first != NULL) {
		uidvalidity = deletion_source_uidvalidity(source_user,
							  first->name);
	}
	if (source_user != NULL)
		mail_user_deinit(&source_user);
	if (first != NULL && !deletion_guard->examine_checked) {
		deletion_guard->examine_checked = TRUE;
		deletion_guard->source_needs_select =
			review_source_invents_uidvalidity(ctx, location,
							 first->name,
							 uidvalidity);
		/* what was compared had another UIDVALIDITY than the next
		   run() will see */
		compare_again = deletion_guard->source_needs_select;
	}
	if (first != NULL)
		review_keep_all(ctx, user, location, compare_again);
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
	again = failed && deletion_guard->deleted;
	deletion_guard->deleted = FALSE;
	if (review_is_needed()) {
		/* ... and so does one that it could not delete */
		array_foreach_elem(&deletion_guard->records, record) {
			if (failed && record->box_refused && !record->reviewed)
				again = TRUE;
		}
		if (review_all(ctx, user, location))
			again = TRUE;
	}
	return again;
}

static void report_box(struct migration_run *run,
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
	(void)delete_guard_decide(&deletion_guard->limit, &record->box_question,
				  &reason);
	migration_run_finding(run, MIGRATION_SEVERITY_ERROR, record->vname, 0,
		FINDING_DELETION_REFUSED,
		"The mailbox was left as it is. To make it "
		"equal to the source's it would have to be deleted with what is "
		"only here: %s. Raise it to delete them, or keep them and "
		"bring what is new with doveadm sync -1R", reason);
}

void deletion_review_report(struct migration_run *run,
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
		(void)delete_guard_decide(&deletion_guard->limit,
					  &record->question,
					  &reason);
		migration_run_finding(run, MIGRATION_SEVERITY_ERROR,
			record->vname, 0, FINDING_DELETION_REFUSED,
			"The source does not have %s: none was deleted. Raise "
			"it to delete them", reason);
	}
	if (record->box_refused)
		report_box(run, record);
}
