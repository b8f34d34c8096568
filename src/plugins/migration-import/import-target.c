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
#include "import-index.h"
#include "import-evidence.h"
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
	/* reads the mails that were there before, and changes their flags;
	   NULL while it is not needed */
	struct mailbox_transaction_context *read_trans;
	struct mail *dest_mail;
	struct import_index *index;

	struct mailbox_transaction_context *save_trans;
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

static void import_target_begin_reading(struct import_target *target)
{
	if (target->read_trans != NULL)
		return;
	target->read_trans = mailbox_transaction_begin(target->box, 0,
						       IMPORT_TARGET_REASON);
	target->dest_mail = mail_alloc(target->read_trans, 0, NULL);
}

static int import_target_end_reading(struct import_target *target)
{
	if (target->read_trans == NULL)
		return 0;
	mail_free(&target->dest_mail);
	return mailbox_transaction_commit(&target->read_trans);
}

/* FALSE: the mail is gone */
static bool import_target_set_mail(struct import_target *target, uint32_t uid)
{
	import_target_begin_reading(target);
	return mail_set_uid(target->dest_mail, uid);
}

static void
import_target_set_flags(struct import_target *target, struct mail *mail,
			struct import_identity *identity)
{
	identity->flags = mail_get_flags(mail);
	identity->keywords = import_index_keywords(target->index,
						   mail_get_keywords(mail));
}

static int
import_target_search(struct import_target *target,
		     const ARRAY_TYPE(seq_range) *uids,
		     enum mail_fetch_field wanted_fields,
		     struct mailbox_header_lookup_ctx *headers,
		     enum import_evidence evidence)
{
	struct mail_search_args *args = mail_search_build_init();
	struct mail_search_context *ctx;
	struct mail_search_arg *arg;
	struct import_identity identity;
	struct mail *mail;

	if (uids == NULL)
		mail_search_build_add_all(args);
	else {
		arg = mail_search_build_add(args, SEARCH_UIDSET);
		p_array_init(&arg->value.seqset, args->pool,
			     array_count(uids));
		array_append_array(&arg->value.seqset, uids);
	}
	import_target_begin_reading(target);
	ctx = mailbox_search_init(target->read_trans, args, NULL,
				  wanted_fields, headers);
	mail_search_args_unref(&args);

	while (mailbox_search_next(ctx, &mail)) {
		i_zero(&identity);
		import_evidence_read(mail, evidence, &identity);
		if ((evidence & IMPORT_EVIDENCE_KEY) != 0)
			import_target_set_flags(target, mail, &identity);
		if (uids == NULL)
			import_index_add(target->index, mail->uid, &identity);
		else
			import_index_set(target->index, mail->uid, &identity);
	}
	return mailbox_search_deinit(&ctx);
}

static int import_target_read_guids(struct import_target *target)
{
	if (target->set.duplicates == IMPORT_DUPLICATES_IMPORT)
		return 0;
	return import_target_search(target, NULL, MAIL_FETCH_GUID, NULL,
				    IMPORT_EVIDENCE_GUID);
}

static int import_target_read_keys(struct import_target *target,
				   enum import_evidence evidence)
{
	struct mailbox_header_lookup_ctx *headers;
	ARRAY_TYPE(seq_range) uids;
	int ret;

	i_array_init(&uids, 128);
	import_index_get_unpaired(target->index, &uids);
	headers = mailbox_header_lookup_init(target->box,
					     import_evidence_key_headers);
	ret = import_target_search(target, &uids, 0, headers, evidence);
	mailbox_header_lookup_unref(&headers);
	import_index_set_finished(target->index);
	array_free(&uids);
	return ret;
}

static void import_target_read_one(struct import_target *target, uint32_t uid,
				   enum import_evidence evidence)
{
	struct import_identity identity;

	i_zero(&identity);
	if (import_target_set_mail(target, uid))
		import_evidence_read(target->dest_mail, evidence, &identity);
	else
		identity.unreadable = evidence;
	import_index_set(target->index, uid, &identity);
}

/* Finds the destination's mail that the source's mail is: 1, 0 if there is
   none, -1 if the destination cannot be read. */
