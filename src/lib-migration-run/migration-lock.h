/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_LOCK_H
#define MIGRATION_LOCK_H

#include "run-status.h"

struct mail_user;
struct migration_lock;

/* One run of one user at a time: the file dovecot-migration-lock in the user's
   home, locked with fcntl(). It stays when the run has ended, the lock goes with
   the process. It says who has it: process, command, begin. */

/* Returns 1 and lock_r, or 0 if another run has it and busy_r (data stack), a
   sentence that names it. Returns 1 and NULL if there is no place for a lock:
   no home, or one that cannot be written. */
int migration_lock_take(struct mail_user *user, const char *command,
			struct migration_lock **lock_r, const char **busy_r);
/* Asks whether a run of the user has it, without taking it. holder_r (data
   stack) names it if it does. */
enum run_lock migration_lock_look(struct mail_user *user,
				  const char **holder_r);
/* NULL is ignored. */
void migration_lock_release(struct migration_lock **lock);

#endif
