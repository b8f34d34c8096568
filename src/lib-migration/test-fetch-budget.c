/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "fetch-budget.h"
#include "check-suite.h"

#define MB (1024ULL * 1024)
#define HOUR 3600
/* some full hour */
#define START (480000LL * HOUR)
#define MSECS(time) ((uint64_t)(time) * 1000)

static void
budget_ask(const struct fetch_budget *budget, uint64_t msecs, uint64_t ahead,
	   uint64_t size, struct fetch_budget_answer *answer_r)
{
	const struct fetch_budget_ahead asked = { .bytes = ahead };

	fetch_budget_ask(budget, msecs, &asked, size, answer_r);
}

static void budget_init(struct fetch_budget *budget, uint64_t daily,
			uint64_t rate)
{
	const struct fetch_budget_limits limits = {
		.daily = daily, .rate = rate
	};
	fetch_budget_init(budget, &limits);
}

/* a day of Gmail's: 1000 MB at 0:00, 1000 MB at 5:00, 490 MB at 8:30 */
static const struct {
	/* minutes after 0:00 */
	unsigned int minutes;
	uint64_t ahead, size;
	enum fetch_budget_verdict verdict;
	/* hour of the day (24 and more: tomorrow) */
	unsigned int continue_hour;
} daily_tests[] = {
	/* fits */
	{ 520, 0, 10 * MB, FETCH_BUDGET_GO, 0 },
	{ 520, 5 * MB, 5 * MB, FETCH_BUDGET_GO, 0 },
	/* does not fit any more: the first 1000 MB are forgotten tomorrow at
	   0:00, and then more than a quarter is free */
	{ 520, 0, 10 * MB + 1, FETCH_BUDGET_STOP, 24 },
	{ 520, 5 * MB, 6 * MB, FETCH_BUDGET_STOP, 24 },
	/* nothing known of its size, and nothing left */
	{ 520, 10 * MB, 0, FETCH_BUDGET_STOP, 24 },
	/* larger than the limit: not until all else is forgotten ... */
	{ 520, 0, 9000 * MB, FETCH_BUDGET_STOP, 32 },
	{ 1439, 0, 11 * MB, FETCH_BUDGET_STOP, 24 },
	/* tomorrow */
	{ 1440, 0, 1000 * MB, FETCH_BUDGET_GO, 0 },
	/* this one has to wait for the 1000 MB of 5:00 */
	{ 1440, 0, 1011 * MB, FETCH_BUDGET_STOP, 29 },
	/* ... but as the first of a day */
	{ 2 * 1440, 0, 9000 * MB, FETCH_BUDGET_GO, 0 },
};

START_TEST(test_daily)
{
	struct fetch_budget budget;
	struct fetch_budget_answer answer;

	budget_init(&budget, 2500 * MB, 0);
	fetch_budget_add(&budget, MSECS(START), 1000 * MB);
	fetch_budget_add(&budget, MSECS(START + 5 * HOUR), 1000 * MB);
	fetch_budget_add(&budget, MSECS(START + 8 * HOUR + 1800), 490 * MB);

	budget_ask(&budget, MSECS(START + daily_tests[_i].minutes * 60),
		   daily_tests[_i].ahead, daily_tests[_i].size, &answer);
	ck_assert_int_eq(answer.verdict, daily_tests[_i].verdict);
	ck_assert_ptr_nonnull(answer.reason);
	if (answer.verdict == FETCH_BUDGET_STOP) {
		ck_assert_int_eq((answer.continue_at - START) / HOUR,
				 daily_tests[_i].continue_hour);
	}
}
END_TEST

/* Whoever comes back at the time that he was told gets further. */
START_TEST(test_every_mail_goes)
{
	static const uint64_t sizes[] = { 40, 100, 1, 99, 60, 250, 3, 100, 97 };
	struct fetch_budget budget;
	struct fetch_budget_answer answer;
	time_t now = START;
	unsigned int i, stops = 0;

	budget_init(&budget, 100, 0);
	for (i = 0; i < N_ELEMENTS(sizes); ) {
		budget_ask(&budget, MSECS(now), 0, sizes[i], &answer);
		if (answer.verdict == FETCH_BUDGET_GO) {
			fetch_budget_add(&budget, MSECS(now), sizes[i++]);
			continue;
		}
		ck_assert_int_eq(answer.verdict, FETCH_BUDGET_STOP);
		ck_assert(answer.continue_at > now);
		ck_assert(answer.continue_at <= now + 24 * HOUR);
		ck_assert_uint_lt(++stops, 20);
		now = answer.continue_at;
	}
	ck_assert_uint_gt(stops, 5);
}
END_TEST

START_TEST(test_no_limit)
{
	struct fetch_budget budget;
	struct fetch_budget_answer answer;

	budget_init(&budget, 0, 0);
	fetch_budget_add(&budget, MSECS(START), UINT64_MAX / 2);
	budget_ask(&budget, MSECS(START), 5 * MB, 5 * MB, &answer);
	ck_assert_int_eq(answer.verdict, FETCH_BUDGET_GO);
	ck_assert_uint_eq(fetch_budget_used(&budget, START), UINT64_MAX / 2);
}
END_TEST

