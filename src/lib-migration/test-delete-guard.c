/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "delete-guard.h"
#include "check-suite.h"

#include <limits.h>
#include <stdlib.h>

static const struct {
	const char *value;
	int ret;
	struct delete_limit limit;
} parse_tests[] = {
	{ "auto", 0, { DELETE_LIMIT_AUTO, 0 } },
	{ "unlimited", 0, { DELETE_LIMIT_UNLIMITED, 0 } },
	{ "0", 0, { DELETE_LIMIT_NUMBER, 0 } },
	{ "25", 0, { DELETE_LIMIT_NUMBER, 25 } },
	{ "4294967295", 0, { DELETE_LIMIT_NUMBER, UINT_MAX } },
	{ "0%", 0, { DELETE_LIMIT_PERCENT, 0 } },
	{ "100%", 0, { DELETE_LIMIT_PERCENT, 100 } },
	{ "101%", -1, { 0, 0 } },
	{ "4294967296", -1, { 0, 0 } },
	{ "-1", -1, { 0, 0 } },
	{ "%", -1, { 0, 0 } },
	{ "", -1, { 0, 0 } },
	{ "ten", -1, { 0, 0 } },
	{ "5 %", -1, { 0, 0 } },
	{ "Unlimited", -1, { 0, 0 } },
};

START_TEST(test_parse)
{
	struct delete_limit limit;
	const char *error = NULL;
	int ret = delete_limit_parse(parse_tests[_i].value, &limit, &error);

	ck_assert_int_eq(ret, parse_tests[_i].ret);
	ck_assert_int_eq(error != NULL, ret < 0);
	if (ret == 0) {
		ck_assert_int_eq(limit.kind, parse_tests[_i].limit.kind);
		ck_assert_uint_eq(limit.value, parse_tests[_i].limit.value);
	}
}
END_TEST

#define ALLOWS(n) ", and migration_max_deletes allows " n
#define FIRST " in a mailbox that no run has completed yet"

static const struct {
	const char *limit;
	struct delete_question question;
	unsigned int max;
	const char *reason;
	bool allowed;
} decide_tests[] = {
	/* a first run deletes nothing, not even one mail of many */
	{ "auto", { 1000, 1, FALSE }, 0,
	  "1 of 1000 mails"ALLOWS("0")FIRST, FALSE },
	{ "auto", { 1000, 0, FALSE }, 0, "0 of 1000 mails", TRUE },
	/* later ones up to 10 %, rounded down */
	{ "auto", { 1000, 100, TRUE }, 100, "100 of 1000 mails", TRUE },
	{ "auto", { 1000, 101, TRUE }, 100,
	  "101 of 1000 mails"ALLOWS("100"), FALSE },
	{ "auto", { 9, 1, TRUE }, 0, "1 of 9 mails"ALLOWS("0"), FALSE },
	{ "auto", { 10, 1, TRUE }, 1, "1 of 10 mails", TRUE },
	/* and never a whole mailbox, unless it is empty */
	{ "auto", { 1, 1, TRUE }, 0, "1 of 1 mails"ALLOWS("0"), FALSE },
	{ "auto", { 0, 0, TRUE }, 0, "0 of 0 mails", TRUE },
	{ "auto", { 0, 0, FALSE }, 0, "0 of 0 mails", TRUE },
	{ "5", { 1000, 5, FALSE }, 5, "5 of 1000 mails", TRUE },
	{ "5", { 1000, 6, TRUE }, 5, "6 of 1000 mails"ALLOWS("5"), FALSE },
	{ "5", { 3, 3, FALSE }, 5, "3 of 3 mails", TRUE },
	{ "0", { 10, 1, TRUE }, 0, "1 of 10 mails"ALLOWS("0"), FALSE },
	{ "50%", { 10, 5, FALSE }, 5, "5 of 10 mails", TRUE },
	{ "50%", { 10, 6, TRUE }, 5, "6 of 10 mails"ALLOWS("5"), FALSE },
	{ "99%", { 10, 10, TRUE }, 9, "10 of 10 mails"ALLOWS("9"), FALSE },
	{ "100%", { 10, 10, FALSE }, 10, "10 of 10 mails", TRUE },
	{ "99%", { UINT_MAX, 1, FALSE }, 4252017622, "1 of 4294967295 mails",
	  TRUE },
	{ "unlimited", { UINT_MAX, UINT_MAX, FALSE }, UINT_MAX,
	  "4294967295 of 4294967295 mails", TRUE },
};

START_TEST(test_decide)
{
	struct delete_limit limit;
	const char *error, *reason = NULL;
	bool allowed;

	ck_assert_int_eq(delete_limit_parse(decide_tests[_i].limit, &limit,
					    &error), 0);
	ck_assert_uint_eq(delete_guard_max(&limit, &decide_tests[_i].question),
			  decide_tests[_i].max);
	allowed = delete_guard_decide(&limit, &decide_tests[_i].question,
				      &reason);
	ck_assert_int_eq(allowed, decide_tests[_i].allowed);
	ck_assert_str_eq(reason, decide_tests[_i].reason);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "delete-guard");

	tcase_add_loop_test(tc, test_parse, 0, N_ELEMENTS(parse_tests));
	tcase_add_loop_test(tc, test_decide, 0, N_ELEMENTS(decide_tests));
	return check_suite_run(s);
}
