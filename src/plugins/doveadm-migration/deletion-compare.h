/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DELETION_COMPARE_H
#define DELETION_COMPARE_H

struct mail_user;

struct deletion_comparison {
	/* at the destination */
	unsigned int mails;
	uint32_t uid_next;
	/* of these, mails whose header and size no mail has in the source's
	   mailbox of the same name, whatever the UID */
	unsigned int only_here;
};

/* Compares the user's mailbox with the source's. A source without it has none
   of its mails. Returns 0, or -1 and error_r (data stack) if one of them cannot
   be read. */
int deletion_compare(struct mail_user *user, struct mail_user *source_user,
		     const char *vname, struct deletion_comparison *result_r,
		     const char **error_r);

/* The UIDVALIDITY that the source tells of a mailbox without opening it, or 0. */
uint32_t deletion_source_uidvalidity(struct mail_user *source_user,
				     const char *vname);

#endif
