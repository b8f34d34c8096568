/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "strnum.h"
#include "oauth2-lifetime.h"

#define MARGIN_MIN_MSECS (120*1000)
#define SUSPECT_AGE_MSECS (60*1000)
#define BACKOFF_MAX_SHIFT 5
#define CACHE_FIRST_LINE "migration-oauth2 1"

static uint64_t lifetime(const struct migration_oauth2_token *token)
{
	return token->expires_msecs <= token->obtained_msecs ? 0 :
		token->expires_msecs - token->obtained_msecs;
}

uint64_t
migration_oauth2_margin_msecs(const struct migration_oauth2_token *token)
{
	uint64_t life = lifetime(token);

	return I_MIN(I_MAX(life / 10, MARGIN_MIN_MSECS), life / 4);
}

bool migration_oauth2_token_is_usable(const struct migration_oauth2_token *token,
				      uint64_t now_msecs, const char *refused,
				      const char **reason_r)
{
	if (refused != NULL && strcmp(token->token, refused) == 0) {
		*reason_r = "the server did not take it";
		return FALSE;
	}
	/* a token of the future: the clock was set back */
	if (now_msecs + 1000 < token->obtained_msecs) {
		*reason_r = "the clock was set back since it was obtained";
		return FALSE;
	}
	if (now_msecs + migration_oauth2_margin_msecs(token) >=
	    token->expires_msecs) {
		*reason_r = "it expires soon or has expired";
		return FALSE;
	}
	*reason_r = "it is still good";
	return TRUE;
}

bool
migration_oauth2_session_should_end(const struct migration_oauth2_token *token,
				    uint64_t now_msecs)
{
	return now_msecs + migration_oauth2_margin_msecs(token) / 2 >=
		token->expires_msecs;
}

bool
migration_oauth2_token_is_suspect(const struct migration_oauth2_token *token,
				  uint64_t now_msecs)
{
	return now_msecs >= token->obtained_msecs +
		I_MIN(SUSPECT_AGE_MSECS, lifetime(token) / 4);
}

unsigned int
migration_oauth2_backoff_msecs(unsigned int tries,
			       unsigned int retry_after_secs,
			       unsigned int random_number)
{
	unsigned int msecs;

	if (retry_after_secs != 0)
		return I_MIN(retry_after_secs, UINT_MAX / 1000) * 1000;
	msecs = 1000U << I_MIN(tries, BACKOFF_MAX_SHIFT);
	return msecs + random_number % (msecs / 2 + 1);
}

void migration_oauth2_cache_append(string_t *dest,
				   const struct migration_oauth2_cache_entry *entry)
{
	str_append(dest, CACHE_FIRST_LINE"\n");
	if (entry->not_before_msecs != 0) {
		str_printfa(dest, "not-before %"PRIu64"\n",
			    entry->not_before_msecs);
	}
	if (entry->token != NULL) {
		str_printfa(dest, "obtained %"PRIu64"\nexpires %"PRIu64"\n",
			    entry->obtained_msecs, entry->expires_msecs);
		/* a scope is words with blanks between them, by RFC 6749; one
		   with a line end would be read as something else */
		if (entry->scope != NULL && entry->scope[0] != '\0' &&
		    strpbrk(entry->scope, "\r\n") == NULL)
			str_printfa(dest, "scope %s\n", entry->scope);
		str_printfa(dest, "token %s\n", entry->token);
	}
	str_append(dest, "end\n");
}

static bool
cache_line(pool_t pool, const char *line,
	   struct migration_oauth2_cache_entry *entry)
{
	const char *value = strchr(line, ' ');
	const char *name;

	if (value == NULL)
		return FALSE;
	name = t_strdup_until(line, value);
	value++;
	if (strcmp(name, "not-before") == 0)
		return str_to_uint64(value, &entry->not_before_msecs) == 0;
	if (strcmp(name, "obtained") == 0)
		return str_to_uint64(value, &entry->obtained_msecs) == 0;
	if (strcmp(name, "expires") == 0)
		return str_to_uint64(value, &entry->expires_msecs) == 0;
	if (strcmp(name, "scope") == 0) {
		entry->scope = p_strdup(pool, value);
		return TRUE;
	}
	if (strcmp(name, "token") == 0) {
		entry->token = p_strdup(pool, value);
		return value[0] != '\0';
	}
	return FALSE;
}

bool migration_oauth2_cache_parse(pool_t pool, const char *text,
				  struct migration_oauth2_cache_entry *entry_r)
{
	const char *const *lines = t_strsplit(text, "\n");

	i_zero(entry_r);
	if (*lines == NULL || strcmp(*lines, CACHE_FIRST_LINE) != 0)
		return FALSE;
	for (lines++; *lines != NULL; lines++) {
		if (strcmp(*lines, "end") == 0)
			return TRUE;
		if (!cache_line(pool, *lines, entry_r))
			break;
	}
	i_zero(entry_r);
	return FALSE;
}
