/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "list-compat.h"
#include "second-user.h"
#include "settings-loader.h"
#include "exit-code.h"
#include "secret-mask.h"
#include "migration-lock.h"
#include "migration-lock-dict.h"
#include "maildir-swap.h"
#include "migration-run.h"
#include "source-mailbox.h"
#include "source-pause.h"
#include "migration-report.h"
#include "migration-settings.h"
#include "migration-user.h"
#include "save-journal.h"
#include "deletion-guard.h"
#include "dsync-changes.h"
#include "run-progress.h"
#include "run-error.h"
#include "run-stop.h"
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

/* All that can make one run of a command another one than the next, but not
   for whom it runs. Ends with NULL. */
static const char *const *
command_options(struct doveadm_mail_cmd_context *ctx)
{
	static const char *const whom[] = {
		"all-users", "socket-path", "trans-flags", "user", "user-file",
		NULL
	};
	const struct doveadm_cmd_param *param = ctx->cctx->argv;
	ARRAY_TYPE(const_string) options, words;
	const char *value;
	int i;

	t_array_init(&options, 16);
	for (i = 0; i < ctx->cctx->argc; i++, param++) {
		if (!param->value_set || str_array_find(whom, param->name))
			continue;
		switch (param->type) {
		case CMD_PARAM_STR:
			value = param->value.v_string;
			break;
		case CMD_PARAM_INT64:
			value = t_strdup_printf("%"PRId64, param->value.v_int64);
			break;
		case CMD_PARAM_ARRAY:
			t_array_init(&words, 8);
			array_append_array(&words, &param->value.v_array);
			array_append_zero(&words);
			/* mailbox names may have anything else */
			value = t_strarray_join(array_front(&words), "\t");
			break;
		default:
			value = param->value.v_bool ? "yes" : "no";
			break;
		}
		value = t_strdup_printf("%s=%s", param->name, value);
		array_push_back(&options, &value);
	}
	array_append_zero(&options);
	return array_front(&options);
}

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

/* dsync-state-one-sided: with a state, dsync asks only its own side whether a
   mailbox changed, which is the destination of a migration. New mail of the
   source is left out then, and nobody is told. */
static bool refuse_state(struct doveadm_mail_cmd_context *ctx,
			 struct mail_user *user)
{
	const char *state;

