/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tells the config process of 2.4 which settings the suite has. Without this
   module in modules/settings/ our names are unknown there, which is fatal. */

#include "lib.h"
#include "settings-parser.h"
#include "migration-imapc-settings.h"
#include "migration-pop3-settings.h"
#include "migration-gmail-settings.h"
#include "migration-import-settings.h"
#include "migration-settings.h"
#include "oauth2-settings.h"

/* found by name: module name + "_version", module name + "_set_infos" */
extern const char *migration_settings_version;
extern const struct setting_parser_info *migration_settings_set_infos[];

const char *migration_settings_version = DOVECOT_ABI_VERSION;

const struct setting_parser_info *migration_settings_set_infos[] = {
	&migration_imapc_setting_parser_info,
	&migration_pop3_setting_parser_info,
	&migration_gmail_setting_parser_info,
	&migration_import_setting_parser_info,
	&migration_setting_parser_info,
	&migration_oauth2_setting_parser_info,
	NULL
};
