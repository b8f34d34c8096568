/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_TARGET_H
#define IMPORT_TARGET_H

#include "import-decide.h"

struct mail;
struct mailbox;
struct mailbox_transaction_context;
struct import_local;
struct import_target;

/* One mailbox that mails are imported into.

   Stock has one transaction for the whole mailbox, which is lost if the run is
   killed. So every mail that stock copies into its own transaction is decided
   on here, and saved, if it is to be saved, by transactions of our own on a
   second handle of the mailbox, which are committed every few mails. Stock's
   transaction stays empty. */

struct import_target_settings {
	enum import_duplicates duplicates;
	/* mails in a transaction */
	unsigned int commit_mails;
	/* where a mail's text may come from, too; NULL: from the source only */
	struct import_local *local;
};

/* Begins an import into the mailbox, which exists; box stays the caller's.
   trans_flags are those of stock's transaction. source_box is the mailbox that is
   being imported, NULL if that is not known, or if only some of its mails come
   into this one: then UIDs are not kept.
   Returns -1 if the mailbox cannot be opened or read; the storage has the
   error. */
int import_target_init(struct mailbox *box,
		       enum mailbox_transaction_flags trans_flags,
		       struct mailbox *source_box,
		       const struct import_target_settings *set,
		       struct import_target **target_r);

/* TRUE if the mail of this mailbox, the source, is there with nothing to be done.
   It counts as left out then, and is not to be given to import_target_add(). */
bool import_target_passes_over(struct import_target *target,
			       const struct mailbox *box, uint32_t uid);
/* Takes a mail: saves it, or leaves it out because it is already there.
   Returns -1 if it could not be saved; the storage has the error. */
int import_target_add(struct import_target *target, struct mail *mail);
/* Commits what was saved so far. Returns -1 and *error_r (valid until the target
   is freed). */
int import_target_flush(struct import_target *target, const char **error_r);

/* Commits what is left and frees. The mailbox of the source must still be
   open. Returns -1 and *error_r (data stack) if anything went wrong, also if
   import_target_add() has told so before. */
int import_target_finish(struct import_target **target, const char **error_r);
/* Frees without committing what is not committed yet. */
void import_target_abort(struct import_target **target);

#endif
