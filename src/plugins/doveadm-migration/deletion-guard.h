/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DELETION_GUARD_H
#define DELETION_GUARD_H

#include "seq-range-array.h"
#include "delete-guard.h"

struct mail_user;
struct mailbox_vfuncs;
struct migration_run;
struct doveadm_mail_cmd_context;

/* Watches what dsync deletes, in runs of users who have a plugin of the suite.
   Above migration_max_deletes nothing is deleted in a mailbox: a finding says
   so, and everything else goes on. Outermost of all plugins: what is refused
   was never announced or counted by others. */

/* A text that is part of the error of each refused deletion. dsync takes them
   for changes by somebody else (exit code 2). */
#define DELETION_GUARD_REFUSED "refused by migration_max_deletes"

/* What it knows of a mailbox: a part of struct run_mailbox. */
struct guard_mailbox {
	uint32_t ext_id;
	/* mails expunged since the mailbox was opened */
	unsigned int expunged;
	/* looked for what a killed commit left */
	bool synced;
	/* expunges that were decided on go through */
	bool passing;
	/* mails that got another UID: expunging what had the old one loses
	   nothing, and leaving it would show the mail twice */
	ARRAY_TYPE(seq_range) moved;
};

/* When the module is loaded. */
void deletion_guard_init(void);
/* Puts the guard before a mailbox's functions, which has a struct run_mailbox. */
void deletion_guard_mailbox_init(struct mailbox_vfuncs *v);

/* TRUE if an earlier run has completed the opened mailbox. */
bool deletion_guard_is_completed(struct mailbox *box);

/* Around one user's run of `backup` or `sync`. complete: it did all that it
   could, and no later one goes on with it. */
void deletion_guard_begin(struct mail_user *user,
			  const struct delete_limit *limit);
void deletion_guard_end(struct migration_run *run, bool complete);

/* After run() has ended. Mailboxes that dsync wanted to delete were kept: each
   is compared with its source now, which costs its mails' headers. Those that
   lose no more than the limit allows may be deleted by the next run(), and what
   they have in common with the source's is kept for it (mail-reuse.h); the
   others are left alone by it. Returns TRUE if run() is to be called again. */
bool deletion_guard_wants_another_run(struct doveadm_mail_cmd_context *ctx,
				      struct mail_user *user,
				      const char *location);

#endif
