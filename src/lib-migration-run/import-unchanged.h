/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_UNCHANGED_H
#define IMPORT_UNCHANGED_H

#include "seq-range-array.h"
#include "import-decide.h"

struct mailbox;

/* What an earlier import has brought, in most cases: mails of the source that
   the destination has under the same UID with the same GUID, with flags that need
   no change. They are found by reading both mailboxes side by side, for far less
   than what a look-up by import-lookup.h costs.

   Both mailboxes are open; dest_box is synchronised. joined are UIDs of mails
   whose flags are joined whatever policy says. Returns FALSE if there are none,
   or one of the mailboxes has no GUIDs or is asked over the network. Otherwise
   *same has their UIDs, and *rest those of the destination's other mails; both
   arrays are the caller's, and empty before. */
bool import_unchanged_find(struct mailbox *source_box, struct mailbox *dest_box,
			   enum import_duplicates policy,
			   const ARRAY_TYPE(seq_range) *joined,
			   ARRAY_TYPE(seq_range) *same,
			   ARRAY_TYPE(seq_range) *rest);

#endif
