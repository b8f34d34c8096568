/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "exit-code.h"

#include <sysexits.h>

/* dsync's "changes during sync": the work is done, another run may do more */
#define STOCK_EXIT_CHANGES_DURING_SYNC 2

int migration_exit_code_run(int stock_exit_code, uint64_t error_findings,
			    bool mailbox_left_out, const char **reason_r)
{
	if (stock_exit_code == STOCK_EXIT_CHANGES_DURING_SYNC &&
	    mailbox_left_out) {
		*reason_r = "done, except for a mailbox that was left out";
		return MIGRATION_EXIT_FINDINGS;
	}
	if (stock_exit_code != 0) {
		*reason_r = "the command's own exit code";
		return stock_exit_code;
	}
	if (error_findings != 0) {
		*reason_r = "done, except for what the findings list";
		return MIGRATION_EXIT_FINDINGS;
	}
	*reason_r = "done";
	return 0;
}

static const struct {
	int exit_code;
	const char *meaning, *next_run;
} meanings[] = {
	{ 0, "complete",
	  "Brings what is new, and nothing else." },
	{ STOCK_EXIT_CHANGES_DURING_SYNC, "mailboxes changed, run again",
	  "Brings what changed during this one." },
	{ MIGRATION_EXIT_FINDINGS, "complete, except for the errors",
	  "Tries again what the findings with severity error name, and brings "
	  "what is new." },
	{ MIGRATION_EXIT_WOULD_DELETE, "would delete",
	  "Plans anew." },
	{ EX_USAGE, "wrong usage",
	  "Does the same until the command line is changed." },
	{ EX_NOUSER, "no such user", "Does the same until there is the user." },
	{ EX_TEMPFAIL, "temporary failure, run again later",
	  "Goes on from here: what is committed stays." },
	{ EX_NOPERM, "refused",
	  "Is refused again until the password or the permission is right." },
	{ EX_CONFIG, "wrong configuration",
	  "Does the same until the configuration is changed." },
};

const char *migration_exit_code_meaning(int exit_code)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(meanings); i++) {
		if (meanings[i].exit_code == exit_code)
			return meanings[i].meaning;
	}
	return "failed";
}

const char *migration_exit_code_next_run(int exit_code)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(meanings); i++) {
		if (meanings[i].exit_code == exit_code)
			return meanings[i].next_run;
	}
	return "Goes on from here, if what made this one fail is gone.";
}

bool migration_exit_code_is_done(int exit_code)
{
	return exit_code == 0 || exit_code == STOCK_EXIT_CHANGES_DURING_SYNC ||
		exit_code == MIGRATION_EXIT_FINDINGS ||
		exit_code == MIGRATION_EXIT_WOULD_DELETE;
}

bool migration_exit_code_is_again(int exit_code)
{
	return exit_code == STOCK_EXIT_CHANGES_DURING_SYNC ||
		exit_code == EX_TEMPFAIL;
}

static unsigned int exit_code_rank(int exit_code)
{
	switch (exit_code) {
	case 0:
		return 0;
	case STOCK_EXIT_CHANGES_DURING_SYNC:
		return 1;
	case MIGRATION_EXIT_WOULD_DELETE:
		return 2;
	case MIGRATION_EXIT_FINDINGS:
		return 3;
	case EX_TEMPFAIL:
		return 5;
	default:
		return 4;
	}
}

int migration_exit_code_worse(int earlier, int later)
{
	return exit_code_rank(later) > exit_code_rank(earlier) ?
		later : earlier;
}
