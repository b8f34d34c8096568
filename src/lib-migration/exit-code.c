/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "exit-code.h"

#include <sysexits.h>

/* dsync's "changes during sync": the work is done, another run may do more */
#define STOCK_EXIT_CHANGES_DURING_SYNC 2

int migration_exit_code_run(int stock_exit_code, uint64_t error_findings,
			    const char **reason_r)
{
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

static unsigned int exit_code_rank(int exit_code)
{
	switch (exit_code) {
	case 0:
		return 0;
	case STOCK_EXIT_CHANGES_DURING_SYNC:
		return 1;
	case MIGRATION_EXIT_FINDINGS:
		return 2;
	case EX_TEMPFAIL:
		return 4;
	default:
		return 3;
	}
}

int migration_exit_code_worse(int earlier, int later)
{
	return exit_code_rank(later) > exit_code_rank(earlier) ?
		later : earlier;
}
