/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "json-escape.h"
#include "mail-user.h"
#include "provider.h"
#include "connection-slot.h"
#include "migration-run.h"
#include "migration-report.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mail_user user_1 = { .username = "u1" };
static struct mail_user user_2 = { .username = "u2" };

static void finding_add(struct mail_user *user, enum migration_severity severity,
			const char *mailbox, uint32_t uid,
			enum finding_kind kind)
{
	migration_run_finding(migration_run_find(user), severity, mailbox, uid,
			      kind, "because of %s", finding_name(kind));
}

START_TEST(test_names)
{
	unsigned int i, j;

	for (i = 0; i < MIGRATION_COUNTER_COUNT; i++) {
		for (j = 0; j < i; j++) {
			ck_assert_str_ne(migration_counter_name(i),
					 migration_counter_name(j));
		}
	}
	ck_assert_str_eq(migration_severity_name(MIGRATION_SEVERITY_ERROR),
			 "error");
}
END_TEST

START_TEST(test_shared_by_both_users)
{
	struct mail_user source_user = { .username = "u1" };
	struct migration_run *run;

	/* a plugin's say while the user is created belongs to the run */
	finding_add(&user_1, MIGRATION_SEVERITY_INFO, NULL, 0, FINDING_UIDL_FORMAT);
	run = migration_run_begin(&user_1, "backup", "imapc:");
	migration_run_count(migration_run_find(&source_user),
			    MIGRATION_COUNTER_MAILS_FETCHED, 3);
	migration_run_count(migration_run_find(&user_1),
			    MIGRATION_COUNTER_MAILS_FETCHED, 4);
	/* import -U: the source user has another name */
	migration_run_count(migration_run_find(&user_2),
			    MIGRATION_COUNTER_MAILS_FETCHED, 5);

	ck_assert_ptr_eq(migration_run_find(&user_2), run);
	ck_assert_uint_eq(migration_run_get_count(run,
				MIGRATION_COUNTER_MAILS_FETCHED), 12);
	ck_assert_uint_eq(array_count(&run->findings), 1);
	ck_assert_str_eq(run->command, "backup");
	migration_run_finish(run, 0);
	migration_run_forget();
}
END_TEST

START_TEST(test_reset_between_users)
{
	struct migration_run *run;

	run = migration_run_begin(&user_1, "backup", "imapc:");
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 1,
		    FINDING_UIDL_UNMATCHED);
	migration_run_finish(run, 3);
	/* a late word of the first user, after its run */
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 2,
		    FINDING_UIDL_UNMATCHED);

	run = migration_run_begin(&user_2, "backup", "imapc:");
	ck_assert_str_eq(run->username, "u2");
	ck_assert_uint_eq(array_count(&run->findings), 0);
	ck_assert_uint_eq(run->finding_counts[MIGRATION_SEVERITY_ERROR], 0);
	migration_run_finish(run, 0);
	migration_run_forget();
	migration_run_forget();
}
END_TEST

START_TEST(test_findings_forgotten)
{
	const struct migration_finding *left;
	struct migration_run *run;

	run = migration_run_begin(&user_1, "backup", "imapc:");
	migration_run_forget_findings(run, FINDING_UIDL_UNMATCHED);
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 1,
		    FINDING_UIDL_UNMATCHED);
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 2,
		    FINDING_MAIL_UNREADABLE);
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 3,
		    FINDING_UIDL_UNMATCHED);
	migration_run_forget_findings(run, FINDING_UIDL_UNMATCHED);
	ck_assert_uint_eq(array_count(&run->findings), 1);
	left = array_front(&run->findings);
	ck_assert_uint_eq(left->uid, 2);
	ck_assert_uint_eq(run->finding_counts[MIGRATION_SEVERITY_ERROR], 1);
	migration_run_finish(run, 3);
	migration_run_forget();
}
END_TEST

START_TEST(test_findings_bounded)
{
	struct migration_run *run;
	string_t *json = str_new(default_pool, 1024);
	unsigned int i;

	run = migration_run_begin(&user_1, "backup", "");
	for (i = 0; i < MIGRATION_RUN_MAX_FINDINGS + 7; i++)
		finding_add(&user_1, MIGRATION_SEVERITY_WARNING, "INBOX", i + 1,
			    FINDING_UIDL_ODD);
	migration_run_finish(run, 0);

	ck_assert_uint_eq(array_count(&run->findings),
			  MIGRATION_RUN_MAX_FINDINGS);
	ck_assert_uint_eq(run->finding_counts[MIGRATION_SEVERITY_WARNING],
			  MIGRATION_RUN_MAX_FINDINGS + 7);
	migration_report_append_json(json, run);
	ck_assert_ptr_nonnull(strstr(str_c(json), "\"findings_omitted\": 7"));
	str_free(&json);
	migration_run_forget();
}
END_TEST

