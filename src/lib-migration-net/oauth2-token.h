/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_TOKEN_H
#define OAUTH2_TOKEN_H

#include "net.h"
#include "oauth2-request.h"
#include "oauth2-response.h"
#include "oauth2-lifetime.h"

struct mail_user;
struct migration_oauth2_source;

/* Where a user's tokens come from (migration_oauth2_* settings). Tokens live in
   the process, so that a user's sources share them, and in migration_oauth2_cache_dir
   for other processes. */

struct migration_oauth2_failure {
	enum migration_oauth2_problem problem;
	/* one sentence that names the user, what is wrong and what to do */
	const char *text;
};

/* Reads the settings for the user. Returns 1 and source_r, 0 if there is to be
   no OAuth2, or -1 and error_r (data stack), which names the setting that is
   wrong. The source must go before the user does. */
int migration_oauth2_source_init(struct mail_user *user,
				 struct migration_oauth2_source **source_r,
				 const char **error_r);
void migration_oauth2_source_deinit(struct migration_oauth2_source **source);

/* Returns 0 and a token that is good for a login of login_user now: one that is
   known, or a new one, for which is waited up to migration_oauth2_timeout.
   Returns -1 and failure_r otherwise. Both are valid until the next call. */
int migration_oauth2_source_get(struct migration_oauth2_source *source,
				const char *login_user,
				const struct migration_oauth2_token **token_r,
				const struct migration_oauth2_failure **failure_r);

/* The same for a login that begins now. If one was begun before with the same
   token, its session was lost. Unless the token is quite new, another one is
   got if there is one: a revoked token and one whose time is over end sessions,
   too. */
int migration_oauth2_source_login(struct migration_oauth2_source *source,
				  const char *login_user,
				  const struct migration_oauth2_token **token_r,
				  const struct migration_oauth2_failure **failure_r);

/* The server did not take the token that was got latest: it is not used any
   more. challenge is what the server said of it, or NULL. */
void migration_oauth2_source_refused(struct migration_oauth2_source *source,
				     const char *challenge);
/* What was said at the latest refusal, or NULL. */
const char *
migration_oauth2_source_get_challenge(struct migration_oauth2_source *source);

/* The token of the latest login, or NULL. Its text may be gone. */
const struct migration_oauth2_token *
migration_oauth2_source_get_latest(struct migration_oauth2_source *source);
/* The failure of the latest get, or NULL if it did not fail. */
const struct migration_oauth2_failure *
migration_oauth2_source_get_failure(struct migration_oauth2_source *source);
enum migration_oauth2_grant
migration_oauth2_source_get_grant(struct migration_oauth2_source *source);
/* google, microsoft, yahoo or custom */
const char *
migration_oauth2_source_get_provider(struct migration_oauth2_source *source);

/* How long getting a token may take: migration_oauth2_timeout. */
unsigned int
migration_oauth2_source_get_timeout_secs(struct migration_oauth2_source *source);

/* The server that the tokens are for, as OAUTHBEARER tells it. */
void migration_oauth2_source_set_server(struct migration_oauth2_source *source,
					const char *host, in_port_t port);
void migration_oauth2_source_get_server(struct migration_oauth2_source *source,
					const char **host_r, in_port_t *port_r);

/* A word that stands for the source where only a password can be given, see
   oauth2-mechanism.h; and the source that a word stands for, or NULL. */
const char *
migration_oauth2_source_get_password(struct migration_oauth2_source *source);
struct migration_oauth2_source *
migration_oauth2_source_find(const char *password);

/* Forgets all tokens of the process. */
void migration_oauth2_tokens_forget(void);

#endif
