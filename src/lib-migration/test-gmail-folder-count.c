/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "gmail-folder-count.h"
#include "check-suite.h"

#define LABEL GMAIL_PLACE_LABEL
#define INBOX GMAIL_PLACE_INBOX
#define ALL GMAIL_PLACE_ALL
#define SENT GMAIL_PLACE_SENT
#define TRASH GMAIL_PLACE_TRASH

#define COMPLETE GMAIL_FOLDER_COMPLETE
#define CUT_OFF GMAIL_FOLDER_CUT_OFF
#define AT_LIMIT GMAIL_FOLDER_AT_LIMIT
#define DIFFERS GMAIL_FOLDER_DIFFERS

#define FOLDERS 3

static const struct {
	const char *reason;
	/* place, messages shown, of All Mail with this label -> at least so many
	   there must be, verdict */
	struct gmail_folder_count folders[FOLDERS];
	unsigned int count;
} tests[] = {
	{ "each folder shows what All Mail says",
	  { { ALL, 70, 0, 70, COMPLETE }, { INBOX, 20, 20, 20, COMPLETE },
	    { LABEL, 0, 0, 0, COMPLETE } }, 3 },

	/* 1000 is no limit if All Mail has as many with the label */
	{ "All Mail is above 1000, so it was not cut off there",
	  { { ALL, 3000, 0, 3000, COMPLETE },
	    { INBOX, 1000, 1000, 1000, COMPLETE },
	    { LABEL, 2000, 2000, 2000, COMPLETE } }, 3 },
	{ "All Mail has more messages with the label",
	  { { ALL, 3000, 0, 3000, COMPLETE },
	    { LABEL, 1000, 1003, 1003, CUT_OFF },
	    { SENT, 5000, 5001, 5001, CUT_OFF } }, 3 },

	/* the limit is for All Mail, too */
	{ "the newest 1000 of both are the same messages",
	  { { ALL, 1000, 0, 1000, AT_LIMIT },
	    { INBOX, 1000, 1000, 1000, AT_LIMIT } }, 2 },
	{ "All Mail lacks 600 older messages that the label has",
	  { { ALL, 1000, 0, 1600, CUT_OFF },
	    { LABEL, 900, 300, 900, COMPLETE },
	    { INBOX, 1000, 700, 1000, AT_LIMIT } }, 3 },
	{ "All Mail is limited, and no folder goes beyond it",
	  { { ALL, 10000, 0, 10000, AT_LIMIT },
	    { LABEL, 12, 12, 12, COMPLETE } }, 2 },

	/* no limit has such a number */
	{ "a label was added between the two looks",
	  { { ALL, 70, 0, 70, COMPLETE }, { LABEL, 19, 20, 20, DIFFERS } }, 2 },
	{ "a message came in between the two looks",
	  { { ALL, 70, 0, 71, DIFFERS }, { INBOX, 21, 20, 21, COMPLETE } }, 2 },
	{ "not all that is in Sent must be labelled so",
	  { { ALL, 70, 0, 70, COMPLETE }, { SENT, 21, 20, 21, COMPLETE } }, 2 },

	{ "what is in Trash is not in All Mail",
	  { { ALL, 70, 0, 70, COMPLETE }, { TRASH, 500, 0, 500, COMPLETE },
	    { TRASH, 2000, 0, 2000, AT_LIMIT } }, 3 },
	{ "All Mail was not read",
	  { { INBOX, 1000, 0, 1000, AT_LIMIT }, { LABEL, 999, 0, 999, COMPLETE },
	    { LABEL, 5000, 7, 5000, AT_LIMIT } }, 3 },
	{ "All Mail alone was read",
	  { { ALL, 5000, 0, 5000, AT_LIMIT } }, 1 },
};

START_TEST(test_judge)
{
	struct gmail_folder_count folders[FOLDERS];
	const struct gmail_folder_count *expected = tests[_i].folders;
	unsigned int i;

	memcpy(folders, expected, sizeof(folders));
	for (i = 0; i < tests[_i].count; i++) {
		folders[i].expected = UINT_MAX;
		folders[i].verdict = GMAIL_FOLDER_COMPLETE;
	}
	gmail_folder_counts_judge(folders, tests[_i].count);
	for (i = 0; i < tests[_i].count; i++) {
		ck_assert_msg(folders[i].expected == expected[i].expected &&
			      folders[i].verdict == expected[i].verdict,
			      "%s: folder %u: expected %u, verdict %d",
			      tests[_i].reason, i, folders[i].expected,
			      (int)folders[i].verdict);
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "gmail-folder-count");

	tcase_add_loop_test(tc, test_judge, 0, N_ELEMENTS(tests));
	return check_suite_run(s);
}
