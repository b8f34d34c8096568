/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_PLAN_PRIVATE_H
#define DOVEADM_PLAN_PRIVATE_H

#include "doveadm-mail.h"
#include "delete-guard.h"
#include "import-plan.h"
#include "migration-run.h"
#include "verify-storage.h"

enum plan_mode {
	PLAN_MODE_IMPORT,
	PLAN_MODE_BACKUP,
	PLAN_MODE_SYNC
};

struct plan_cmd_context {
	struct doveadm_mail_cmd_context ctx;

	enum plan_mode mode;
	const char *location, *source_username, *parent;
	const char *const *options;
	struct verify_filter filter;
	bool pop3, details;
};

/* One user's plan. */
struct plan_context {
	struct plan_cmd_context *cmd;
	struct migration_run *run;
	struct mail_user *source_user, *dest_user;
	string_t *mailboxes_json;
	/* of an import */
	struct import_plan_cost costs[IMPORT_WAY_COUNT];
	/* of a backup or sync */
	struct plan_totals *totals;
	struct delete_limit limit;
};

/* One side could not be read: logs and records it, and sets the exit code.
   mailbox may be NULL. */
void plan_failed(struct plan_context *pctx, const char *mailbox,
		 const char *side, const struct verify_error *error);

/* The plan of a backup or sync. */
void plan_dsync_print_headers(bool details);
/* Returns -1 if the mailboxes could not be listed. */
int plan_dsync_run(struct plan_context *pctx, pool_t pool);
/* Prints the verdict, adds it to the report and to the exit code. */
void plan_dsync_finish(struct plan_context *pctx);

#endif
