/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "seq-range-array.h"
#include "index-storage.h"
#include "index-mail.h"
#include "mail-search-build.h"
#include "mail-storage-private.h"
#include "dbox-repair.h"
#include "migration-run.h"
#include "import-evidence.h"
#include "import-journal.h"
#include "import-local.h"
#include "import-lookup.h"
#include "import-target.h"

/* Shows in logs as the reason of our transactions. */
#define IMPORT_TARGET_REASON "migration_import"

struct import_target {
	struct import_target_settings set;
	struct mailbox *source_box;
	/* of stock's transaction */
	enum mailbox_transaction_flags trans_flags;

	/* our own handle of the destination */
	struct mailbox *box;
	/* the mails that were there before; NULL if they do not count */
	struct import_lookup *lookup;

	struct mailbox_transaction_context *save_trans;
	struct import_journal *journal;
	/* UIDs in the source of the mails in it */
	ARRAY_TYPE(uint32_t) saved_uids;
	bool save_has_uidl;

	/* the mailbox's UIDNEXT once save_trans is committed */
	uint32_t next_uid;
	uint32_t source_uid_validity, source_next_uid;

	/* Mails whose UIDs are not free are saved last, so that they do not
	   take the UIDs of those that come after them. */
	struct mailbox_transaction_context *source_trans;
	ARRAY_TYPE(seq_range) deferred_uids;

	/* mails that were found without their flags, see
	   import_target_repair_sdbox() */
	ARRAY_TYPE(seq_range) repaired_uids;

	unsigned int uids_changed;
	uint32_t first_uid_changed;
	bool flags_changed;
	/* nothing more is saved: the text of what follows need not be fetched
	   to be told that again */
	bool quota_full;

	/* the first one; NULL: all is well */
	char *error;
};

static struct migration_run *target_run(struct import_target *target)
{
	return migration_run_find(target->box->storage->user);
}

static int import_target_fail(struct import_target *target)
{
	if (target->error == NULL) {
		target->error = i_strdup(
			mailbox_get_last_internal_error(target->box, NULL));
	}
	return -1;
}

static bool is_mbox(const struct mailbox *box)
{
	return strcmp(box->storage->name, "mbox") == 0;
}

/* -- what the destination has already */

static int import_target_end_reading(struct import_target *target)
{
	return target->lookup == NULL ? 0 :
		import_lookup_end_reading(target->lookup);
}

/* Finds the destination's mail that the source's mail is: 1, 0 if there is
   none, -1 if the destination cannot be read. */
static int
import_target_find(struct import_target *target, struct mail *mail,
		   struct mail **dest_mail_r, const char **reason_r)
{
	struct import_identity identity;
	uint32_t uid;
	int ret;

	*dest_mail_r = NULL;
	if (target->lookup == NULL) {
		*reason_r = "not looked for";
		return 0;
	}
	i_zero(&identity);
	ret = import_lookup_find(target->lookup, mail, FALSE, &identity,
				 &uid, reason_r);
	if (ret <= 0)
		return ret;
	*dest_mail_r = import_lookup_get_mail(target->lookup, uid);
	return *dest_mail_r != NULL ? 1 : 0;
}

/* -- saving */

static void
import_target_uid_changed(struct import_target *target, uint32_t source_uid,
			  uint32_t dest_uid)
{
	e_debug(target->box->event, "Import of UID %u: saved as UID %u, "
		"because the UID was not free", source_uid, dest_uid);
	if (target->uids_changed++ == 0)
		target->first_uid_changed = source_uid;
}

static void
import_target_saved(struct import_target *target,
		    const ARRAY_TYPE(seq_range) *saved_uids)
{
	struct seq_range_iter iter;
	unsigned int n = 0;
	uint32_t source_uid, uid;

	seq_range_array_iter_init(&iter, saved_uids);
	array_foreach_elem(&target->saved_uids, source_uid) {
		if (!seq_range_array_iter_nth(&iter, n++, &uid))
			break;
		if (uid != source_uid)
			import_target_uid_changed(target, source_uid, uid);
		if (target->next_uid <= uid)
			target->next_uid = uid + 1;
	}
	migration_run_count(target_run(target), MIGRATION_COUNTER_MAILS_SAVED,
			    array_count(&target->saved_uids));
}

