/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mail-filter.h"
#include "check-suite.h"

/* ---- settings ---- */

static const struct {
	uoff_t max_size;
	const char *since, *before, *flags;
	/* part of the error, or NULL */
	const char *error;
	bool set;
} words[] = {
	{ 0, "", "", "", NULL, FALSE },
	{ 1, "", "", "", NULL, TRUE },
	{ 0, "2024-02-29", "", "", NULL, TRUE },
	{ 0, "", "1970-01-01", "", NULL, TRUE },
	{ 0, "2024-01-01", "2024-01-02", "", NULL, TRUE },
	{ 0, "", "", "!\\Deleted", NULL, TRUE },
	{ 0, "", "", " \\seen,  !$Junk ", NULL, TRUE },
	{ 0, "2023-02-29", "", "", "filter_since must be a date", FALSE },
	{ 0, "2024-13-01", "", "", "filter_since", FALSE },
	{ 0, "2024-00-10", "", "", "filter_since", FALSE },
	{ 0, "2024-1-1", "", "", "filter_since", FALSE },
	{ 0, "1969-12-31", "", "", "filter_since", FALSE },
	{ 0, "99999-12-31", "", "", "filter_since", FALSE },
	{ 0, "01-Jan-2024", "", "", "filter_since", FALSE },
	{ 0, "", "30d", "", "filter_before", FALSE },
	{ 0, "", "30 days", "", "a date that moves", FALSE },
	{ 0, "", "yesterday", "", "filter_before", FALSE },
	{ 0, "2024-01-02", "2024-01-02", "", "no mail", FALSE },
	{ 0, "2024-01-03", "2024-01-02", "", "no mail", FALSE },
	{ 0, "", "", "\\Recent", "\\Recent is no flag", FALSE },
	{ 0, "", "", "!\\Sent", "\\Sent is no flag", FALSE },
	{ 0, "", "", "!", "! is no flag", FALSE },
	{ 0, "", "", "a(b", "a(b is no flag", FALSE },
};

START_TEST(test_words)
{
	const struct mail_filter_words given = {
		.max_size = words[_i].max_size,
		.since = words[_i].since,
		.before = words[_i].before,
		.flags = words[_i].flags,
	};
	struct mail_filter *filter = NULL;
	const char *error = NULL;
	pool_t pool = pool_alloconly_create("test", 256);
	int ret = mail_filter_parse(pool, &given, &filter, &error);

	ck_assert_int_eq(ret, words[_i].error == NULL ? 0 : -1);
	if (ret == 0)
		ck_assert_int_eq(mail_filter_is_set(filter), words[_i].set);
	else
		ck_assert_msg(strstr(error, words[_i].error) != NULL, "%s",
			      error);
	pool_unref(&pool);
}
END_TEST

/* ---- mails ---- */

#define DAY (24*60*60)
/* 2024-01-01 and 2025-01-01 */
#define Y2024 1704067200
#define Y2025 1735689600
#define NO_SIZE UOFF_T_MAX
#define NO_DATE ((time_t)-1)

/* What the destination and earlier runs have: UIDs 1 to 9 were decided about,
   of which 3 was left out when it was 5000 bytes, 4 when nobody asked for its
   size. The destination has 20. */
enum past {
	FIRST,		/* a first run: nothing is known, and nothing there */
	AGAIN,
	NO_MEMORY,	/* what was decided was lost */
	UNASKED,	/* ... and the destination was not looked at */
	FINAL,		/* the server does not say more */
};

