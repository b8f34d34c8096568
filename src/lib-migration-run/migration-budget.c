/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "lib-event.h"
#include "istream.h"
#include "str.h"
#include "strescape.h"
#include "time-util.h"
#include "mail-user.h"
#include "migration-file.h"
#include "migration-run.h"
#include "run-status.h"
#include "migration-budget.h"

#include <time.h>

#define BUDGET_FILE_NAME "dovecot-migration-downloads"
/* A run that is killed forgets less than this. */
#define BUDGET_SAVE_BYTES (4*1024*1024)

struct migration_budget {
	pool_t pool;
	struct mail_user *user;
	struct event *event;
	const char *source;
	/* whose limit it is, for people */
	const char *whose;
	/* NULL if there is no place to keep the numbers */
	const char *path;

	struct fetch_budget fetch;
	uint64_t unsaved_bytes;
	bool stopped:1;
};

static uint64_t now_msecs(void)
{
	struct timeval tv;

	i_gettimeofday(&tv);
	return (uint64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000;
}

/* ---- the file: a line for each source ---- */

/* Returns the numbers of the line if it is this source's, else NULL. */
static const char *budget_line_match(const struct migration_budget *budget,
				     const char *line)
{
	const char *numbers = strrchr(line, '\t');

	if (numbers == NULL ||
	    strcmp(t_str_tabunescape(t_strdup_until(line, numbers)),
		   budget->source) != 0)
		return NULL;
	return numbers + 1;
}

/* Adds the lines of other sources to dest. Returns this source's numbers, or
   NULL. */
static const char *
budget_read_file(const struct migration_budget *budget, string_t *dest)
{
	struct istream *input = i_stream_create_file(budget->path, 4096);
	const char *line, *found, *numbers = NULL;

	while ((line = i_stream_read_next_line(input)) != NULL) {
		found = budget_line_match(budget, line);
		if (found != NULL)
			numbers = t_strdup(found);
		else
			str_printfa(dest, "%s\n", line);
	}
	if (input->stream_errno != 0 && input->stream_errno != ENOENT) {
		e_error(budget->event, "read(%s) failed: %s", budget->path,
			i_stream_get_error(input));
	}
	i_stream_unref(&input);
	return numbers;
}

static void budget_load(struct migration_budget *budget)
{
	const char *numbers = budget_read_file(budget, t_str_new(256));

	if (numbers != NULL && fetch_budget_import(&budget->fetch, numbers) < 0) {
		e_error(budget->event, "%s is damaged: what earlier runs have "
			"downloaded is not known", budget->path);
	}
}

static void budget_save(struct migration_budget *budget)
{
	string_t *data = t_str_new(512);
	const char *error;

	if (budget->path == NULL || budget->unsaved_bytes == 0)
		return;
	(void)budget_read_file(budget, data);
	str_printfa(data, "%s\t", str_tabescape(budget->source));
	fetch_budget_export(&budget->fetch, data);
	str_append_c(data, '\n');
	budget->unsaved_bytes = 0;
	if (migration_file_replace(budget->path, data, &error) < 0) {
		e_error(budget->event, "The next run will not know what this "
			"one has downloaded: %s", error);
	}
}

/* ---- asking ---- */

static void budget_pause(struct migration_budget *budget, unsigned int msecs,
			 const char *reason)
{
	struct migration_run *run = migration_run_find(budget->user);

	e_debug(budget->event, "Pausing for %u ms: %s", msecs, reason);
	migration_run_count(run, MIGRATION_COUNTER_PAUSE_MSECS, msecs);
	(void)migration_progress_sleep(run, RUN_WAIT_MAX_RATE, msecs);
}

bool migration_budget_ask(struct migration_budget *budget,
			  const struct fetch_budget_ahead *ahead, uint64_t size)
{
	struct fetch_budget_answer answer;

	fetch_budget_ask(&budget->fetch, now_msecs(), ahead, size, &answer);
	if (answer.verdict == FETCH_BUDGET_WAIT)
		budget_pause(budget, answer.wait_msecs, answer.reason);
	return answer.verdict != FETCH_BUDGET_STOP;
}

bool migration_budget_is_limited(const struct migration_budget *budget)
{
	const struct fetch_budget_limits *limits = &budget->fetch.limits;

	return limits->daily != 0 || limits->rate != 0 || limits->mail_rate != 0;
}

bool migration_budget_has_room(const struct migration_budget *budget,
			       const struct fetch_budget_ahead *ahead,
			       uint64_t size)
{
	struct fetch_budget_answer answer;

	fetch_budget_ask(&budget->fetch, now_msecs(), ahead, size, &answer);
	return answer.verdict == FETCH_BUDGET_GO;
}

static void budget_report_stop(struct migration_budget *budget,
			       const char *text, time_t continue_at)
{
	struct migration_run *run = migration_run_find(budget->user);

	if (budget->stopped)
		return;
	budget->stopped = TRUE;
	run->continue_later = TRUE;
	migration_run_finding(run, MIGRATION_SEVERITY_WARNING, NULL, 0,
		FINDING_DAILY_LIMIT,
		"%s. What was migrated stays, the next run goes "
		"on from there.", text);
	migration_run_add_section(run, "continue_after",
		t_strfgmtime("\"%Y-%m-%dT%H:%M:%SZ\"", continue_at));
}

const char *migration_budget_stop(struct migration_budget *budget,
				  uint64_t size)
{
	static const struct fetch_budget_ahead nothing_ahead = { .bytes = 0 };
	struct fetch_budget_answer answer;
	const char *text;

	fetch_budget_ask(&budget->fetch, now_msecs(), &nothing_ahead, size,
			 &answer);
	text = t_strdup_printf("The daily limit is used up (%s, %s): continue "
		"after %s", answer.reason, budget->whose,
		t_strflocaltime("%Y-%m-%d %H:%M %Z", answer.continue_at));
	budget_report_stop(budget, text, answer.continue_at);
	return text;
}

void migration_budget_count(struct migration_budget *budget, uint64_t bytes)
{
	fetch_budget_add(&budget->fetch, now_msecs(), bytes);
	budget->unsaved_bytes += bytes;
	if (budget->unsaved_bytes >= BUDGET_SAVE_BYTES) T_BEGIN {
		budget_save(budget);
	} T_END;
}

static void budget_tell_run(const struct migration_budget *budget)
{
	struct migration_run *run = migration_run_find(budget->user);

	run->source_daily_bytes = budget->fetch.limits.daily;
	run->source_used_bytes = fetch_budget_used(&budget->fetch,
						   now_msecs() / 1000);
}

void migration_budget_set_daily_limit(struct migration_budget *budget,
				      uint64_t bytes, const char *whose)
{
	budget->fetch.limits.daily = bytes;
	budget_tell_run(budget);
	budget->whose = p_strdup(budget->pool, whose);
	e_debug(budget->event, "%s: at most %"PRIu64" bytes in 24 hours (%s), "
		"%"PRIu64" are used", budget->source, bytes, whose,
		fetch_budget_used(&budget->fetch, now_msecs() / 1000));
}

/* ---- life ---- */

struct migration_budget *
migration_budget_init(struct mail_user *user, const char *source,
		      const struct fetch_budget_limits *limits)
{
	pool_t pool = pool_alloconly_create("migration budget", 1024);
	struct migration_budget *budget = p_new(pool, struct migration_budget, 1);
	const char *home;

	budget->pool = pool;
	budget->user = user;
	budget->event = event_create(user->event);
	event_set_append_log_prefix(budget->event, "migration: ");
	budget->source = p_strdup(pool, source);
	budget->whose = "migration_imapc_daily_limit";
	fetch_budget_init(&budget->fetch, limits);
	if (mail_user_get_home(user, &home) > 0) {
		budget->path = p_strdup_printf(pool, "%s/"BUDGET_FILE_NAME, home);
		T_BEGIN {
			budget_load(budget);
		} T_END;
	}
	/* from now on the rate is measured */
	fetch_budget_add(&budget->fetch, now_msecs(), 0);
	budget_tell_run(budget);
	return budget;
}

void migration_budget_deinit(struct migration_budget **_budget)
{
	struct migration_budget *budget = *_budget;

	if (budget == NULL)
		return;
	*_budget = NULL;
	T_BEGIN {
		budget_save(budget);
	} T_END;
	event_unref(&budget->event);
	pool_unref(&budget->pool);
}
