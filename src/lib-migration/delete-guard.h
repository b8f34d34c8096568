/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DELETE_GUARD_H
#define DELETE_GUARD_H

/* How many of a mailbox's mails a run may delete because the source does not
   have them. Deleting the mailbox is deleting all of them. */

enum delete_limit_kind {
	/* none in a mailbox that no run has completed, then 10 % */
	DELETE_LIMIT_AUTO,
	DELETE_LIMIT_NUMBER,
	DELETE_LIMIT_PERCENT,
	DELETE_LIMIT_UNLIMITED
};

struct delete_limit {
	enum delete_limit_kind kind;
	/* mails, or percent of a mailbox's mails */
	unsigned int value;
};

struct delete_question {
	/* mails that the mailbox had when the run came to it */
	unsigned int mails;
	/* mails that would be deleted, those that were deleted in this run
	   already included */
	unsigned int wanted;
	/* an earlier run has completed this mailbox */
	bool completed;
};

/* "auto", "unlimited", a number or a percentage such as 5%. Returns 0, or -1
   and error_r (data stack) without the setting's name. */
int delete_limit_parse(const char *value, struct delete_limit *limit_r,
		       const char **error_r);

/* Mails that may be deleted. */
unsigned int delete_guard_max(const struct delete_limit *limit,
			      const struct delete_question *question);

/* TRUE if all of them may be deleted, else none of them. reason_r (data stack)
   is the end of a sentence: the numbers. */
bool delete_guard_decide(const struct delete_limit *limit,
			 const struct delete_question *question,
			 const char **reason_r);

#endif
