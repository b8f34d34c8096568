/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "fetch-plan.h"
#include "check-suite.h"

#define BODY FETCH_PLAN_ITEM_BODY
#define HEADER FETCH_PLAN_ITEM_HEADER
#define DATE FETCH_PLAN_ITEM_INTERNALDATE
#define SIZE FETCH_PLAN_ITEM_SIZE
#define GUID FETCH_PLAN_ITEM_GUID

static const struct {
	struct fetch_plan_search search;
	enum fetch_plan_item add;
	const char *reason;
} tests[] = {
	/* stock import asks for nothing: body, then date, of each mail */
	{ { .command = "import", .matches_known = TRUE }, BODY | DATE,
	  "the command copies every mail that it finds" },
	{ { .command = "copy", .wanted = DATE, .matches_known = TRUE }, BODY,
	  "the command copies every mail that it finds" },
	{ { .command = "import", .wanted = BODY | DATE,
	    .matches_known = TRUE }, 0, NULL },
	/* a query that the server cannot be asked: do not fetch everything */
	{ { .command = "import" }, DATE,
	  "the query needs to look into each mail, "
	  "texts follow for those that it finds" },
	/* these look at flags only */
	{ { .command = "search" }, 0, NULL },
	{ { .command = "expunge" }, 0, NULL },
	{ { .command = "fetch", .wanted = DATE }, 0, NULL },
	{ { .command = NULL }, 0, NULL },
	/* dsync's two searches */
	{ { .command = "dsync_mailbox_export_search", .wanted = GUID,
	    .dsync_list = TRUE }, 0, NULL },
	{ { .command = "dsync_mailbox_export_search", .wanted = GUID,
	    .guid_from_header = TRUE, .dsync_list = TRUE }, HEADER,
	  "guid-forced makes the GUID from the header" },
	{ { .command = "dsync_mailbox_export_search",
	    .wanted = GUID | BODY | DATE, .guid_from_header = TRUE }, 0, NULL },
	/* -t, -e and -I: the second mailbox knows from the first one */
	{ { .command = "dsync_mailbox_export_search", .wanted = GUID,
	    .learned = DATE, .dsync_list = TRUE }, DATE,
	  "dsync's filters asked for it before" },
	{ { .command = "dsync_mailbox_export_search", .wanted = GUID,
	    .learned = DATE | SIZE, .guid_from_header = TRUE,
	    .dsync_list = TRUE }, DATE | SIZE | HEADER,
	  "guid-forced makes the GUID from the header" },
	{ { .command = "dsync_mailbox_export_search",
	    .wanted = GUID | BODY | DATE, .learned = SIZE }, 0, NULL },
};

START_TEST(test_fetch_plan_extend)
{
	const char *reason;

	ck_assert_uint_eq(fetch_plan_extend(&tests[_i].search, &reason),
			  tests[_i].add);
	ck_assert_pstr_eq(reason, tests[_i].reason);
}
END_TEST

START_TEST(test_fetch_plan_items_to_str)
{
	ck_assert_str_eq(fetch_plan_items_to_str(0), "");
	ck_assert_str_eq(fetch_plan_items_to_str(BODY | DATE),
			 "INTERNALDATE BODY[]");
	ck_assert_str_eq(fetch_plan_items_to_str(SIZE | GUID | HEADER),
			 "RFC822.SIZE GUID BODY[HEADER]");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "fetch-plan");

	tcase_add_loop_test(tc, test_fetch_plan_extend,
			    0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_fetch_plan_items_to_str);
	return check_suite_run(s);
}