static const struct {
	uint64_t bytes, ahead;
	unsigned int passed_msecs;
	unsigned int wait_msecs;
} rate_tests[] = {
	/* 1000 bytes a second */
	{ 0, 0, 0, 0 },
	{ 1000, 0, 0, 1000 },
	{ 1000, 500, 0, 1500 },
	{ 1000, 500, 1400, 100 },
	{ 1000, 0, 1000, 0 },
	{ 1000, 0, 9000, 0 },
};

START_TEST(test_rate)
{
	struct fetch_budget budget;
	struct fetch_budget_answer answer;

	budget_init(&budget, 0, 1000);
	if (rate_tests[_i].bytes > 0)
		fetch_budget_add(&budget, MSECS(START), rate_tests[_i].bytes);
	budget_ask(&budget, MSECS(START) + rate_tests[_i].passed_msecs,
		   rate_tests[_i].ahead, 1, &answer);
	ck_assert_uint_eq(answer.wait_msecs, rate_tests[_i].wait_msecs);
	ck_assert_int_eq(answer.verdict, answer.wait_msecs > 0 ?
			 FETCH_BUDGET_WAIT : FETCH_BUDGET_GO);
}
END_TEST

static const struct {
	unsigned int mails, ahead;
	uint64_t rate;
	unsigned int wait_msecs;
} mail_rate_tests[] = {
	/* 10 mails of 100 bytes a second */
	{ 0, 0, 0, 0 },
	{ 5, 0, 0, 500 },
	{ 5, 3, 0, 800 },
	/* the slower one of two limits */
	{ 5, 0, 1000, 500 },
	{ 5, 0, 100, 5000 },
};

START_TEST(test_mail_rate)
{
	const struct fetch_budget_limits limits = {
		.rate = mail_rate_tests[_i].rate, .mail_rate = 10
	};
	const struct fetch_budget_ahead ahead = {
		.mails = mail_rate_tests[_i].ahead
	};
	struct fetch_budget budget;
	struct fetch_budget_answer answer;
	unsigned int i;

	fetch_budget_init(&budget, &limits);
	fetch_budget_add(&budget, MSECS(START), 0);
	for (i = 0; i < mail_rate_tests[_i].mails; i++)
		fetch_budget_add(&budget, MSECS(START), 100);
	fetch_budget_ask(&budget, MSECS(START), &ahead, 1, &answer);
	ck_assert_uint_eq(answer.wait_msecs, mail_rate_tests[_i].wait_msecs);
	ck_assert_int_eq(answer.verdict, answer.wait_msecs > 0 ?
			 FETCH_BUDGET_WAIT : FETCH_BUDGET_GO);
}
END_TEST

START_TEST(test_text)
{
	struct fetch_budget budget, copy;
	string_t *text = t_str_new(256), *again = t_str_new(256);

	budget_init(&budget, 100, 0);
	fetch_budget_add(&budget, MSECS(START), 12);
	fetch_budget_add(&budget, MSECS(START + 3 * HOUR), 34);
	fetch_budget_export(&budget, text);
	budget_init(&copy, 100, 0);
	ck_assert_int_eq(fetch_budget_import(&copy, str_c(text)), 0);
	fetch_budget_export(&copy, again);
	ck_assert_str_eq(str_c(text), str_c(again));
	ck_assert_uint_eq(fetch_budget_used(&copy, START + 3 * HOUR), 46);
	ck_assert_uint_eq(fetch_budget_used(&copy, START + 24 * HOUR), 34);
	ck_assert_uint_eq(fetch_budget_used(&copy, START + 27 * HOUR), 0);
}
END_TEST

static const char *const bad_texts[] = {
	"", "x", "480000", "480000 1 2 3",
	"x 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
	"1 0 0 0 0 0 0 0 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 0 0 0",
	"1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
};

START_TEST(test_bad_text)
{
	struct fetch_budget budget;

	budget_init(&budget, 100, 0);
	fetch_budget_add(&budget, MSECS(START), 12);
	ck_assert_int_eq(fetch_budget_import(&budget, bad_texts[_i]), -1);
	ck_assert_uint_eq(fetch_budget_used(&budget, START), 12);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "fetch-budget");

	tcase_add_loop_test(tc, test_daily, 0, N_ELEMENTS(daily_tests));
	tcase_add_test(tc, test_every_mail_goes);
	tcase_add_test(tc, test_no_limit);
	tcase_add_loop_test(tc, test_rate, 0, N_ELEMENTS(rate_tests));
	tcase_add_loop_test(tc, test_mail_rate, 0,
			    N_ELEMENTS(mail_rate_tests));
	tcase_add_test(tc, test_text);
	tcase_add_loop_test(tc, test_bad_text, 0, N_ELEMENTS(bad_texts));
	return check_suite_run(s);
}
