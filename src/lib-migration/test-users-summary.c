/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "users-summary.h"
#include "check-suite.h"

static const struct {
	/* of users a, b, c, ...; ends with -1 */
	int exit_codes[16];
	const char *text;
} tests[] = {
	{ { -1 }, "0 users" },
	{ { 0, 0, -1 }, "2 users: 2 done" },
	{ { 0, 3, 75, 77, 2, 67, -1 },
	  "6 users: 1 done, 1 done with findings (b), 2 to be run again (c, e), "
	  "2 failed (d, f)" },
	{ { 4, 0, -1 }, "2 users: 1 done, 1 would delete (a)" },
	{ { 75, 75, 75, 75, 75, 75, 75, 75, 75, 75, 75, -1 },
	  "11 users: 11 to be run again (a, b, c, d, e, f, g, h, i, j, ...)" },
};

START_TEST(test_users_summary)
{
	struct users_summary *summary = users_summary_init();
	string_t *text = t_str_new(128);
	char name[] = "a";
	unsigned int i;

	for (i = 0; tests[_i].exit_codes[i] >= 0; i++, name[0]++)
		users_summary_add(summary, name, tests[_i].exit_codes[i]);
	users_summary_append(text, summary);
	ck_assert_str_eq(str_c(text), tests[_i].text);
	users_summary_deinit(&summary);
	ck_assert_ptr_null(summary);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "users-summary");

	tcase_add_loop_test(tc, test_users_summary, 0, N_ELEMENTS(tests));
	return check_suite_run(s);
}
