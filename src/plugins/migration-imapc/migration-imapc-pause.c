/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Failures of the source's server, and waiting for it. The decisions are in
   retry-policy.c. */

#include "lib.h"
#include "ioloop.h"
#include "time-util.h"
#include "sleep.h"
#include "str-sanitize.h"
#include "migration-run.h"
#include "migration-imapc-private.h"

/* shorter waits are nobody's business */
#define PAUSE_TOLD_MSECS (5*1000)
#define WORDS_MAX_LEN 300
/* how soon a signal is noticed */
#define PAUSE_SLICE_MSECS 500

static const char *words_or(const char *words, const char *other)
{
	return words == NULL || *words == '\0' ? other :
		str_sanitize(words, WORDS_MAX_LEN);
}

/* A signal that ends the run ends the wait, too. */
static bool pause_sleep(uint64_t msecs)
{
	unsigned int slice;

	while (msecs > 0 && !migration_run_is_stopping()) {
		slice = I_MIN(msecs, PAUSE_SLICE_MSECS);
		(void)i_sleep_intr_msecs(slice);
		msecs -= slice;
	}
	return !migration_run_is_stopping();
}

bool migration_imapc_pause(struct migration_imapc_list *mlist,
			   struct retry_state *state,
			   enum retry_failure failure, const char *words)
{
	struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);
	const char *source = migration_imapc_list_source(mlist);
	struct retry_policy policy;
	struct retry_decision decision;
	struct server_reply reply;
	struct event_passthrough *e;
	const char *what;

	retry_policy_init(&policy, (uint64_t)mlist->muser->set->patience * 1000);
	server_reply_understand(words == NULL ? "" : words, &reply);
	retry_decide(&policy, state, failure, &reply, i_rand(), &decision);
	what = words_or(words, "no answer");

	e = event_create_passthrough(mlist->muser->event)->
		set_name("migration_imapc_retried")->
		add_str("meaning", server_reply_meaning_name(reply.meaning))->
		add_int("wait_msecs", decision.wait_msecs);
	if (decision.action != RETRY_AGAIN) {
		e->add_str("error", decision.reason);
		e_debug(e->event(), "%s: %s: not trying again: %s",
			source, what, decision.reason);
		mlist->later_msecs = decision.later_msecs;
		mlist->stop_meaning = reply.meaning;
		return FALSE;
	}
	migration_run_count(run, MIGRATION_COUNTER_RETRIES, 1);
	if (decision.wait_msecs > 0) {
		migration_run_waited(run,
			server_reply_meaning_name(reply.meaning),
			decision.wait_msecs);
	}
	if (decision.wait_msecs >= PAUSE_TOLD_MSECS) {
		e_warning(e->event(), "%s says: %s. Waiting %"PRIu64" seconds "
			"(%s)", source, what, decision.wait_msecs / 1000,
			decision.reason);
	} else {
		e_debug(e->event(), "%s: %s: trying again in %"PRIu64
			" ms (%s)", source, what, decision.wait_msecs,
			decision.reason);
	}
	return pause_sleep(decision.wait_msecs);
}

/* A server that speaks of a quota and not of a time: Gmail's lasts an hour at
   least. */
#define QUOTA_LATER_MSECS (60ULL*60*1000)

void migration_imapc_stop(struct migration_imapc_list *mlist,
			  struct mailbox *box, const char *words)
{
	struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);
	const char *text, *when = "";
	time_t later = 0;

	if (mlist->later_msecs == 0 &&
	    mlist->stop_meaning == SERVER_REPLY_QUOTA)
		mlist->later_msecs = QUOTA_LATER_MSECS;
	if (mlist->later_msecs > 0) {
		later = ioloop_time + (mlist->later_msecs + 999) / 1000;
		when = t_strdup_printf(": continue after %s",
			t_strflocaltime("%Y-%m-%d %H:%M:%S %Z", later));
	}
	text = t_strdup_printf("%s says: %s%s",
			       migration_imapc_list_source(mlist),
			       words_or(words, "nothing any more"), when);
	if (!run->continue_later) {
		run->continue_later = TRUE;
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING, NULL, 0,
			"source-unavailable", "%s. What was migrated stays, the "
			"next run goes on from there.", text);
		if (mlist->later_msecs > 0) {
			migration_run_add_section(run, "continue_after",
				t_strfgmtime("\"%Y-%m-%dT%H:%M:%SZ\"", later));
		}
	}
	if (box != NULL)
		mail_storage_set_error(box->storage, MAIL_ERROR_TEMP, text);
	else
		mailbox_list_set_error(&mlist->list->list, MAIL_ERROR_TEMP, text);
}
