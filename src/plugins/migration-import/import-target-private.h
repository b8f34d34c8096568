/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_TARGET_PRIVATE_H
#define IMPORT_TARGET_PRIVATE_H

#include "seq-range-array.h"
#include "import-target.h"

struct save_journal;
struct import_lookup;
struct migration_run;

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
	struct save_journal *journal;
	/* UIDs in the source of the mails in it */
	ARRAY_TYPE(uint32_t) saved_uids;
	bool save_has_uidl;
	/* something was committed */
	bool committed;

	/* UIDs of the source's mails that are here, with nothing to be done */
	ARRAY_TYPE(seq_range) same_uids;

	/* the mailbox's UIDNEXT once save_trans is committed */
	uint32_t next_uid;
	uint32_t source_uid_validity, source_next_uid;
	/* the mails that were there before, if they have the source's numbers:
	   a source without GUIDs, with the same UIDVALIDITY */
	ARRAY_TYPE(seq_range) numbered_uids;

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

struct migration_run *import_target_run(struct import_target *target);
/* Keeps the storage's error, unless there was one before. Returns -1. */
int import_target_fail(struct import_target *target);
/* Ends the transaction that the destination is read with. */
int import_target_end_reading(struct import_target *target);

/* import-target-save.c. Saves a mail, with its UID or any other, and commits
   every few mails. Returns -1 and has reported the mail if that failed. */
int import_target_save(struct import_target *target, struct mail *mail,
		       bool keep_uid);
/* Commits what was saved. Returns -1 and has reported the mails if that
   failed. */
int import_target_commit(struct import_target *target);
/* Reports a mail of the source that is not there in the end. */
void import_target_not_saved(struct import_target *target, uint32_t source_uid,
			     const char *error);

#endif
