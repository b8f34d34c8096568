/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUN_PROGRESS_H
#define RUN_PROGRESS_H

#include "mail-storage-private.h"

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

/* Puts itself before a mailbox's functions, which has a struct run_mailbox, but
   for these two, which the guard calls in place of the mailbox's own. */
void run_progress_mailbox_init(struct mailbox_vfuncs *v);
int run_progress_get_metadata(struct mailbox *box,
			      enum mailbox_metadata_items items,
			      struct mailbox_metadata *metadata_r);
int run_progress_get_status(struct mailbox *box,
			    enum mailbox_status_items items,
			    struct mailbox_status *status_r);

/* path: the status file, "" for none. lock: is renewed, or NULL. */
void run_progress_begin(struct mail_user *user, struct migration_run *run,
			const char *path, enum run_progress_line line,
			struct migration_lock_dict *lock);
/* The run is finished, its exit code is known. The status file says so. */
void run_progress_end(struct migration_run *run);

#endif
