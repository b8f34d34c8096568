/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LOCK_LEASE_H
#define LOCK_LEASE_H

/* One run of one user at a time on several hosts that share nothing but a table
   of keys and values, which can be read and written, but not compared and set
   in one step (Dovecot's dicts). The holder changes the value of the user's key
   all the time; who finds another one's value there watches it:

   - it changes: the holder lives.
   - it does not change for the lease's time: the holder is dead, and its key is
     taken over.

   Two who find the key free, or dead, at the same moment both write. So each
   reads it again after a pause: the last one's value is there, and he has it
   (Fischer's mutual exclusion). For that to be right nobody may write late: a
   write that was not acknowledged within half of the pause after the reading
   that led to it counts for nothing: it is watched like another one's. The holder
   writes without reading, so that a late write of somebody else does not cost him
   the key, unless he was late himself. No clocks are compared. */

struct lock_lease {
	/* how long a value may stay the same, and the pause after a write */
	unsigned int lease_msecs, settle_msecs;
	/* of this process, nobody else has it */
	const char *token;

	/* the value that is watched, and since when */
	char *watched;
	uint64_t watched_since;
	/* when the key was last read, and then written by us */
	uint64_t read_at, written_at;
	bool written;
};

enum lock_lease_action {
	/* ask again after wait_msecs */
	LOCK_LEASE_WAIT,
	/* write the value, tell lock_lease_written(), ask again */
	LOCK_LEASE_WRITE,
	/* it is ours */
	LOCK_LEASE_TAKEN,
	/* another one lives */
	LOCK_LEASE_BUSY,
};

void lock_lease_init(struct lock_lease *lease, const char *token,
		     unsigned int lease_msecs, unsigned int settle_msecs);
void lock_lease_deinit(struct lock_lease *lease);

/* TRUE if the key's value is ours: it begins with our token and a blank. */
bool lock_lease_is_ours(const struct lock_lease *lease, const char *value);

/* value was read at the time now (NULL: there is none). Says what to do next;
   wait_msecs_r is for LOCK_LEASE_WAIT. */
enum lock_lease_action
lock_lease_next(struct lock_lease *lease, uint64_t now, const char *value,
		unsigned int *wait_msecs_r);
/* The write was acknowledged at the time now. */
void lock_lease_written(struct lock_lease *lease, uint64_t now);

/* The holder has to show that he lives: TRUE if so much time has passed since
   the last write that another one may have the key by now, and it must be read
   first. */
bool lock_lease_is_late(const struct lock_lease *lease, uint64_t now);
/* How often the holder writes. */
unsigned int lock_lease_interval(const struct lock_lease *lease);

#endif
