/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_REUSE_H
#define MAILBOX_REUSE_H

#include "seq-range-array.h"
#include "header-digest.h"

/* Which mails of a mailbox that has to be made again the destination has
   already, under whatever UIDs: after a changed UIDVALIDITY (RFC 3501 2.3.1.1)
   the UIDs of before say nothing any more. */

struct reuse_mail {
	uint32_t uid;
	uoff_t size;
	/* The whole header's, 0 if it could not be read. A mail without it is
	   like no other one. */
	uint64_t header[2];
	/* the header says enough to know a mail by it */
	bool telling;
	/* set where mailbox_reuse_doubtful() asked for it */
	bool have_text;
	struct body_digest text;
};
ARRAY_DEFINE_TYPE(reuse_mail, struct reuse_mail);

struct reuse_pair {
	uint32_t here_uid, there_uid;
};
ARRAY_DEFINE_TYPE(reuse_pair, struct reuse_pair);

/* By UID, for finding mails. */
void mailbox_reuse_sort_by_uid(ARRAY_TYPE(reuse_mail) *mails);
/* NULL if there is none; the mails are sorted by UID. */
struct reuse_mail *
mailbox_reuse_find(ARRAY_TYPE(reuse_mail) *mails, uint32_t uid);

/* By size and header: what all functions below expect. */
void mailbox_reuse_sort(ARRAY_TYPE(reuse_mail) *mails);

/* How many of the first mails have a size and header that none of the second
   has. */
unsigned int
mailbox_reuse_count_only_in_first(const ARRAY_TYPE(reuse_mail) *first,
				  const ARRAY_TYPE(reuse_mail) *second);

/* Adds the UIDs of mails whose size and header others here have, too, and some
   mail there. Their texts are to be read before they can be paired. */
void mailbox_reuse_doubtful(const ARRAY_TYPE(reuse_mail) *here,
			    const ARRAY_TYPE(reuse_mail) *there,
			    ARRAY_TYPE(seq_range) *uids);

/* Adds the pairs, by ascending UID there. A mail is paired if its size and
   header are one mail's on both sides. Of several that are alike, if all texts
   here are the same, and there are no more of them there: one more may be what
   was never fetched, with another text. Mails whose header does not tell enough
   are never paired. */
void mailbox_reuse_pair(const ARRAY_TYPE(reuse_mail) *here,
			const ARRAY_TYPE(reuse_mail) *there,
			ARRAY_TYPE(reuse_pair) *pairs);

#endif
