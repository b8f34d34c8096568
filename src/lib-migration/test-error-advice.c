/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "strfuncs.h"
#include "error-advice.h"
#include "check-suite.h"

/* errors as they stand in the log, and words of what is to be done */
static const struct {
	const char *error, *action;
} errors[] = {
	{ "imapc(imap.example.com:993): Authentication failed: [UNAVAILABLE] "
	  "Temporary authentication failure", "auth-test" },
	{ "POP3 server pop.example.com:110: Cannot find the host: Name or "
	  "service not known", "pop3c_host" },
	{ "Another migration of this user is running: process 12 on mx1, "
	  "backup since 10:00 (/home/jane/dovecot-migration-lock)",
	  "migration status" },
	{ "plugin/migration_max_deletes must be auto, unlimited, a number or a "
	  "percentage up to 100%: some", "`auto`" },
	{ "Can't log in to imap.example.com:143: All 4 connections that "
	  "migrations on this machine may have to imap.example.com:143 "
	  "(migration_imapc_max_connections) are in use by others",
	  "the setting in brackets" },
	/* the cause, not that a call failed */
	{ "rename(/a, /b) failed: No space left on device", "Make room" },
	{ "rename(/a, /b) failed: Input/output error", "Look at the path" },
	{ "Mailbox INBOX: Reading headers failed: Timeout", "Run it again" },
	{ "", NULL },
	{ "Everything is fine", NULL },
};

START_TEST(test_find)
{
	const struct error_advice *advice =
		error_advice_find(errors[_i].error);

	ck_assert_int_eq(advice != NULL, errors[_i].action != NULL);
	if (advice != NULL) {
		ck_assert_msg(strstr(advice->action, errors[_i].action) != NULL,
			      "%s", advice->action);
	}
}
END_TEST

/* No row hides one that comes after it. */
START_TEST(test_every_row_is_found)
{
	const struct error_advice *row;
	const char *const *pattern;
	unsigned int i;

	for (i = 0; (row = error_advice_get(i)) != NULL; i++) {
		pattern = t_strsplit(row->pattern, "|");
		for (; *pattern != NULL; pattern++) {
			ck_assert_msg(error_advice_find(*pattern) == row,
				      "%s is hidden", *pattern);
		}
	}
	ck_assert_uint_gt(i, 100);
}
END_TEST

START_TEST(test_groups_are_together)
{
	const struct error_advice *row, *before = error_advice_get(0);
	unsigned int i;

	for (i = 1; (row = error_advice_get(i)) != NULL; i++, before = row)
		ck_assert_int_le(before->group, row->group);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "error-advice");

	tcase_add_loop_test(tc, test_find, 0, N_ELEMENTS(errors));
	tcase_add_test(tc, test_every_row_is_found);
	tcase_add_test(tc, test_groups_are_together);
	return check_suite_run(s);
}
