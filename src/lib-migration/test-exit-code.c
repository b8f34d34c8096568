/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "exit-code.h"
#include "check-suite.h"

static const struct {
	int stock;
	uint64_t errors;
	bool left_out;
	int expected;
} runs[] = {
	{ 0, 0, FALSE, 0 },
	{ 0, 1, FALSE, MIGRATION_EXIT_FINDINGS },
	/* stock's code says that another run is needed: it stays */
	{ 2, 0, FALSE, 2 },
	{ 2, 5, FALSE, 2 },
	{ 75, 5, FALSE, 75 },
	{ 77, 0, FALSE, 77 },
	/* ... unless it only means what was left out on purpose */
	{ 2, 1, TRUE, MIGRATION_EXIT_FINDINGS },
	{ 0, 1, TRUE, MIGRATION_EXIT_FINDINGS },
	{ 75, 1, TRUE, 75 },
};

START_TEST(test_run)
{
	const char *reason = NULL;

	ck_assert_int_eq(migration_exit_code_run(runs[_i].stock,
						 runs[_i].errors,
						 runs[_i].left_out, &reason),
			 runs[_i].expected);
	ck_assert_ptr_nonnull(reason);
}
END_TEST

static const struct {
	int earlier, later, worse;
} pairs[] = {
	{ 0, 0, 0 },
	{ 0, 2, 2 },
	{ 2, 0, 2 },
	{ 2, 3, 3 },
	{ 3, 2, 3 },
	{ 3, 77, 77 },
	{ 77, 3, 77 },
	/* the first failure stays, a temporary one wins */
	{ 77, 78, 77 },
	{ 78, 77, 78 },
	{ 77, 75, 75 },
	{ 75, 77, 75 },
	/* what a plan says */
	{ 4, 0, 4 },
	{ 4, 3, 3 },
	{ 3, 4, 3 },
	{ 4, 77, 77 },
};

START_TEST(test_worse)
{
	ck_assert_int_eq(migration_exit_code_worse(pairs[_i].earlier,
						   pairs[_i].later),
			 pairs[_i].worse);
}
END_TEST

static const struct {
	int exit_code;
	const char *meaning, *next_run;
} words[] = {
	{ 0, "complete", "Brings what is new" },
	{ 2, "mailboxes changed, run again", "Brings what changed" },
	{ 3, "complete, except for the errors", "Tries again" },
	{ 4, "would delete", "Plans anew" },
	{ 64, "wrong usage", "command line" },
	{ 67, "no such user", "the user" },
	{ 75, "temporary failure, run again later", "Goes on from here" },
	{ 77, "refused", "password" },
	{ 78, "wrong configuration", "configuration" },
	{ 65, "failed", "Goes on from here, if" },
	{ -1, "failed", "Goes on from here, if" },
};

START_TEST(test_words)
{
	ck_assert_str_eq(migration_exit_code_meaning(words[_i].exit_code),
			 words[_i].meaning);
	ck_assert_ptr_nonnull(strstr(
		migration_exit_code_next_run(words[_i].exit_code),
		words[_i].next_run));
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "exit-code");

	tcase_add_loop_test(tc, test_run, 0, N_ELEMENTS(runs));
	tcase_add_loop_test(tc, test_worse, 0, N_ELEMENTS(pairs));
	tcase_add_loop_test(tc, test_words, 0, N_ELEMENTS(words));
	return check_suite_run(s);
}
