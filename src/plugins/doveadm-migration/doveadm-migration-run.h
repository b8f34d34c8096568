/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_MIGRATION_RUN_H
#define DOVEADM_MIGRATION_RUN_H

struct doveadm_mail_cmd_context;

/* hook_doveadm_mail_init: puts a run record around run() of `backup`, `sync`
   and `import`. Other commands are left alone: FALSE. */
bool doveadm_migration_run_wrap(struct doveadm_mail_cmd_context *ctx);

/* Runs one user's part of a command inside of a run record: begins it, calls
   run(), writes the report, shows what was found, and combines the exit code
   with those of the users before. Also for commands of our own.
   Returns what run() returned, or -1 with the exit code set. */
int doveadm_migration_run_user(struct doveadm_mail_cmd_context *ctx,
			       struct mail_user *user,
			       int (*run)(struct doveadm_mail_cmd_context *ctx,
					  struct mail_user *user));

#endif
