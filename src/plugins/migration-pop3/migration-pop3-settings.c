/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
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
};

const struct setting_parser_info migration_pop3_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration_pop3",
				struct migration_pop3_settings,
				migration_pop3_setting_defines,
				&migration_pop3_default_settings,
				NULL);
