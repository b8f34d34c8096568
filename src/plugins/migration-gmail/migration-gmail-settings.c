/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "migration-gmail-settings.h"

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_gmail_"#name, name, \
			  struct migration_gmail_settings)
static const struct setting_define migration_gmail_setting_defines[] = {
	DEF(ENUM, all),
	DEF(ENUM, labels),
	DEF(BOOL, objectid),

	SETTING_DEFINE_LIST_END
};

static const struct migration_gmail_settings migration_gmail_default_settings = {
	.all = "whole:archived:none",
	.labels = "folders:keywords:both",
	.objectid = FALSE,
};

const struct setting_parser_info migration_gmail_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration_gmail",
				struct migration_gmail_settings,
				migration_gmail_setting_defines,
				&migration_gmail_default_settings,
				NULL);
