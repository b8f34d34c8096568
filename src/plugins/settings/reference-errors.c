/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* doc/errors.md: see error-advice.c for the list. */

#include "lib.h"
#include "str.h"
#include "strfuncs.h"
#include "error-advice.h"
#include "reference.h"

static const char *const group_titles[] = {
	[ERROR_GROUP_CONFIG] = "Configuration",
	[ERROR_GROUP_COMMAND] = "The command line",
	[ERROR_GROUP_LOGIN] = "Connection and login",
	[ERROR_GROUP_OAUTH2] = "OAuth2 tokens",
	[ERROR_GROUP_SOURCE] = "The source's mailboxes and mails",
	[ERROR_GROUP_POP3] = "POP3 and UIDLs",
	[ERROR_GROUP_RUN] = "The run",
	[ERROR_GROUP_FILES] = "Files and storage of the destination",
};
_Static_assert(N_ELEMENTS(group_titles) == ERROR_GROUP_COUNT,
	       "each group has a title");

/* "`… says: …`, `…`" of " says: |": with dots for what varies */
static const char *error_words(const char *patterns)
{
	const char *const *pattern = t_strsplit(patterns, "|");
	string_t *str = t_str_new(128);
	const char *p;

	for (; *pattern != NULL; pattern++) {
		if (str_len(str) > 0)
			str_append(str, ", ");
		str_append_c(str, '`');
		for (p = *pattern; *p != '\0'; p++) {
			if (*p == '*' || (p == *pattern && *p == ' '))
				str_append(str, *p == '*' ? "…" : "… ");
			else
				str_append_c(str, *p);
		}
		if (str_data(str)[str_len(str) - 1] == ' ')
			str_append(str, "…");
		str_append_c(str, '`');
	}
	return str_c(str);
}

void reference_append_errors(string_t *dest)
{
	const struct error_advice *row;
	unsigned int group = ERROR_GROUP_COUNT, i;

	str_append(dest,
		"# Errors, and what to do\n\n"
		"What ends a run or a command, or is said on its way, known by "
		"words of the message;\nthe rest of it names the setting, the "
		"mailbox or the UID. The first row that fits is\nthe one. The "
		"exit code says of which kind the error is: see "
		"[report.md](report.md).\nA run that failed says what to do in "
		"its summary and in its report. What a run\nmerely could not "
		"carry over exactly is in [findings.md](findings.md).\n\n"
		"This page is written by the program from the list that it "
		"uses itself.\n");
	for (i = 0; (row = error_advice_get(i)) != NULL; i++) {
		if (row->group != group) {
			group = row->group;
			str_printfa(dest, "\n## %s\n\n| words | meaning | "
				    "what to do | more |\n"
				    "| --- | --- | --- | --- |\n",
				    group_titles[group]);
		}
		str_printfa(dest, "| %s | %s | %s | [%s](%s) |\n",
			    error_words(row->pattern), row->meaning,
			    row->action, row->guide, row->guide);
	}
}
