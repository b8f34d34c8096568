/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "master-service.h"
#include "mail-user.h"
#include "settings-loader.h"
#include "user-debug.h"
#include "migration-user.h"

bool migration_user_is_active(struct mail_user *user)
{
	/* A user that was created to reach somebody's shared mailboxes is never
	   the one who is migrated. */
	if (user->autocreated)
		return FALSE;
	/* the command line and doveadm-server have the same name */
	return strcmp(master_service_get_name(master_service), "doveadm") == 0;
}

bool migration_user_settings_init(struct mail_user *user,
				  const struct setting_parser_info *info,
				  const void **set_r)
{
	const char *error;

	if (!migration_user_is_active(user))
		return FALSE;
	user_debug_inherit(user);
	if (migration_settings_get(user, info, set_r, &error) < 0) {
		migration_user_fail(user, error);
		return FALSE;
	}
	return TRUE;
}

void migration_user_fail(struct mail_user *user, const char *error)
{
	if (user->error == NULL)
		user->error = p_strdup(user->pool, error);
}
