/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What changed between two proofs of `doveadm migration verify --proof`. */

#include "lib.h"
#include "array.h"
#include "doveadm.h"
#include "doveadm-cmd.h"
#include "doveadm-print.h"
#include "exit-code.h"
#include "verify-proof.h"
#include "doveadm-compare-proof.h"

#include <sysexits.h>

static void compare_print_headers(void)
{
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	doveadm_print_header("mailbox", "Mailbox",
			     DOVEADM_PRINT_HEADER_FLAG_EXPAND);
	doveadm_print_header_simple("side");
	doveadm_print_header_simple("what");
	doveadm_print_header_simple("before");
	doveadm_print_header_simple("after");
}

/* Returns FALSE if it is said already why it could not be read. */
static bool compare_load(const char *path, pool_t pool,
			 struct parity_proof *proof_r)
{
	const char *error = "there is no such file";

	if (verify_proof_load(path, pool, proof_r, &error) > 0)
		return TRUE;
	i_error("%s: %s", path, error);
	doveadm_exit_code = EX_DATAERR;
	return FALSE;
}

static void compare_print(const struct parity_proof *before,
			  const struct parity_proof *after, pool_t pool)
{
	ARRAY_TYPE(parity_proof_change) changes;
	const struct parity_proof_change *change;

	p_array_init(&changes, pool, 16);
	parity_proof_compare(before, after, pool, &changes);
	array_foreach(&changes, change) {
		doveadm_print(change->mailbox);
		doveadm_print(change->side);
		doveadm_print(change->what);
		doveadm_print(change->before);
		doveadm_print(change->after);
	}
	if (array_count(&changes) > 0)
		doveadm_exit_code = MIGRATION_EXIT_FINDINGS;
}

static void cmd_compare_proof(struct doveadm_cmd_context *cctx)
{
	struct parity_proof before, after;
	const char *before_path, *after_path;
	pool_t pool;

	if (!doveadm_cmd_param_str(cctx, "before", &before_path) ||
	    !doveadm_cmd_param_str(cctx, "after", &after_path)) {
		i_error("migration compare-proof: two files are needed");
		doveadm_exit_code = EX_USAGE;
		return;
	}
	pool = pool_alloconly_create("compare proof", 4096);
	if (compare_load(before_path, pool, &before) &&
	    compare_load(after_path, pool, &after)) {
		compare_print_headers();
		compare_print(&before, &after, pool);
	}
	pool_unref(&pool);
}

struct doveadm_cmd_ver2 doveadm_cmd_migration_compare_proof = {
	.name = "migration compare-proof",
	.cmd = cmd_compare_proof,
	.usage = "<before> <after>",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_PARAM('\0', "before", CMD_PARAM_STR, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAM('\0', "after", CMD_PARAM_STR, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
};
