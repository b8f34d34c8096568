/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SYNC_CHANGES_H
#define SYNC_CHANGES_H

#include "sync-record.h"

/* Of a mailbox that changed at the source since both sides were the same, only
   the changes need to be asked for (RFC 7162, CHANGEDSINCE): the destination
   still has what the source had then. */

/* TRUE if that is possible. then_* are the recorded sides, the others what the
   sides are now. reason_r is set on both paths. */
bool sync_changes_are_enough(const struct sync_side *then_source,
			     const struct sync_side *then_dest,
			     const struct sync_side *source,
			     const struct sync_side *dest,
			     const char **reason_r);

/* What the server answered */
struct sync_changes {
	/* UIDVALIDITY, HIGHESTMODSEQ and number of mails that EXAMINE said; a
	   HIGHESTMODSEQ of 0 is none */
	uint32_t uidvalidity;
	uint64_t highestmodseq;
	uint32_t exists;
	/* mails that SEARCH found */
	unsigned int found;
	/* ... of those the ones that nobody knows: older than the record and
	   not at the destination, or newer and not fetched */
	unsigned int unknown;
	/* mails that the destination has and SEARCH did not find */
	unsigned int gone;
	/* old mails that were sent as changed */
	unsigned int changed;
	/* a mail was sent with a MODSEQ from before the record */
	bool modseq_is_old;
};

/* FALSE if the answer contradicts itself, or does not explain why HIGHESTMODSEQ
   has risen: then all mails have to be asked for. It was asked for by the
   recorded then_source and STATUS's source. reason_r is set on both paths. */
bool sync_changes_are_credible(const struct sync_changes *changes,
			       const struct sync_side *then_source,
			       const struct sync_side *source,
			       const char **reason_r);

#endif
