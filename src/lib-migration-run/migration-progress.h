/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_PROGRESS_H
#define MIGRATION_PROGRESS_H

struct migration_run;
struct run_status;

/* How far the run is, while it is running. The plugins tell what they do, who
   shows it watches. Telling costs a few additions, and a look at a clock that
   the kernel keeps in the process's memory. */
struct migration_progress {
	/* of the source, as far as it was asked; 0: not known */
	unsigned int mailboxes_total;
	uint64_t mails_total;

	/* NULL before the first */
	struct migration_run_mailbox *mailbox;
	unsigned int mailbox_number;
	/* mails of it that were dealt with */
	unsigned int mailbox_done;
	/* of the mailboxes before it */
	uint64_t mails_before;
	/* saved in all */
	uint64_t mails_saved, bytes_saved;

	/* NULL, or why the run waits on purpose, and until when (milliseconds
	   of migration_progress_clock()) */
	const char *wait;
	uint64_t wait_end;
};

/* The command begins, or begins once more. */
void migration_progress_restart(struct migration_run *run);
/* The source has this mailbox, which the run will come to. */
void migration_progress_expect(struct migration_run *run, unsigned int mails);
/* The run comes to a mailbox, and is done with the one before; again for the
   same one is ignored. */
void migration_progress_mailbox(struct migration_run *run, const char *name);
/* The same for one that is known to be the same on both sides. */
void migration_progress_unchanged(struct migration_run *run, const char *name,
				  unsigned int mails);
/* A mail of the present mailbox was put into the destination (bytes of its
   text, 0 if not known), or found there. */
void migration_progress_saved(struct migration_run *run, uint64_t bytes);
void migration_progress_skipped(struct migration_run *run);

/* Around a wait on purpose. cause: as for migration_run_waited(). While it waits
   the caller says so now and then with migration_progress_tick(). */
void migration_progress_wait_begin(struct migration_run *run, const char *cause,
				   uint64_t msecs);
void migration_progress_wait_end(struct migration_run *run);
/* Sleeps as that: up to msecs, but not longer than until a signal ends the run.
   Returns FALSE if one did. */
bool migration_progress_sleep(struct migration_run *run, const char *cause,
			      uint64_t msecs);

/* Time has passed: the watcher is called if a second did. */
void migration_progress_tick(struct migration_run *run);

/* Fills in what the progress knows of the fields of run-status.h: mailboxes,
   mails, bytes, the wait and the findings. */
void migration_progress_get(struct migration_run *run,
			    struct run_status *status);

/* Milliseconds of a clock that never goes back. */
uint64_t migration_progress_clock(void);

/* Called about once a second while something happens; NULL ends it. One
   watcher at a time: a process works for one user at a time. */
void migration_progress_watch(void (*watcher)(struct migration_run *run));
/* The last mailbox is done, too. Each that is done is the event
   migration_mailbox_finished, which is logged with -v. */
void migration_progress_finish(struct migration_run *run);

#endif
