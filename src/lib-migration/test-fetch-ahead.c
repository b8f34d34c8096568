/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "fetch-ahead.h"
#include "fetch-window.h"
#include "sync-record.h"
#include "check-suite.h"

static const struct {
	struct sync_side source, dest;
	uint32_t new_uid;
	bool can_guess;
} side_tests[] = {
	/* no such mailbox, an empty one, one that was emptied */
	{ { .uidvalidity = 7, .uidnext = 101 }, { .uidnext = 0 }, 1, TRUE },
	{ { .uidvalidity = 7, .uidnext = 101 },
	  { .uidvalidity = 9, .uidnext = 1 }, 1, TRUE },
	{ { .uidvalidity = 7, .uidnext = 101 },
	  { .uidvalidity = 7, .uidnext = 1 }, 1, TRUE },
	{ { .uidvalidity = 7, .uidnext = 101 },
	  { .uidvalidity = 7, .uidnext = 51 }, 51, TRUE },
	/* nothing new, and more than the source ever had */
	{ { .uidvalidity = 7, .uidnext = 101 },
	  { .uidvalidity = 7, .uidnext = 101 }, 101, TRUE },
	{ { .uidvalidity = 7, .uidnext = 101 },
	  { .uidvalidity = 7, .uidnext = 151 }, 151, TRUE },
	/* UIDs of another mailbox: perhaps the same mails */
	{ { .uidvalidity = 7, .uidnext = 101 },
	  { .uidvalidity = 8, .uidnext = 51 }, 1, FALSE },
};

START_TEST(test_fetch_ahead_sides)
{
	ck_assert_uint_eq(fetch_ahead_new_uid(&side_tests[_i].source,
					      &side_tests[_i].dest),
			  side_tests[_i].new_uid);
	ck_assert_int_eq(fetch_ahead_can_guess(&side_tests[_i].source,
					       &side_tests[_i].dest),
			 side_tests[_i].can_guess);
}
END_TEST

static const struct {
	unsigned int mails, files;
	uint64_t bytes;
	bool should_fill;
} fill_tests[] = {
	{ 0, 0, 0, TRUE },
	{ 50, 0, 0, TRUE },
	{ 51, 0, 0, FALSE },
	{ 1, 1, 500, TRUE },
	{ 1, 1, 501, FALSE },
	{ 5, 5, 100, TRUE },
	{ 6, 6, 100, FALSE },
};

START_TEST(test_fetch_ahead_should_fill)
{
	const struct fetch_window window = {
		.limits = { .mails = 100, .bytes = 1000, .files = 10 },
		.mails = fill_tests[_i].mails,
		.bytes = fill_tests[_i].bytes,
		.files = fill_tests[_i].files,
	};

	ck_assert_int_eq(fetch_ahead_should_fill(&window),
			 fill_tests[_i].should_fill);
}
END_TEST

static const char *const names_in_order[] = {
	"Archive", "Archive/2024", "Archive/2024/Q1", "Archive/2025",
	"Archive 2", "Archive.old", "Archives", "INBOX", "INBOX/a", "a",
};

START_TEST(test_fetch_ahead_name_cmp)
{
	unsigned int j;
	int ret;

	for (j = 0; j < N_ELEMENTS(names_in_order); j++) {
		ret = fetch_ahead_name_cmp(names_in_order[_i],
					   names_in_order[j], '/');
		ck_assert((ret < 0) == (_i < (int)j));
		ck_assert((ret > 0) == (_i > (int)j));
	}
	ck_assert(fetch_ahead_name_cmp("a.b", "a!", '.') < 0);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "fetch-ahead");

	tcase_add_loop_test(tc, test_fetch_ahead_sides,
			    0, N_ELEMENTS(side_tests));
	tcase_add_loop_test(tc, test_fetch_ahead_should_fill,
			    0, N_ELEMENTS(fill_tests));
	tcase_add_loop_test(tc, test_fetch_ahead_name_cmp,
			    0, N_ELEMENTS(names_in_order));
	return check_suite_run(s);
}
