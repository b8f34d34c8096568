/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SOURCE_SELECT_H
#define SOURCE_SELECT_H

#include "seq-range-array.h"

struct mailbox;

/* migration_imapc opens mailboxes of the source without selecting them at the
   server. Whoever sends commands of his own for such a mailbox must have it
   selected first. Returns 0 if it is (also if it always was, or is no mailbox
   of imapc's), -1 and the mailbox's error if it cannot be. Waits for the
   server: not from within a callback of imapc. reason says, in the debug log,
   what it is needed for. */
int migration_source_select(struct mailbox *box, const char *reason);

typedef int migration_source_select_t(struct mailbox *box, const char *reason);
/* Called by migration_imapc. NULL when it is unloaded. */
void migration_source_select_set(migration_source_select_t *callback);

/* An import is about to compare the mails of this mailbox, which it has opened
   for the query that goes on. Of the UIDs here it probably has the mails: their
   header fields are asked for at once, and their texts only when somebody reads
   one. All other texts are asked for now. FALSE if dates, sizes and header fields
   of this mailbox would be asked for one by one. */
bool migration_source_compare(struct mailbox *box,
			      const ARRAY_TYPE(seq_range) *uids,
			      const char *const *headers);

typedef bool migration_source_compare_t(struct mailbox *box,
					const ARRAY_TYPE(seq_range) *uids,
					const char *const *headers);
/* Called by migration_imapc. NULL when it is unloaded. */
void migration_source_compare_set(migration_source_compare_t *callback);

#endif