	if (!migration_user_has_plugin(user) ||
	    !str_array_find(guarded_commands, ctx->cmd->name) ||
	    strncmp(command_location(ctx), "imapc", 5) != 0 ||
	    !doveadm_cmd_param_str(ctx->cctx, "state", &state))
		return FALSE;
	e_error(user->event, "-s is refused: with a state, dsync looks for "
		"changes at the destination only and would leave out new mail "
		"of the source. Leave -s out: mailboxes that did not change on "
		"either side cost nothing (migration_imapc_record)");
	return TRUE;
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

/* The defaults are for migrations. Other commands, and a dsync that merely has our
   doveadm module around it, write files where they are told to. */
static const char *get_path(const char *path, const char *path_default,
			    const char *command, struct mail_user *user)
{
	const char *home;

	if (strcmp(path, path_default) == 0 &&
	    (!str_array_find(wrapped_commands, command) ||
	     !migration_user_has_plugin(user) ||
	     mail_user_get_home(user, &home) <= 0))
		return "";
	return t_strdup(path);
}

/* Other commands say nothing of how far they are. */
static const char *get_status_path(const struct migration_settings *set,
				   const char *command, struct mail_user *user)
{
	const char *path;

	if (!str_array_find(wrapped_commands, command))
		return "";
	path = get_path(set->status_path, MIGRATION_STATUS_PATH_DEFAULT,
			command, user);
	return path[0] == '\0' ? "" : mail_user_home_expand(user, path);
}

static enum run_progress_line
get_progress_line(const struct migration_settings *set, const char *command,
		  struct mail_user *user)
{
	if (strcmp(set->progress, "no") == 0 ||
	    !migration_user_has_plugin(user) ||
	    !str_array_find(wrapped_commands, command))
		return RUN_PROGRESS_LINE_NO;
	if (strcmp(set->progress, "yes") == 0)
		return RUN_PROGRESS_LINE_YES;
	return doveadm_debug ? RUN_PROGRESS_LINE_NO : RUN_PROGRESS_LINE_AUTO;
}

static void show_summary(const struct migration_run *run, bool is_migration)
{
	string_t *text;
	const char *const *line;

	/* a stock command stays as silent as it is, unless there is something
	   to tell */
	if (!is_migration && !doveadm_verbose &&
	    str_array_find(wrapped_commands, run->command) &&
	    run->finding_counts[MIGRATION_SEVERITY_WARNING] == 0 &&
	    run->finding_counts[MIGRATION_SEVERITY_ERROR] == 0)
		return;

	text = t_str_new(1024);
	migration_report_append_summary(text, run);
	str_truncate(text, str_len(text) - 1);
	for (line = t_strsplit(str_c(text), "\n"); *line != NULL; line++)
		i_info("%s", *line);
}

/* Two runs that write into the same mailboxes would find each other's mails. On
   this host, and on several if migration_lock_dict is set. */
struct run_locks {
	struct migration_lock *file;
	struct migration_lock_dict *dict;
};

static void run_locks_release(struct run_locks *locks)
{
	migration_lock_dict_release(&locks->dict);
	migration_lock_release(&locks->file);
}

/* one user at a time */
static struct {
	struct mail_user *user;
	struct migration_run *record;
	const char *report_path;
	struct run_locks *locks;
} present;

static int get_exit_code(const struct migration_run *run, int stock_exit_code,
			 const char **reason_r)
{
	int exit_code;

	exit_code = migration_exit_code_run(stock_exit_code,
		run->finding_counts[MIGRATION_SEVERITY_ERROR],
		run->mailbox_left_out, reason_r);
	if (run->continue_later) {
		*reason_r = "stopped on purpose, to be continued later";
		return migration_exit_code_worse(exit_code, EX_TEMPFAIL);
	}
	if (run_stop_signo() != 0 && stock_exit_code != 0) {
		/* whatever it was that failed, the signal made it fail */
		*reason_r = "ended by a signal";
		return EX_TEMPFAIL;
	}
	return exit_code;
}

static int run_finish(int stock_exit_code)
{
	struct migration_run *run = present.record;
	const char *reason;
	int exit_code;

	if (run_stop_signo() != 0 && stock_exit_code != 0) {
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING, NULL, 0,
			FINDING_INTERRUPTED, "The run was ended by signal %d",
			run_stop_signo());
	}
	migration_progress_finish(run);
	exit_code = get_exit_code(run, stock_exit_code, &reason);
	e_debug(run->event, "Exit code %d: %s", exit_code, reason);
	migration_run_finish(run, exit_code);
	run_progress_end(run);
	report_save(run, present.user, present.report_path);
	show_summary(run, migration_user_has_plugin(present.user));
	return exit_code;
}

/* A signal came, and the run is stuck. */
static int run_give_up(void)
{
	int exit_code = run_finish(EX_TEMPFAIL);

	run_locks_release(present.locks);
	return exit_code;
}

/* One call of run(). What the guard refused is no change by somebody else. */
static int
run_once(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	 int (*run)(struct doveadm_mail_cmd_context *ctx,
		    struct mail_user *user))
{
	const char *escape_chars = compat_user_save_escape_chars(user);
	int ret;

	ctx->exit_code = 0;
	migration_progress_restart(present.record);
	migration_run_forget_findings(present.record,
				      FINDING_GMAIL_MESSAGE_LEFT_OUT);
	dsync_changes_begin(user, doveadm_debug);
	ret = run(ctx, user);
	run_stop_run_returned();
	/* nobody has told the source's plugins that dsync gave up */
	if (ret < 0) {
		migration_run_forget_findings(present.record,
					      FINDING_GMAIL_MESSAGE_LEFT_OUT);
	}
	compat_user_restore_escape_chars(user, escape_chars);
	second_user_restore_context(ctx->cur_service_user);
	/* stock lets "changes during sync" win over a failure */
	if (ret < 0 && ctx->exit_code == 2)
		ctx->exit_code = EX_TEMPFAIL;
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
	struct retry_state source_failures = { .failures = 0 };
	struct retry_state mailbox_failures = { .failures = 0 };
	int ret;

	maildir_swap_recover(user);
	if (save_journal_roll_back_mdboxes(user) < 0) {
		doveadm_mail_failed_error(ctx, MAIL_ERROR_TEMP);
		return -1;
	}
	deletion_guard_begin(user, limit);
	do {
		source_mailboxes_begin(record);
		ret = run_once(ctx, user, run);
	} while (deletion_guard_wants_another_run(ctx, user,
						  command_location(ctx)) ||
		 (ctx->exit_code != 0 && ctx->exit_code != 2 ?
		  source_wants_another_run(record, &source_failures) :
		  source_mailboxes_want_another_run(record,
						    &mailbox_failures)));
	source_mailboxes_report(record);
	deletion_guard_end(record, !record->continue_later &&
			   !record->mailbox_left_out && !doveadm_is_killed() &&
			   (ctx->exit_code == 0 || ctx->exit_code == 2));
	return ret;
}

