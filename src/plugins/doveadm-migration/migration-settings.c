/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "delete-guard.h"
#include "migration-settings.h"

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_"#name, name, \
			  struct migration_settings)
static const struct setting_define migration_setting_defines[] = {
	DEF(STR, report_path),
	DEF(STR, max_deletes),

	SETTING_DEFINE_LIST_END
};

static const struct migration_settings migration_default_settings = {
	.report_path = MIGRATION_REPORT_PATH_DEFAULT,
	.max_deletes = "auto",
};

static bool
migration_settings_check(void *_set, pool_t pool ATTR_UNUSED,
			 const char **error_r)
{
	const struct migration_settings *set = _set;
	struct delete_limit limit;
	const char *error;

	if (!migration_setting_is_unknown(set->max_deletes) &&
	    delete_limit_parse(set->max_deletes, &limit, &error) < 0) {
		*error_r = t_strdup_printf("migration_max_deletes %s: %s",
					   error, set->max_deletes);
		return FALSE;
	}
	/* doveadm's working directory is the user's home for one user and
	   something else for many */
	if (set->report_path[0] != '\0' && set->report_path[0] != '/' &&
	    set->report_path[0] != '~' &&
	    !migration_setting_is_unknown(set->report_path)) {
		*error_r = t_strdup_printf(
			"migration_report_path must begin with / or ~/: %s",
			set->report_path);
		return FALSE;
	}
	return TRUE;
}

const struct setting_parser_info migration_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration", struct migration_settings,
				migration_setting_defines,
				&migration_default_settings,
				migration_settings_check);
