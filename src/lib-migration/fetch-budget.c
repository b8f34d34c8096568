/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "strnum.h"
#include "fetch-budget.h"

#define HOUR_SECS 3600
/* Of the daily limit, what must be free before a run is worth its while. */
#define CONTINUE_SHARE 4

void fetch_budget_init(struct fetch_budget *budget,
		       const struct fetch_budget_limits *limits)
{
	i_zero(budget);
	budget->limits = *limits;
}

/* Makes room for the hours that have begun since. */
static void fetch_budget_forward(struct fetch_budget *budget, time_t hour)
{
	time_t passed = hour - budget->hour;

	if (passed <= 0)
		return;
	budget->hour = hour;
	if (passed >= FETCH_BUDGET_HOURS) {
		memset(budget->bytes, 0, sizeof(budget->bytes));
		return;
	}
	memmove(budget->bytes + passed, budget->bytes,
		(FETCH_BUDGET_HOURS - passed) * sizeof(budget->bytes[0]));
	memset(budget->bytes, 0, passed * sizeof(budget->bytes[0]));
}

void fetch_budget_add(struct fetch_budget *budget, uint64_t now_msecs,
		      uint64_t bytes)
{
	fetch_budget_forward(budget, now_msecs / 1000 / HOUR_SECS);
	budget->bytes[0] += bytes;
	if (budget->rate_start_msecs == 0)
		budget->rate_start_msecs = now_msecs;
	budget->rate_bytes += bytes;
	if (bytes > 0)
		budget->rate_mails++;
}

uint64_t fetch_budget_used(const struct fetch_budget *budget, time_t now)
{
	struct fetch_budget copy = *budget;
	uint64_t used = 0;
	unsigned int i;

	fetch_budget_forward(&copy, now / HOUR_SECS);
	for (i = 0; i < FETCH_BUDGET_HOURS; i++)
		used += copy.bytes[i];
	return used;
}

/* The first full hour at which enough of the limit is free, also for a mail of
   this size. */
static time_t fetch_budget_continue_at(const struct fetch_budget *budget,
				       time_t now, uint64_t size)
{
	uint64_t daily = budget->limits.daily;
	uint64_t enough = daily - I_MAX(daily / CONTINUE_SHARE,
					I_MIN(size, daily));
	time_t hour = now / HOUR_SECS;
	unsigned int i;

	for (i = 1; i < FETCH_BUDGET_HOURS; i++) {
		if (fetch_budget_used(budget, (hour + i) * HOUR_SECS) <= enough)
			break;
	}
	return (hour + i) * HOUR_SECS;
}

static uint64_t due_msecs(uint64_t count, uint64_t per_second)
{
	return per_second == 0 ? 0 : count * 1000 / per_second;
}

static unsigned int fetch_budget_pause(const struct fetch_budget *budget,
				       uint64_t now_msecs,
				       const struct fetch_budget_ahead *ahead)
{
	uint64_t due, passed;

	if (budget->rate_start_msecs == 0)
		return 0;
	due = I_MAX(due_msecs(budget->rate_bytes + ahead->bytes,
			      budget->limits.rate),
		    due_msecs((uint64_t)budget->rate_mails + ahead->mails,
			      budget->limits.mail_rate));
	passed = now_msecs > budget->rate_start_msecs ?
		now_msecs - budget->rate_start_msecs : 0;
	return due <= passed ? 0 : I_MIN(due - passed, INT_MAX);
}

void fetch_budget_ask(const struct fetch_budget *budget, uint64_t now_msecs,
		      const struct fetch_budget_ahead *ahead, uint64_t size,
		      struct fetch_budget_answer *answer_r)
{
	time_t now = now_msecs / 1000;
	uint64_t daily = budget->limits.daily, used;

	i_zero(answer_r);
	used = fetch_budget_used(budget, now) + ahead->bytes;
	if (daily != 0 && used != 0 && used + I_MAX(size, 1) > daily) {
		answer_r->verdict = FETCH_BUDGET_STOP;
		answer_r->continue_at = fetch_budget_continue_at(budget, now, size);
		answer_r->reason = t_strdup_printf(
			"%"PRIu64" bytes of %"PRIu64" in 24 hours are used",
			used, daily);
		return;
	}
	answer_r->wait_msecs = fetch_budget_pause(budget, now_msecs, ahead);
	if (answer_r->wait_msecs > 0) {
		answer_r->verdict = FETCH_BUDGET_WAIT;
		answer_r->reason = budget->limits.rate == 0 ?
			t_strdup_printf("%u mails a second",
					budget->limits.mail_rate) :
			t_strdup_printf("%"PRIu64" bytes a second",
					budget->limits.rate);
		return;
	}
	answer_r->verdict = FETCH_BUDGET_GO;
	answer_r->reason = daily == 0 ? "no daily limit" :
		"the daily limit has room";
}

void fetch_budget_export(const struct fetch_budget *budget, string_t *dest)
{
	unsigned int i;

	str_printfa(dest, "%lld", (long long)budget->hour);
	for (i = 0; i < FETCH_BUDGET_HOURS; i++)
		str_printfa(dest, " %"PRIu64, budget->bytes[i]);
}

int fetch_budget_import(struct fetch_budget *budget, const char *text)
{
	const char *const *words = t_strsplit(text, " ");
	uint64_t bytes[FETCH_BUDGET_HOURS];
	unsigned int i;
	time_t hour;

	if (str_array_length(words) != 1 + FETCH_BUDGET_HOURS ||
	    str_to_time(words[0], &hour) < 0)
		return -1;
	for (i = 0; i < FETCH_BUDGET_HOURS; i++) {
		if (str_to_uint64(words[1 + i], &bytes[i]) < 0)
			return -1;
	}
	budget->hour = hour;
	memcpy(budget->bytes, bytes, sizeof(bytes));
	return 0;
}
