/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "wildcard-match.h"
#include "mailbox-filter.h"

static const char *name_with_slashes(const char *name, char sep)
{
	char *copy, *p;

	if (strcasecmp(name, "INBOX") == 0)
		return "INBOX";
	copy = t_strdup_noconst(name);
	for (p = copy; *p != '\0'; p++) {
		if (*p == sep)
			*p = '/';
		else if (*p == '/')
			*p = sep; /* part of a name: no separator here */
	}
	return copy;
}

/* Returns the pattern that matches, or NULL. */
static const char *find_match(const char *patterns, const char *name)
{
	const char *const *pattern, *trimmed;

	for (pattern = t_strsplit(patterns, ","); *pattern != NULL; pattern++) {
		trimmed = t_str_trim(*pattern, " ");
		if (*trimmed == '\0')
			continue;
		if (wildcard_match(name, strcasecmp(trimmed, "INBOX") == 0 ?
				   "INBOX" : trimmed))
			return trimmed;
	}
	return NULL;
}

bool mailbox_filter_hides(const struct mailbox_filter *filter, const char *name,
			  char sep, const char **reason_r)
{
	const char *pattern;

	*reason_r = "";
	name = name_with_slashes(name, sep);
	if (filter->include[0] != '\0' &&
	    find_match(filter->include, name) == NULL) {
		*reason_r = "migration_imapc_filter_include does not name it";
		return TRUE;
	}
	pattern = find_match(filter->exclude, name);
	if (pattern == NULL)
		return FALSE;
	*reason_r = t_strdup_printf("migration_imapc_filter_exclude has %s",
				    pattern);
	return TRUE;
}
