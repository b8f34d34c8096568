/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "fetch-chunk.h"
#include "check-suite.h"

static const struct {
	struct fetch_chunk_limits limits;
	/* UID, size, UID, size, … */
	uint64_t mails[16];
	/* the commands' sets of UIDs, separated by spaces */
	const char *sets;
} tests[] = {
	{ { 10, 1000, 900 }, { 5, 1, 0 }, "5" },
	{ { 10, 1000, 900 }, { 5, 1, 6, 1, 7, 1, 9, 1, 0 }, "5:7,9" },
	{ { 2, 1000, 900 }, { 1, 1, 2, 1, 3, 1, 5, 1, 7, 1, 0 },
	  "1:2 3,5 7" },
	/* bytes: what fits exactly fits, what is too large goes alone */
	{ { 10, 1000, 900 }, { 1, 500, 2, 500, 3, 1, 0 }, "1:2 3" },
	{ { 10, 1000, 900 }, { 1, 1, 2, 50000000, 3, 1, 4, 999, 5, 1, 0 },
	  "1 2 3:4 5" },
	{ { 1, 1, 1 }, { 1, 9, 3, 9, 0 }, "1 3" },
	/* a line of 50 characters: two open ranges always have room */
	{ { 99, 1000, 50 },
	  { 4000000000, 1, 4000000002, 1, 4000000004, 1, 4000000006, 1, 0 },
	  "4000000000,4000000002 4000000004,4000000006" },
	/* … and a range that only grows needs none */
	{ { 99, 1000, 40 }, { 1, 1, 2, 1, 3, 1, 4, 1, 0 }, "1:4" },
	{ { 99, 1000, 900 }, { 4294967294, 1, 4294967295, 1, 0 },
	  "4294967294:4294967295" },
};

START_TEST(test_fetch_chunk)
{
	const uint64_t *mail = tests[_i].mails;
	string_t *uids = str_new(default_pool, 128);
	string_t *sets = str_new(default_pool, 128);
	struct fetch_chunk chunk;

	while (mail[0] != 0) {
		fetch_chunk_init(&chunk, &tests[_i].limits, uids);
		for (; mail[0] != 0; mail += 2) {
			if (!fetch_chunk_add(&chunk, mail[0], mail[1]))
				break;
		}
		fetch_chunk_finish(&chunk);
		ck_assert_uint_gt(chunk.mails, 0);
		ck_assert_uint_le(chunk.mails, tests[_i].limits.mails);
		if (str_len(sets) > 0)
			str_append_c(sets, ' ');
		str_append_str(sets, uids);
	}
	ck_assert_str_eq(str_c(sets), tests[_i].sets);
	str_free(&uids);
	str_free(&sets);
}
END_TEST

START_TEST(test_fetch_chunk_halve)
{
	ck_assert_uint_eq(fetch_chunk_halve(250), 125);
	ck_assert_uint_eq(fetch_chunk_halve(3), 1);
	ck_assert_uint_eq(fetch_chunk_halve(1), 0);
	ck_assert_uint_eq(fetch_chunk_halve(0), 0);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "fetch-chunk");

	tcase_add_loop_test(tc, test_fetch_chunk, 0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_fetch_chunk_halve);
	return check_suite_run(s);
}
