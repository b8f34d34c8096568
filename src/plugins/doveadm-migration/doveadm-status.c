/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How far each user's run is, or how the last one ended: from the status file
   and the report that the run has written, and from the lock that it holds. */

#include "lib.h"
#include "hostpid.h"
#include "str.h"
#include "str-sanitize.h"
#include "time-util.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "doveadm-print.h"
#include "doveadm-cmd-compat.h"
#include "settings-loader.h"
#include "exit-code.h"
#include "migration-file.h"
#include "migration-lock.h"
#include "run-status.h"
#include "migration-settings.h"
#include "doveadm-status.h"

#include <signal.h>
#include <sysexits.h>
#include <time.h>

/* a report with all its findings */
#define REPORT_MAX_SIZE (64*1024*1024)

struct status_cmd_context {
	struct doveadm_mail_cmd_context ctx;
	/* for a person, or all fields for a program */
	bool all_fields;
};

/*
 * Gathering
 */

static int
read_file(struct mail_user *user, const char *path, buffer_t *text,
	  const char **path_r)
{
	const char *error;
	int ret;

	*path_r = "";
	if (path[0] == '\0')
		return 0;
	*path_r = mail_user_home_expand(user, path);
	ret = migration_file_read(*path_r, REPORT_MAX_SIZE, text, &error);
	if (ret < 0)
		e_error(user->event, "%s", error);
	return ret;
}

static enum run_process get_process(const struct run_status *status)
{
	if (strcmp(status->host, my_hostname) != 0 || status->pid <= 0)
		return RUN_PROCESS_UNKNOWN;
	return kill(status->pid, 0) == 0 || errno == EPERM ?
		RUN_PROCESS_ALIVE : RUN_PROCESS_GONE;
}

/* Returns 0, or -1 if a file is there and cannot be understood. */
static int
get_status(struct mail_user *user, const struct migration_settings *set,
	   struct run_status *status)
{
	struct run_status report;
	buffer_t *text = t_buffer_create(4096);
	const char *path, *error = NULL, *reason;
	pool_t pool = pool_datastack_create();
	enum run_lock lock;
	int ret;

	run_status_init(status);
	if ((ret = read_file(user, set->status_path, text, &path)) < 0)
		return -1;
	if (ret > 0 && run_status_parse(text->data, text->used, pool, status,
					&error) < 0) {
		e_error(user->event, "%s is damaged: %s", path, error);
		return -1;
	}
	buffer_set_used_size(text, 0);
	if ((ret = read_file(user, set->report_path, text, &path)) < 0)
		return -1;
	if (ret > 0 && run_status_parse_report(text->data, text->used, pool,
					       &report, &error) < 0) {
		e_error(user->event, "%s is damaged: %s", path, error);
		return -1;
	}
	if (ret > 0)
		run_status_add_report(status, &report);
	status->user = user->username;

	lock = migration_lock_look(user, &error);
	status->state = run_status_judge(status, lock, get_process(status),
					 time(NULL), &reason);
	e_debug(user->event, "migration: %s: %s",
		run_state_name(status->state), reason);
	return 0;
}

/*
 * Printing
 */

struct column {
	const char *name;
	enum doveadm_print_header_flags flags;
};

#define TEXT 0
#define NUMBER DOVEADM_PRINT_HEADER_FLAG_NUMBER
#define LAST DOVEADM_PRINT_HEADER_FLAG_EXPAND

static const struct column person_columns[] = {
	{ "user", TEXT }, { "state", TEXT }, { "mailbox", TEXT },
	{ "mails", TEXT }, { "rate", TEXT }, { "end", TEXT }, { "wait", TEXT },
	{ "findings", TEXT }, { "next", LAST },
};

static const struct column all_columns[] = {
	{ "user", TEXT }, { "state", TEXT }, { "command", TEXT },
	{ "location", TEXT }, { "host", TEXT }, { "pid", NUMBER },
	{ "started", TEXT }, { "updated", TEXT }, { "finished", TEXT },
	{ "mailbox", TEXT }, { "mailbox_number", NUMBER },
	{ "mailboxes", NUMBER }, { "mails", NUMBER },
	{ "mails_total", NUMBER }, { "bytes", NUMBER },
	{ "mails_per_sec", NUMBER }, { "bytes_per_sec", NUMBER },
	{ "eta_secs", NUMBER }, { "wait", TEXT }, { "errors", NUMBER },
	{ "warnings", NUMBER }, { "infos", NUMBER }, { "exit_code", NUMBER },
	{ "next", LAST },
};

static const char *format_time(int64_t time)
{
	return time == 0 ? "" : t_strfgmtime("%Y-%m-%dT%H:%M:%SZ", time);
}

