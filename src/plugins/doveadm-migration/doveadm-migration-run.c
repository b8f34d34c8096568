/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "second-user.h"
#include "settings-loader.h"
#include "exit-code.h"
#include "migration-run.h"
#include "migration-report.h"
#include "migration-settings.h"
#include "migration-user.h"
#include "deletion-guard.h"
#include "dsync-changes.h"
#include "doveadm-migration-run.h"

#include <sysexits.h>

#define DOVEADM_MIGRATION_CONTEXT(obj) \
	MODULE_CONTEXT(obj, doveadm_migration_module)
#define DOVEADM_MIGRATION_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, doveadm_migration_module)

struct doveadm_migration_cmd {
	union doveadm_mail_cmd_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(doveadm_migration_module,
				  &doveadm_mail_cmd_module_register);

/* commands that bring mail from one storage to another */
static const char *const wrapped_commands[] = {
	"backup", "import", "sync", NULL
};

/* ... by dsync */
static const char *const guarded_commands[] = { "backup", "sync", NULL };

/* The location as it is given on the command line. Only its first word is
   kept: what follows can be a remote shell's command with anything in it. */
static const char *command_location(struct doveadm_mail_cmd_context *ctx)
{
	const char *const *words, *location;

	if (doveadm_cmd_param_str(ctx->cctx, "source-location", &location))
		return location;
	if (doveadm_cmd_param_array(ctx->cctx, "destination", &words) &&
	    words[0] != NULL)
		return words[0];
	return "";
}

static void
report_save(const struct migration_run *run, struct mail_user *user,
	    const char *path)
{
	const char *error;

	if (path[0] == '\0')
		return;
	path = mail_user_home_expand(user, path);
	if (migration_report_save(run, path, &error) < 0) {
		/* the mails are where they belong all the same */
		e_error(run->event, "Can't write the report "
			"(migration_report_path): %s", error);
	} else {
		e_debug(run->event, "Report written to %s", path);
	}
}

static void show_summary(const struct migration_run *run)
{
	string_t *text;
	const char *const *line;

	/* a stock command stays as silent as it is, unless there is something
	   to tell */
	if (!doveadm_verbose && str_array_find(wrapped_commands, run->command) &&
	    run->finding_counts[MIGRATION_SEVERITY_WARNING] == 0 &&
	    run->finding_counts[MIGRATION_SEVERITY_ERROR] == 0)
		return;

	text = t_str_new(1024);
	migration_report_append_summary(text, run);
	str_truncate(text, str_len(text) - 1);
	for (line = t_strsplit(str_c(text), "\n"); *line != NULL; line++)
		i_info("%s", *line);
}

static void
run_finish(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	   struct migration_run *run, const char *report_path)
{
	const char *reason;
	int exit_code;

	exit_code = migration_exit_code_run(ctx->exit_code,
		run->finding_counts[MIGRATION_SEVERITY_ERROR], &reason);
	if (run->continue_later) {
		exit_code = migration_exit_code_worse(exit_code, EX_TEMPFAIL);
		reason = "stopped on purpose, to be continued later";
	}
	e_debug(run->event, "Exit code %d: %s", exit_code, reason);
	migration_run_finish(run, exit_code);
	report_save(run, user, report_path);
	show_summary(run);
	migration_run_forget();
	ctx->exit_code = exit_code;
}

/* One call of run(). What the guard refused is no change by somebody else. */
static int
run_once(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	 int (*run)(struct doveadm_mail_cmd_context *ctx,
		    struct mail_user *user))
{
	int ret;

	ctx->exit_code = 0;
	dsync_changes_begin(doveadm_debug);
	ret = run(ctx, user);
	second_user_restore_context(ctx->cur_service_user);
	if (dsync_changes_end(DELETION_GUARD_REFUSED) && ctx->exit_code == 2)
		ctx->exit_code = 0;
	return ret;
}

/* Calls run(), again where that makes mailboxes whole that dsync alone would
   have deleted, or stumbled over. */
static int
run_guarded(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	    struct migration_run *record, const struct delete_limit *limit,
	    int (*run)(struct doveadm_mail_cmd_context *ctx,
		       struct mail_user *user))
{
	int ret;

	deletion_guard_begin(user, limit);
	do {
		ret = run_once(ctx, user, run);
	} while (deletion_guard_wants_another_run(ctx, user,
						  command_location(ctx)));
	deletion_guard_end(record);
	return ret;
}

int doveadm_migration_run_user(struct doveadm_mail_cmd_context *ctx,
			       struct mail_user *user,
			       int (*run)(struct doveadm_mail_cmd_context *ctx,
					  struct mail_user *user))
{
	const struct migration_settings *set;
	struct delete_limit limit;
	struct migration_run *record;
	const char *report_path, *error;
	const void *_set;
	/* stock never resets the exit code between the users of -A */
	int ret, earlier_exit_code = ctx->exit_code;

	if (migration_settings_get(user, &migration_setting_parser_info,
				   &_set, &error) < 0) {
		e_error(user->event, "%s", error);
		ctx->exit_code = migration_exit_code_worse(earlier_exit_code,
							   EX_CONFIG);
		return -1;
	}
	set = _set;
	report_path = t_strdup(set->report_path);
	if (delete_limit_parse(set->max_deletes, &limit, &error) < 0)
		i_unreached(); /* was checked */
	migration_settings_free(set);

	record = migration_run_begin(user, ctx->cmd->name,
				     command_location(ctx));
	ctx->exit_code = 0;
	if (migration_user_has_plugin(user) &&
	    str_array_find(guarded_commands, ctx->cmd->name)) {
		ret = run_guarded(ctx, user, record, &limit, run);
	} else {
		ret = run(ctx, user);
		second_user_restore_context(ctx->cur_service_user);
	}
	run_finish(ctx, user, record, report_path);
	ctx->exit_code = migration_exit_code_worse(earlier_exit_code,
						   ctx->exit_code);
	return ret;
}

static int
doveadm_migration_run(struct doveadm_mail_cmd_context *ctx,
		      struct mail_user *user)
{
	struct doveadm_migration_cmd *mcmd =
		DOVEADM_MIGRATION_CONTEXT_REQUIRE(ctx);

	return doveadm_migration_run_user(ctx, user,
					  mcmd->module_ctx.super.run);
}

void doveadm_migration_run_wrap(struct doveadm_mail_cmd_context *ctx)
{
	struct doveadm_migration_cmd *mcmd;

	if (!str_array_find(wrapped_commands, ctx->cmd->name))
		return;
	mcmd = p_new(ctx->pool, struct doveadm_migration_cmd, 1);
	mcmd->module_ctx.super = ctx->v;
	ctx->v.run = doveadm_migration_run;
	MODULE_CONTEXT_SET(ctx, doveadm_migration_module, mcmd);
}
