/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_LIFETIME_H
#define OAUTH2_LIFETIME_H

/* How long a token is good for, and what is kept of it for other processes.
   Times are milliseconds since 1970. */

struct migration_oauth2_token {
	const char *token;
	/* "" if not known */
	const char *scope;
	uint64_t obtained_msecs, expires_msecs;
};

/* A token is renewed so long before it expires: 10 % of its life, at least 2
   minutes, but never more than a quarter of its life. */
uint64_t
migration_oauth2_margin_msecs(const struct migration_oauth2_token *token);

/* TRUE if the token can be used for a login now. refused is the token that a
   server did not take, or NULL. reason_r says why. */
bool migration_oauth2_token_is_usable(const struct migration_oauth2_token *token,
				      uint64_t now_msecs, const char *refused,
				      const char **reason_r);

/* TRUE if a session that logged in with the token should be ended by us before
   the server does it: half of the margin is left. (At the margin itself a
   session would end that has just begun with a token of another process.) */
bool
migration_oauth2_session_should_end(const struct migration_oauth2_token *token,
				    uint64_t now_msecs);

/* TRUE if a session that was lost may have ended because of its token: it was
   used for a minute, or a quarter of its life if that is less. A newer token
   than this is not made for each connection that breaks. */
bool
migration_oauth2_token_is_suspect(const struct migration_oauth2_token *token,
				  uint64_t now_msecs);

/* How long to wait before a token is asked for again, after so many tries.
   retry_after_secs is what the server said, or 0: then 1, 2, 4, ... seconds
   and up to half of that in addition, by the random number. */
unsigned int
migration_oauth2_backoff_msecs(unsigned int tries,
			       unsigned int retry_after_secs,
			       unsigned int random_number);

/* What processes share, as text. */
struct migration_oauth2_cache_entry {
	/* NULL if there is none */
	const char *token, *scope;
	uint64_t obtained_msecs, expires_msecs;
	/* the server does not want to be asked before this time; 0 if it said
	   nothing */
	uint64_t not_before_msecs;
};

void migration_oauth2_cache_append(string_t *dest,
				   const struct migration_oauth2_cache_entry *entry);
/* Returns FALSE if the text is not what migration_oauth2_cache_append() writes:
   another version's, or damaged. Then it is as if there were none. */
bool migration_oauth2_cache_parse(pool_t pool, const char *text,
				  struct migration_oauth2_cache_entry *entry_r);

#endif
