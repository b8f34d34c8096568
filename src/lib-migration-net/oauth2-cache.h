/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_CACHE_H
#define OAUTH2_CACHE_H

#include "oauth2-lifetime.h"

struct migration_oauth2_cache;

/* The token that processes share for one key: a file in a folder that only its
   owner may write to, locked while a process reads it, asks for a token and
   writes it. The key says what the token is for; only its hash is a file name.

   Returns 1 and cache_r (locked), 0 if another process still had the lock after
   the timeout, or -1 and error_r (data stack). */
int migration_oauth2_cache_lock(const char *dir, const char *key,
				unsigned int timeout_secs,
				struct migration_oauth2_cache **cache_r,
				const char **error_r);
void migration_oauth2_cache_unlock(struct migration_oauth2_cache **cache);

/* Returns 1 and entry_r (allocated from the pool), 0 if nothing is known, or
   -1 and error_r if the file must not be trusted or cannot be read. */
int migration_oauth2_cache_read(struct migration_oauth2_cache *cache,
				pool_t pool,
				struct migration_oauth2_cache_entry *entry_r,
				const char **error_r);
int migration_oauth2_cache_write(struct migration_oauth2_cache *cache,
				 const struct migration_oauth2_cache_entry *entry,
				 const char **error_r);

#endif