/* The report is written when the source's user is gone, with his settings. */
START_TEST(test_provider_outlives_settings)
{
	struct migration_run *run;
	struct provider_profile profile = {
		.name = "generic", .title = "an IMAP server",
	};
	string_t *json = str_new(default_pool, 1024);
	char exclude[] = "Work/*";

	run = migration_run_begin(&user_1, "backup", "imapc:");
	profile.exclude = exclude;
	migration_run_set_provider(run, &profile, "it says so");
	memset(exclude, 'x', strlen(exclude));
	migration_run_finish(run, 0);
	migration_report_append_json(json, run);
	ck_assert_ptr_nonnull(strstr(str_c(json), "Work/*"));
	str_free(&json);
	migration_run_forget();
}
END_TEST

START_TEST(test_source_opened)
{
	struct migration_run *run;

	run = migration_run_begin(&user_1, "backup", "imapc:");
	migration_run_source_opened(run, "INBOX", 7);
	migration_run_source_opened(run, "Sent", 2);
	/* the command was called again */
	migration_run_source_opened(run, "INBOX", 8);
	ck_assert_uint_eq(migration_run_get_count(run,
				MIGRATION_COUNTER_MAILBOXES), 2);
	ck_assert_uint_eq(migration_run_get_count(run,
				MIGRATION_COUNTER_MAILS_SEEN), 9);
	migration_run_forget();
}
END_TEST

START_TEST(test_summary)
{
	struct migration_run *run;
	string_t *str = t_str_new(256);

	run = migration_run_begin(&user_1, "backup", "imapc:");
	migration_run_count(run, MIGRATION_COUNTER_MAILS_SEEN, 300);
	finding_add(&user_1, MIGRATION_SEVERITY_INFO, NULL, 0, FINDING_UIDL_FORMAT);
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 4,
		    FINDING_UIDL_UNMATCHED);
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 5,
		    FINDING_UIDL_UNMATCHED);
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "INBOX", 6,
		    FINDING_UIDL_UNMATCHED);
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "Sent", 7,
		    FINDING_UIDL_UNMATCHED);
	migration_run_finish(run, 3);
	run->end_time = run->start_time;
	run->end_time.tv_sec += 61;

	migration_report_append_summary(str, run);
	ck_assert_str_eq(str_c(str),
		"backup imapc: of u1: 61.0 s, 300 mails, 5 findings: complete, "
		"except for the errors\n"
		"  error: uidl-unmatched: 4\n"
		"    INBOX UID 4 because of uidl-unmatched\n"
		"    INBOX UID 5 because of uidl-unmatched\n"
		"    INBOX UID 6 because of uidl-unmatched\n"
		"    and 1 more\n"
		"    to do: Look for the mail in the source's other mailboxes "
		"(`migration_pop3_all_mailboxes`). If there are few, accept "
		"them with `migration_pop3_ignore_missing_uidls`: POP3 clients "
		"do not see them any more.\n"
		"  info: uidl-format: 1\n"
		"    because of uidl-format\n");
	migration_run_forget();
}
END_TEST

static const struct {
	uint64_t bytes;
	const char *text;
} sizes[] = {
	{ 0, ": 0.0 s, 0 findings: complete\n" },
	{ 1, ": 0.0 s, 1 bytes, 0 findings: complete\n" },
	{ 9999, ": 0.0 s, 9999 bytes, 0 findings: complete\n" },
	{ 474128, ": 0.0 s, 474 kB, 0 findings: complete\n" },
	{ 12345678, ": 0.0 s, 12 MB, 0 findings: complete\n" },
	{ 2500000000, ": 0.0 s, 2500 MB, 0 findings: complete\n" },
	{ UINT64_MAX, ": 0.0 s, 18446744 TB, 0 findings: complete\n" },
};

START_TEST(test_summary_bytes)
{
	struct migration_run *run;
	string_t *str = t_str_new(256);

	run = migration_run_begin(&user_1, "backup", "");
	migration_run_count(run, MIGRATION_COUNTER_BYTES_FETCHED,
			    sizes[_i].bytes);
	migration_run_finish(run, 0);
	run->end_time = run->start_time;
	migration_report_append_summary(str, run);
	ck_assert_str_eq(str_c(str) + strlen("backup of u1"), sizes[_i].text);
	migration_run_forget();
}
END_TEST

static const struct {
	const char *text, *json;
} strings[] = {
	{ "", "\"\"" },
	{ "a\"b\\c\n", "\"a\\\"b\\\\c\\n\"" },
	{ "Entw\xc3\xbcrfe", "\"Entw\xc3\xbcrfe\"" },
	/* Courier's UIDLs and Exchange's errors can have 8-bit bytes */
	{ "Entw\xfcrfe", "\"Entw\xef\xbf\xbdrfe\"" },
	{ "\x01", "\"\\u0001\"" },
};