static int
import_target_find(struct import_target *target, struct mail *mail,
		   uint32_t *dest_uid_r, const char **reason_r)
{
	struct import_identity identity;
	struct import_question question;
	int ret;

	if (target->set.duplicates == IMPORT_DUPLICATES_IMPORT) {
		*reason_r = "not looked for";
		return 0;
	}
	i_zero(&identity);
	import_target_set_flags(target, mail, &identity);
	while ((ret = import_index_pair(target->index, &identity, dest_uid_r,
					&question, reason_r)) < 0) {
		switch (question.need) {
		case IMPORT_NEED_SOURCE:
			import_evidence_read(mail, question.evidence,
					     &identity);
			break;
		case IMPORT_NEED_DEST:
			import_target_read_one(target, question.dest_uid,
					       question.evidence);
			break;
		case IMPORT_NEED_ALL_DEST:
			if (import_target_read_keys(target,
						    question.evidence) < 0)
				return -1;
			break;
		}
	}
	return ret;
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

	ret = mailbox_transaction_commit_get_changes(&target->save_trans,
						     &changes);
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

static void import_target_set_new_guid(struct mail_save_context *ctx)
{
	guid_128_t guid;

	guid_128_generate(guid);
	mailbox_save_set_guid(ctx, guid_128_to_string(guid));
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

	if (!import_evidence_has_guid(mail))
		import_target_set_new_guid(ctx);
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

static int
import_target_copy(struct import_target *target, struct mail *mail,
		   bool keep_uid)
{
	struct mail_save_context *ctx;
	struct mail *dest_mail;

	if (import_target_open_mail(target, mail) < 0 ||
	    import_target_begin_save(target) < 0)
		return -1;
	ctx = mailbox_save_alloc(target->save_trans);
	mailbox_save_copy_flags(ctx, mail);
	import_target_set_metadata(target, ctx, mail);
	if (keep_uid)
		mailbox_save_set_uid(ctx, mail->uid);
	dest_mail = ctx->dest_mail;
	if (mailbox_copy(&ctx, mail) < 0)
		return -1;
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
			   const struct import_flags_change *change)
{
	struct mail_keywords *keywords;

	if (change->add != 0)
		mail_update_flags(target->dest_mail, MODIFY_ADD, change->add);
	if (change->remove != 0) {
		mail_update_flags(target->dest_mail, MODIFY_REMOVE,
				  change->remove);
	}
	if (change->add_keywords != NULL) {
		keywords = mailbox_keywords_create_valid(target->box,
							 change->add_keywords);
		mail_update_keywords(target->dest_mail, MODIFY_ADD, keywords);
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
	uint32_t dest_uid = 0;
	int ret;

	ret = import_target_find(target, mail, &dest_uid, &match_reason);
	if (ret < 0)
		return import_target_fail(target);
	if (ret > 0 && !import_target_set_mail(target, dest_uid))
		ret = 0;

	import_target_get_flags(mail, &src);
	if (ret > 0)
		import_target_get_flags(target->dest_mail, &dest);
	if (seq_range_exists(&target->repaired_uids, dest_uid))
		policy = IMPORT_DUPLICATES_MERGE_FLAGS;
	switch (import_decide(policy, &src, ret > 0 ? &dest : NULL,
			      &change, &reason)) {
	case IMPORT_ACTION_SAVE:
		e_debug(target->box->event, "Import of UID %u: saving: %s (%s)",
			mail->uid, reason, match_reason);
		return import_target_take(target, mail);
	case IMPORT_ACTION_MERGE_FLAGS:
		import_target_change_flags(target, &change);
		break;
	case IMPORT_ACTION_SKIP:
		break;
	}
	e_debug(target->box->event, "Import of UID %u: left out: %s "
		"(UID %u, %s)", mail->uid, reason, dest_uid, match_reason);
	migration_run_count(target_run(target),
			    MIGRATION_COUNTER_MAILS_SKIPPED, 1);
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
	return import_target_read_guids(target);
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
	target->index = import_index_init();
	i_array_init(&target->saved_uids, 128);
	i_array_init(&target->deferred_uids, 8);
	i_array_init(&target->repaired_uids, 8);
	target->box = mailbox_alloc(t->box->list, t->box->vname,
				    t->box->flags & MAILBOX_FLAG_IGNORE_ACLS);
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
	if (target->dest_mail != NULL)
		mail_free(&target->dest_mail);
	if (target->read_trans != NULL)
		mailbox_transaction_rollback(&target->read_trans);
	mailbox_free(&target->box);
	import_index_deinit(&target->index);
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
   its UID. */
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
