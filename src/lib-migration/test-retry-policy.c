/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "retry-policy.h"
#include "check-suite.h"

#define PATIENCE (10*60*1000)
#define MIDDLE 512

/* the first failure of an incident */
static const struct {
	enum retry_failure failure;
	/* NULL: the server said nothing */
	const char *text;
	bool reached;
	enum retry_action action;
	uint64_t min_wait, max_wait;
} firsts[] = {
	{ RETRY_FAILURE_CONNECTION, NULL, TRUE, RETRY_AGAIN, 150, 250 },
	{ RETRY_FAILURE_CONNECTION, NULL, FALSE, RETRY_AGAIN, 150, 250 },
	{ RETRY_FAILURE_CONNECTION, "Shutting down", TRUE, RETRY_AGAIN,
	  150, 250 },
	{ RETRY_FAILURE_CONNECTION, "Session expired, please login again", TRUE,
	  RETRY_AGAIN, 0, 0 },
	{ RETRY_FAILURE_COMMAND, "[SERVERBUG] x", TRUE, RETRY_AGAIN, 150, 250 },
	{ RETRY_FAILURE_COMMAND, "[EXPUNGEISSUED] x", TRUE, RETRY_NEVER, 0, 0 },
	{ RETRY_FAILURE_COMMAND, "Request is throttled. Suggested Backoff "
	  "Time: 92000 milliseconds", TRUE, RETRY_AGAIN, 92000, 103500 },
	{ RETRY_FAILURE_COMMAND, "Request is throttled. Suggested Backoff "
	  "Time: 9200000 milliseconds", TRUE, RETRY_LATER, 0, 0 },
	/* a short wait is no reason to come back sooner than usual */
	{ RETRY_FAILURE_COMMAND, "Request is throttled. Suggested Backoff "
	  "Time: 1 milliseconds", TRUE, RETRY_AGAIN, 150, 250 },
	{ RETRY_FAILURE_LOGIN, "[AUTHENTICATIONFAILED] x", FALSE, RETRY_NEVER,
	  0, 0 },
	{ RETRY_FAILURE_LOGIN, "[AUTHENTICATIONFAILED] Account exceeded command "
	  "or bandwidth limits.", FALSE, RETRY_AGAIN, 150, 250 },
	{ RETRY_FAILURE_LOGIN, "Web login required", FALSE, RETRY_NEVER, 0, 0 },
	{ RETRY_FAILURE_LOGIN, "No.", FALSE, RETRY_AGAIN, 150, 250 },
};

START_TEST(test_first)
{
	static const uint32_t chances[] = { 0, MIDDLE, 1023, 1024, UINT32_MAX };
	struct retry_policy policy;
	struct retry_state state;
	struct retry_decision decision;
	struct server_reply reply;
	unsigned int i;

	retry_policy_init(&policy, PATIENCE);
	server_reply_understand(firsts[_i].text == NULL ? "" : firsts[_i].text,
				&reply);
	for (i = 0; i < N_ELEMENTS(chances); i++) {
		i_zero(&state);
		state.reached = firsts[_i].reached;
		retry_decide(&policy, &state, firsts[_i].failure,
			     firsts[_i].text == NULL ? NULL : &reply,
			     chances[i], &decision);
		ck_assert_int_eq(decision.action, firsts[_i].action);
		ck_assert_uint_ge(decision.wait_msecs, firsts[_i].min_wait);
		ck_assert_uint_le(decision.wait_msecs, firsts[_i].max_wait);
		ck_assert_ptr_nonnull(decision.reason);
		ck_assert_uint_eq(state.waited_msecs, decision.wait_msecs);
		if (decision.action != RETRY_LATER)
			ck_assert_uint_eq(decision.later_msecs, 0);
	}
}
END_TEST

