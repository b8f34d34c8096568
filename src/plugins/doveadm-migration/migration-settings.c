/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "settings-loader.h"
#include "delete-guard.h"
#include "migration-settings.h"

/* a holder renews it five times in this time, between other things */
#define LOCK_LEASE_MIN_SECS 5
#define LOCK_LEASE_MAX_SECS (24*60*60)

#undef DEF
#define DEF(type, name) \
	MIGRATION_SETTING(type, "migration_"#name, name, \
			  struct migration_settings)
static const struct setting_define migration_setting_defines[] = {
	DEF(STR, report_path),
	DEF(STR, status_path),
	DEF(ENUM, progress),
	DEF(STR, lock_dict),
	/* not "migration_lock": 2.4 takes "dict" in it for "migration_lock_dict" */
	MIGRATION_SETTING_BLOCK("migration_locks")
	DEF(TIME, lock_lease),
	DEF(STR, max_deletes),

	SETTING_DEFINE_LIST_END
};

static const struct migration_settings migration_default_settings = {
	.report_path = MIGRATION_REPORT_PATH_DEFAULT,
	.status_path = MIGRATION_STATUS_PATH_DEFAULT,
	.progress = "auto:yes:no",
	.lock_dict = "",
	.lock_lease = 60,
	.max_deletes = "auto",
};

/* doveadm's working directory is the user's home for one user and something
   else for many */
static bool
path_check(const char *name, const char *path, const char **error_r)
{
	if (path[0] == '\0' || path[0] == '/' || path[0] == '~' ||
	    migration_setting_is_unknown(path))
		return TRUE;
	*error_r = t_strdup_printf("%s must begin with / or ~/: %s", name,
				   path);
	return FALSE;
}

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
	if (set->lock_lease < LOCK_LEASE_MIN_SECS ||
	    set->lock_lease > LOCK_LEASE_MAX_SECS) {
		*error_r = t_strdup_printf("migration_lock_lease must be from "
			"%u seconds to %u: %u", LOCK_LEASE_MIN_SECS,
			LOCK_LEASE_MAX_SECS, set->lock_lease);
		return FALSE;
	}
	return path_check("migration_report_path", set->report_path, error_r) &&
		path_check("migration_status_path", set->status_path, error_r);
}

const struct setting_parser_info migration_setting_parser_info =
	MIGRATION_SETTINGS_INFO("migration", struct migration_settings,
				migration_setting_defines,
				&migration_default_settings,
				migration_settings_check);
