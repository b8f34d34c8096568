/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "gmail-copy.h"
#include "check-suite.h"

#define DBOX TRUE
#define MAILDIR FALSE
#define UNKNOWN UOFF_T_MAX

static const struct {
	struct gmail_copy_mail source, local;
	bool metadata_is_shared;
	enum gmail_copy_way way;
	const char *reason;
} tests[] = {
	{ { 100, 7, "GmailId1", 0 }, { 100, 7, "GmailId1", 0 }, DBOX,
	  GMAIL_COPY_SHARE, "the same message" },
	{ { 100, 7, "GmailId1", 0 }, { 100, 7, "GmailId1", 0 }, MAILDIR,
	  GMAIL_COPY_SHARE, "the same message" },

	/* no proof that it is the same text */
	{ { 101, 7, "GmailId1", 0 }, { 100, 7, "GmailId1", 0 }, DBOX,
	  GMAIL_COPY_FETCH, "same id, but another size" },
	{ { UNKNOWN, 7, "", 0 }, { 100, 7, "", 0 }, DBOX,
	  GMAIL_COPY_FETCH, "the size is not known, so the text may differ" },
	{ { UNKNOWN, 7, "", 0 }, { UNKNOWN, 7, "", 0 }, MAILDIR,
	  GMAIL_COPY_FETCH, "the size is not known, so the text may differ" },

	/* what belongs to the stored mail cannot differ between its copies */
	{ { 100, 8, "GmailId1", 0 }, { 100, 7, "GmailId1", 0 }, DBOX,
	  GMAIL_COPY_TEXT, "same text, but another INTERNALDATE" },
	{ { 100, 8, "GmailId1", 0 }, { 100, 7, "GmailId1", 0 }, MAILDIR,
	  GMAIL_COPY_TEXT, "same text, but another INTERNALDATE" },
	/* a run without this plugin stored no UIDL */
	{ { 100, 7, "GmailId1", 0 }, { 100, 7, "", 0 }, DBOX,
	  GMAIL_COPY_TEXT, "same text, but another POP3 UIDL" },
	{ { 100, 7, "GmailId1", 0 }, { 100, 7, "", 0 }, MAILDIR,
	  GMAIL_COPY_SHARE, "the same message" },
	{ { 100, 7, "GmailId1", 3 }, { 100, 7, "GmailId1", 0 }, DBOX,
	  GMAIL_COPY_TEXT, "same text, but another place in the POP3 order" },
	{ { 100, 7, "GmailId1", 3 }, { 100, 7, "GmailId1", 0 }, MAILDIR,
	  GMAIL_COPY_SHARE, "the same message" },
};

START_TEST(test_decide)
{
	const char *reason = NULL;

	ck_assert_int_eq(gmail_copy_decide(&tests[_i].source, &tests[_i].local,
					   tests[_i].metadata_is_shared,
					   &reason), tests[_i].way);
	ck_assert_str_eq(reason, tests[_i].reason);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "gmail-copy");

	tcase_add_loop_test(tc, test_decide, 0, N_ELEMENTS(tests));
	return check_suite_run(s);
}
