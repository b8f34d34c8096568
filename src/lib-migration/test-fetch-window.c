/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "fetch-window.h"
#include "check-suite.h"

static const struct fetch_window_limits limits = {
	.mails = 4,
	.bytes = 1000,
	.files = 2,
	.file_min_size = 100,
	.unknown_size = 300,
};

static const struct {
	uint64_t sizes[6];
	bool has_room;
	const char *reason;
	bool should_send;
} tests[] = {
	{ { 0 }, TRUE, "there is room", FALSE },
	{ { 10, 0 }, TRUE, "there is room", FALSE },
	/* half of the mails: send */
	{ { 10, 10, 0 }, TRUE, "there is room", TRUE },
	{ { 10, 10, 10, 10, 0 }, FALSE, "the limit of mails is reached", TRUE },
	/* files: more than file_min_size, not as much as */
	{ { 100, 100, 100, 0 }, TRUE, "there is room", TRUE },
	{ { 101, 0 }, TRUE, "there is room", FALSE },
	{ { 101, 101, 0 }, FALSE, "the limit of temporary files is reached", TRUE },
	/* half of the bytes: send, though it is one mail */
	{ { 500, 0 }, TRUE, "there is room", TRUE },
	/* a mail larger than the window goes alone */
	{ { 1000, 0 }, FALSE, "the limit of bytes is reached", TRUE },
	{ { 50000000, 0 }, FALSE, "the limit of bytes is reached", TRUE },
	{ { FETCH_WINDOW_SIZE_UNKNOWN, 0 }, TRUE, "there is room", FALSE },
};

START_TEST(test_fetch_window_room)
{
	struct fetch_window window;
	const uint64_t *size;
	const char *reason;

	fetch_window_init(&window, &limits);
	for (size = tests[_i].sizes; *size != 0; size++)
		(void)fetch_window_add(&window, *size);
	ck_assert_int_eq(fetch_window_has_room(&window, &reason),
			 tests[_i].has_room);
	ck_assert_str_eq(reason, tests[_i].reason);
	ck_assert_int_eq(fetch_window_should_send(&window),
			 tests[_i].should_send);
}
END_TEST

START_TEST(test_fetch_window_drains)
{
	struct fetch_window window;
	uint64_t taken[3];
	const char *reason;

	fetch_window_init(&window, &limits);
	taken[0] = fetch_window_add(&window, 700);
	taken[1] = fetch_window_add(&window, FETCH_WINDOW_SIZE_UNKNOWN);
	ck_assert_uint_eq(taken[1], limits.unknown_size);
	ck_assert(!fetch_window_has_room(&window, &reason));
	ck_assert(fetch_window_should_send(&window));

	/* sending makes no room, using up does */
	fetch_window_sent(&window);
	ck_assert(!fetch_window_should_send(&window));
	ck_assert(!fetch_window_has_room(&window, &reason));
	fetch_window_remove(&window, taken[0]);
	ck_assert(fetch_window_has_room(&window, &reason));
	taken[2] = fetch_window_add(&window, 0);
	fetch_window_remove(&window, taken[1]);
	fetch_window_remove(&window, taken[2]);
	ck_assert_uint_eq(window.mails, 0);
	ck_assert_uint_eq(window.files, 0);
	ck_assert_uint_eq(window.bytes, 0);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "fetch-window");

	tcase_add_loop_test(tc, test_fetch_window_room,
			    0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_fetch_window_drains);
	return check_suite_run(s);
}
