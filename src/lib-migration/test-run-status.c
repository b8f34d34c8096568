/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "run-status.h"
#include "check-suite.h"

#define NOW 1000000

static const struct {
	const char *what;
	enum run_state written;
	enum run_lock lock;
	enum run_process process;
	int age;
	enum run_state state;
} judgements[] = {
	{ "the lock is held", RUN_STATE_RUNNING, RUN_LOCK_HELD,
	  RUN_PROCESS_ALIVE, 1, RUN_STATE_RUNNING },
	{ "it waits", RUN_STATE_WAITING, RUN_LOCK_HELD,
	  RUN_PROCESS_ALIVE, 1, RUN_STATE_WAITING },
	{ "on another host", RUN_STATE_RUNNING, RUN_LOCK_HELD,
	  RUN_PROCESS_UNKNOWN, 1, RUN_STATE_RUNNING },
	{ "stopped by SIGSTOP for an hour", RUN_STATE_RUNNING, RUN_LOCK_HELD,
	  RUN_PROCESS_ALIVE, 3600, RUN_STATE_RUNNING },
	{ "kill -9", RUN_STATE_RUNNING, RUN_LOCK_FREE,
	  RUN_PROCESS_GONE, 1, RUN_STATE_DIED },
	{ "kill -9, and its number belongs to another process",
	  RUN_STATE_RUNNING, RUN_LOCK_FREE,
	  RUN_PROCESS_ALIVE, 1, RUN_STATE_DIED },
	{ "kill -9 while it waited", RUN_STATE_WAITING, RUN_LOCK_FREE,
	  RUN_PROCESS_UNKNOWN, 1, RUN_STATE_DIED },
	{ "no lock, no process", RUN_STATE_RUNNING, RUN_LOCK_UNKNOWN,
	  RUN_PROCESS_GONE, 1, RUN_STATE_DIED },
	{ "no lock, a process", RUN_STATE_RUNNING, RUN_LOCK_UNKNOWN,
	  RUN_PROCESS_ALIVE, 60, RUN_STATE_RUNNING },
	{ "no lock, a process of this number that is another one",
	  RUN_STATE_RUNNING, RUN_LOCK_UNKNOWN,
	  RUN_PROCESS_ALIVE, 3600, RUN_STATE_DIED },
	{ "no lock, another host", RUN_STATE_RUNNING, RUN_LOCK_UNKNOWN,
	  RUN_PROCESS_UNKNOWN, 119, RUN_STATE_RUNNING },
	{ "no lock, another host that is away", RUN_STATE_RUNNING,
	  RUN_LOCK_UNKNOWN, RUN_PROCESS_UNKNOWN, 121, RUN_STATE_DIED },
	{ "finished", RUN_STATE_FINISHED, RUN_LOCK_FREE,
	  RUN_PROCESS_GONE, 9999, RUN_STATE_FINISHED },
	{ "finished, and the next one begins", RUN_STATE_FINISHED,
	  RUN_LOCK_HELD, RUN_PROCESS_GONE, 9999, RUN_STATE_RUNNING },
	{ "none, and one without status file", RUN_STATE_NEVER,
	  RUN_LOCK_HELD, RUN_PROCESS_UNKNOWN, 0, RUN_STATE_RUNNING },
	{ "none", RUN_STATE_NEVER, RUN_LOCK_FREE,
	  RUN_PROCESS_UNKNOWN, 0, RUN_STATE_NEVER },
};

START_TEST(test_judge)
{
	struct run_status status;
	const char *reason = NULL;

	run_status_init(&status);
	status.state = judgements[_i].written;
	status.updated = NOW - judgements[_i].age;
	ck_assert_msg(run_status_judge(&status, judgements[_i].lock,
				       judgements[_i].process, NOW, &reason) ==
		      judgements[_i].state, "%s", judgements[_i].what);
	ck_assert_ptr_nonnull(reason);
}
END_TEST

static const struct {
	struct run_status status;
	const char *next;
	int exit_code;
} nexts[] = {
	{ { .state = RUN_STATE_NEVER }, "There was no run yet.", 68 },
	{ { .state = RUN_STATE_RUNNING, .exit_code = 3 }, "It is under way.", 0 },
	{ { .state = RUN_STATE_WAITING }, "It is under way.", 0 },
	{ { .state = RUN_STATE_DIED }, "Run it again: it goes on from there, "
	  "what is committed stays.", 75 },
	{ { .state = RUN_STATE_FINISHED, .continue_after = "" },
	  "The next run: Brings what is new, and nothing else.", 0 },
	{ { .state = RUN_STATE_FINISHED, .exit_code = 75,
	    .continue_after = "2026-01-02T03:04:05Z" },
	  "Run it again after 2026-01-02T03:04:05Z.", 75 },
};

START_TEST(test_next)
{
	ck_assert_str_eq(run_status_next(&nexts[_i].status), nexts[_i].next);
	ck_assert_int_eq(run_status_exit_code(&nexts[_i].status),
			 nexts[_i].exit_code);
}
END_TEST

