/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_REQUEST_H
#define OAUTH2_REQUEST_H

/* What a token is asked for with: which way there is, where, and the text of
   the request (RFC 6749, 7521, 7523). Functions are called migration_oauth2_…
   because Dovecot has a library whose are called oauth2_…. */

enum migration_oauth2_grant {
	/* a refresh token: RFC 6749 section 6 */
	MIGRATION_OAUTH2_GRANT_REFRESH,
	/* a signed assertion about the user, as Google's service accounts do
	   it: RFC 7523 section 2.1 */
	MIGRATION_OAUTH2_GRANT_JWT,
	/* the client itself, by secret or signed assertion: RFC 6749 section
	   4.4. One token for all users. */
	MIGRATION_OAUTH2_GRANT_CLIENT,
	/* somebody else writes tokens into a file, or prints them */
	MIGRATION_OAUTH2_GRANT_FILE,
	MIGRATION_OAUTH2_GRANT_COMMAND,
};

/* The settings without their prefix; "" is not set. */
struct migration_oauth2_config {
	/* google, microsoft, yahoo or custom */
	const char *provider;
	const char *tenant, *token_url, *scope, *client_id;
	const char *client_secret_file, *refresh_token_file;
	const char *key_file, *certificate_file;
	const char *token_file, *token_command;
};

/* A word for logs and events. */
const char *migration_oauth2_grant_name(enum migration_oauth2_grant grant);

/* TRUE if any of the settings is set, whatever the provider is. */
bool migration_oauth2_config_is_used(const struct migration_oauth2_config *config);

/* What the settings ask for. Returns 0, or -1 and error_r (data stack), which
   names the settings, if something is missing or contradicts something. */
int migration_oauth2_choose_grant(const struct migration_oauth2_config *config,
				  enum migration_oauth2_grant *grant_r,
				  const char **error_r);

/* Where the token is asked for, and for what: the settings or the provider's
   own. key_url is the token_uri of a key file, or NULL. Data stack. */
const char *
migration_oauth2_token_url(const struct migration_oauth2_config *config,
			   const char *key_url);
const char *
migration_oauth2_scope(const struct migration_oauth2_config *config,
		       enum migration_oauth2_grant grant);

/* Appends name=value, with & before it unless dest is empty: the media type
   application/x-www-form-urlencoded. */
void migration_oauth2_form_add(string_t *dest, const char *name,
			       const char *value);

struct migration_oauth2_form {
	enum migration_oauth2_grant grant;
	const char *client_id, *scope;
	/* NULL or "" if there is none */
	const char *client_secret, *refresh_token, *assertion;
};

/* Appends the request's body. */
void migration_oauth2_append_form(string_t *dest,
				  const struct migration_oauth2_form *form);

#endif
