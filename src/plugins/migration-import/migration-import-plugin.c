/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-user.h"
#include "mail-storage-hooks.h"
#include "mail-storage-private.h"
#include "settings-loader.h"
#include "migration-user.h"
#include "migration-import-settings.h"
#include "migration-import-plugin.h"

#define MIGRATION_IMPORT_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_import_user_module)

struct migration_import_user {
	union mail_user_module_context module_ctx;
	const struct migration_import_settings *set;
};

const char *migration_import_plugin_version = DOVECOT_ABI_VERSION;

static MODULE_CONTEXT_DEFINE_INIT(migration_import_user_module,
				  &mail_user_module_register);

static void migration_import_user_deinit(struct mail_user *user)
{
	struct migration_import_user *muser = MIGRATION_IMPORT_USER_CONTEXT(user);

	migration_settings_free(muser->set);
	muser->module_ctx.super.deinit(user);
}

static void migration_import_mail_user_created(struct mail_user *user)
{
	struct mail_user_vfuncs *v = user->vlast;
	struct migration_import_user *muser;
	const void *set;

	if (!migration_user_settings_init(user,
			&migration_import_setting_parser_info, &set))
		return;

	muser = p_new(user->pool, struct migration_import_user, 1);
	muser->set = set;
	muser->module_ctx.super = *v;
	user->vlast = &muser->module_ctx.super;
	v->deinit = migration_import_user_deinit;
	MODULE_CONTEXT_SET(user, migration_import_user_module, muser);
}

static struct mail_storage_hooks migration_import_mail_storage_hooks = {
	.mail_user_created = migration_import_mail_user_created,
};

void migration_import_plugin_init(struct module *module)
{
	mail_storage_hooks_add(module, &migration_import_mail_storage_hooks);
}

void migration_import_plugin_deinit(void)
{
	mail_storage_hooks_remove(&migration_import_mail_storage_hooks);
}
