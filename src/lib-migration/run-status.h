/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUN_STATUS_H
#define RUN_STATUS_H

/* How far a user's run is: what the status file holds, what the progress line
   and `doveadm migration status` show. */

/* Raised when a field of the file changes its meaning or goes away. The fields
   are documented in doc/status.md. */
#define RUN_STATUS_VERSION 1

enum run_state {
	/* nothing is known of a run */
	RUN_STATE_NEVER,
	RUN_STATE_RUNNING,
	/* on purpose, see wait */
	RUN_STATE_WAITING,
	RUN_STATE_FINISHED,
	/* it is not running, and did not end by itself: kill -9, a power
	   failure */
	RUN_STATE_DIED,

	RUN_STATE_COUNT
};

struct run_status {
	enum run_state state;
	const char *user, *command, *location;
	/* who does it */
	const char *host;
	int64_t pid;
	/* seconds since 1970; 0: not known */
	int64_t started, updated, finished;

	/* The mailbox that the run is at, "" before the first one, and which
	   one of how many. */
	const char *mailbox;
	unsigned int mailbox_number, mailboxes;
	/* mails of all mailboxes that are dealt with, of how many (0: not
	   known), and the bytes of those that were saved */
	uint64_t mails, mails_total, bytes;
	double mails_per_sec, bytes_per_sec;
	/* -1: not known */
	int64_t eta_secs;

	/* why it waits, "" if it does not, and for how much longer */
	const char *wait;
	uint64_t wait_left_msecs;

	uint64_t infos, warnings, errors;
	/* of a run that has finished */
	int exit_code;
	/* when the next run can go on, "" if that is not known */
	const char *continue_after;
};

/* The run's own pause because of migration_imapc_max_rate. The other causes but
   the next one are server_reply_meaning_name()'s. */
#define RUN_WAIT_MAX_RATE "max-rate"
/* Other runs have the connections that the source allows. */
#define RUN_WAIT_CONNECTIONS "connections"

const char *run_state_name(enum run_state state);

/* What a wait's cause means to a person: a few words. Causes that are not known
   are returned as they are. */
const char *run_status_wait_text(const char *cause);

/* All texts "", eta_secs -1. */
void run_status_init(struct run_status *status);

/* The status file: one JSON object and a newline. Texts may be any bytes, the
   result is valid UTF-8. */
void run_status_append_json(string_t *dest, const struct run_status *status);
/* Reads a status file. Texts are in the pool. Returns 0, or -1 and error_r
   (data stack): no JSON, or of another version. */
int run_status_parse(const char *text, size_t size, pool_t pool,
		     struct run_status *status_r, const char **error_r);
/* Reads what a run's report (doc/report.md) tells of these. */
int run_status_parse_report(const char *text, size_t size, pool_t pool,
			    struct run_status *status_r, const char **error_r);

/* A report of the same run, or of a later one that wrote no status, is the
   better witness; that of an earlier one is ignored. */
void run_status_add_report(struct run_status *status,
			   const struct run_status *report);

enum run_lock {
	/* some run of the user has it */
	RUN_LOCK_HELD,
	RUN_LOCK_FREE,
	/* there is no place for a lock */
	RUN_LOCK_UNKNOWN,
};

enum run_process {
	RUN_PROCESS_ALIVE,
	RUN_PROCESS_GONE,
	/* it is on another host */
	RUN_PROCESS_UNKNOWN,
};

/* What the state of the file's text is worth. The lock is the truth where there
   is one. A run says every second or so that it is alive; without a lock, and
   on another host, one that said nothing for two minutes is dead. reason_r is
   set on every path (constant). */
enum run_state
run_status_judge(const struct run_status *status, enum run_lock lock,
		 enum run_process process, int64_t now, const char **reason_r);

/* What the administrator, or the next run, does next: a sentence (data stack). */
const char *run_status_next(const struct run_status *status);
/* What the state is worth as exit code: 0, 3, 68 (never), 75 (died) or that of
   the run. */
int run_status_exit_code(const struct run_status *status);

#endif
