/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "ioloop.h"
#include "run-status.h"
#include "migration-run.h"
#include "migration-progress.h"

#include <time.h>

#define WATCH_INTERVAL_MSECS 1000
/* how often a wait is shown */
#define SLEEP_SLICE_MSECS 500

static void (*watch_callback)(struct migration_run *run);
static uint64_t watched_at;

uint64_t migration_progress_clock(void)
{
	struct timespec ts;

	/* without a system call, precise to some milliseconds; ioloop_time
	   stands still while nothing waits, as when local mail is copied */
	if (clock_gettime(CLOCK_MONOTONIC_COARSE, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void migration_progress_watch(void (*watcher)(struct migration_run *run))
{
	watch_callback = watcher;
	watched_at = migration_progress_clock();
}

void migration_progress_tick(struct migration_run *run)
{
	uint64_t now;

	if (watch_callback == NULL)
		return;
	now = migration_progress_clock();
	if (now < watched_at + WATCH_INTERVAL_MSECS)
		return;
	watched_at = now;
	T_BEGIN {
		watch_callback(run);
	} T_END;
}

void migration_progress_restart(struct migration_run *run)
{
	struct migration_progress *progress = &run->progress;

	progress->mailboxes_total = progress->mailbox_number = 0;
	progress->mails_total = progress->mails_before = 0;
	progress->mailbox_done = 0;
	progress->mailbox = NULL;
}

void migration_progress_expect(struct migration_run *run, unsigned int mails)
{
	run->progress.mailboxes_total++;
	run->progress.mails_total += mails;
}

static void
send_mailbox_finished(struct migration_run *run,
		      const struct migration_run_mailbox *mailbox)
{
	struct event_passthrough *e =
		event_create_passthrough(run->event)->
		set_name("migration_mailbox_finished")->
		add_str("command", run->command)->
		add_str("mailbox", mailbox->name)->
		add_int("source_mails", mailbox->source_mails)->
		add_int("saved", mailbox->saved)->
		add_int("deleted", mailbox->deleted);
	const char *text = t_strdup_printf(
		"Mailbox %s: %u mails at the source, %u saved, %u deleted",
		mailbox->name, mailbox->source_mails, mailbox->saved,
		mailbox->deleted);

	if (run->verbose)
		e_info(e->event(), "%s", text);
	else
		e_debug(e->event(), "%s", text);
}

void migration_progress_finish(struct migration_run *run)
{
	struct migration_progress *progress = &run->progress;

	if (progress->mailbox == NULL)
		return;
	T_BEGIN {
		send_mailbox_finished(run, progress->mailbox);
	} T_END;
	progress->mails_before += progress->mailbox->source_mails;
	progress->mailbox_done = 0;
	progress->mailbox = NULL;
}

void migration_progress_mailbox(struct migration_run *run, const char *name)
{
	struct migration_progress *progress = &run->progress;

	if (progress->mailbox != NULL &&
	    strcmp(progress->mailbox->name, name) == 0)
		return;
	migration_progress_finish(run);
	progress->mailbox = migration_run_mailbox(run, name);
	progress->mailbox_number++;
	migration_progress_tick(run);
}

void migration_progress_unchanged(struct migration_run *run, const char *name,
				  unsigned int mails)
{
	struct migration_run_mailbox *mailbox =
		migration_run_mailbox(run, name);

	mailbox->source_mails = mailbox->dest_mails = mails;
	migration_progress_mailbox(run, name);
}

void migration_progress_saved(struct migration_run *run, uint64_t bytes)
{
	run->progress.mailbox_done++;
	run->progress.mails_saved++;
	run->progress.bytes_saved += bytes;
	migration_progress_tick(run);
}

void migration_progress_skipped(struct migration_run *run)
{
	run->progress.mailbox_done++;
	migration_progress_tick(run);
}

void migration_progress_wait_begin(struct migration_run *run, const char *cause,
				   uint64_t msecs)
{
	run->progress.wait = cause;
	run->progress.wait_end = migration_progress_clock() + msecs;
	migration_progress_tick(run);
}

void migration_progress_wait_end(struct migration_run *run)
{
	run->progress.wait = NULL;
}

static void progress_sleep_slice(struct migration_run *run)
{
	migration_progress_tick(run);
	if (migration_run_is_stopping())
		io_loop_stop(current_ioloop);
}

bool migration_progress_sleep(struct migration_run *run, const char *cause,
			      uint64_t msecs)
{
	struct ioloop *ioloop;
	struct timeout *to_slice, *to_end;

	if (msecs == 0 || migration_run_is_stopping())
		return !migration_run_is_stopping();
	migration_progress_wait_begin(run, cause, msecs);
	/* A loop of its own: signals are seen in it, and the connections rest. */
	ioloop = io_loop_create();
	to_slice = timeout_add_short(SLEEP_SLICE_MSECS, progress_sleep_slice,
				     run);
	to_end = timeout_add_short(I_MIN(msecs, INT_MAX), io_loop_stop, ioloop);
	io_loop_run(ioloop);
	timeout_remove(&to_end);
	timeout_remove(&to_slice);
	io_loop_destroy(&ioloop);
	migration_progress_wait_end(run);
	e_debug(event_create_passthrough(run->event)->
		set_name("migration_wait_finished")->
		add_str("cause", cause)->
		add_int("msecs", msecs)->event(),
		"Waited for %"PRIu64" ms: %s", msecs, cause);
	return !migration_run_is_stopping();
}

void migration_progress_get(struct migration_run *run,
			    struct run_status *status)
{
	const struct migration_progress *progress = &run->progress;
	const struct migration_run_mailbox *mailbox = progress->mailbox;
	uint64_t now = migration_progress_clock();

	status->mailbox_number = progress->mailbox_number;
	status->mailboxes = progress->mailboxes_total == 0 ? 0 :
		I_MAX(progress->mailboxes_total, progress->mailbox_number);
	status->mails = progress->mails_before;
	if (mailbox != NULL) {
		status->mailbox = mailbox->name;
		status->mails += I_MIN(mailbox->source_mails,
			mailbox->dest_mails + progress->mailbox_done);
	}
	status->mails_total = progress->mails_total == 0 ? 0 :
		I_MAX(progress->mails_total, status->mails);
	status->bytes = progress->bytes_saved;
	if (progress->wait != NULL) {
		status->state = RUN_STATE_WAITING;
		status->wait = progress->wait;
		status->wait_left_msecs = progress->wait_end > now ?
			progress->wait_end - now : 0;
	}
	status->infos = run->finding_counts[MIGRATION_SEVERITY_INFO];
	status->warnings = run->finding_counts[MIGRATION_SEVERITY_WARNING];
	status->errors = run->finding_counts[MIGRATION_SEVERITY_ERROR];
}
