/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The status file's text. */

#include "lib.h"
#include "str.h"
#include "iso8601-date.h"
#include "json-members.h"
#include "json-text.h"
#include "run-status.h"

#include <stdlib.h>
#include <time.h>

static void append_name(string_t *dest, const char *name)
{
	str_printfa(dest, "%s  \"%s\": ",
		    str_data(dest)[str_len(dest) - 1] == '{' ? "\n" : ",\n",
		    name);
}

static void append_text(string_t *dest, const char *name, const char *value)
{
	append_name(dest, name);
	json_text_append(dest, value);
}

static void append_number(string_t *dest, const char *name, int64_t value)
{
	append_name(dest, name);
	str_printfa(dest, "%"PRId64, value);
}

/* what is not known is null */
static void
append_number_or_null(string_t *dest, const char *name, bool known,
		      int64_t value)
{
	if (known)
		append_number(dest, name, value);
	else {
		append_name(dest, name);
		str_append(dest, "null");
	}
}

static void append_rate(string_t *dest, const char *name, double value)
{
	append_name(dest, name);
	str_printfa(dest, "%.1f", value);
}

static const char *timestamp(time_t time)
{
	return iso8601_date_create_tm(gmtime(&time), INT_MAX);
}

static void append_time(string_t *dest, const char *name, int64_t value)
{
	if (value != 0)
		append_text(dest, name, timestamp(value));
	else
		append_number_or_null(dest, name, FALSE, 0);
}

void run_status_append_json(string_t *dest, const struct run_status *status)
{
	bool finished = status->state == RUN_STATE_FINISHED;

	str_append_c(dest, '{');
	append_number(dest, "status_version", RUN_STATUS_VERSION);
	append_text(dest, "state", run_state_name(status->state));
	append_text(dest, "user", status->user);
	append_text(dest, "command", status->command);
	append_text(dest, "location", status->location);
	append_text(dest, "host", status->host);
	append_number(dest, "pid", status->pid);
	append_time(dest, "started", status->started);
	append_time(dest, "updated", status->updated);
	append_time(dest, "finished", finished ? status->finished : 0);
	append_text(dest, "mailbox", status->mailbox);
	append_number(dest, "mailbox_number", status->mailbox_number);
	append_number_or_null(dest, "mailboxes", status->mailboxes != 0,
			      status->mailboxes);
	append_number(dest, "mails", status->mails);
	append_number_or_null(dest, "mails_total", status->mails_total != 0,
			      status->mails_total);
	append_number(dest, "bytes", status->bytes);
	append_rate(dest, "mails_per_sec", status->mails_per_sec);
	append_rate(dest, "bytes_per_sec", status->bytes_per_sec);
	append_number_or_null(dest, "eta_secs", status->eta_secs >= 0,
			      status->eta_secs);
	append_text(dest, "wait", status->wait);
	append_number(dest, "wait_left_msecs", status->wait_left_msecs);
	append_number(dest, "infos", status->infos);
	append_number(dest, "warnings", status->warnings);
	append_number(dest, "errors", status->errors);
	append_number_or_null(dest, "exit_code", finished, status->exit_code);
	str_append(dest, "\n}\n");
}

struct parse_context {
	struct run_status *status;
	pool_t pool;
	unsigned int version;
};

static void parse_time(const char *value, int64_t *time_r)
{
	time_t time;
	int zone;

	if (iso8601_date_parse((const unsigned char *)value, strlen(value),
			       &time, &zone))
		*time_r = time;
}

static void parse_state(const char *value, enum run_state *state_r)
{
	unsigned int i;

	for (i = 0; i < RUN_STATE_COUNT; i++) {
		if (strcmp(run_state_name(i), value) == 0)
			*state_r = i;
	}
}

static bool
parse_text(struct parse_context *ctx, const char *name, const char *value)
{
	struct run_status *status = ctx->status;
	const struct {
		const char *name, **field;
	} texts[] = {
		{ "user", &status->user },
		{ "command", &status->command },
		{ "location", &status->location },
		{ "host", &status->host },
		{ "mailbox", &status->mailbox },
		{ "wait", &status->wait },
		{ "continue_after", &status->continue_after },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(texts); i++) {
		if (strcmp(texts[i].name, name) == 0) {
			*texts[i].field = p_strdup(ctx->pool, value);
			return TRUE;
		}
	}
	return FALSE;
}

