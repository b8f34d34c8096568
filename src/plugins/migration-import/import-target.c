/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "index-storage.h"
#include "mail-storage-private.h"
#include "imapc-storage.h"
#include "maildir-storage.h"
#include "maildir-keywords.h"
#include "maildir-uidlist.h"
#include "dbox-repair.h"
#include "migration-run.h"
#include "source-select.h"
#include "import-evidence.h"
#include "save-journal.h"
#include "import-local.h"
#include "import-lookup.h"
#include "import-unchanged.h"
#include "save-roll-back.h"
#include "import-target-private.h"

struct migration_run *import_target_run(struct import_target *target)
{
	return migration_run_find(target->box->storage->user);
}

int import_target_fail(struct import_target *target)
{
	if (target->error == NULL) {
		target->error = i_strdup(
			mailbox_get_last_internal_error(target->box, NULL));
	}
	return -1;
}

/* -- what the destination has already */

int import_target_end_reading(struct import_target *target)
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
	if (mail->box == target->source_box &&
	    seq_range_exists(&target->numbered_uids, mail->uid) &&
	    import_lookup_find_numbered(target->lookup, mail)) {
		*dest_mail_r = import_lookup_get_mail(target->lookup, mail->uid);
		*reason_r = "same UIDVALIDITY, UID, date, size, Message-ID, "
			"Date and From";
		return *dest_mail_r != NULL ? 1 : 0;
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

/* Maildir renames mails' files first, with letters for keywords, and writes down
   what the letters mean then. Who is killed between the two leaves letters that
   mean nothing (QUIRKS.md, "maildir-keyword-names"). So this is written before. */
static void
maildir_write_keyword_names(struct mailbox *box,
			    const struct mail_keywords *keywords)
{
	struct maildir_mailbox *mbox = MAILDIR_MAILBOX(box);
	struct maildir_keywords_sync_ctx *ctx;
	unsigned int i;

	if (maildir_uidlist_lock(mbox->uidlist) <= 0)
		return;
	ctx = maildir_keywords_sync_init(mbox->keywords, box->index);
	for (i = 0; i < keywords->count; i++)
		(void)maildir_keywords_idx_char(ctx, keywords->idx[i]);
	maildir_keywords_sync_deinit(&ctx);
	maildir_uidlist_unlock(mbox->uidlist);
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
		if (mailbox_is_maildir(target->box))
			maildir_write_keyword_names(target->box, keywords);
		mail_update_keywords(dest_mail, MODIFY_ADD, keywords);
		mailbox_keywords_unref(&keywords);
	}
	target->flags_changed = TRUE;
}

static void import_target_count_skipped(struct import_target *target)
{
	migration_run_count(import_target_run(target),
			    MIGRATION_COUNTER_MAILS_SKIPPED, 1);
	migration_progress_skipped(import_target_run(target));
}

bool import_target_passes_over(struct import_target *target,
			       const struct mailbox *box, uint32_t uid)
{
	if (box != target->source_box ||
	    !seq_range_exists(&target->same_uids, uid))
		return FALSE;
	e_debug(target->box->event, "Import of UID %u: left out: already at the "
		"destination, no new flags (same UID and GUID)", uid);
	import_target_count_skipped(target);
	return TRUE;
}

