/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "exit-code.h"
#include "run-status.h"

#include <sysexits.h>

/* doveadm's own code for "no such thing" */
#define EXIT_NOT_FOUND 68
#define SILENT_MAX_SECS 120

static const char *const state_names[] = {
	[RUN_STATE_NEVER] = "never",
	[RUN_STATE_RUNNING] = "running",
	[RUN_STATE_WAITING] = "waiting",
	[RUN_STATE_FINISHED] = "finished",
	[RUN_STATE_DIED] = "died",
};
_Static_assert(N_ELEMENTS(state_names) == RUN_STATE_COUNT,
	       "each state has a name");

/* the words of server_reply_meaning_name() and of the run's own waits */
static const struct {
	const char *cause, *text;
} wait_texts[] = {
	{ "throttled", "server throttles" },
	{ "quota", "the server's quota is spent" },
	{ "temporary", "server is not available" },
	{ "too-many-connections", "too many connections" },
	{ "not-connected", "server is not available" },
	{ "session-over", "logging in again" },
	{ "unknown", "reconnecting" },
	{ RUN_WAIT_MAX_RATE, "migration_imapc_max_rate" },
	{ RUN_WAIT_CONNECTIONS, "other runs have the connections" },
};

const char *run_state_name(enum run_state state)
{
	i_assert(state < RUN_STATE_COUNT);
	return state_names[state];
}

const char *run_status_wait_text(const char *cause)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(wait_texts); i++) {
		if (strcmp(wait_texts[i].cause, cause) == 0)
			return wait_texts[i].text;
	}
	return cause;
}

void run_status_init(struct run_status *status)
{
	i_zero(status);
	status->user = status->command = status->location = status->host =
		status->mailbox = status->wait = status->continue_after = "";
	status->eta_secs = -1;
}

void run_status_add_report(struct run_status *status,
			   const struct run_status *report)
{
	if (status->state == RUN_STATE_NEVER ||
	    report->started > status->started) {
		*status = *report;
	} else if (report->started == status->started) {
		status->state = RUN_STATE_FINISHED;
		status->finished = report->finished;
		status->exit_code = report->exit_code;
		status->continue_after = report->continue_after;
	}
}

static bool is_under_way(const struct run_status *status)
{
	return status->state == RUN_STATE_RUNNING ||
		status->state == RUN_STATE_WAITING;
}

enum run_state
run_status_judge(const struct run_status *status, enum run_lock lock,
		 enum run_process process, int64_t now, const char **reason_r)
{
	if (!is_under_way(status)) {
		if (lock == RUN_LOCK_HELD) {
			*reason_r = "another run has just begun, or writes no "
				"status";
			return RUN_STATE_RUNNING;
		}
		*reason_r = "as it was written";
		return status->state;
	}
	switch (lock) {
	case RUN_LOCK_HELD:
		*reason_r = "its lock is held";
		return status->state;
	case RUN_LOCK_FREE:
		*reason_r = "nobody holds its lock";
		return RUN_STATE_DIED;
	case RUN_LOCK_UNKNOWN:
		break;
	}
	switch (process) {
	case RUN_PROCESS_ALIVE:
		/* a process of this number: it may be another one by now */
		break;
	case RUN_PROCESS_GONE:
		*reason_r = "its process is gone";
		return RUN_STATE_DIED;
	case RUN_PROCESS_UNKNOWN:
		break;
	}
	if (status->updated + SILENT_MAX_SECS < now) {
		*reason_r = "it said nothing for two minutes";
		return RUN_STATE_DIED;
	}
	*reason_r = "it was heard of in the last two minutes";
	return status->state;
}

const char *run_status_next(const struct run_status *status)
{
	switch (status->state) {
	case RUN_STATE_NEVER:
		return "There was no run yet.";
	case RUN_STATE_RUNNING:
	case RUN_STATE_WAITING:
		return "It is under way.";
	case RUN_STATE_DIED:
		return "Run it again: it goes on from there, what is committed "
			"stays.";
	case RUN_STATE_FINISHED:
		break;
	case RUN_STATE_COUNT:
		i_unreached();
	}
	if (status->continue_after[0] != '\0') {
		return t_strdup_printf("Run it again after %s.",
				       status->continue_after);
	}
	return t_strdup_printf("The next run: %s",
		migration_exit_code_next_run(status->exit_code));
}

int run_status_exit_code(const struct run_status *status)
{
	switch (status->state) {
	case RUN_STATE_NEVER:
		return EXIT_NOT_FOUND;
	case RUN_STATE_RUNNING:
	case RUN_STATE_WAITING:
		return 0;
	case RUN_STATE_DIED:
		return EX_TEMPFAIL;
	case RUN_STATE_FINISHED:
		return status->exit_code;
	case RUN_STATE_COUNT:
		break;
	}
	i_unreached();
}
