/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "lock-lease.h"

/* how often another one's value is looked at */
#define WATCH_MSECS 250

void lock_lease_init(struct lock_lease *lease, const char *token,
		     unsigned int lease_msecs, unsigned int settle_msecs)
{
	i_zero(lease);
	lease->token = token;
	lease->lease_msecs = lease_msecs;
	lease->settle_msecs = settle_msecs;
}

void lock_lease_deinit(struct lock_lease *lease)
{
	i_free(lease->watched);
}

bool lock_lease_is_ours(const struct lock_lease *lease, const char *value)
{
	size_t len = strlen(lease->token);

	return value != NULL && strncmp(value, lease->token, len) == 0 &&
		value[len] == ' ';
}

static enum lock_lease_action
lease_write(struct lock_lease *lease, uint64_t now)
{
	lease->read_at = now;
	lease->written = FALSE;
	return LOCK_LEASE_WRITE;
}

enum lock_lease_action
lock_lease_next(struct lock_lease *lease, uint64_t now, const char *value,
		unsigned int *wait_msecs_r)
{
	*wait_msecs_r = 0;
	if (lease->written && lock_lease_is_ours(lease, value)) {
		if (now >= lease->written_at + lease->settle_msecs)
			return LOCK_LEASE_TAKEN;
		*wait_msecs_r = lease->written_at + lease->settle_msecs - now;
		return LOCK_LEASE_WAIT;
	}
	lease->written = FALSE;
	if (value == NULL)
		return lease_write(lease, now);
	if (lease->watched == NULL) {
		lease->watched = i_strdup(value);
		lease->watched_since = now;
	} else if (strcmp(lease->watched, value) != 0) {
		return LOCK_LEASE_BUSY;
	} else if (now >= lease->watched_since + lease->lease_msecs) {
		i_free(lease->watched);
		return lease_write(lease, now);
	}
	*wait_msecs_r = WATCH_MSECS;
	return LOCK_LEASE_WAIT;
}

void lock_lease_written(struct lock_lease *lease, uint64_t now)
{
	/* too late: somebody may have read his own value meanwhile */
	lease->written = now <= lease->read_at + lease->settle_msecs / 2;
	lease->written_at = now;
}

bool lock_lease_is_late(const struct lock_lease *lease, uint64_t now)
{
	return now > lease->written_at + lease->lease_msecs / 2;
}

unsigned int lock_lease_interval(const struct lock_lease *lease)
{
	return lease->lease_msecs / 5;
}
