/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* doc/findings.md: see finding.c for the list. */

#include "lib.h"
#include "str.h"
#include "finding.h"
#include "reference.h"

static const char *const group_titles[] = {
	[FINDING_GROUP_RUN] = "The run",
	[FINDING_GROUP_SOURCE] = "Mails and mailboxes of the source",
	[FINDING_GROUP_NAMES] = "Names of mailboxes",
	[FINDING_GROUP_DELETIONS] = "Deletions",
	[FINDING_GROUP_POP3] = "POP3 UIDLs",
	[FINDING_GROUP_GMAIL] = "Gmail",
	[FINDING_GROUP_IMPORT] = "Import",
	[FINDING_GROUP_PLAN] = "Plan",
	[FINDING_GROUP_VERIFY] = "Verify",
};
_Static_assert(N_ELEMENTS(group_titles) == FINDING_GROUP_COUNT,
	       "each group has a title");

static void append_finding(string_t *dest, const struct finding_info *info)
{
	str_printfa(dest, "| `%s` | %s | %s | %s | [%s](%s) |\n", info->name,
		    info->severities, info->meaning, info->action, info->guide,
		    info->guide);
}

void reference_append_findings(string_t *dest)
{
	unsigned int group, kind;

	str_append(dest,
		"# Findings, and what to do\n\n"
		"What a run did not carry over exactly, or has to tell, is a "
		"finding in its summary\nand in its [report](report.md). "
		"`error` shows in the exit code: something was not\n"
		"carried over exactly. `warning`: something differs, no mail "
		"and no UIDL is missing\nor wrong. `info`: worth knowing.\n\n"
		"This page is written by the program from the list that it "
		"uses itself. Errors that\nend a run are in "
		"[errors.md](errors.md).\n");
	for (group = 0; group < FINDING_GROUP_COUNT; group++) {
		str_printfa(dest, "\n## %s\n\n"
			    "| what | severity | meaning | what to do | more |\n"
			    "| --- | --- | --- | --- | --- |\n",
			    group_titles[group]);
		for (kind = 0; kind < FINDING_KIND_COUNT; kind++) {
			if (finding_info(kind)->group == group)
				append_finding(dest, finding_info(kind));
		}
	}
}