/* how often the same failure is tried again */
static const struct {
	enum retry_failure failure;
	const char *text;
	bool reached;
	uint64_t patience;
	unsigned int retries;
	enum retry_action end;
} rows[] = {
	{ RETRY_FAILURE_CONNECTION, NULL, FALSE, PATIENCE, 3, RETRY_LATER },
	/* .2 .4 .8 1.6 3.2 6.4 12.8 25.6 51.2 60 60 60 60 60 60 60 60: 9 waits
	   are 102 seconds, 8 more are 10 minutes */
	{ RETRY_FAILURE_CONNECTION, NULL, TRUE, PATIENCE, 17, RETRY_LATER },
	{ RETRY_FAILURE_CONNECTION, NULL, TRUE, 1500, 3, RETRY_LATER },
	{ RETRY_FAILURE_CONNECTION, NULL, TRUE, 0, 0, RETRY_LATER },
	/* a server that speaks has been reached */
	{ RETRY_FAILURE_CONNECTION, "Too many connections", FALSE, PATIENCE, 17,
	  RETRY_LATER },
	{ RETRY_FAILURE_LOGIN, "No.", FALSE, PATIENCE, 2, RETRY_NEVER },
	{ RETRY_FAILURE_LOGIN, "User is authenticated but not connected.", FALSE,
	  PATIENCE, 17, RETRY_LATER },
	{ RETRY_FAILURE_COMMAND, "Suggested Backoff Time: 92000 milliseconds",
	  TRUE, PATIENCE, 6, RETRY_LATER },
	/* no patience is not endless */
	{ RETRY_FAILURE_COMMAND, "[INUSE]", TRUE, UINT64_MAX/4, 50,
	  RETRY_LATER },
};

START_TEST(test_row)
{
	struct retry_policy policy;
	struct retry_state state;
	struct retry_decision decision;
	struct server_reply reply;
	unsigned int retries = 0;

	retry_policy_init(&policy, rows[_i].patience);
	server_reply_understand(rows[_i].text == NULL ? "" : rows[_i].text,
				&reply);
	i_zero(&state);
	state.reached = rows[_i].reached;
	for (;;) {
		/* exactly the middle of the range is not a number */
		retry_decide(&policy, &state, rows[_i].failure,
			     rows[_i].text == NULL ? NULL : &reply,
			     retries % 2 == 0 ? 511 : 512, &decision);
		if (decision.action != RETRY_AGAIN)
			break;
		retries++;
	}
	ck_assert_uint_eq(retries, rows[_i].retries);
	ck_assert_int_eq(decision.action, rows[_i].end);

	/* progress gives all of it back */
	retry_progress(&state);
	retry_decide(&policy, &state, RETRY_FAILURE_CONNECTION, NULL, 0,
		     &decision);
	ck_assert_int_eq(decision.action, rows[_i].patience == 0 ?
			 RETRY_LATER : RETRY_AGAIN);
}
END_TEST

START_TEST(test_waits_double)
{
	struct retry_policy policy;
	struct retry_state state;
	struct retry_decision decision;
	uint64_t last = 0;
	unsigned int i;

	retry_policy_init(&policy, UINT64_MAX/4);
	i_zero(&state);
	state.reached = TRUE;
	for (i = 0; i < 9; i++) {
		retry_decide(&policy, &state, RETRY_FAILURE_CONNECTION, NULL, 0,
			     &decision);
		if (last != 0)
			ck_assert_uint_eq(decision.wait_msecs, last * 2);
		last = decision.wait_msecs;
	}
	for (i = 0; i < 5; i++) {
		retry_decide(&policy, &state, RETRY_FAILURE_CONNECTION, NULL, 0,
			     &decision);
		ck_assert_uint_eq(decision.wait_msecs, policy.max_msecs * 3 / 4);
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "retry-policy");

	tcase_add_loop_test(tc, test_first, 0, N_ELEMENTS(firsts));
	tcase_add_loop_test(tc, test_row, 0, N_ELEMENTS(rows));
	tcase_add_test(tc, test_waits_double);
	return check_suite_run(s);
}