static void
import_target_not_saved(struct import_target *target, uint32_t source_uid,
			const char *error)
{
	migration_run_finding(target_run(target), MIGRATION_SEVERITY_ERROR,
			      target->box->vname, source_uid,
			      "mail-not-imported",
			      "The mail could not be saved: %s", error);
}

static int import_target_commit(struct import_target *target)
{
	struct mail_transaction_commit_changes changes;
	uint32_t uid;
	int ret;

	if (target->save_trans == NULL)
		return 0;
	if (target->save_has_uidl) {
		/* too high a value costs a look into the mails' metadata */
		(void)dbox_repair_uidl_max(target->box,
			target->save_trans->view, target->save_trans->itrans,
			target->next_uid + array_count(&target->saved_uids));
	}
	dbox_repair_failed_save(target->save_trans);

	import_journal_begin_commit(target->journal);
	ret = mailbox_transaction_commit_get_changes(&target->save_trans,
						     &changes);
	import_journal_end_commit(target->journal);
	if (ret == 0) {
		e_debug(target->box->event, "Import: %u mails committed",
			array_count(&target->saved_uids));
		import_target_saved(target, &changes.saved_uids);
		pool_unref(&changes.pool);
	} else {
		(void)import_target_fail(target);
		array_foreach_elem(&target->saved_uids, uid)
			import_target_not_saved(target, uid, target->error);
	}
	array_clear(&target->saved_uids);
	target->save_has_uidl = FALSE;
	return ret;
}

static int import_target_begin_save(struct import_target *target)
{
	/* mbox cannot turn its read lock into a write lock */
	if (is_mbox(target->box) && import_target_end_reading(target) < 0)
		return -1;
	if (target->save_trans != NULL)
		return 0;
	target->save_trans = mailbox_transaction_begin(target->box,
		target->trans_flags | MAILBOX_TRANSACTION_FLAG_EXTERNAL |
		MAILBOX_TRANSACTION_FLAG_ASSIGN_UIDS, IMPORT_TARGET_REASON);
	return 0;
}

/* Whatever can fail before the first byte is written fails here: then there is
   no save to cancel, and mbox would cancel the save before (QUIRKS.md,
   "mbox-cancelled-save"). The copy finds all of it opened or cached. */
static int
import_target_open_mail(struct import_target *target, struct mail *mail)
{
	struct istream *input;
	const char *value, *errstr;
	enum mail_error error;
	time_t date;

	if (mail_get_stream_because(mail, NULL, NULL, "import", &input) == 0 &&
	    mail_get_received_date(mail, &date) == 0 &&
	    mail_get_special(mail, MAIL_FETCH_FROM_ENVELOPE, &value) == 0 &&
	    mail_get_special(mail, MAIL_FETCH_GUID, &value) == 0)
		return 0;
	errstr = mailbox_get_last_internal_error(mail->box, &error);
	mail_storage_set_error(target->box->storage, error, errstr);
	return -1;
}

static void
import_target_set_guid(struct mail_save_context *ctx, struct mail *mail)
{
	const char *value;
	guid_128_t guid;

	if (import_evidence_has_guid(mail) &&
	    mail_get_special(mail, MAIL_FETCH_GUID, &value) == 0 &&
	    *value != '\0') {
		mailbox_save_set_guid(ctx, value);
	} else {
		guid_128_generate(guid);
		mailbox_save_set_guid(ctx, guid_128_to_string(guid));
	}
}

/* What stock's import does not carry over. It does flags, keywords, received
   date, GUID and the mbox envelope sender. */
static void
import_target_set_metadata(struct import_target *target,
			   struct mail_save_context *ctx, struct mail *mail)
{
	const char *value;
	unsigned int order;
	time_t save_date;