static const struct {
	uoff_t max_size;
	const char *since, *before, *flags;
	enum past past;
	uint32_t uid;
	uoff_t size;
	time_t date;
	const char *mail_flags;
	enum mail_filter_verdict verdict;
	enum mail_filter_cause cause;
} rows[] = {
#define S MAIL_FILTER_SHOWN, MAIL_FILTER_CAUSE_NONE
#define LATE MAIL_FILTER_LATE, MAIL_FILTER_CAUSE_NONE
#define DETAILS MAIL_FILTER_NEEDS_DETAILS, MAIL_FILTER_CAUSE_NONE
#define H(cause) MAIL_FILTER_HIDDEN, MAIL_FILTER_CAUSE_##cause
	/* no filter */
	{ 0, "", "", "", FIRST, 1, NO_SIZE, NO_DATE, "", S },
	/* size */
	{ 1000, "", "", "", FIRST, 1, 1000, NO_DATE, "", S },
	{ 1000, "", "", "", FIRST, 1, 1001, NO_DATE, "", H(SIZE) },
	{ 1000, "", "", "", FIRST, 1, NO_SIZE, NO_DATE, "", DETAILS },
	{ 1000, "", "", "", FINAL, 1, NO_SIZE, NO_DATE, "", S },
	/* dates: since is the first second of its day, before the last one of
	   the day before */
	{ 0, "2024-01-01", "", "", FIRST, 1, 1, Y2024, "", S },
	{ 0, "2024-01-01", "", "", FIRST, 1, 1, Y2024 - 1, "", H(DATE) },
	{ 0, "", "2025-01-01", "", FIRST, 1, 1, Y2025 - 1, "", S },
	{ 0, "", "2025-01-01", "", FIRST, 1, 1, Y2025, "", H(DATE) },
	{ 0, "2024-01-01", "2025-01-01", "", FIRST, 1, 1, Y2024 + DAY, "", S },
	{ 0, "2024-01-01", "2025-01-01", "", FIRST, 1, 1, 0, "", H(DATE) },
	{ 0, "2024-01-01", "", "", FIRST, 1, 1, NO_DATE, "", DETAILS },
	{ 0, "2024-01-01", "", "", FINAL, 1, 1, NO_DATE, "", S },
	/* flags */
	{ 0, "", "", "!\\Deleted", FIRST, 1, 1, 1, "\\Seen", S },
	{ 0, "", "", "!\\Deleted", FIRST, 1, 1, 1, "\\Seen \\deleted",
	  H(FLAGS) },
	{ 0, "", "", "\\Flagged", FIRST, 1, 1, 1, "", H(FLAGS) },
	{ 0, "", "", "\\Flagged !$Junk", FIRST, 1, 1, 1, "\\Flagged", S },
	{ 0, "", "", "\\Flagged !$Junk", FIRST, 1, 1, 1, "\\Flagged $junk",
	  H(FLAGS) },
	{ 0, "", "", "$Work", FIRST, 1, 1, 1, "$Workshop", H(FLAGS) },
	/* what is known is enough to leave it out */
	{ 1000, "", "", "!\\Deleted", FIRST, 1, NO_SIZE, NO_DATE,
	  "\\Deleted", H(FLAGS) },
	{ 1000, "2024-01-01", "", "", FIRST, 1, 2000, NO_DATE, "", H(SIZE) },

	/* decided once: it stays migrated ... */
	{ 1000, "", "", "", AGAIN, 1, 5000, NO_DATE, "", S },
	{ 1000, "", "", "", AGAIN, 1, NO_SIZE, NO_DATE, "", S },
	{ 0, "", "", "!\\Deleted", AGAIN, 9, 1, 1, "\\Deleted", S },
	/* ... or left out, for another reason, too */
	{ 1000, "", "", "", AGAIN, 3, NO_SIZE, NO_DATE, "", H(SIZE) },
	{ 0, "", "", "!\\Deleted", AGAIN, 3, NO_SIZE, NO_DATE, "\\Deleted",
	  H(FLAGS) },
	{ 9000, "", "", "", AGAIN, 3, NO_SIZE, NO_DATE, "", LATE },
	{ 0, "", "", "", AGAIN, 3, NO_SIZE, NO_DATE, "", LATE },
	{ 0, "", "", "!\\Deleted", AGAIN, 4, NO_SIZE, NO_DATE, "", LATE },
	/* another filter than the one that asked for sizes */
	{ 9000, "", "", "", AGAIN, 4, NO_SIZE, NO_DATE, "", DETAILS },
	{ 9000, "", "", "", AGAIN, 4, 10000, NO_DATE, "", H(SIZE) },
	{ 9000, "", "", "", FINAL, 4, NO_SIZE, NO_DATE, "", LATE },
	/* new mail */
	{ 1000, "", "", "", AGAIN, 10, 5000, NO_DATE, "", H(SIZE) },
	{ 1000, "", "", "", AGAIN, 10, 1, NO_DATE, "", S },
	/* what the destination has is not deleted there */
	{ 1000, "", "", "", AGAIN, 20, 5000, NO_DATE, "", S },
	{ 1000, "", "", "", NO_MEMORY, 20, 5000, NO_DATE, "", S },
	{ 1000, "", "", "", NO_MEMORY, 19, 5000, NO_DATE, "", H(SIZE) },
	{ 1000, "", "", "", NO_MEMORY, 3, NO_SIZE, NO_DATE, "", DETAILS },
	{ 1000, "", "", "", UNASKED, 19, 5000, NO_DATE, "",
	  MAIL_FILTER_NEEDS_DEST, MAIL_FILTER_CAUSE_SIZE },
	{ 1000, "", "", "", UNASKED, 19, 500, NO_DATE, "", S },
};

