/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUN_PROGRESS_H
#define RUN_PROGRESS_H

struct mail_user;
struct migration_run;
struct migration_lock_dict;

/* Shows how far a user's run is: in the status file, and in a line on a
   terminal that is updated in place. Both about once a second, also while the
   run waits for a server. */

enum run_progress_line {
	RUN_PROGRESS_LINE_NO,
	/* if standard error is a terminal and nothing else is chatty */
	RUN_PROGRESS_LINE_AUTO,
	/* also where it is no terminal: then a line of the log now and then */
	RUN_PROGRESS_LINE_YES,
};

/* When the module is loaded. */
void run_progress_init(void);

/* path: the status file, "" for none. lock: is renewed, or NULL. */
void run_progress_begin(struct mail_user *user, struct migration_run *run,
			const char *path, enum run_progress_line line,
			struct migration_lock_dict *lock);
/* The run is finished, its exit code is known. The status file says so. */
void run_progress_end(struct migration_run *run);

#endif
