/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DEST_CHANGES_H
#define DEST_CHANGES_H

#include "dsync-plan.h"

struct mailbox;

/* Which flags and keywords of an opened mailbox were set and removed, as far as
   its transaction log goes back: dsync does not revert them where it merges.
   Adds them to the mails, which are in the order of their UIDs. A log that
   cannot be read counts as one that says nothing, as it does for dsync. */
void dest_changes_read(struct mailbox *box, pool_t pool,
		       ARRAY_TYPE(dsync_plan_mail) *mails);

#endif
