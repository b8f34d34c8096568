/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ERROR_ADVICE_H
#define ERROR_ADVICE_H

/* What an administrator does about an error that ends a run or a command: the
   one list that the summary of a run and doc/errors.md are made of. Errors are
   known by their words, because many are made of several parts, and some are
   Dovecot's own. A test looks for an error of the code that no row knows. */

enum error_group {
	ERROR_GROUP_CONFIG,
	ERROR_GROUP_COMMAND,
	ERROR_GROUP_LOGIN,
	ERROR_GROUP_OAUTH2,
	ERROR_GROUP_SOURCE,
	ERROR_GROUP_POP3,
	ERROR_GROUP_RUN,
	ERROR_GROUP_FILES,

	ERROR_GROUP_COUNT
};

struct error_advice {
	enum error_group group;
	/* words of the error, * stands for any others; or several such,
	   separated by | */
	const char *pattern;
	/* what it means, and what to do about it, as Markdown */
	const char *meaning, *action;
	/* the guide to read on, in doc/ */
	const char *guide;
};

/* The rows in order; NULL after the last one. */
const struct error_advice *error_advice_get(unsigned int idx);

/* The row for the text of an error, or NULL. */
const struct error_advice *error_advice_find(const char *error);

#endif