static bool
parse_number(struct parse_context *ctx, const char *name, const char *value)
{
	struct run_status *status = ctx->status;
	const struct {
		const char *name;
		uint64_t *field;
	} numbers[] = {
		{ "mails", &status->mails },
		{ "mails_total", &status->mails_total },
		{ "bytes", &status->bytes },
		{ "wait_left_msecs", &status->wait_left_msecs },
		{ "infos", &status->infos },
		{ "warnings", &status->warnings },
		{ "errors", &status->errors },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(numbers); i++) {
		if (strcmp(numbers[i].name, name) == 0)
			return str_to_uint64(value, numbers[i].field) == 0;
	}
	return FALSE;
}

static int64_t parse_signed(const char *value)
{
	int64_t number;

	return str_to_int64(value, &number) < 0 ? 0 : number;
}

static void parse_member(void *context, const char *name, const char *value)
{
	struct parse_context *ctx = context;
	struct run_status *status = ctx->status;

	if (parse_text(ctx, name, value) || parse_number(ctx, name, value))
		return;
	if (strcmp(name, "status_version") == 0)
		ctx->version = parse_signed(value);
	else if (strcmp(name, "state") == 0)
		parse_state(value, &status->state);
	else if (strcmp(name, "pid") == 0)
		status->pid = parse_signed(value);
	else if (strcmp(name, "started") == 0)
		parse_time(value, &status->started);
	else if (strcmp(name, "updated") == 0)
		parse_time(value, &status->updated);
	else if (strcmp(name, "finished") == 0)
		parse_time(value, &status->finished);
	else if (strcmp(name, "mailbox_number") == 0)
		status->mailbox_number = parse_signed(value);
	else if (strcmp(name, "mailboxes") == 0)
		status->mailboxes = parse_signed(value);
	else if (strcmp(name, "mails_per_sec") == 0)
		status->mails_per_sec = strtod(value, NULL);
	else if (strcmp(name, "bytes_per_sec") == 0)
		status->bytes_per_sec = strtod(value, NULL);
	else if (strcmp(name, "eta_secs") == 0)
		status->eta_secs = parse_signed(value);
	else if (strcmp(name, "exit_code") == 0)
		status->exit_code = parse_signed(value);
}

int run_status_parse(const char *text, size_t size, pool_t pool,
		     struct run_status *status_r, const char **error_r)
{
	struct parse_context ctx = { .status = status_r, .pool = pool };

	run_status_init(status_r);
	if (json_members_parse(text, size, parse_member, &ctx, error_r) < 0)
		return -1;
	if (ctx.version != RUN_STATUS_VERSION) {
		*error_r = ctx.version == 0 ? "it is no status file" :
			t_strdup_printf("its version is %u, this program "
				"knows %d", ctx.version, RUN_STATUS_VERSION);
		return -1;
	}
	return 0;
}

static void parse_report_member(void *context, const char *name,
				const char *value)
{
	struct parse_context *ctx = context;
	struct run_status *status = ctx->status;

	if (strcmp(name, "report_version") == 0)
		ctx->version = parse_signed(value);
	else if (strcmp(name, "started") == 0)
		parse_time(value, &status->started);
	else if (strcmp(name, "finished") == 0)
		parse_time(value, &status->finished);
	else if (strcmp(name, "exit_code") == 0)
		status->exit_code = parse_signed(value);
	else if (strcmp(name, "user") == 0 || strcmp(name, "command") == 0 ||
		 strcmp(name, "location") == 0 ||
		 strcmp(name, "continue_after") == 0)
		(void)parse_text(ctx, name, value);
}

int run_status_parse_report(const char *text, size_t size, pool_t pool,
			    struct run_status *status_r, const char **error_r)
{
	struct parse_context ctx = { .status = status_r, .pool = pool };

	run_status_init(status_r);
	if (json_members_parse(text, size, parse_report_member, &ctx,
			       error_r) < 0)
		return -1;
	if (ctx.version == 0) {
		*error_r = "it is no report";
		return -1;
	}
	status_r->state = RUN_STATE_FINISHED;
	status_r->updated = status_r->finished;
	return 0;
}
