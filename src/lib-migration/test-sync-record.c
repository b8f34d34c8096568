/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "sync-record.h"
#include "check-suite.h"

static const struct sync_side source = { 7, 101, 100, 55, 0 };
static const struct sync_side dest = { 7, 101, 100, 3, 90 };

static const struct {
	struct sync_side now;
	bool same;
	const char *reason;
} tests[] = {
	{ { 7, 101, 100, 3, 90 }, TRUE, "it is as it was" },
	{ { 8, 101, 100, 3, 90 }, FALSE, "UIDVALIDITY is another one" },
	{ { 7, 102, 100, 3, 90 }, FALSE, "there are new mails" },
	{ { 7, 101, 99, 3, 90 }, FALSE, "the number of mails is another one" },
	{ { 7, 101, 100, 4, 90 }, FALSE, "HIGHESTMODSEQ is another one" },
	/* a counter that went back is as suspicious */
	{ { 7, 101, 100, 2, 90 }, FALSE, "HIGHESTMODSEQ is another one" },
	{ { 7, 101, 100, 0, 90 }, FALSE,
	  "without HIGHESTMODSEQ changed flags do not show" },
	{ { 7, 101, 100, 3, 91 }, FALSE, "other mails are recent" },
};

START_TEST(test_sync_record_same)
{
	struct sync_record *record = sync_record_init("key");
	const char *reason;

	sync_record_set(record, "INBOX", &source, &dest);
	ck_assert_int_eq(sync_record_dest_is_same(record, "INBOX",
						  &tests[_i].now, &reason),
			 tests[_i].same);
	ck_assert_str_eq(reason, tests[_i].reason);
	/* one side says nothing of the other one */
	ck_assert(!sync_record_source_is_same(record, "INBOX", &tests[_i].now,
					      &reason));
	ck_assert(sync_record_source_is_same(record, "INBOX", &source, &reason));
	ck_assert(!sync_record_source_is_same(record, "Inbox", &source, &reason));
	ck_assert_str_eq(reason, "nothing is known of it");
	sync_record_deinit(&record);
}
END_TEST

START_TEST(test_sync_record_text)
{
	struct sync_record *record = sync_record_init("host:143\tuser");
	struct sync_record *again = sync_record_init("host:143\tuser");
	struct sync_record *other = sync_record_init("host:993\tuser");
	string_t *text = str_new(default_pool, 256);
	const char *reason;

	sync_record_set(record, "INBOX", &source, &dest);
	sync_record_set(record, "a\tb\nc", &dest, &source);
	sync_record_set(record, "gone", &source, &dest);
	sync_record_unset(record, "gone");
	ck_assert_uint_eq(sync_record_count(record), 2);
	sync_record_write(record, text);

	ck_assert(sync_record_read(again, str_c(text), &reason));
	ck_assert_uint_eq(sync_record_count(again), 2);
	ck_assert(sync_record_source_is_same(again, "INBOX", &source, &reason));
	ck_assert(sync_record_dest_is_same(again, "INBOX", &dest, &reason));
	ck_assert(sync_record_source_is_same(again, "a\tb\nc", &dest, &reason));
	ck_assert(!sync_record_source_is_same(again, "gone", &source, &reason));

	ck_assert(!sync_record_read(other, str_c(text), &reason));
	ck_assert_str_eq(reason, "it was written for another server, account or "
			 "command");
	sync_record_deinit(&record);
	sync_record_deinit(&again);
	sync_record_deinit(&other);
	str_free(&text);
}
END_TEST

#define TITLE "dovecot-migration sync record 1\tkey\n"

static const struct {
	const char *text, *reason;
} damaged_tests[] = {
	{ "", "it is no record, or one of another version" },
	{ "\n", "it is no record, or one of another version" },
	{ "dovecot-migration sync record 2\tkey\nend\n",
	  "it is no record, or one of another version" },
	{ TITLE, "it is damaged" },
	{ TITLE"1\t2\t3\t4\t5\t1\t2\t3\t4\t5\tINBOX\n", "it is damaged" },
	{ TITLE"1\t2\t3\t4\t5\t1\t2\t3\t4\tINBOX\nend\n", "it is damaged" },
	{ TITLE"1\t2\t3\t4\t5\t1\t2\t3\t4\t-5\tINBOX\nend\n", "it is damaged" },
	{ TITLE"1\t2\t3\t4\t5\t1\t2\t3\t4\t4294967296\tINBOX\nend\n",
	  "it is damaged" },
	{ TITLE"\nend\n", "it is damaged" },
};

START_TEST(test_sync_record_damaged)
{
	struct sync_record *record = sync_record_init("key");
	const char *reason;

	ck_assert(!sync_record_read(record, damaged_tests[_i].text, &reason));
	ck_assert_str_eq(reason, damaged_tests[_i].reason);
	ck_assert_uint_eq(sync_record_count(record), 0);
	sync_record_deinit(&record);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "sync-record");

	tcase_add_loop_test(tc, test_sync_record_same, 0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_sync_record_text);
	tcase_add_loop_test(tc, test_sync_record_damaged,
			    0, N_ELEMENTS(damaged_tests));
	return check_suite_run(s);
}
