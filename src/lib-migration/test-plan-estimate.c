/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "plan-estimate.h"
#include "check-suite.h"

#define MB 1000000ULL

static const struct {
	/* bytes, mails; sample: bytes, mails, msecs; daily, used */
	struct plan_estimate_input input;
	uint64_t secs;
	unsigned int days;
	const char *text;
} tests[] = {
	{ { 0, 0, 0, 0, 0, 0, 0 }, 0, 0, "nothing to copy" },
	{ { 0, 0, 0, 0, 0, 2500 * MB, 0 }, 0, 1, "nothing to copy" },
	{ { MB, 5, 0, 0, 0, 0, 0 }, 0, 0, "time not known, no mail was read" },
	{ { 100 * MB, 1000, MB, 10, 1000, 0, 0 }, 100, 0,
	  "about 2 min at 1.00 MB/s, measured with 10 mails" },
	/* many small mails: their number counts */
	{ { MB, 10000, MB, 10, 1000, 0, 0 }, 1000, 0,
	  "about 17 min at 1.00 MB/s, measured with 10 mails" },
	{ { 7500 * MB, 100, 10 * MB, 10, 10000, 2500 * MB, 0 }, 7500, 3,
	  "about 2 h 5 min at 1.00 MB/s, measured with 10 mails; "
	  "2500 MB/day: 3 days" },
	{ { 7501 * MB, 100, 0, 0, 0, 2500 * MB, 0 }, 0, 4,
	  "time not known, no mail was read; 2500 MB/day: 4 days" },
	/* today's share is used up, in part or wholly or more */
	{ { 2500 * MB, 100, 0, 0, 0, 2500 * MB, 500 * MB }, 0, 2,
	  "time not known, no mail was read; 2500 MB/day: 2 days" },
	{ { 1 * MB, 100, 0, 0, 0, 2500 * MB, 2600 * MB }, 0, 2,
	  "time not known, no mail was read; 2500 MB/day: 2 days" },
	{ { 1 * MB, 100, 0, 0, 0, 2500 * MB, 0 }, 0, 1,
	  "time not known, no mail was read; 2500 MB/day: 1 day" },
	/* faster than the clock */
	{ { 10, 1, 10, 1, 0, 0, 0 }, 1, 0,
	  "about 1 s at 0.01 MB/s, measured with 1 mails" },
};

START_TEST(test_estimate)
{
	struct plan_estimate estimate;

	plan_estimate(&tests[_i].input, &estimate);
	ck_assert_uint_eq(estimate.secs, tests[_i].secs);
	ck_assert_uint_eq(estimate.days, tests[_i].days);
	ck_assert_str_eq(plan_estimate_text(&tests[_i].input, &estimate),
			 tests[_i].text);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "plan-estimate");

	tcase_add_loop_test(tc, test_estimate, 0, N_ELEMENTS(tests));
	return check_suite_run(s);
}
