/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CHECK_SUITE_H
#define CHECK_SUITE_H

#include "lib.h"

#include <check.h>

/* What main() of a test program does around its test cases. */

/* Begins; the tests are added to the returned case of the suite. */
static inline TCase *check_suite_begin(Suite **suite_r, const char *name)
{
	TCase *tc = tcase_create("all");

	lib_init();
	*suite_r = suite_create(name);
	suite_add_tcase(*suite_r, tc);
	return tc;
}

/* Runs the suite, frees it and returns the exit code. */
static inline int check_suite_run(Suite *suite)
{
	SRunner *sr = srunner_create(suite);
	int failed;

	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	lib_deinit();
	return failed == 0 ? 0 : 1;
}

#endif
