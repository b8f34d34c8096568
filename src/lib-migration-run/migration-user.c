/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "master-service.h"
#include "module-context.h"
#include "mail-user.h"
#include "settings-loader.h"
#include "user-debug.h"
#include "migration-user.h"

#define MIGRATION_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_user_module)

struct migration_user {
	union mail_user_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(migration_user_module,
				  &mail_user_module_register);

bool migration_user_is_active(struct mail_user *user)
{
	/* A user that was created to reach somebody's shared mailboxes is never
	   the one who is migrated. */
	if (user->autocreated)
		return FALSE;
	/* the command line and doveadm-server have the same name */
	return strcmp(master_service_get_name(master_service), "doveadm") == 0;
}

static void migration_user_note_plugin(struct mail_user *user)
{
	struct migration_user *muser;

	if (migration_user_has_plugin(user))
		return;
	muser = p_new(user->pool, struct migration_user, 1);
	MODULE_CONTEXT_SET(user, migration_user_module, muser);
}

bool migration_user_has_plugin(struct mail_user *user)
{
	return MIGRATION_USER_CONTEXT(user) != NULL;
}

bool migration_user_settings_init(struct mail_user *user,
				  const struct setting_parser_info *info,
				  const void **set_r)
{
	const char *error;

	if (!migration_user_is_active(user))
		return FALSE;
	migration_user_note_plugin(user);
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