	import_target_set_guid(ctx, mail);
	/* 0 is a date that stands in for an unknown one */
	if (mail_get_save_date(mail, &save_date) > 0)
		mailbox_save_set_save_date(ctx, save_date);
	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &value) == 0 &&
	    *value != '\0') {
		mailbox_save_set_pop3_uidl(ctx, value);
		target->save_has_uidl = TRUE;
	}
	if (mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &value) == 0 &&
	    str_to_uint(value, &order) == 0 && order > 0) {
		mailbox_save_set_pop3_order(ctx, order);
		target->save_has_uidl = TRUE;
	}
}

/* sdbox puts a GUID into the cache file only when it is asked for it, and has
   to open the mail's file then. So the next run need not open all files. */
static void import_target_cache_guid(struct mail *mail, struct mail *dest_mail)
{
	const char *guid;

	if (import_evidence_has_guid(mail) &&
	    mail_get_special(mail, MAIL_FETCH_GUID, &guid) == 0 &&
	    *guid != '\0') {
		index_mail_cache_add(INDEX_MAIL(dest_mail), MAIL_CACHE_GUID,
				     guid, strlen(guid));
	}
}

/* What mailbox_copy() would take from the mail that it copies. */
static int
import_target_set_copied_metadata(struct mail_save_context *ctx,
				  struct mail *mail)
{
	const char *value;
	time_t date;

	if (mail_get_received_date(mail, &date) < 0 ||
	    mail_get_special(mail, MAIL_FETCH_FROM_ENVELOPE, &value) < 0)
		return -1;
	mailbox_save_set_received_date(ctx, date, 0);
	if (*value != '\0')
		mailbox_save_set_from_envelope(ctx, value);
	return 0;
}

/* The mail to take the text from: the source's, or one that the account has
   already. */
static struct mail *
import_target_choose_text(struct import_target *target, struct mail *mail)
{
	struct import_identity identity;
	const char *reason;
	struct mail *local_mail;

	if (target->set.local == NULL)
		return mail;
	i_zero(&identity);
	local_mail = import_local_find(target->set.local, target->box, mail,
				       &identity, &reason);
	if (local_mail == NULL) {
		e_debug(target->box->event, "Import of UID %u: no other "
			"mailbox has it: %s", mail->uid, reason);
		return mail;
	}
	e_debug(target->box->event, "Import of UID %u: copied from %s UID %u "
		"(%s)", mail->uid, local_mail->box->vname, local_mail->uid,
		reason);
	return local_mail;
}

static int
import_target_copy(struct import_target *target, struct mail *mail,
		   bool keep_uid)
{
	struct mail *dest_mail, *text = import_target_choose_text(target, mail);
	struct mail_save_context *ctx;
	const char *guid;

	if (import_target_open_mail(target, text) < 0 ||
	    import_target_begin_save(target) < 0)
		return -1;
	ctx = mailbox_save_alloc(target->save_trans);
	mailbox_save_copy_flags(ctx, mail);
	import_target_set_metadata(target, ctx, mail);
	if (keep_uid)
		mailbox_save_set_uid(ctx, mail->uid);
	if (text != mail &&
	    import_target_set_copied_metadata(ctx, mail) < 0) {
		mailbox_save_cancel(&ctx);
		return -1;
	}
	dest_mail = ctx->dest_mail;
	guid = t_strdup(ctx->data.guid);
	if (mailbox_copy(&ctx, text) < 0)
		return -1;
	import_journal_note(target->journal, dest_mail, guid);
	if (text != mail) {
		migration_run_count(target_run(target),
				    MIGRATION_COUNTER_MAILS_COPIED, 1);
	}
	if (mailbox_is_sdbox(target->box))
		import_target_cache_guid(mail, dest_mail);
	return 0;
}