START_TEST(test_string)
{
	string_t *str = t_str_new(64);

	migration_report_append_string(str, strings[_i].text);
	ck_assert_str_eq(str_c(str), strings[_i].json);
}
END_TEST

START_TEST(test_save)
{
	char dir[] = "/tmp/test-migration-run.XXXXXX";
	struct migration_run *run;
	struct stat st;
	char buf[8192];
	const char *path, *error = NULL;
	ssize_t ret;
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	path = t_strdup_printf("%s/reports/u1.json", dir);
	run = migration_run_begin(&user_1, "backup", "imapc:");
	finding_add(&user_1, MIGRATION_SEVERITY_ERROR, "IN\"BOX", 9,
		    FINDING_UIDL_UNMATCHED);
	migration_run_add_section(run, "proof", "{\"a\": 1}");
	migration_run_finish(run, 3);

	ck_assert_int_eq(migration_report_save(run, path, &error), 0);
	ck_assert_int_eq(migration_report_save(run, path, &error), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);

	fd = open(path, O_RDONLY);
	ret = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	ck_assert_int_gt(ret, 0);
	buf[ret] = '\0';
	ck_assert_ptr_nonnull(strstr(buf, "\"mailbox\": \"IN\\\"BOX\""));
	ck_assert_ptr_nonnull(strstr(buf, "\"exit_code\": 3"));
	ck_assert_ptr_nonnull(strstr(buf, "\"proof\": {\"a\": 1}"));
	ck_assert_int_eq(buf[ret - 1], '\n');

	/* what stands in the way is named */
	ck_assert_int_eq(migration_report_save(run,
		t_strconcat(path, "/below/a-file", NULL), &error), -1);
	ck_assert_ptr_nonnull(strstr(error, "u1.json"));

	migration_run_forget();
	ck_assert_int_eq(unlink(path), 0);
	/* no temporary file was left behind */
	ck_assert_int_eq(rmdir(t_strconcat(dir, "/reports", NULL)), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

/* ---- connections of several processes ---- */

START_TEST(test_connection_slots)
{
	struct connection_slot *first, *second, *third;
	/* this test may run several times at once on a machine */
	const char *server = t_strdup_printf("test-%d.invalid:143", (int)getpid());
	const char *other = t_strconcat(server, "0", NULL), *error;
	int fds[2];
	pid_t pid;
	char c;

	ck_assert_int_eq(connection_slot_take(server, 2, &first, &error), 1);
	ck_assert_uint_eq(connection_slot_number(first), 0);
	ck_assert(!connection_slot_has_neighbour(first, server));
	ck_assert(!connection_slot_has_neighbour(NULL, server));
	/* another process, and nothing but the end of its life frees it */
	ck_assert_int_eq(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		if (connection_slot_take(server, 2, &second, &error) == 1)
			(void)!write(fds[1], "x", 1);
		(void)pause();
		_exit(0);
	}
	ck_assert_int_eq(read(fds[0], &c, 1), 1);
	ck_assert_int_eq(connection_slot_take(server, 2, &third, &error), 0);
	ck_assert_ptr_null(third);
	ck_assert_uint_eq(connection_slot_number(third), CONNECTION_CAP_NO_SLOT);
	/* another server; no cap */
	ck_assert_int_eq(connection_slot_take(other, 1, &third, &error), 1);
	connection_slot_release(&third);
	ck_assert_int_eq(connection_slot_take(server, 0, &third, &error), 1);
	ck_assert_uint_eq(connection_slot_number(third), 2);
	ck_assert(connection_slot_has_neighbour(first, server));
	ck_assert(connection_slot_has_neighbour(third, server));
	connection_slot_release(&third);

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(!connection_slot_has_neighbour(first, server));
	ck_assert_int_eq(connection_slot_take(server, 2, &third, &error), 1);
	ck_assert_uint_eq(connection_slot_number(third), 1);
	connection_slot_release(&third);
	connection_slot_release(&first);
	ck_assert_int_eq(connection_slot_take(server, 1, &first, &error), 1);
	connection_slot_release(&first);
	i_close_fd(&fds[0]);
	i_close_fd(&fds[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("migration-run");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	lib_init();
	tcase_add_test(tc, test_names);
	tcase_add_test(tc, test_shared_by_both_users);
	tcase_add_test(tc, test_reset_between_users);
	tcase_add_test(tc, test_findings_forgotten);
	tcase_add_test(tc, test_findings_bounded);
	tcase_add_test(tc, test_provider_outlives_settings);
	tcase_add_test(tc, test_source_opened);
	tcase_add_test(tc, test_summary);
	tcase_add_loop_test(tc, test_summary_bytes, 0, N_ELEMENTS(sizes));
	tcase_add_loop_test(tc, test_string, 0, N_ELEMENTS(strings));
	tcase_add_test(tc, test_save);
	tcase_add_test(tc, test_connection_slots);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	migration_run_forget();
	lib_deinit();
	return failed == 0 ? 0 : 1;
}
