/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "fetch-pace.h"
#include "check-suite.h"

#define KB 1000ULL
#define MB (1000*KB)
#define MSECS 1000ULL
#define SECS (1000*MSECS)

static const struct fetch_pace_limits limits = {
	.start = 4*MB,
	.min = 1*MB,
	.max = 32*MB,
};

/* What a line of so many bytes a second at that distance makes the window
   become, if each mail is waited for. */
static const struct {
	uint64_t rate, round_trip_msecs, mail;
	uint64_t window;
} lines[] = {
	/* slow: not more than the least */
	{ 10*KB, 100, 10*KB, 1*MB },
	{ 100*KB, 100, 10*KB, 1*MB },
	/* 2 s and two round trips */
	{ 1*MB, 10, 50*KB, 2020*KB },
	{ 1*MB, 100, 50*KB, 2200*KB },
	{ 1*MB, 500, 50*KB, 3000*KB },
	{ 10*MB, 100, 100*KB, 22*MB },
	/* a satellite, and beyond */
	{ 5*MB, 1500, 50*KB, 25*MB },
	{ 5*MB, 60000, 50*KB, 30*MB },
	/* more than we may hold */
	{ 100*MB, 100, 1*MB, 32*MB },
	{ 10000*MB, 10, 100*MB, 32*MB },
};

START_TEST(test_fetch_pace_lines)
{
	struct fetch_pace pace;
	uint64_t now = 5*SECS, begin, usecs;
	unsigned int i;

	fetch_pace_init(&pace, &limits);
	ck_assert_uint_eq(fetch_pace_window(&pace), 4*MB);
	fetch_pace_answered(&pace, lines[_i].round_trip_msecs * MSECS);
	/* the first answer: only the distance is seen */
	begin = now;
	now += lines[_i].round_trip_msecs * MSECS;
	fetch_pace_waited(&pace, begin, now, TRUE);
	for (i = 0; i < 200; i++) {
		begin = now;
		usecs = lines[_i].mail * SECS / lines[_i].rate;
		now += usecs;
		fetch_pace_arrived(&pace, lines[_i].mail);
		fetch_pace_waited(&pace, begin, now, TRUE);
	}
	/* counted in whole microseconds */
	ck_assert_uint_le(fetch_pace_rate(&pace), lines[_i].rate);
	ck_assert_uint_ge(fetch_pace_rate(&pace), lines[_i].rate * 99 / 100);
	ck_assert_uint_eq(fetch_pace_window(&pace), lines[_i].window);
}
END_TEST

/* Mails that lay in the socket while others were written are no line of many
   gigabytes a second. */
START_TEST(test_fetch_pace_reads_what_lay_there)
{
	struct fetch_pace pace;
	uint64_t now = 5*SECS;
	unsigned int i;

	fetch_pace_init(&pace, &limits);
	fetch_pace_waited(&pace, now, now + 100*MSECS, TRUE);
	now += 100*MSECS;
	for (i = 0; i < 20; i++) {
		/* 500 ms of writing, in which 500 kB come; they are found at
		   once, and then the next 100 kB are waited for */
		now += 500*MSECS;
		fetch_pace_arrived(&pace, 500*KB);
		fetch_pace_waited(&pace, now, now + 1, TRUE);
		fetch_pace_arrived(&pace, 100*KB);
		fetch_pace_waited(&pace, now, now + 100*MSECS, TRUE);
		now += 100*MSECS;
	}
	ck_assert_uint_eq(fetch_pace_rate(&pace), 1*MB);
	ck_assert_uint_eq(fetch_pace_window(&pace), 2*MB);
}
END_TEST

