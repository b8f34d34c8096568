/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "time-util.h"
#include "str-sanitize.h"
#include "migration-run.h"
#include "source-mailbox.h"
#include "source-pause.h"

/* shorter waits are nobody's business */
#define PAUSE_TOLD_MSECS (5*1000)
#define WORDS_MAX_LEN 300
/* A server that speaks of a quota and not of a time: Gmail's lasts an hour at
   least. */
#define QUOTA_LATER_MSECS (60ULL*60*1000)
/* A command that fails this often without getting further, and for no reason
   that is known to pass, fails for ever: some six seconds. A server that is away
   for longer is waited for where the command logs in. */
#define UNKNOWN_MAX_RUNS 5

static const char *words_or(const char *words, const char *other)
{
	return words == NULL || *words == '\0' ? other :
		str_sanitize(words, WORDS_MAX_LEN);
}

/* Who said what. */
static const char *source_says(struct migration_run *run, const char *what)
{
	return t_strdup_printf("%s says: %s", run->source, what);
}

static bool
pause_after(struct migration_run *run, struct retry_state *state,
	    uint64_t patience_msecs, enum retry_failure failure,
	    const char *words, const char *told)
{
	struct retry_policy policy;
	struct retry_decision decision;
	struct server_reply reply;
	struct event_passthrough *e;

	retry_policy_init(&policy, patience_msecs);
	server_reply_understand(words == NULL ? "" : words, &reply);
	retry_decide(&policy, state, failure, &reply, i_rand(), &decision);

	e = event_create_passthrough(run->event)->
		set_name("migration_source_retried")->
		add_str("meaning", server_reply_meaning_name(reply.meaning))->
		add_int("wait_msecs", decision.wait_msecs);
	if (decision.action != RETRY_AGAIN) {
		e->add_str("error", decision.reason);
		e_debug(e->event(), "%s: not trying again: %s", told,
			decision.reason);
		return FALSE;
	}
	migration_run_count(run, MIGRATION_COUNTER_RETRIES, 1);
	if (decision.wait_msecs > 0) {
		migration_run_waited(run,
			server_reply_meaning_name(reply.meaning),
			decision.wait_msecs);
	}
	if (decision.wait_msecs >= PAUSE_TOLD_MSECS) {
		e_warning(e->event(), "%s. Waiting %"PRIu64" seconds (%s)",
			  told, decision.wait_msecs / 1000, decision.reason);
	} else {
		e_debug(e->event(), "%s: trying again in %"PRIu64" ms (%s)",
			told, decision.wait_msecs, decision.reason);
	}
	return migration_progress_sleep(run,
		server_reply_meaning_name(reply.meaning), decision.wait_msecs);
}

bool source_pause(struct migration_run *run, struct retry_state *state,
		  enum retry_failure failure, const char *words)
{
	return source_pause_within(run, state, run->patience_msecs, failure,
				   words);
}

bool source_pause_within(struct migration_run *run, struct retry_state *state,
			 uint64_t patience_msecs, enum retry_failure failure,
			 const char *words)
{
	if (run->source_reached)
		state->reached = TRUE;
	return pause_after(run, state,
			   I_MIN(patience_msecs, run->patience_msecs), failure,
			   words,
			   source_says(run, words_or(words, "no answer")));
}

bool source_pause_other(struct migration_run *run, struct retry_state *state,
			uint64_t patience_msecs, enum retry_failure failure,
			const char *words)
{
	return pause_after(run, state, patience_msecs, failure, words,
			   words_or(words, "no answer"));
}

static const char *
stop_after(struct migration_run *run, const char *words, const char *told)
{
	const char *text, *when = "";
	struct server_reply reply;
	uint64_t later_msecs;
	time_t later;

	server_reply_understand(words == NULL ? "" : words, &reply);
	later_msecs = reply.wait_msecs > 0 ? reply.wait_msecs :
		reply.meaning == SERVER_REPLY_QUOTA ? QUOTA_LATER_MSECS : 0;
	later = ioloop_time + (later_msecs + 999) / 1000;
	if (later_msecs > 0) {
		when = t_strdup_printf(": continue after %s",
			t_strflocaltime("%Y-%m-%d %H:%M:%S %Z", later));
	}
	text = t_strconcat(told, when, NULL);
	if (!run->continue_later) {
		run->continue_later = TRUE;
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING, NULL, 0,
			FINDING_SOURCE_UNAVAILABLE,
			"%s. What was migrated stays, the "
			"next run goes on from there.", text);
		if (later_msecs > 0) {
			migration_run_add_section(run, "continue_after",
				t_strfgmtime("\"%Y-%m-%dT%H:%M:%SZ\"", later));
		}
	}
	return text;
}

const char *source_stop(struct migration_run *run, const char *words)
{
	return stop_after(run, words,
		source_says(run, words_or(words, "nothing any more")));
}

const char *source_stop_other(struct migration_run *run, const char *words)
{
	return stop_after(run, words, words_or(words, "nothing any more"));
}

void source_failed(struct migration_run *run, const char *words)
{
	if (run->source_failure == NULL) {
		run->source_failure = p_strdup(run->pool,
			words_or(words, "lost the connection"));
		run->source_failure_mailbox = run->source_mailbox;
	}
}

bool source_wants_another_run(struct migration_run *run,
			      struct retry_state *state)
{
	const char *words = run->source_failure;
	uint64_t done = run->counters[MIGRATION_COUNTER_MAILS_FETCHED];
	struct server_reply reply;

	run->source_failure = NULL;
	if (words == NULL || run->continue_later ||
	    migration_run_is_stopping())
		return FALSE;
	if (done > run->fetched_before) {
		run->fetched_before = done;
		retry_progress(state);
	} else {
		source_mailbox_lost(run, words);
	}
	server_reply_understand(words, &reply);
	if (state->failures >= UNKNOWN_MAX_RUNS &&
	    !server_reply_is_temporary(reply.meaning))
		return FALSE;
	if (!source_pause(run, state, RETRY_FAILURE_CONNECTION, words)) {
		if (migration_run_is_stopping())
			return FALSE;
		if (!source_mailbox_give_up(run)) {
			(void)source_stop(run, words);
			return FALSE;
		}
	}
	e_debug(run->event, "the command is tried again: it failed because of "
		"the source (%s)", words);
	return TRUE;
}
