/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_FILTER_H
#define MAILBOX_FILTER_H

/* Which mailboxes a migration leaves alone on both sides: they are not brought
   over, and the destination's mailboxes of these names are not deleted. Patterns
   are names with the wildcards * and ?, where * matches separators, too. They
   are separated by commas, and have / as separator whatever the servers have.
   INBOX has no case (RFC 3501 5.1), all other names have. */

struct mailbox_filter {
	/* only these; "" for all */
	const char *include;
	/* of these all but those; "" for none */
	const char *exclude;
};

/* name is a mailbox's name with sep as separator. reason_r (data stack) is set
   if it is left alone, "" otherwise. */
bool mailbox_filter_hides(const struct mailbox_filter *filter, const char *name,
			  char sep, const char **reason_r);

#endif