static void
memory_fill(struct filter_memory *memory, const uint8_t *guid)
{
	struct filter_memory_mailbox mailbox = {
		.uidvalidity = 7,
		.decided_uid = 10,
	};
	static const struct filter_memory_mail mails[] = {
		{ 3, 5000, (time_t)-1 },
		{ 4, UOFF_T_MAX, (time_t)-1 },
	};

	guid_128_copy(mailbox.guid, guid);
	t_array_init(&mailbox.mails, 4);
	array_append(&mailbox.mails, mails, N_ELEMENTS(mails));
	ck_assert(filter_memory_set(memory, &mailbox));
	ck_assert(!filter_memory_set(memory, &mailbox));
}

START_TEST(test_decide)
{
	const struct mail_filter_words given = {
		.max_size = rows[_i].max_size,
		.since = rows[_i].since,
		.before = rows[_i].before,
		.flags = rows[_i].flags,
	};
	const struct mail_filter_mail mail = {
		.uid = rows[_i].uid,
		.size = rows[_i].size,
		.received_date = rows[_i].date,
		.flags = rows[_i].mail_flags,
	};
	const guid_128_t guid = { 1 };
	struct filter_memory *memory = filter_memory_init("server user");
	struct mail_filter_past past;
	ARRAY_TYPE(seq_range) dest_uids;
	struct mail_filter *filter;
	enum mail_filter_cause cause = MAIL_FILTER_CAUSE_COUNT;
	const char *error;
	pool_t pool = pool_alloconly_create("test", 256);

	t_array_init(&dest_uids, 1);
	ck_assert_int_eq(mail_filter_parse(pool, &given, &filter, &error), 0);
	memory_fill(memory, guid);
	i_zero(&past);
	if (rows[_i].past == AGAIN || rows[_i].past == FINAL)
		past.memory = filter_memory_find(memory, guid, 7);
	past.details_final = rows[_i].past == FINAL;
	if (rows[_i].past == FIRST || rows[_i].past == FINAL)
		past.dest_uidnext = 1;
	if (rows[_i].past == AGAIN || rows[_i].past == NO_MEMORY) {
		seq_range_array_add(&dest_uids, 20);
		past.dest_uids = &dest_uids;
		past.dest_uidnext = 21;
	}
	ck_assert_int_eq(mail_filter_decide(filter, &past, &mail, &cause),
			 rows[_i].verdict);
	ck_assert_int_eq(cause, rows[_i].cause);
	if (cause != MAIL_FILTER_CAUSE_NONE)
		ck_assert_ptr_nonnull(strstr(mail_filter_cause_text(cause),
					     "migration_imapc_filter_"));
	filter_memory_deinit(&memory);
	pool_unref(&pool);
}
END_TEST

/* ---- what is remembered ---- */

#define GUID1 "01000000000000000000000000000000"
#define GUID2 "02000000000000000000000000000000"

