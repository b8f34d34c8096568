/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RETRY_POLICY_H
#define RETRY_POLICY_H

#include "server-reply.h"

/* What to do after a server failed: try again, after how long, or stop.

   An incident is a row of failures without progress in between; anything that
   was received ends it. Within an incident the waits double, each a quarter
   longer or shorter by chance so that many users of one server do not come
   back together. What the server asks for is waited in full. The waits of one
   incident have a limit: the run's patience. */

struct retry_policy {
	/* the first wait, and the longest one of our own choice */
	unsigned int first_msecs, max_msecs;
	/* how long the waits of one incident may be in all; 0: never wait */
	uint64_t patience_msecs;
	/* failures of one incident that are tried again; 0: none is */
	unsigned int max_retries;
	/* The same before the server has ever been reached: a mistyped host name
	   does not become right by waiting. */
	unsigned int max_first_retries;
	/* a server that is not understood may still mean a wrong password:
	   logins that are refused without known words are tried again this
	   often */
	unsigned int max_refused_logins;
};

struct retry_state {
	/* of the current incident */
	unsigned int failures;
	uint64_t waited_msecs;
	/* the server was logged in to at least once */
	bool reached;
};

enum retry_action {
	/* try again after the wait, which may be 0 */
	RETRY_AGAIN,
	/* stop at a clean point: a later run can go on (exit code 75) */
	RETRY_LATER,
	/* no later run will do better by itself */
	RETRY_NEVER,
};

enum retry_failure {
	/* the connection was lost, or could not be made, or was silent */
	RETRY_FAILURE_CONNECTION,
	/* the login was answered with NO or BAD */
	RETRY_FAILURE_LOGIN,
	/* another command was answered with NO or BAD, or without data */
	RETRY_FAILURE_COMMAND,
};

struct retry_decision {
	enum retry_action action;
	uint64_t wait_msecs;
	/* When RETRY_LATER: how long until a later run makes sense, 0 if nobody
	   knows. */
	uint64_t later_msecs;
	/* for logs and reports, data stack or constant */
	const char *reason;
};

/* The policy of a run with this patience. */
void retry_policy_init(struct retry_policy *policy, uint64_t patience_msecs);

/* One more failure happened: adds it to the state and decides. reply is what
   the server said, if it said something. chance is any number: equally
   distributed ones give equally distributed waits. */
void retry_decide(const struct retry_policy *policy, struct retry_state *state,
		  enum retry_failure failure, const struct server_reply *reply,
		  uint32_t chance, struct retry_decision *decision_r);

/* Something was received: the incident is over. */
void retry_progress(struct retry_state *state);

#endif
