/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "oauth2-settings.h"

/* nobody wants a run that hangs for longer without a word */
#define MIGRATION_OAUTH2_TIMEOUT_MAX_SECS (60*60)

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_oauth2_"#name, name, \
			  struct migration_oauth2_settings)
static const struct setting_define migration_oauth2_setting_defines[] = {
	DEF(ENUM, provider),
	DEF(STR, tenant),
	DEF(STR, token_url),
	DEF(STR, scope),
	DEF(STR, client_id),
	DEF(STR, client_secret_file),
	DEF(STR, refresh_token_file),
	DEF(STR, key_file),
	DEF(STR, certificate_file),
	DEF(STR, token_file),
	DEF(STR, token_command),
	DEF(STR, cache_dir),
	DEF(STR, proxy),
	DEF(TIME, timeout),

	SETTING_DEFINE_LIST_END
};

static const struct migration_oauth2_settings migration_oauth2_default_settings = {
	.provider = "none:google:microsoft:yahoo:custom",
	.tenant = "",
	.token_url = "",
	.scope = "",
	.client_id = "",
	.client_secret_file = "",
	.refresh_token_file = "",
	.key_file = "",
	.certificate_file = "",
	.token_file = "",
	.token_command = "",
	.cache_dir = "",
	.proxy = "",
	.timeout = 60,
};

/* doveadm's working directory is different for one user and for many. */
static bool
check_path(const char *name, const char *path, const char **error_r)
{
	if (migration_setting_is_unknown(path) || path[0] == '\0' ||
	    path[0] == '/' || path[0] == '~')
		return TRUE;
	*error_r = t_strdup_printf("migration_oauth2_%s must begin with / or "
				   "~/: %s", name, path);
	return FALSE;
}

/* A secret on its way to a server, or a token on its way back. */
static bool
check_url(const char *url, const char **error_r)
{
	if (migration_setting_is_unknown(url) || url[0] == '\0' ||
	    strncasecmp(url, "https://", 8) == 0)
		return TRUE;
	*error_r = t_strdup_printf("migration_oauth2_token_url must begin with "
				   "https://: %s", url);
	return FALSE;
}

static bool
migration_oauth2_settings_check(void *_set, pool_t pool ATTR_UNUSED,
				const char **error_r)
{
	const struct migration_oauth2_settings *set = _set;

	if (set->timeout == 0 ||
	    set->timeout > MIGRATION_OAUTH2_TIMEOUT_MAX_SECS) {
		*error_r = "migration_oauth2_timeout must be between 1 second "
			"and 1 hour";
		return FALSE;
	}
	return check_url(set->token_url, error_r) &&
		check_path("client_secret_file", set->client_secret_file,
			   error_r) &&
		check_path("refresh_token_file", set->refresh_token_file,
			   error_r) &&
		check_path("key_file", set->key_file, error_r) &&
		check_path("certificate_file", set->certificate_file,
			   error_r) &&
		check_path("token_file", set->token_file, error_r) &&
		check_path("token_command", set->token_command, error_r) &&
		check_path("cache_dir", set->cache_dir, error_r);
}

const struct setting_parser_info migration_oauth2_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration_oauth2",
				struct migration_oauth2_settings,
				migration_oauth2_setting_defines,
				&migration_oauth2_default_settings,
				migration_oauth2_settings_check);

void migration_oauth2_settings_get_config(
	const struct migration_oauth2_settings *set,
	struct migration_oauth2_config *config_r)
{
	i_zero(config_r);
	config_r->provider = set->provider;
	config_r->tenant = set->tenant;
	config_r->token_url = set->token_url;
	config_r->scope = set->scope;
	config_r->client_id = set->client_id;
	config_r->client_secret_file = set->client_secret_file;
	config_r->refresh_token_file = set->refresh_token_file;
	config_r->key_file = set->key_file;
	config_r->certificate_file = set->certificate_file;
	config_r->token_file = set->token_file;
	config_r->token_command = set->token_command;
}
