/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "migration-import-settings.h"

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_import_"#name, name, \
			  struct migration_import_settings)
static const struct setting_define migration_import_setting_defines[] = {
	DEF(ENUM, duplicates),
	DEF(ENUM, scope),
	DEF(UINT, commit_mails),

	SETTING_DEFINE_LIST_END
};

static const struct migration_import_settings migration_import_default_settings = {
	.duplicates = "merge-flags:skip:import",
	.scope = "mailbox:all",
	.commit_mails = 500,
};

static bool
migration_import_settings_check(void *_set, pool_t pool ATTR_UNUSED,
				const char **error_r)
{
	const struct migration_import_settings *set = _set;

	if (set->commit_mails == 0) {
		*error_r = "migration_import_commit_mails must not be 0";
		return FALSE;
	}
	return TRUE;
}

const struct setting_parser_info migration_import_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration_import",
				struct migration_import_settings,
				migration_import_setting_defines,
				&migration_import_default_settings,
				migration_import_settings_check);
