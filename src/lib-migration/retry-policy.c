/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "retry-policy.h"

/* Some drops heal at once: the first wait is hardly noticed. */
#define RETRY_FIRST_MSECS 200
/* A server that is down for minutes is asked once a minute. */
#define RETRY_MAX_MSECS (60*1000)
/* waits of 0.2, 0.4, ... 60 seconds: far beyond any sensible patience */
#define RETRY_MAX_RETRIES 50
#define RETRY_MAX_FIRST_RETRIES 3
#define RETRY_MAX_REFUSED_LOGINS 2

void retry_policy_init(struct retry_policy *policy, uint64_t patience_msecs)
{
	i_zero(policy);
	policy->first_msecs = RETRY_FIRST_MSECS;
	policy->max_msecs = RETRY_MAX_MSECS;
	policy->patience_msecs = patience_msecs;
	policy->max_retries = RETRY_MAX_RETRIES;
	policy->max_first_retries = RETRY_MAX_FIRST_RETRIES;
	policy->max_refused_logins = RETRY_MAX_REFUSED_LOGINS;
}

/* failures counts the one that just happened */
static uint64_t
retry_backoff(const struct retry_policy *policy, unsigned int failures)
{
	uint64_t wait = policy->first_msecs;

	while (--failures > 0 && wait < policy->max_msecs)
		wait *= 2;
	return I_MIN(wait, policy->max_msecs);
}

static void
retry_stop(struct retry_decision *decision, enum retry_action action,
	   const char *reason)
{
	decision->action = action;
	decision->wait_msecs = 0;
	decision->reason = reason;
}

/* What kind of failure will not go away by trying again now. Returns TRUE if
   that is decided. */
static bool
retry_decide_hopeless(const struct retry_policy *policy,
		      const struct retry_state *state,
		      enum retry_failure failure,
		      const struct server_reply *reply,
		      struct retry_decision *decision)
{
	switch (reply->meaning) {
	case SERVER_REPLY_POLICY:
		retry_stop(decision, RETRY_NEVER,
			   "the account's owner has to do something");
		return TRUE;
	case SERVER_REPLY_REFUSED:
		retry_stop(decision, RETRY_NEVER, "it is refused");
		return TRUE;
	case SERVER_REPLY_GONE:
		retry_stop(decision, RETRY_NEVER, "it is gone");
		return TRUE;
	case SERVER_REPLY_MESSAGE_LIMIT:
		retry_stop(decision, RETRY_NEVER,
			   "it must be asked in smaller pieces");
		return TRUE;
	case SERVER_REPLY_UNKNOWN:
		if (failure == RETRY_FAILURE_LOGIN &&
		    state->failures > policy->max_refused_logins) {
			retry_stop(decision, RETRY_NEVER,
				   "the login is refused again and again");
			return TRUE;
		}
		return FALSE;
	case SERVER_REPLY_TEMPORARY:
	case SERVER_REPLY_SLOW_DOWN:
	case SERVER_REPLY_QUOTA:
	case SERVER_REPLY_TOO_MANY_CONNECTIONS:
	case SERVER_REPLY_SESSION_OVER:
	case SERVER_REPLY_NOT_CONNECTED:
		return FALSE;
	}
	i_unreached();
}

static bool
retry_server_talks(const struct server_reply *reply)
{
	/* What says so knows us: it has been reached. "Temporary" is also said
	   by what is between us, such as name servers. */
	return reply->meaning != SERVER_REPLY_UNKNOWN &&
		reply->meaning != SERVER_REPLY_TEMPORARY;
}

static uint64_t
retry_wait(const struct retry_policy *policy, const struct retry_state *state,
	   const struct server_reply *reply, uint32_t chance)
{
	uint64_t wait = retry_backoff(policy, state->failures);

	if (reply->meaning == SERVER_REPLY_SESSION_OVER && state->failures == 1)
		return 0;
	if (reply->wait_msecs > wait) {
		/* never less than what was asked for, up to an eighth more */
		return reply->wait_msecs +
			(reply->wait_msecs / 8) * (chance % 1024) / 1023;
	}
	return wait * 3 / 4 + wait / 2 * (chance % 1024) / 1023;
}

void retry_decide(const struct retry_policy *policy, struct retry_state *state,
		  enum retry_failure failure, const struct server_reply *reply,
		  uint32_t chance, struct retry_decision *decision_r)
{
	static const struct server_reply silent = { .because = "" };
	unsigned int max_retries;

	if (reply == NULL)
		reply = &silent;
	i_zero(decision_r);
	state->failures++;

	if (retry_decide_hopeless(policy, state, failure, reply, decision_r))
		return;

	max_retries = state->reached || retry_server_talks(reply) ?
		policy->max_retries : policy->max_first_retries;
	decision_r->wait_msecs = retry_wait(policy, state, reply, chance);
	if (state->failures > max_retries) {
		retry_stop(decision_r, RETRY_LATER, state->reached ?
			   "it failed too often without any progress" :
			   "the server can't be reached");
	} else if (state->waited_msecs + decision_r->wait_msecs >
		   policy->patience_msecs) {
		decision_r->later_msecs = reply->wait_msecs;
		retry_stop(decision_r, RETRY_LATER, reply->wait_msecs > 0 ?
			   "the server asks for more than the patience" :
			   "the patience is used up");
	} else {
		decision_r->action = RETRY_AGAIN;
		decision_r->reason = reply->wait_msecs > 0 ?
			"the server asks for it" :
			retry_server_talks(reply) ?
			server_reply_meaning_name(reply->meaning) :
			"it may pass";
		state->waited_msecs += decision_r->wait_msecs;
	}
}

void retry_progress(struct retry_state *state)
{
	state->failures = 0;
	state->waited_msecs = 0;
	state->reached = TRUE;
}