static int
import_target_save(struct import_target *target, struct mail *mail,
		   bool keep_uid)
{
	enum mail_error error;
	const char *errstr;
	uint32_t uid = mail->uid;

	if (target->quota_full) {
		import_target_not_saved(target, uid, "the quota is full");
		return 0;
	}
	if (import_target_copy(target, mail, keep_uid) < 0) {
		errstr = mailbox_get_last_internal_error(target->box, &error);
		target->quota_full = error == MAIL_ERROR_NOQUOTA;
		import_target_not_saved(target, uid, errstr);
		return import_target_fail(target);
	}
	array_push_back(&target->saved_uids, &uid);
	if (keep_uid)
		target->next_uid = uid + 1;
	if (array_count(&target->saved_uids) >= target->set.commit_mails)
		return import_target_commit(target);
	return 0;
}

/* Saves a mail, or remembers it for the end. */
static int import_target_take(struct import_target *target, struct mail *mail)
{
	if (mail->box != target->source_box)
		return import_target_save(target, mail, FALSE);
	if (mail->uid >= target->next_uid)
		return import_target_save(target, mail, TRUE);
	if (target->next_uid >= target->source_next_uid) {
		/* no mail that follows can keep its UID either */
		return import_target_save(target, mail, FALSE);
	}
	target->source_trans = mail->transaction;
	seq_range_array_add(&target->deferred_uids, mail->uid);
	return 0;
}

static void import_target_save_deferred(struct import_target *target)
{
	struct seq_range_iter iter;
	struct mail *mail;
	unsigned int n = 0;
	uint32_t uid;

	if (array_count(&target->deferred_uids) == 0)
		return;
	mail = mail_alloc(target->source_trans, 0, NULL);
	seq_range_array_iter_init(&iter, &target->deferred_uids);
	while (seq_range_array_iter_nth(&iter, n++, &uid)) {
		if (mail_set_uid(mail, uid))
			(void)import_target_save(target, mail, FALSE);
		else {
			import_target_not_saved(target, uid,
				"The source does not have it any more");
			if (target->error == NULL) {
				target->error = i_strdup("The source has lost "
							 "a mail meanwhile");
			}
		}
	}
	mail_free(&mail);
}

/* -- the mails that are there already */

static void
import_target_get_flags(struct mail *mail, struct import_flags *flags_r)
{
	flags_r->flags = mail_get_flags(mail);
	flags_r->keywords = mail_get_keywords(mail);
}

static void
import_target_change_flags(struct import_target *target,
			   struct mail *dest_mail,
			   const struct import_flags_change *change)
{
	struct mail_keywords *keywords;

	if (change->add != 0)
		mail_update_flags(dest_mail, MODIFY_ADD, change->add);
	if (change->remove != 0)
		mail_update_flags(dest_mail, MODIFY_REMOVE, change->remove);
	if (change->add_keywords != NULL) {
		keywords = mailbox_keywords_create_valid(target->box,
							 change->add_keywords);
		mail_update_keywords(dest_mail, MODIFY_ADD, keywords);
		mailbox_keywords_unref(&keywords);
	}
	target->flags_changed = TRUE;
}

int import_target_add(struct import_target *target, struct mail *mail)
{
	enum import_duplicates policy = target->set.duplicates;
	struct import_flags src, dest;
	struct import_flags_change change;
	const char *reason, *match_reason;
	struct mail *dest_mail;
	int ret;

	ret = import_target_find(target, mail, &dest_mail, &match_reason);
	if (ret < 0)
		return import_target_fail(target);

	import_target_get_flags(mail, &src);
	if (dest_mail != NULL) {
		import_target_get_flags(dest_mail, &dest);
		if (seq_range_exists(&target->repaired_uids, dest_mail->uid))
			policy = IMPORT_DUPLICATES_MERGE_FLAGS;
	}
	switch (import_decide(policy, &src, dest_mail != NULL ? &dest : NULL,
			      &change, &reason)) {
	case IMPORT_ACTION_SAVE:
		e_debug(target->box->event, "Import of UID %u: saving: %s (%s)",
			mail->uid, reason, match_reason);
		return import_target_take(target, mail);
	case IMPORT_ACTION_MERGE_FLAGS:
		import_target_change_flags(target, dest_mail, &change);
		break;
	case IMPORT_ACTION_SKIP:
		break;
	}
	e_debug(target->box->event, "Import of UID %u: left out: %s "
		"(UID %u, %s)", mail->uid, reason, dest_mail->uid, match_reason);
	migration_run_count(target_run(target),
			    MIGRATION_COUNTER_MAILS_SKIPPED, 1);
	migration_progress_skipped(target_run(target));
	return 0;
}

