/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "size-parse.h"
#include "connection-cap.h"
#include "mailbox-map.h"
#include "mail-filter.h"
#include "provider.h"
#include "migration-imapc-settings.h"

/* A mail that is ahead costs its text and some 100 bytes. */
#define MIGRATION_IMAPC_PREFETCH_MAX 100000
/* imapc cannot be told a longer time */
#define MIGRATION_IMAPC_TIMEOUT_MAX_SECS (24*60*60)

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_imapc_"#name, name, \
			  struct migration_imapc_settings)
static const struct setting_define migration_imapc_setting_defines[] = {
	DEF(STR, daily_limit),
	DEF(ENUM, headers),
	DEF(BOOL, localized_names),
	DEF(STR, map),
	DEF(STR, filter_before),
	DEF(STR, filter_exclude),
	DEF(STR, filter_flags),
	DEF(STR, filter_include),
	DEF(SIZE, filter_max_size),
	DEF(STR, filter_since),
	DEF(STR, max_connections),
	DEF(SIZE, max_rate),
	DEF(UINT, max_mail_rate),
	DEF(UINT, message_limit),
	DEF(UINT, prefetch),
	DEF(SIZE, prefetch_size),
	DEF(ENUM, provider),
	DEF(STR, record),
	DEF(ENUM, sizes),
	DEF(TIME, timeout),
	DEF(TIME, patience),
	DEF(ENUM, unreadable),

	SETTING_DEFINE_LIST_END
};

static const struct migration_imapc_settings migration_imapc_default_settings = {
	.daily_limit = "auto",
	.headers = "auto:exact:changed",
	.localized_names = FALSE,
	.map = "",
	.filter_before = "",
	.filter_exclude = "auto",
	.filter_flags = "",
	.filter_include = "",
	.filter_max_size = 0,
	.filter_since = "",
	.max_connections = "auto",
	.max_rate = 0,
	.max_mail_rate = 0,
	.message_limit = 0,
	.prefetch = 20000,
	.prefetch_size = 32*1024*1024,
	.provider = PROVIDER_SETTING_WORDS,
	.record = "~/.dovecot-migration-record",
	.sizes = "auto:exact:estimated",
	.timeout = 0,
	.patience = 10*60,
	.unreadable = "placeholder:fail",
};

bool migration_imapc_daily_limit_parse(const char *value, uoff_t *bytes_r,
				       const char **error_r)
{
	const char *error;

	*bytes_r = 0;
	if (strcmp(value, "auto") == 0 || strcmp(value, "unlimited") == 0)
		return TRUE;
	if (size_parse(value, bytes_r, &error) < 0 || *bytes_r == 0) {
		*error_r = t_strdup_printf("migration_imapc_daily_limit must be "
			"a size above 0, auto or unlimited: %s", value);
		return FALSE;
	}
	return TRUE;
}

static bool
migration_imapc_map_check(const char *map, const char **error_r)
{
	struct mailbox_map *parsed;
	const char *error;

	if (migration_setting_is_unknown(map) ||
	    mailbox_map_parse(pool_datastack_create(), map, &parsed,
			      &error) == 0)
		return TRUE;
	*error_r = t_strdup_printf("migration_imapc_map: %s", error);
	return FALSE;
}

void migration_imapc_filter_words(const struct migration_imapc_settings *set,
				  struct mail_filter_words *words_r)
{
	i_zero(words_r);
	words_r->max_size = set->filter_max_size;
	words_r->since = set->filter_since;
	words_r->before = set->filter_before;
	words_r->flags = set->filter_flags;
}

static bool
migration_imapc_mail_filter_check(const struct migration_imapc_settings *set,
				  const char **error_r)
{
	struct mail_filter_words words;
	struct mail_filter *filter;

	migration_imapc_filter_words(set, &words);
	return migration_setting_is_unknown(words.since) ||
		migration_setting_is_unknown(words.before) ||
		migration_setting_is_unknown(words.flags) ||
		mail_filter_parse(pool_datastack_create(), &words, &filter,
				  error_r) == 0;
}

bool
migration_imapc_max_connections_parse(const struct migration_imapc_settings *set,
				      struct connection_cap *cap_r,
				      const char **error_r)
{
	return connection_cap_parse("migration_imapc_max_connections",
				    set->max_connections, cap_r, error_r);
}

static bool
migration_imapc_settings_check(void *_set, pool_t pool ATTR_UNUSED,
			       const char **error_r)
{
	const struct migration_imapc_settings *set = _set;
	struct connection_cap cap;
	uoff_t bytes;

	if (!migration_setting_is_unknown(set->daily_limit) &&
	    !migration_imapc_daily_limit_parse(set->daily_limit, &bytes, error_r))
		return FALSE;
	if (!migration_setting_is_unknown(set->max_connections) &&
	    !migration_imapc_max_connections_parse(set, &cap, error_r))
		return FALSE;
	if (!migration_imapc_map_check(set->map, error_r) ||
	    !migration_imapc_mail_filter_check(set, error_r))
		return FALSE;
	if (set->prefetch == 0) {
		*error_r = "migration_imapc_prefetch must not be 0";
		return FALSE;
	}
	if (set->prefetch > MIGRATION_IMAPC_PREFETCH_MAX) {
		*error_r = t_strdup_printf(
			"migration_imapc_prefetch must not be above %u",
			MIGRATION_IMAPC_PREFETCH_MAX);
		return FALSE;
	}
	if (set->prefetch_size == 0) {
		*error_r = "migration_imapc_prefetch_size must not be 0";
		return FALSE;
	}
	if (set->timeout > MIGRATION_IMAPC_TIMEOUT_MAX_SECS) {
		*error_r = "migration_imapc_timeout must not be above 24 hours";
		return FALSE;
	}
	return TRUE;
}

const struct setting_parser_info migration_imapc_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration_imapc",
				struct migration_imapc_settings,
				migration_imapc_setting_defines,
				&migration_imapc_default_settings,
				migration_imapc_settings_check);
