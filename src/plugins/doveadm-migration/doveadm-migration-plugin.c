/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "migration-run.h"
#include "deletion-guard.h"
#include "doveadm-auth-test.h"
#include "doveadm-compare-proof.h"
#include "doveadm-import-source.h"
#include "doveadm-migration-run.h"
#include "doveadm-plan.h"
#include "doveadm-status.h"
#include "doveadm-uidl.h"
#include "doveadm-users.h"
#include "doveadm-verify.h"
#include "run-mailbox.h"
#include "run-stop.h"
#include "save-check.h"
#include "doveadm-migration-plugin.h"

const char *doveadm_migration_plugin_version = DOVECOT_ABI_VERSION;

static void (*next_hook_doveadm_mail_init)(struct doveadm_mail_cmd_context *ctx);

static void doveadm_migration_mail_init(struct doveadm_mail_cmd_context *ctx)
{
	doveadm_import_source_wrap(ctx);
	if (doveadm_migration_run_wrap(ctx) ||
	    strncmp(ctx->cmd->name, "migration ", 10) == 0)
		doveadm_users_wrap(ctx);
	if (next_hook_doveadm_mail_init != NULL)
		next_hook_doveadm_mail_init(ctx);
}

void doveadm_migration_plugin_init(struct module *module ATTR_UNUSED)
{
	deletion_guard_init();
	run_mailbox_init();
	run_stop_init();
	save_check_init();
	doveadm_cmd_register_ver2(&doveadm_cmd_migration_auth_test);
	doveadm_cmd_register_ver2(&doveadm_cmd_migration_compare_proof);
	doveadm_cmd_register_ver2(&doveadm_cmd_migration_plan);
	doveadm_cmd_register_ver2(&doveadm_cmd_migration_status);
	doveadm_cmd_register_ver2(&doveadm_cmd_migration_verify);
	doveadm_cmd_register_ver2(&doveadm_cmd_migration_uidl);
	next_hook_doveadm_mail_init = hook_doveadm_mail_init;
	hook_doveadm_mail_init = doveadm_migration_mail_init;
}

void doveadm_migration_plugin_deinit(void)
{
	hook_doveadm_mail_init = next_hook_doveadm_mail_init;
	migration_run_forget();
}
