/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_LOCK_DICT_H
#define MIGRATION_LOCK_DICT_H

struct mail_user;
struct migration_lock_dict;

/* One run of one user at a time on several hosts, by a key in a dict that all of
   them reach: see lock-lease.h for how, doc/lock.md for whom.

   dict_name: the setting migration_lock_dict. Takes at least lease_secs / 10, at
   most a second, and up to lease_secs if a dead one has it.
   Returns 1 and lock_r, 0 if another run has it and busy_r (data stack), a
   sentence that names it, or -1 and busy_r if the dict cannot be used. */
int migration_lock_dict_take(struct mail_user *user, const char *dict_name,
			     unsigned int lease_secs, const char *command,
			     struct migration_lock_dict **lock_r,
			     const char **busy_r);
/* To be called every second or so. If another one has taken the lock, because
   this process did nothing for too long, it says so and ends the run by
   SIGTERM. */
void migration_lock_dict_refresh(struct migration_lock_dict *lock);
/* NULL is ignored. */
void migration_lock_dict_release(struct migration_lock_dict **lock);

#endif
