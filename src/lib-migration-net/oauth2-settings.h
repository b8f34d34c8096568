/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_SETTINGS_H
#define OAUTH2_SETTINGS_H

#include "oauth2-request.h"

struct migration_oauth2_settings {
	pool_t pool;

	/* none, google, microsoft, yahoo or custom */
	const char *provider;
	/* see struct migration_oauth2_config */
	const char *tenant, *token_url, *scope, *client_id;
	const char *client_secret_file, *refresh_token_file;
	const char *key_file, *certificate_file;
	const char *token_file, *token_command;

	/* where processes share their tokens, "" if each asks for itself */
	const char *cache_dir;
	/* URL of the HTTP proxy to the token server, "" for none */
	const char *proxy;
	/* how long may be waited for one token, in seconds, with all retries */
	unsigned int timeout;
};

extern const struct setting_parser_info migration_oauth2_setting_parser_info;

/* The part that decides how a token is asked for. */
void migration_oauth2_settings_get_config(
	const struct migration_oauth2_settings *set,
	struct migration_oauth2_config *config_r);

#endif
