/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "index-storage.h"
#include "index-mail.h"
#include "mail-storage-private.h"
#include "dbox-repair.h"
#include "migration-run.h"
#include "import-evidence.h"
#include "save-journal.h"
#include "save-journal-mbox.h"
#include "import-local.h"
#include "import-target-private.h"

/* Shows in logs as the reason of our transactions. */
#define IMPORT_TARGET_REASON "migration_import"
/* The first commit comes early: it makes a new mailbox's cache file, which
   Dovecot looks for in vain twice for each mail before. */
#define FIRST_COMMIT_MAILS 10

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
		if (target->source_box != NULL && uid != source_uid)
			import_target_uid_changed(target, source_uid, uid);
		if (target->next_uid <= uid)
			target->next_uid = uid + 1;
	}
	migration_run_count(import_target_run(target), MIGRATION_COUNTER_MAILS_SAVED,
			    array_count(&target->saved_uids));
}

void import_target_not_saved(struct import_target *target, uint32_t source_uid,
			     const char *error)
{
	migration_run_finding(import_target_run(target), MIGRATION_SEVERITY_ERROR,
			      target->box->vname, source_uid,
			      FINDING_MAIL_NOT_IMPORTED,
			      "The mail could not be saved: %s", error);
}

int import_target_commit(struct import_target *target)
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

	save_journal_begin_commit(target->journal);
	ret = mailbox_transaction_commit_get_changes(&target->save_trans,
						     &changes);
	save_journal_end_commit(target->journal, ret == 0);
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
	target->committed = TRUE;
	return ret;
}

static int import_target_begin_save(struct import_target *target)
{
	/* mbox cannot turn its read lock into a write lock */
	if (mailbox_is_mbox(target->box) && import_target_end_reading(target) < 0)
		return -1;
	if (target->save_trans != NULL)
		return 0;
	target->save_trans = mailbox_transaction_begin(target->box,
		target->trans_flags | MAILBOX_TRANSACTION_FLAG_EXTERNAL |
		MAILBOX_TRANSACTION_FLAG_ASSIGN_UIDS, IMPORT_TARGET_REASON);
	if (save_journal_begin_transaction(target->journal,
					   target->save_trans) == 0)
		return 0;
	mailbox_transaction_rollback(&target->save_trans);
	return -1;
}

/* The failure is the source's. Returns -1. */
static int
import_target_take_error(struct import_target *target, struct mail *mail)
{
	const char *errstr;
	enum mail_error error;

	errstr = mailbox_get_last_internal_error(mail->box, &error);
	mail_storage_set_error(target->box->storage, error, errstr);
	return -1;
}

/* Whatever can fail before the first byte is written fails here: then there is
   no save to cancel, and mbox would cancel the save before (QUIRKS.md,
   "mbox-cancelled-save"). The copy finds all of it opened or cached. */
static int
import_target_open_mail(struct import_target *target, struct mail *mail)
{
	struct istream *input;
	const char *value;
	time_t date;

	if (mail_get_stream_because(mail, NULL, NULL, "import", &input) == 0 &&
	    mail_get_received_date(mail, &date) == 0 &&
	    mail_get_special(mail, MAIL_FETCH_FROM_ENVELOPE, &value) == 0)
		return 0;
	return import_target_take_error(target, mail);
}

/* What the source's mail has besides its text. On the data stack; "": nothing. */
struct import_names {
	const char *guid, *uidl, *order;
};

/* A mail that is saved without its UIDL does not get it from a later import. So it
   is not saved if the source cannot tell the UIDL now. */
static int
import_target_read_names(struct import_target *target, struct mail *mail,
			 struct import_names *names_r)
{
	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND,
			     &names_r->uidl) < 0 ||
	    mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &names_r->order) < 0)
		return import_target_take_error(target, mail);
	if (!import_evidence_has_guid(mail) ||
	    mail_get_special(mail, MAIL_FETCH_GUID, &names_r->guid) < 0)
		names_r->guid = "";
	names_r->guid = t_strdup(names_r->guid);
	names_r->uidl = t_strdup(names_r->uidl);
	names_r->order = t_strdup(names_r->order);
	return 0;
}

static void
import_target_set_guid(struct mail_save_context *ctx, const char *source_guid)
{
	guid_128_t guid;

	if (*source_guid != '\0')
		mailbox_save_set_guid(ctx, source_guid);
	else {
		guid_128_generate(guid);
		mailbox_save_set_guid(ctx, guid_128_to_string(guid));
	}
}

/* What stock's import does not carry over. It does flags, keywords, received
   date, GUID and the mbox envelope sender. */
static void
import_target_set_metadata(struct import_target *target,
			   struct mail_save_context *ctx, struct mail *mail,
			   const struct import_names *names)
{
	unsigned int order;
	time_t save_date;

	import_target_set_guid(ctx, names->guid);
	/* 0 is a date that stands in for an unknown one */
	/* quirk: maildir-save-dates */
	if (mail_get_save_date(mail, &save_date) > 0)
		mailbox_save_set_save_date(ctx, save_date);
	if (*names->uidl != '\0') {
		mailbox_save_set_pop3_uidl(ctx, names->uidl);
		target->save_has_uidl = TRUE;
	}
	if (str_to_uint(names->order, &order) == 0 && order > 0) {
		mailbox_save_set_pop3_order(ctx, order);
		target->save_has_uidl = TRUE;
	}
}

/* sdbox puts a GUID into the cache file only when it is asked for it, and has
   to open the mail's file then. So the next run need not open all files. */
static void
import_target_cache_guid(const char *guid, struct mail *dest_mail)
{
	if (*guid != '\0') {
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
	struct import_names names;
	const char *guid;

	if (import_target_open_mail(target, text) < 0 ||
	    import_target_read_names(target, mail, &names) < 0 ||
	    import_target_begin_save(target) < 0)
		return -1;
	if (save_journal_begin_mail(target->journal, mail, text) < 0)
		return import_target_take_error(target, text);
	ctx = mailbox_save_alloc(target->save_trans);
	mailbox_save_copy_flags(ctx, mail);
	import_target_set_metadata(target, ctx, mail, &names);
	if (keep_uid)
		mailbox_save_set_uid(ctx, mail->uid);
	if (text != mail &&
	    import_target_set_copied_metadata(ctx, mail) < 0) {
		mailbox_save_cancel(&ctx);
		return -1;
	}
	dest_mail = ctx->dest_mail;
	guid = t_strdup(ctx->data.guid);
	save_journal_begin_save(target->journal, guid);
	if (mailbox_copy(&ctx, text) < 0)
		return -1;
	save_journal_note(target->journal, dest_mail, guid);
	if (text != mail) {
		migration_run_count(import_target_run(target),
				    MIGRATION_COUNTER_MAILS_COPIED, 1);
	}
	if (mailbox_is_sdbox(target->box))
		import_target_cache_guid(names.guid, dest_mail);
	return 0;
}

int import_target_save(struct import_target *target, struct mail *mail,
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
	if (array_count(&target->saved_uids) < (target->committed ?
			target->set.commit_mails :
			I_MIN(target->set.commit_mails, FIRST_COMMIT_MAILS)))
		return 0;
	return import_target_commit(target);
}
