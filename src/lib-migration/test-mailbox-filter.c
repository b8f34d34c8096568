/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mailbox-filter.h"
#include "check-suite.h"

static const struct {
	const char *include, *exclude, *name;
	char sep;
	bool hidden;
} rows[] = {
	{ "", "", "INBOX", '/', FALSE },
	{ "", "", "", '/', FALSE },
	{ "", "Calendar", "Calendar", '/', TRUE },
	{ "", "Calendar", "Calendar/Birthdays", '/', FALSE },
	{ "", "Calendar", "My Calendar", '/', FALSE },
	{ "", "Calendar", "calendar", '/', FALSE },
	{ "", "Calendar,Calendar/*", "Calendar/Birthdays", '/', TRUE },
	{ "", "Calendar,Calendar/*", "Calendar.Birthdays", '.', TRUE },
	{ "", "Calendar/*", "Calendar.Birthdays", '/', FALSE },
	/* a slash in a name is no separator */
	{ "", "Calendar/*", "Calendar/Birthdays", '.', FALSE },
	{ "", "Calendar.*", "Calendar/Birthdays", '.', TRUE },
	{ "", "Files, Tasks ,", "Tasks", '/', TRUE },
	{ "", "Conversation Action Settings", "Conversation Action Settings",
	  '/', TRUE },
	{ "", "*", "INBOX", '/', TRUE },
	{ "", "*/Old", "Work/2019/Old", '/', TRUE },
	{ "", "*/Old", "Old", '/', FALSE },
	{ "", "a?c", "abc", '/', TRUE },
	{ "", "a?c", "ac", '/', FALSE },
	/* a comma in a name */
	{ "", "Smith? John", "Smith, John", '/', TRUE },
	{ "", "inbox", "INBOX", '/', TRUE },
	{ "", "INBOX", "Inbox", '/', TRUE },
	{ "", "inbox", "inbox2", '/', FALSE },
	{ "", " , ,", "x", '/', FALSE },
	{ "INBOX", "", "INBOX", '/', FALSE },
	{ "INBOX", "", "Sent", '/', TRUE },
	{ "INBOX,Work,Work/*", "", "Work/2019", '/', FALSE },
	{ "INBOX,Work,Work/*", "Work/2019", "Work/2019", '/', TRUE },
	{ "INBOX,Work,Work/*", "Work/2019", "Work/2020", '/', FALSE },
	{ "\xC3\x9C*", "", "\xC3\x9C""bung", '/', FALSE },
};

START_TEST(test_hides)
{
	const struct mailbox_filter filter = {
		.include = rows[_i].include,
		.exclude = rows[_i].exclude,
	};
	const char *reason = NULL;

	ck_assert_int_eq(mailbox_filter_hides(&filter, rows[_i].name,
					      rows[_i].sep, &reason),
			 rows[_i].hidden);
	ck_assert_int_eq(*reason != '\0', rows[_i].hidden);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mailbox-filter");

	tcase_add_loop_test(tc, test_hides, 0, N_ELEMENTS(rows));
	return check_suite_run(s);
}