START_TEST(test_file)
{
	struct run_status status, again;
	string_t *json = t_str_new(512), *json2 = t_str_new(512);
	const char *error;

	run_status_init(&status);
	status.state = RUN_STATE_WAITING;
	status.user = "jane";
	status.command = "backup";
	status.location = "imapc:";
	status.host = "host";
	status.pid = 4711;
	status.started = 1767323045;
	status.updated = 1767323046;
	status.mailbox = "Entw\xC3\xBCrfe \"\\ \xFF";
	status.mailbox_number = 3;
	status.mailboxes = 12;
	status.mails = UINT64_C(5000000000);
	status.mails_total = UINT64_C(6000000000);
	status.bytes = UINT64_C(7000000000000);
	status.mails_per_sec = 12.5;
	status.bytes_per_sec = 1e6;
	status.eta_secs = 90;
	status.wait = "throttled";
	status.wait_left_msecs = 29000;
	status.infos = 1;
	status.warnings = 2;
	status.errors = 3;
	run_status_append_json(json, &status);
	ck_assert_int_eq(run_status_parse(str_c(json), str_len(json),
		pool_datastack_create(), &again, &error), 0);
	ck_assert_int_eq(again.state, RUN_STATE_WAITING);
	ck_assert_str_eq(again.mailbox, "Entw\xC3\xBCrfe \"\\ \xEF\xBF\xBD");
	ck_assert_int_eq(again.started, 1767323045);
	ck_assert_int_eq(again.finished, 0);
	/* and what was read is written as it was */
	run_status_append_json(json2, &again);
	ck_assert_str_eq(str_c(json), str_c(json2));

	status.state = RUN_STATE_FINISHED;
	status.finished = 1767323047;
	status.exit_code = 3;
	status.eta_secs = -1;
	str_truncate(json, 0);
	run_status_append_json(json, &status);
	ck_assert_int_eq(run_status_parse(str_c(json), str_len(json),
		pool_datastack_create(), &again, &error), 0);
	ck_assert_int_eq(again.exit_code, 3);
	ck_assert_int_eq(again.finished, 1767323047);
	ck_assert_int_eq(again.eta_secs, -1);
}
END_TEST

static const struct {
	const char *text, *error;
} garbage[] = {
	{ "", NULL },
	{ "{", NULL },
	{ "[]", NULL },
	{ "nonsense", NULL },
	{ "{}", "it is no status file" },
	{ "{\"status_version\": 2}", "its version is 2, this program knows 1" },
	/* cut by a full disk */
	{ "{\"status_version\": 1, \"state\": \"runn", NULL },
};

START_TEST(test_garbage)
{
	struct run_status status;
	const char *text = garbage[_i].text, *error = NULL;

	ck_assert_int_eq(run_status_parse(text, strlen(text),
		pool_datastack_create(), &status, &error), -1);
	ck_assert_ptr_nonnull(error);
	if (garbage[_i].error != NULL)
		ck_assert_str_eq(error, garbage[_i].error);
}
END_TEST

START_TEST(test_report)
{
	static const char text[] = "{\"report_version\": 1, \"user\": \"jane\", "
		"\"command\": \"backup\", \"location\": \"imapc:\", "
		"\"started\": \"2026-01-02T03:04:05Z\", "
		"\"finished\": \"2026-01-02T03:04:07Z\", \"exit_code\": 75, "
		"\"counters\": {\"mails\": 5}, \"findings\": [{\"uid\": 7}], "
		"\"continue_after\": \"2026-01-02T04:00:00Z\"}";
	struct run_status status;
	const char *error;

	ck_assert_int_eq(run_status_parse_report(text, strlen(text),
		pool_datastack_create(), &status, &error), 0);
	ck_assert_int_eq(status.state, RUN_STATE_FINISHED);
	ck_assert_int_eq(status.exit_code, 75);
	ck_assert_int_eq(status.finished, 1767323047);
	ck_assert_str_eq(status.continue_after, "2026-01-02T04:00:00Z");
	ck_assert_int_eq(run_status_parse_report("{}", 2,
		pool_datastack_create(), &status, &error), -1);
	ck_assert_str_eq(error, "it is no report");
}
END_TEST

static const struct {
	const char *what;
	enum run_state state;
	int started, report_started;
	enum run_state state_after;
	int exit_code;
} additions[] = {
	{ "only a report", RUN_STATE_NEVER, 0, 100, RUN_STATE_FINISHED, 75 },
	{ "of the same run", RUN_STATE_FINISHED, 100, 100,
	  RUN_STATE_FINISHED, 75 },
	{ "of the same run, whose last status was lost", RUN_STATE_RUNNING, 100,
	  100, RUN_STATE_FINISHED, 75 },
	{ "of the run before", RUN_STATE_RUNNING, 200, 100,
	  RUN_STATE_RUNNING, 0 },
	{ "of a later run", RUN_STATE_FINISHED, 100, 200,
	  RUN_STATE_FINISHED, 75 },
	{ "of a run after one that died", RUN_STATE_WAITING, 100, 200,
	  RUN_STATE_FINISHED, 75 },
};

START_TEST(test_add_report)
{
	struct run_status status, report;

	run_status_init(&status);
	status.state = additions[_i].state;
	status.started = additions[_i].started;
	run_status_init(&report);
	report.state = RUN_STATE_FINISHED;
	report.started = additions[_i].report_started;
	report.exit_code = 75;
	run_status_add_report(&status, &report);
	ck_assert_msg(status.state == additions[_i].state_after, "%s",
		      additions[_i].what);
	ck_assert_int_eq(status.exit_code, additions[_i].exit_code);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "run-status");

	tcase_add_loop_test(tc, test_judge, 0, N_ELEMENTS(judgements));
	tcase_add_loop_test(tc, test_next, 0, N_ELEMENTS(nexts));
	tcase_add_test(tc, test_file);
	tcase_add_loop_test(tc, test_garbage, 0, N_ELEMENTS(garbage));
	tcase_add_test(tc, test_report);
	tcase_add_loop_test(tc, test_add_report, 0, N_ELEMENTS(additions));
	return check_suite_run(s);
}