int import_target_add(struct import_target *target, struct mail *mail)
{
	enum import_duplicates policy = target->set.duplicates;
	struct import_flags src, dest;
	struct import_flags_change change;
	const char *reason, *match_reason;
	struct mail *dest_mail;
	int ret;

	if (import_target_passes_over(target, mail->box, mail->uid))
		return 0;
	ret = import_target_find(target, mail, &dest_mail, &match_reason);
	if (ret < 0)
		return import_target_fail(target);

	import_evidence_get_flags(mail, &src);
	if (dest_mail != NULL) {
		import_evidence_get_flags(dest_mail, &dest);
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
	import_target_count_skipped(target);
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

/* Which mails the source need not send, unless they turn out to be others. What
   lies here is compared to the last byte. */
static void import_target_init_numbered(struct import_target *target)
{
	struct mailbox_header_lookup_ctx *headers;
	struct mailbox_status status;
	uint32_t seq, uid;

	if (target->source_box == NULL ||
	    strcmp(target->source_box->storage->name, IMAPC_STORAGE_NAME) != 0)
		return;
	mailbox_get_open_status(target->box, STATUS_UIDVALIDITY |
				STATUS_MESSAGES, &status);
	if (status.uidvalidity == target->source_uid_validity &&
	    target->lookup != NULL) {
		for (seq = 1; seq <= status.messages; seq++) {
			mail_index_lookup_uid(target->box->view, seq, &uid);
			seq_range_array_add(&target->numbered_uids, uid);
		}
	}
	/* in the order in which they will be asked for */
	headers = mailbox_header_lookup_init(target->source_box,
					     import_evidence_key_headers);
	if (!migration_source_compare(target->source_box,
				      &target->numbered_uids, headers->name))
		array_clear(&target->numbered_uids);
	mailbox_header_lookup_unref(&headers);
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

static struct import_lookup *
import_target_init_lookup(struct import_target *target)
{
	struct import_lookup *lookup;
	ARRAY_TYPE(seq_range) rest;
	bool found;

	i_array_init(&rest, 8);
	found = target->source_box != NULL &&
		import_unchanged_find(target->source_box, target->box,
				      target->set.duplicates,
				      &target->repaired_uids,
				      &target->same_uids, &rest);
	lookup = import_lookup_init(target->box, FALSE, found ? &rest : NULL);
	array_free(&rest);
	return lookup;
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
	if (target->set.duplicates != IMPORT_DUPLICATES_IMPORT) {
		target->lookup = import_target_init_lookup(target);
		if (target->lookup == NULL)
			return -1;
	}
	import_target_init_numbered(target);
	return 0;
}

int import_target_init(struct mailbox *box,
		       enum mailbox_transaction_flags trans_flags,
		       struct mailbox *source_box,
		       const struct import_target_settings *set,
		       struct import_target **target_r)
{
	struct import_target *target = i_new(struct import_target, 1);

	i_assert(set->commit_mails > 0);

	target->set = *set;
	target->source_box = source_box;
	target->trans_flags = trans_flags;
	i_array_init(&target->saved_uids, 128);
	i_array_init(&target->deferred_uids, 8);
	i_array_init(&target->repaired_uids, 8);
	i_array_init(&target->same_uids, 8);
	i_array_init(&target->numbered_uids, 8);
	target->box = mailbox_alloc(box->list, box->vname,
				    box->flags & MAILBOX_FLAG_IGNORE_ACLS);
	target->journal = save_journal_init(target->box);
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
	migration_run_finding(import_target_run(target), MIGRATION_SEVERITY_WARNING,
		target->box->vname, target->first_uid_changed,
		FINDING_UID_CHANGED,
		"%u mails have other UIDs than in the source, because the "
		"mailbox had given theirs to other mails before",
		target->uids_changed);
}

int import_target_flush(struct import_target *target, const char **error_r)
{
	if (import_target_commit(target) == 0)
		return 0;
	*error_r = target->error;
	return -1;
}

static void import_target_free(struct import_target *target)
{
	if (target->save_trans != NULL)
		mailbox_transaction_rollback(&target->save_trans);
	save_journal_end_commit(target->journal, FALSE);
	if (target->lookup != NULL)
		import_lookup_deinit(&target->lookup);
	if (target->set.local != NULL)
		import_local_forget(target->set.local, target->box);
	save_journal_deinit(&target->journal);
	mailbox_free(&target->box);
	array_free(&target->saved_uids);
	array_free(&target->deferred_uids);
	array_free(&target->repaired_uids);
	array_free(&target->same_uids);
	array_free(&target->numbered_uids);
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
