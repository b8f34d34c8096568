/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "migration-imapc-settings.h"

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_imapc_"#name, name, \
			  struct migration_imapc_settings)
static const struct setting_define migration_imapc_setting_defines[] = {
	DEF(UINT, prefetch),

	SETTING_DEFINE_LIST_END
};

static const struct migration_imapc_settings migration_imapc_default_settings = {
	.prefetch = 100,
};

static bool
migration_imapc_settings_check(void *_set, pool_t pool ATTR_UNUSED,
			       const char **error_r)
{
	const struct migration_imapc_settings *set = _set;

	if (set->prefetch == 0) {
		*error_r = "migration_imapc_prefetch must not be 0";
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