/* -- begin and end */

static void import_target_init_uids(struct import_target *target)
{
	struct mailbox_status status;

	mailbox_get_open_status(target->box, STATUS_UIDNEXT, &status);
	target->next_uid = status.uidnext;
	if (target->source_box != NULL) {
		mailbox_get_open_status(target->source_box,
			STATUS_UIDVALIDITY | STATUS_UIDNEXT, &status);
		target->source_uid_validity = status.uidvalidity;
		target->source_next_uid = status.uidnext;
	}
}

/* A process that is killed while it commits to sdbox leaves mails behind that
   are not in the index yet, and the next commit of a mail with such a UID fails
   (QUIRKS.md, "sdbox-killed-commit"). They are added to the index now; their
   flags are lost. */
static int import_target_repair_sdbox(struct import_target *target)
{
	dbox_repair_find_killed_commit(target->box, &target->repaired_uids);
	if (array_count(&target->repaired_uids) == 0)
		return 0;
	e_debug(target->box->event, "Import: %u mails are not in the index, "
		"it is rebuilt", seq_range_count(&target->repaired_uids));
	return mailbox_sync(target->box, MAILBOX_SYNC_FLAG_FORCE_RESYNC |
			    MAILBOX_SYNC_FLAG_FIX_INCONSISTENT);
}

static int import_target_open(struct import_target *target)
{
	/* A hard link would show the time of the import as the save date,
	   in the source's mailbox too, and could not take a UIDL. */
	target->box->disable_reflink_copy_to = TRUE;

	if (mailbox_sync(target->box, MAILBOX_SYNC_FLAG_FULL_READ) < 0 ||
	    import_target_repair_sdbox(target) < 0)
		return -1;
	import_target_init_uids(target);
	if (target->set.duplicates == IMPORT_DUPLICATES_IMPORT)
		return 0;
	target->lookup = import_lookup_init(target->box, FALSE);
	return target->lookup == NULL ? -1 : 0;
}

int import_target_init(struct mailbox_transaction_context *t,
		       struct mailbox *source_box,
		       const struct import_target_settings *set,
		       struct import_target **target_r)
{
	struct import_target *target = i_new(struct import_target, 1);

	i_assert(set->commit_mails > 0);

	target->set = *set;
	target->source_box = source_box;
	target->trans_flags = t->flags;
	i_array_init(&target->saved_uids, 128);
	i_array_init(&target->deferred_uids, 8);
	i_array_init(&target->repaired_uids, 8);
	target->box = mailbox_alloc(t->box->list, t->box->vname,
				    t->box->flags & MAILBOX_FLAG_IGNORE_ACLS);
	target->journal = import_journal_init(target->box);
	if (set->local != NULL)
		import_local_forget(set->local, target->box);
	if (import_target_open(target) < 0) {
		import_target_abort(&target);
		return -1;
	}
	*target_r = target;
	return 0;
}

static int import_target_commit_flags(struct import_target *target)
{
	if (import_target_end_reading(target) < 0)
		return -1;
	/* Maildir has the flags in the names of its files. */
	return target->flags_changed ? mailbox_sync(target->box, 0) : 0;
}

/* A UID that the source gave to a mail that is gone must not be given to
   another one as long as clients take the mailbox for the same. */
