/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "sync-changes.h"
#include "check-suite.h"

static const struct sync_side then_source = { 7, 101, 100, 55, 0 };
static const struct sync_side then_dest = { 7, 101, 100, 3, 90 };

static const struct {
	struct sync_side source, dest;
	bool enough;
	const char *reason;
} enough_tests[] = {
	{ { 7, 103, 101, 60, 0 }, { 7, 101, 100, 3, 90 }, TRUE,
	  "the destination has what the source had" },
	/* only expunged */
	{ { 7, 101, 99, 56, 0 }, { 7, 101, 100, 3, 90 }, TRUE,
	  "the destination has what the source had" },
	{ { 8, 103, 101, 60, 0 }, { 7, 101, 100, 3, 90 }, FALSE,
	  "UIDVALIDITY is another one" },
	/* NOMODSEQ: Courier, Exchange, or a mailbox that lost it */
	{ { 7, 103, 101, 0, 0 }, { 7, 101, 100, 3, 90 }, FALSE,
	  "the source has no HIGHESTMODSEQ" },
	/* restored from a backup, or another server */
	{ { 7, 103, 101, 54, 0 }, { 7, 101, 100, 3, 90 }, FALSE,
	  "HIGHESTMODSEQ has not risen" },
	{ { 7, 103, 101, 55, 0 }, { 7, 101, 100, 3, 90 }, FALSE,
	  "HIGHESTMODSEQ has not risen" },
	{ { 7, 100, 99, 60, 0 }, { 7, 101, 100, 3, 90 }, FALSE,
	  "UIDNEXT went back" },
	{ { 7, 103, 101, 60, 0 }, { 7, 101, 100, 4, 90 }, FALSE,
	  "the destination has changed: HIGHESTMODSEQ is another one" },
	{ { 7, 103, 101, 60, 0 }, { 0, 0, 0, 0, 0 }, FALSE,
	  "the destination has changed: without HIGHESTMODSEQ changed flags do "
	  "not show" },
};

START_TEST(test_sync_changes_enough)
{
	const char *reason;

	ck_assert_int_eq(sync_changes_are_enough(&then_source, &then_dest,
						 &enough_tests[_i].source,
						 &enough_tests[_i].dest,
						 &reason),
			 enough_tests[_i].enough);
	ck_assert_str_eq(reason, enough_tests[_i].reason);
}
END_TEST

START_TEST(test_sync_changes_of_nothing)
{
	static const struct sync_side empty = { 7, 101, 0, 55, 0 };
	static const struct sync_side source = { 7, 103, 2, 60, 0 };
	const char *reason;

	ck_assert(!sync_changes_are_enough(&empty, &empty, &source, &empty,
					   &reason));
	ck_assert_str_eq(reason, "there were no mails");
	ck_assert(!sync_changes_are_enough(&then_source, &empty, &source,
					   &empty, &reason));
	ck_assert_str_eq(reason, "the two sides were not the same");
}
END_TEST

static const struct {
	struct sync_changes changes;
	bool credible;
	const char *reason;
} tests[] = {
	/* changedsince-doubtful */
	/* uidvalidity, modseq, exists, found, unknown, gone, changed, old */
	{ { 7, 60, 100, 100, 0, 0, 3, FALSE }, TRUE,
	  "3 mails changed, 0 are gone" },
	{ { 7, 61, 98, 98, 0, 2, 0, FALSE }, TRUE,
	  "0 mails changed, 2 are gone" },
	{ { 8, 60, 100, 100, 0, 0, 3, FALSE }, FALSE,
	  "UIDVALIDITY is another one" },
	{ { 7, 0, 100, 100, 0, 0, 3, FALSE }, FALSE,
	  "EXAMINE tells a lower HIGHESTMODSEQ than STATUS" },
	{ { 7, 59, 100, 100, 0, 0, 3, FALSE }, FALSE,
	  "EXAMINE tells a lower HIGHESTMODSEQ than STATUS" },
	{ { 7, 60, 100, 100, 0, 0, 3, TRUE }, FALSE,
	  "a mail that changed has an old MODSEQ" },
	/* no answer, or mails that came or went meanwhile */
	{ { 7, 60, 100, 0, 0, 100, 3, FALSE }, FALSE,
	  "SEARCH found 0 of 100 mails" },
	{ { 7, 60, 101, 100, 0, 0, 3, FALSE }, FALSE,
	  "SEARCH found 100 of 101 mails" },
	{ { 7, 60, 100, 100, 1, 0, 3, FALSE }, FALSE,
	  "SEARCH found 1 unknown mails" },
	{ { 7, 60, 100, 100, 0, 0, 0, FALSE }, FALSE,
	  "HIGHESTMODSEQ has risen and nothing has changed" },
};

START_TEST(test_sync_changes_credible)
{
	static const struct sync_side source = { 7, 101, 100, 60, 0 };
	const char *reason;

	ck_assert_int_eq(sync_changes_are_credible(&tests[_i].changes,
						   &then_source, &source,
						   &reason),
			 tests[_i].credible);
	ck_assert_str_eq(reason, tests[_i].reason);
}
END_TEST

START_TEST(test_sync_changes_new_mails)
{
	static const struct sync_side source = { 7, 103, 102, 60, 0 };
	static const struct sync_changes changes = { 7, 60, 102, 102, 0, 0, 0,
						     FALSE };
	const char *reason;

	/* they are why HIGHESTMODSEQ has risen */
	ck_assert(sync_changes_are_credible(&changes, &then_source, &source,
					    &reason));
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "sync-changes");

	tcase_add_loop_test(tc, test_sync_changes_enough, 0,
			    N_ELEMENTS(enough_tests));
	tcase_add_test(tc, test_sync_changes_of_nothing);
	tcase_add_loop_test(tc, test_sync_changes_credible, 0,
			    N_ELEMENTS(tests));
	tcase_add_test(tc, test_sync_changes_new_mails);
	return check_suite_run(s);
}
