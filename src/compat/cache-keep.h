/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CACHE_KEEP_H
#define CACHE_KEEP_H

#include "mail-index.h"

/* 2.4 writes a new cache file anew when it is opened for the second time: fields
   that nobody has asked for yet count as last asked for in 1970, and as old
   (QUIRKS.md, "cache-purged-once"). That is most of what an import costs that
   finds all mails there. Called after the mailbox is opened, before it is used:
   then no field counts as old in this process. The next session of the user does
   it instead. 2.3 does not have this, and its sums would overflow. */
static inline void compat_index_keep_cached_fields(struct mail_index *index)
{
#if DOVECOT_PREREQ(2, 4, 0)
	struct mail_index_optimization_settings set;

	i_zero(&set);
	set.cache.unaccessed_field_drop_secs = INT_MAX;
	mail_index_set_optimization_settings(index, &set);
#else
	(void)index;
#endif
}

#endif