static int import_target_raise_next_uid(struct import_target *target)
{
	struct mailbox_update update;
	struct mailbox_status status;

	/* a mail that could not be saved may get its UID the next time */
	if (target->source_uid_validity == 0 || target->error != NULL)
		return 0;
	if (mailbox_sync(target->box, 0) < 0)
		return -1;
	mailbox_get_open_status(target->box,
				STATUS_UIDVALIDITY | STATUS_UIDNEXT, &status);
	if (status.uidvalidity != target->source_uid_validity ||
	    status.uidnext >= target->source_next_uid)
		return 0;
	i_zero(&update);
	update.min_next_uid = target->source_next_uid;
	return mailbox_update(target->box, &update);
}

static void import_target_report_uids(struct import_target *target)
{
	if (target->uids_changed == 0)
		return;
	migration_run_finding(target_run(target), MIGRATION_SEVERITY_WARNING,
		target->box->vname, target->first_uid_changed, "uid-changed",
		"%u mails have other UIDs than in the source, because the "
		"mailbox had given theirs to other mails before",
		target->uids_changed);
}

static void import_target_free(struct import_target *target)
{
	if (target->save_trans != NULL)
		mailbox_transaction_rollback(&target->save_trans);
	if (target->lookup != NULL)
		import_lookup_deinit(&target->lookup);
	if (target->set.local != NULL)
		import_local_forget(target->set.local, target->box);
	import_journal_deinit(&target->journal);
	mailbox_free(&target->box);
	array_free(&target->saved_uids);
	array_free(&target->deferred_uids);
	array_free(&target->repaired_uids);
	i_free(target->error);
	i_free(target);
}

int import_target_finish(struct import_target **_target, const char **error_r)
{
	struct import_target *target = *_target;
	int ret = 0;

	*_target = NULL;
	/* those that keep their UIDs come first */
	(void)import_target_commit(target);
	import_target_save_deferred(target);
	(void)import_target_commit(target);
	if (import_target_commit_flags(target) < 0 ||
	    import_target_raise_next_uid(target) < 0)
		(void)import_target_fail(target);
	import_target_report_uids(target);
	if (target->error != NULL) {
		*error_r = t_strdup(target->error);
		ret = -1;
	}
	import_target_free(target);
	return ret;
}

void import_target_abort(struct import_target **_target)
{
	struct import_target *target = *_target;

	*_target = NULL;
	import_target_free(target);
}

/* TRUE if every mail that the source has can be saved into the mailbox with
   its UID. Dovecot keeps UIDNEXT when the UIDVALIDITY is changed. */
static bool uids_fit(struct mailbox *dest_box, struct mailbox *source_box)
{
	struct mailbox_status status;
	uint32_t first_uid;

	mailbox_get_open_status(dest_box, STATUS_MESSAGES | STATUS_UIDNEXT,
				&status);
	if (status.messages > 0 ||
	    mail_index_view_get_messages_count(source_box->view) == 0)
		return FALSE;
	mail_index_lookup_uid(source_box->view, 1, &first_uid);
	return first_uid >= status.uidnext;
}

int import_target_adopt_uidvalidity(struct mailbox *dest_box,
				    struct mailbox *source_box)
{
	struct mailbox_update update;
	struct mailbox_status status;
	struct mailbox *box;
	int ret;

	i_zero(&update);
	mailbox_get_open_status(source_box, STATUS_UIDVALIDITY, &status);
	update.uid_validity = status.uidvalidity;
	if (update.uid_validity == 0)
		return 0;

	box = mailbox_alloc(dest_box->list, dest_box->vname,
			    dest_box->flags & MAILBOX_FLAG_IGNORE_ACLS);
	ret = mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ);
	if (ret == 0 && uids_fit(box, source_box)) {
		mailbox_get_open_status(box, STATUS_UIDVALIDITY, &status);
		if (status.uidvalidity != update.uid_validity) {
			e_debug(box->event, "Import: the mailbox is empty, "
				"UIDVALIDITY %u of the source is taken over",
				update.uid_validity);
			ret = mailbox_update(box, &update);
		}
	}
	mailbox_free(&box);
	return ret;
}
