/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-user.h"
#include "settings-loader.h"

#if DOVECOT_PREREQ(2, 4, 0)

#include "settings.h"

/* what every settings struct of ours begins with; settings_get() insists on
   seeing it */
struct migration_settings {
	pool_t pool;
};

int migration_settings_get(struct mail_user *user,
			   const struct setting_parser_info *info,
			   const void **set_r, const char **error_r)
{
	const struct migration_settings *set;

	if (settings_get(user->event, info, 0, &set, error_r) < 0)
		return -1;
	*set_r = set;
	return 0;
}

void migration_settings_register(const struct setting_parser_info *info)
{
	settings_info_register(info);
}

#else

/* "10%": 2.3 takes the sign at the end for a variable without a name and drops
   it. */
static const char *plugin_getenv(struct mail_user *user, const char *key)
{
	const char *value = mail_user_plugin_getenv(user, key);
	const char *raw;
	size_t len;

	raw = mail_user_set_plugin_getenv(user->unexpanded_set, key);
	if (value == NULL || raw == NULL)
		return value;
	len = strlen(raw);
	if (len >= 2 && raw[len-1] == '%' && raw[len-2] != '%')
		value = t_strconcat(value, "%", NULL);
	return value;
}

static int
settings_parse_plugin_section(struct mail_user *user,
			      struct setting_parser_context *parser,
			      const struct setting_parser_info *info,
			      const char **error_r)
{
	const struct setting_define *def;
	const char *value;

	for (def = info->defines; def->key != NULL; def++) {
		value = plugin_getenv(user, def->key);
		if (value == NULL)
			continue;
		if (settings_parse_keyvalue(parser, def->key, value) < 0) {
			*error_r = t_strdup_printf("%s=%s: %s", def->key, value,
				settings_parser_get_error(parser));
			return -1;
		}
	}
	return 0;
}

int migration_settings_get(struct mail_user *user,
			   const struct setting_parser_info *info,
			   const void **set_r, const char **error_r)
{
	struct setting_parser_context *parser;
	pool_t pool = pool_alloconly_create(info->module_name, 1024);
	pool_t *set;
	int ret;

	parser = settings_parser_init(pool, info, 0);
	ret = settings_parse_plugin_section(user, parser, info, error_r);
	if (ret == 0 && !settings_parser_check(parser, pool, error_r))
		ret = -1;
	if (ret < 0) {
		/* the text may lie in the pool that goes now */
		*error_r = t_strdup(*error_r);
		settings_parser_deinit(&parser);
		pool_unref(&pool);
		return -1;
	}
	set = settings_parser_get(parser);
	*set = pool;
	settings_parser_deinit(&parser);
	*set_r = set;
	return 0;
}

/* 2.3 has the defaults from the table itself */
void migration_settings_register(const struct setting_parser_info *info
				 ATTR_UNUSED)
{
}

#endif

void migration_settings_free(const void *set)
{
	pool_t pool;

	if (set == NULL)
		return;
	pool = *(const pool_t *)set;
	pool_unref(&pool);
}
