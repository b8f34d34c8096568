/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "progress-rate.h"
#include "check-suite.h"

/* a run in pieces: so many seconds with so many mails each, of 1000 bytes */
struct piece {
	unsigned int secs, mails_per_sec;
};

static const struct {
	const char *what;
	struct piece pieces[4];
	uint64_t left, wait_left_msecs;
	double rate;
	int64_t eta_secs;
} tests[] = {
	{ "nothing yet", { { 0, 0 } }, 100, 0, 0, -1 },
	{ "nothing yet, and waiting", { { 0, 0 } }, 100, 30000, 0, -1 },
	{ "nothing to do", { { 0, 0 } }, 0, 0, 0, 0 },
	{ "no mail in ten seconds", { { 10, 0 } }, 100, 0, 0, -1 },
	{ "steady", { { 10, 5 } }, 100, 0, 5, 20 },
	{ "steady for long", { { 1000, 5 } }, 100, 0, 5, 20 },
	{ "steady, then a wait begins", { { 10, 5 } }, 100, 30000, 5, 50 },
	{ "it becomes slower: the latest counts", { { 100, 50 }, { 40, 5 } },
	  100, 0, 5, 20 },
	{ "it becomes faster: the whole run counts", { { 60, 1 }, { 60, 11 } },
	  600, 0, 11, 100 },
	{ "throttled every other minute", { { 60, 10 }, { 60, 0 } },
	  600, 0, 0, 120 },
	{ "the last mail", { { 10, 5 } }, 1, 0, 5, 0 },
	{ "all is done", { { 10, 5 } }, 0, 0, 5, 0 },
};

static void run_pieces(const struct piece *pieces, struct progress_rate *rate)
{
	uint64_t msecs = 12345, mails = 7;
	unsigned int i, sec;

	if (pieces[0].secs > 0)
		progress_rate_add(rate, msecs, mails, mails * 1000);
	for (i = 0; i < 4; i++) {
		for (sec = 0; sec < pieces[i].secs; sec++) {
			msecs += 1000;
			mails += pieces[i].mails_per_sec;
			progress_rate_add(rate, msecs, mails, mails * 1000);
		}
	}
}

START_TEST(test_progress_rate)
{
	struct progress_rate rate = { .count = 0 };

	run_pieces(tests[_i].pieces, &rate);
	ck_assert_msg(progress_rate_mails(&rate) == tests[_i].rate, "%s: %f",
		      tests[_i].what, progress_rate_mails(&rate));
	ck_assert_double_eq(progress_rate_bytes(&rate), tests[_i].rate * 1000);
	ck_assert_msg(progress_rate_eta_secs(&rate, tests[_i].left,
			tests[_i].wait_left_msecs) == tests[_i].eta_secs,
		      "%s: %lld", tests[_i].what,
		      (long long)progress_rate_eta_secs(&rate, tests[_i].left,
						tests[_i].wait_left_msecs));
}
END_TEST

START_TEST(test_progress_rate_ignores_what_comes_too_soon)
{
	struct progress_rate rate = { .count = 0 };

	progress_rate_add(&rate, 1000, 0, 0);
	progress_rate_add(&rate, 1999, 500, 500);
	ck_assert_double_eq(progress_rate_mails(&rate), 0);
	progress_rate_add(&rate, 2000, 20, 200);
	ck_assert_double_eq(progress_rate_mails(&rate), 20);
	ck_assert_double_eq(progress_rate_bytes(&rate), 200);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "progress-rate");

	tcase_add_loop_test(tc, test_progress_rate, 0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_progress_rate_ignores_what_comes_too_soon);
	return check_suite_run(s);
}
