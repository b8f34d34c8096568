/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "migration-import-settings.h"

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_import_"#name, name, \
			  struct migration_import_settings)
static const struct setting_define migration_import_setting_defines[] = {
	DEF(BOOL, duplicates),

	SETTING_DEFINE_LIST_END
};

static const struct migration_import_settings migration_import_default_settings = {
	.duplicates = FALSE,
};

const struct setting_parser_info migration_import_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration_import",
				struct migration_import_settings,
				migration_import_setting_defines,
				&migration_import_default_settings,
				NULL);