static const struct {
	const char *text;
	unsigned int damaged;
	/* the file that it becomes */
	const char *rewritten;
} files[] = {
	{ "", 0, "" },
	{ "1\ts\t"GUID1"\t7\t10\t0\t3:5000: 4:: 9:1:-5 .\n", 0,
	  "1\ts\t"GUID1"\t7\t10\t0\t3:5000: 4:: 9:1:-5 .\n" },
	{ "1\ts\t"GUID1"\t7\t10\t0\t.\n", 0, "1\ts\t"GUID1"\t7\t10\t0\t.\n" },
	/* the later line counts */
	{ "1\ts\t"GUID1"\t7\t10\t0\t3:: .\n1\ts\t"GUID2"\t7\t5\t0\t.\n"
	  "1\ts\t"GUID1"\t7\t12\t1\t3:: 11:: .\n", 0,
	  "1\ts\t"GUID1"\t7\t12\t1\t3:: 11:: .\n1\ts\t"GUID2"\t7\t5\t0\t.\n" },
	/* cut off */
	{ "1\ts\t"GUID1"\t7\t10\t0\t3:: .\n1\ts\t"GUID1"\t7\t12\t0\t3:: 11", 1,
	  "1\ts\t"GUID1"\t7\t10\t0\t3:: .\n" },
	{ "1\ts\t"GUID1"\t7\t10\t0\t3:: 11:50", 1, "" },
	{ "1\ts\t"GUID1"\t7\t1", 1, "" },
	{ "1", 1, "" },
	/* damaged */
	{ "1\ts\tGUID\t7\t10\t0\t.\n", 1, "" },
	{ "1\ts\t"GUID1"\t-7\t10\t0\t.\n", 1, "" },
	{ "1\ts\t"GUID1"\t7\tx\t0\t.\n", 1, "" },
	{ "1\ts\t"GUID1"\t7\t10\t\t.\n", 1, "" },
	{ "1\ts\t"GUID1"\t7\t10\t0\t3 .\n", 1, "" },
	{ "1\ts\t"GUID1"\t7\t10\t0\t3:x: .\n", 1, "" },
	{ "1\ts\t"GUID1"\t7\t10\t0\t4:: 3:: .\n", 1, "" },
	{ "1\ts\t"GUID1"\t7\t10\t0\t3:: . 4::\n", 1, "" },
	{ "\n\n", 0, "" },
	{ "rubbish\n", 1, "" },
	/* others' */
	{ "1\tother\t"GUID1"\t7\t10\t0\t.\n2\ts\twhatever\n", 0,
	  "1\tother\t"GUID1"\t7\t10\t0\t.\n2\ts\twhatever\n" },
};

START_TEST(test_file)
{
	struct filter_memory *memory = filter_memory_init("s");
	string_t *text = t_str_new(256);

	ck_assert_uint_eq(filter_memory_read(memory, files[_i].text),
			  files[_i].damaged);
	filter_memory_write(memory, text);
	ck_assert_str_eq(str_c(text), files[_i].rewritten);
	filter_memory_deinit(&memory);
}
END_TEST

START_TEST(test_find)
{
	struct filter_memory *memory = filter_memory_init("a\tb\nc");
	const struct filter_memory_mailbox *mailbox;
	const guid_128_t guid = { 1 }, other = { 2 };
	string_t *text = t_str_new(256);

	ck_assert(!filter_memory_has_any(memory));
	memory_fill(memory, guid);
	ck_assert(filter_memory_has_any(memory));
	ck_assert_ptr_null(filter_memory_find(memory, other, 7));
	ck_assert_ptr_null(filter_memory_find(memory, guid, 8));
	mailbox = filter_memory_find(memory, guid, 7);
	ck_assert_ptr_nonnull(mailbox);
	ck_assert_ptr_null(filter_memory_find_mail(mailbox, 2));
	ck_assert_uint_eq(filter_memory_find_mail(mailbox, 3)->size, 5000);
	ck_assert_uint_eq(filter_memory_find_mail(mailbox, 4)->size,
			  UOFF_T_MAX);
	ck_assert_ptr_null(filter_memory_find_mail(mailbox, 5));
	/* a source's name may have anything in it */
	filter_memory_write_mailbox(memory, mailbox, text);
	filter_memory_deinit(&memory);
	memory = filter_memory_init("a\tb\nc");
	ck_assert_uint_eq(filter_memory_read(memory, str_c(text)), 0);
	ck_assert_ptr_nonnull(filter_memory_find(memory, guid, 7));
	filter_memory_deinit(&memory);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mail-filter");

	tcase_add_loop_test(tc, test_words, 0, N_ELEMENTS(words));
	tcase_add_loop_test(tc, test_decide, 0, N_ELEMENTS(rows));
	tcase_add_loop_test(tc, test_file, 0, N_ELEMENTS(files));
	tcase_add_test(tc, test_find);
	return check_suite_run(s);
}
