/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "sync-changes.h"

bool sync_changes_are_enough(const struct sync_side *then_source,
			     const struct sync_side *then_dest,
			     const struct sync_side *source,
			     const struct sync_side *dest,
			     const char **reason_r)
{
	if (then_source->uidvalidity != source->uidvalidity)
		*reason_r = "UIDVALIDITY is another one";
	else if (then_source->messages == 0)
		*reason_r = "there were no mails";
	else if (then_source->messages != then_dest->messages)
		*reason_r = "the two sides were not the same";
	else if (source->highestmodseq == 0 || then_source->highestmodseq == 0)
		*reason_r = "the source has no HIGHESTMODSEQ";
	else if (source->highestmodseq <= then_source->highestmodseq)
		*reason_r = "HIGHESTMODSEQ has not risen";
	else if (source->uidnext < then_source->uidnext)
		*reason_r = "UIDNEXT went back";
	else if (!sync_side_is_same(then_dest, dest, reason_r)) {
		*reason_r = t_strdup_printf("the destination has changed: %s",
					    *reason_r);
	} else {
		*reason_r = "the destination has what the source had";
		return TRUE;
	}
	return FALSE;
}

/* quirk: changedsince-doubtful */
bool sync_changes_are_credible(const struct sync_changes *changes,
			       const struct sync_side *then_source,
			       const struct sync_side *source,
			       const char **reason_r)
{
	if (changes->uidvalidity != then_source->uidvalidity)
		*reason_r = "UIDVALIDITY is another one";
	else if (changes->highestmodseq < source->highestmodseq)
		*reason_r = "EXAMINE tells a lower HIGHESTMODSEQ than STATUS";
	else if (changes->modseq_is_old)
		*reason_r = "a mail that changed has an old MODSEQ";
	else if (changes->found != changes->exists) {
		*reason_r = t_strdup_printf("SEARCH found %u of %u mails",
					    changes->found, changes->exists);
	} else if (changes->unknown > 0) {
		*reason_r = t_strdup_printf("SEARCH found %u unknown mails",
					    changes->unknown);
	} else if (changes->changed == 0 && changes->gone == 0 &&
		   source->uidnext == then_source->uidnext)
		*reason_r = "HIGHESTMODSEQ has risen and nothing has changed";
	else {
		*reason_r = t_strdup_printf("%u mails changed, %u are gone",
					    changes->changed, changes->gone);
		return TRUE;
	}
	return FALSE;
}