/* A pause in which nothing was asked for says nothing. */
START_TEST(test_fetch_pace_idle)
{
	struct fetch_pace pace;
	uint64_t now = 5*SECS;

	fetch_pace_init(&pace, &limits);
	fetch_pace_waited(&pace, now, now + 10*MSECS, FALSE);
	now += 100*SECS;
	fetch_pace_arrived(&pace, 50*KB);
	fetch_pace_waited(&pace, now, now + 100*MSECS, TRUE);
	ck_assert_uint_eq(fetch_pace_rate(&pace), 0);
	ck_assert_uint_eq(fetch_pace_window(&pace), limits.start);
	now += 100*MSECS;
	/* too few bytes, too short a time; enough together */
	fetch_pace_arrived(&pace, 10*KB);
	fetch_pace_waited(&pace, now, now + 300*MSECS, TRUE);
	ck_assert_uint_eq(fetch_pace_rate(&pace), 0);
	fetch_pace_arrived(&pace, 390*KB);
	fetch_pace_waited(&pace, now + 300*MSECS, now + 400*MSECS, TRUE);
	ck_assert_uint_eq(fetch_pace_rate(&pace), 1*MB);
	now += 400*MSECS;
	fetch_pace_arrived(&pace, 400*KB);
	fetch_pace_waited(&pace, now, now + 100*MSECS, TRUE);
	ck_assert_uint_eq(fetch_pace_rate(&pace), 1*MB);
}
END_TEST

/* Who never waits learns from a line that ran dry; who waits again forgets it
   when the line is seen to be slow. */
START_TEST(test_fetch_pace_dry)
{
	struct fetch_pace pace;
	uint64_t now = 5*SECS;
	unsigned int i;

	fetch_pace_init(&pace, &limits);
	fetch_pace_ran_dry(&pace);
	ck_assert_uint_eq(fetch_pace_window(&pace), 16*MB);
	fetch_pace_ran_dry(&pace);
	ck_assert_uint_eq(fetch_pace_window(&pace), 32*MB);
	fetch_pace_ran_dry(&pace);
	ck_assert_uint_eq(fetch_pace_window(&pace), 32*MB);
	fetch_pace_waited(&pace, now, now + 100*MSECS, TRUE);
	now += 100*MSECS;
	fetch_pace_arrived(&pace, 250*KB);
	fetch_pace_waited(&pace, now, now + 250*MSECS, TRUE);
	ck_assert_uint_eq(fetch_pace_window(&pace), 2*MB);
	/* the best of the last measurements counts, and it grows old */
	for (i = 0; i < FETCH_PACE_SAMPLES; i++) {
		ck_assert_uint_eq(fetch_pace_window(&pace), 2*MB);
		now += 250*MSECS;
		fetch_pace_arrived(&pace, 125*KB);
		fetch_pace_waited(&pace, now, now + 250*MSECS, TRUE);
	}
	ck_assert_uint_eq(fetch_pace_window(&pace), 1*MB);
}
END_TEST

static const struct {
	struct fetch_pace_limits limits;
	uint64_t window;
} odd_limits[] = {
	{ { 4*MB, 1*MB, 100 }, 100 },
	{ { 10, 1*MB, 32*MB }, 1*MB },
	{ { 0, 0, 0 }, 1 },
};

START_TEST(test_fetch_pace_limits)
{
	struct fetch_pace pace;

	fetch_pace_init(&pace, &odd_limits[_i].limits);
	ck_assert_uint_eq(fetch_pace_window(&pace), odd_limits[_i].window);
	fetch_pace_ran_dry(&pace);
	ck_assert_uint_le(fetch_pace_window(&pace),
			  I_MAX(odd_limits[_i].limits.max, 1));
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "fetch-pace");

	tcase_add_loop_test(tc, test_fetch_pace_lines, 0, N_ELEMENTS(lines));
	tcase_add_test(tc, test_fetch_pace_reads_what_lay_there);
	tcase_add_test(tc, test_fetch_pace_idle);
	tcase_add_test(tc, test_fetch_pace_dry);
	tcase_add_loop_test(tc, test_fetch_pace_limits, 0,
			    N_ELEMENTS(odd_limits));
	return check_suite_run(s);
}