static bool
lock_user(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	  const struct migration_settings *set, struct run_locks *locks_r)
{
	const char *command, *busy;

	i_zero(locks_r);
	if (!migration_user_has_plugin(user) ||
	    !str_array_find(wrapped_commands, ctx->cmd->name))
		return TRUE;
	command = t_strdup_printf("%s %s", ctx->cmd->name,
				  t_strcut(command_location(ctx), ' '));
	if (migration_lock_take(user, command, &locks_r->file, &busy) > 0 &&
	    (set->lock_dict[0] == '\0' ||
	     migration_lock_dict_take(user, set->lock_dict, set->lock_lease,
				      command, &locks_r->dict, &busy) > 0))
		return TRUE;
	e_error(user->event, "%s", busy);
	run_locks_release(locks_r);
	return FALSE;
}

static int
run_recorded(struct doveadm_mail_cmd_context *ctx, struct mail_user *user,
	     const struct delete_limit *limit,
	     int (*run)(struct doveadm_mail_cmd_context *ctx,
			struct mail_user *user))
{
	int ret;

	ctx->exit_code = 0;
	migration_secrets_begin();
	run_error_watch(present.record);
	run_stop_begin(run_give_up);
	if (migration_user_has_plugin(user) &&
	    str_array_find(guarded_commands, ctx->cmd->name)) {
		ret = run_guarded(ctx, user, present.record, limit, run);
	} else {
		ret = run(ctx, user);
		second_user_restore_context(ctx->cur_service_user);
	}
	ctx->exit_code = run_finish(ctx->exit_code);
	run_stop_end();
	run_error_unwatch();
	migration_secrets_end();
	return ret;
}

int doveadm_migration_run_user(struct doveadm_mail_cmd_context *ctx,
			       struct mail_user *user,
			       int (*run)(struct doveadm_mail_cmd_context *ctx,
					  struct mail_user *user))
{
	const struct migration_settings *set;
	struct delete_limit limit;
	struct run_locks locks;
	const char *report_path, *status_path, *error;
	enum run_progress_line line;
	bool locked;
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
	report_path = get_path(set->report_path, MIGRATION_REPORT_PATH_DEFAULT,
			       ctx->cmd->name, user);
	status_path = get_status_path(set, ctx->cmd->name, user);
	line = get_progress_line(set, ctx->cmd->name, user);
	if (delete_limit_parse(set->max_deletes, &limit, &error) < 0)
		i_unreached(); /* was checked */
	if (refuse_state(ctx, user)) {
		migration_settings_free(set);
		ctx->exit_code = migration_exit_code_worse(earlier_exit_code,
							   EX_USAGE);
		return -1;
	}
	locked = lock_user(ctx, user, set, &locks);
	migration_settings_free(set);

	if (!locked) {
		ctx->exit_code = migration_exit_code_worse(earlier_exit_code,
							   EX_TEMPFAIL);
		return -1;
	}
	present.user = user;
	present.record = migration_run_begin(user, ctx->cmd->name,
					     command_location(ctx));
	migration_run_set_options(present.record, command_options(ctx));
	present.record->one_user = ctx->iterate_single_user;
	present.record->verbose = doveadm_verbose &&
		migration_user_has_plugin(user);
	present.report_path = report_path;
	present.locks = &locks;
	run_progress_begin(user, present.record, status_path, line, locks.dict);
	ret = run_recorded(ctx, user, &limit, run);
	migration_run_forget();
	i_zero(&present);
	run_locks_release(&locks);
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

bool doveadm_migration_run_wrap(struct doveadm_mail_cmd_context *ctx)
{
	struct doveadm_migration_cmd *mcmd;

	if (!str_array_find(wrapped_commands, ctx->cmd->name))
		return FALSE;
	mcmd = p_new(ctx->pool, struct doveadm_migration_cmd, 1);
	mcmd->module_ctx.super = ctx->v;
	ctx->v.run = doveadm_migration_run;
	MODULE_CONTEXT_SET(ctx, doveadm_migration_module, mcmd);
	return TRUE;
}
