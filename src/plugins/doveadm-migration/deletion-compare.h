/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DELETION_COMPARE_H
#define DELETION_COMPARE_H

#include "mailbox-reuse.h"

struct mail_user;

struct deletion_comparison {
	/* at the destination */
	unsigned int mails;
	uint32_t uid_next, uid_validity;
	/* of these, mails whose header and size no mail has in the source's
	   mailbox of the same name, whatever the UID */
	unsigned int only_here;
	/* at the source; 0 if it has no such mailbox */
	unsigned int source_mails;
	uint32_t source_uid_validity;
	/* mails that are the same on both sides, by the source's UID: their text
	   need not be fetched again */
	ARRAY_TYPE(reuse_pair) pairs;
};

/* Compares the user's mailbox with the source's, which may have another name. A
   source without it has none of its mails. The pairs are in the pool. Returns 0, or
   -1 and error_r (data stack) if one of them cannot be read. */
int deletion_compare(struct mail_user *user, struct mail_user *source_user,
		     const char *vname, const char *source_vname, pool_t pool,
		     struct deletion_comparison *result_r,
		     const char **error_r);

/* The UIDVALIDITY that the source tells of a mailbox without opening it, or 0. */
uint32_t deletion_source_uidvalidity(struct mail_user *source_user,
				     const char *vname);

#endif
