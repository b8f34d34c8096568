/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "pop3-source.h"
#include "migration-pop3-settings.h"

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_pop3_"#name, name, \
			  struct migration_pop3_settings)
static const struct setting_define migration_pop3_setting_defines[] = {
	DEF(STR, mailbox),
	DEF(BOOL, all_mailboxes),
	DEF(BOOL, ignore_missing_uidls),
	DEF(BOOL, ignore_extra_uidls),
	DEF(BOOL, skip_size_check),
	DEF(BOOL, skip_uidl_cache),
	DEF(SIZE, body_limit),
	DEF(TIME, timeout),
	DEF(STR, max_connections),
	DEF(TIME, patience),

	SETTING_DEFINE_LIST_END
};

static const struct migration_pop3_settings migration_pop3_default_settings = {
	.mailbox = "",
	.all_mailboxes = FALSE,
	.ignore_missing_uidls = FALSE,
	.ignore_extra_uidls = FALSE,
	.skip_size_check = FALSE,
	.skip_uidl_cache = FALSE,
	.body_limit = 64ULL * 1024 * 1024,
	.timeout = 60,
	.max_connections = "auto",
	.patience = 10*60,
};

static bool
pop3_settings_parse_cap(const struct migration_pop3_settings *set,
			struct connection_cap *cap_r, const char **error_r)
{
	return connection_cap_parse("migration_pop3_max_connections",
				    set->max_connections, cap_r, error_r);
}

void migration_pop3_settings_limits(const struct migration_pop3_settings *set,
				    struct pop3_source_limits *limits_r)
{
	const char *error;

	i_zero(limits_r);
	limits_r->timeout_secs = set->timeout;
	limits_r->patience_msecs = (uint64_t)set->patience * 1000;
	if (!pop3_settings_parse_cap(set, &limits_r->cap, &error))
		i_unreached();
}

static bool
migration_pop3_settings_check(void *_set, pool_t pool ATTR_UNUSED,
			      const char **error_r)
{
	const struct migration_pop3_settings *set = _set;
	struct connection_cap cap;

	return migration_setting_is_unknown(set->max_connections) ||
		pop3_settings_parse_cap(set, &cap, error_r);
}

const struct setting_parser_info migration_pop3_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration_pop3",
				struct migration_pop3_settings,
				migration_pop3_setting_defines,
				&migration_pop3_default_settings,
				migration_pop3_settings_check);