static const char *format_total(uint64_t n, uint64_t total)
{
	return total == 0 ? t_strdup_printf("%"PRIu64, n) :
		t_strdup_printf("%"PRIu64"/%"PRIu64, n, total);
}

static const char *format_wait(const struct run_status *status)
{
	if (status->state != RUN_STATE_WAITING)
		return "";
	return t_strdup_printf("%s, %"PRIu64" s",
			       run_status_wait_text(status->wait),
			       (status->wait_left_msecs + 999) / 1000);
}

static bool is_under_way(const struct run_status *status)
{
	return status->state == RUN_STATE_RUNNING ||
		status->state == RUN_STATE_WAITING;
}

/* 2.3's JSON takes no number below 0: what is not known is 0. */
static void print_number(int64_t value)
{
	doveadm_print_num(I_MAX(value, 0));
}

static void print_for_person(const struct run_status *status)
{
	const char *end = "";

	if (is_under_way(status) && status->eta_secs >= 0)
		end = format_time(time(NULL) + status->eta_secs);
	doveadm_print(status->user);
	doveadm_print(run_state_name(status->state));
	doveadm_print(status->mailbox[0] == '\0' ? "" : t_strdup_printf(
		"%s %s", format_total(status->mailbox_number,
				      status->mailboxes),
		str_sanitize(status->mailbox, 200)));
	doveadm_print(format_total(status->mails, status->mails_total));
	doveadm_print(is_under_way(status) ? t_strdup_printf("%.1f/s",
			status->mails_per_sec) : "");
	doveadm_print(end);
	doveadm_print(format_wait(status));
	doveadm_print(t_strdup_printf("%"PRIu64"/%"PRIu64"/%"PRIu64,
		status->errors, status->warnings, status->infos));
	doveadm_print(run_status_next(status));
}

static void print_all_fields(const struct run_status *status)
{
	doveadm_print(status->user);
	doveadm_print(run_state_name(status->state));
	doveadm_print(status->command);
	doveadm_print(status->location);
	doveadm_print(status->host);
	print_number(status->pid);
	doveadm_print(format_time(status->started));
	doveadm_print(format_time(status->updated));
	doveadm_print(format_time(status->finished));
	doveadm_print(status->mailbox);
	print_number(status->mailbox_number);
	print_number(status->mailboxes);
	print_number(status->mails);
	print_number(status->mails_total);
	print_number(status->bytes);
	doveadm_print(t_strdup_printf("%.1f", status->mails_per_sec));
	doveadm_print(t_strdup_printf("%.1f", status->bytes_per_sec));
	print_number(status->eta_secs);
	doveadm_print(format_wait(status));
	print_number(status->errors);
	print_number(status->warnings);
	print_number(status->infos);
	print_number(run_status_exit_code(status));
	doveadm_print(run_status_next(status));
}

/*
 * The command
 */

static int
cmd_status_run(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct status_cmd_context *ctx =
		container_of(_ctx, struct status_cmd_context, ctx);
	struct run_status status;
	const void *set;
	const char *error;
	int ret;

	if (migration_settings_get(user, &migration_setting_parser_info,
				   &set, &error) < 0) {
		e_error(user->event, "%s", error);
		_ctx->exit_code = migration_exit_code_worse(_ctx->exit_code,
							    EX_CONFIG);
		return -1;
	}
	ret = get_status(user, set, &status);
	if (ret < 0) {
		_ctx->exit_code = migration_exit_code_worse(_ctx->exit_code,
							    EX_DATAERR);
	} else {
		if (ctx->all_fields)
			print_all_fields(&status);
		else
			print_for_person(&status);
		_ctx->exit_code = migration_exit_code_worse(_ctx->exit_code,
			run_status_exit_code(&status));
	}
	migration_settings_free(set);
	return ret;
}

static void print_headers(const struct column *columns, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		doveadm_print_header(columns[i].name, columns[i].name,
				     columns[i].flags);
	}
}

DOVEADM_COMPAT_INIT(cmd_status_init, _ctx)
{
	struct status_cmd_context *ctx =
		container_of(_ctx, struct status_cmd_context, ctx);

	if (ctx->all_fields) {
		print_headers(all_columns, N_ELEMENTS(all_columns));
	} else {
		print_headers(person_columns, N_ELEMENTS(person_columns));
	}
}

static struct doveadm_mail_cmd_context *cmd_status_alloc(void)
{
	struct status_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc(struct status_cmd_context);
	ctx->ctx.v.init = cmd_status_init;
	ctx->ctx.v.run = cmd_status_run;
	doveadm_compat_accept_options(&ctx->ctx);
	/* doveadm -f: whatever the format, it wants all of it */
	ctx->all_fields = doveadm_print_is_initialized();
	if (!ctx->all_fields)
		doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &ctx->ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_migration_status = {
	.name = "migration status",
	.mail_cmd = cmd_status_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX,
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAMS_END
};
