/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "llist.h"
#include "module-dir.h"
#include "mail-namespace.h"
#include "mail-storage-hooks.h"
#include "mail-storage-service.h"
#include "imapc-storage.h"
#include "settings-loader.h"
#include "migration-user.h"
#include "oauth2-user.h"
#include "migration-pop3-private.h"
#include "migration-pop3-plugin.h"

const char *migration_pop3_plugin_version = DOVECOT_ABI_VERSION;

struct migration_pop3_user_module migration_pop3_user_module =
	MODULE_CONTEXT_INIT(&mail_user_module_register);
struct migration_pop3_user *migration_pop3_users;

static void migration_pop3_user_deinit(struct mail_user *user)
{
	struct migration_pop3_user *muser = MIGRATION_POP3_USER_CONTEXT(user);

	DLLIST_REMOVE(&migration_pop3_users, muser);
	if (muser->gather != NULL)
		uidl_gather_deinit(&muser->gather);
	array_free(&muser->mailboxes);
	array_free(&muser->dest_uids_without_uidl);
	migration_settings_free(muser->set);
	muser->module_ctx.super.deinit(user);
	event_unref(&muser->event);
}

static void migration_pop3_mail_user_created(struct mail_user *user)
{
	struct mail_user_vfuncs *v = user->vlast;
	struct migration_pop3_user *muser;
	const struct migration_pop3_settings *set;
	const void *_set;

	if (!migration_user_settings_init(user,
			&migration_pop3_setting_parser_info, &_set))
		return;
	set = _set;
	migration_oauth2_user_prepare(user);
	if (set->mailbox[0] == '\0') {
		e_debug(user->event, "migration_pop3: migration_pop3_mailbox is "
			"not set, so UIDLs are not migrated");
		migration_settings_free(set);
		return;
	}
	/* it would give UIDLs to the same mails */
	if (module_dir_find(mail_storage_service_modules,
			    "pop3_migration") != NULL) {
		migration_user_fail(user, "mail_plugins has both pop3_migration "
			"and migration_pop3: remove pop3_migration");
		migration_settings_free(set);
		return;
	}

	muser = p_new(user->pool, struct migration_pop3_user, 1);
	muser->user = user;
	muser->set = set;
	muser->event = event_create(user->event);
	event_set_append_log_prefix(muser->event, "migration_pop3: ");
	i_array_init(&muser->mailboxes, 4);
	i_array_init(&muser->dest_uids_without_uidl, 4);
	DLLIST_PREPEND(&migration_pop3_users, muser);
	muser->module_ctx.super = *v;
	user->vlast = &muser->module_ctx.super;
	v->deinit = migration_pop3_user_deinit;
	MODULE_CONTEXT_SET(user, migration_pop3_user_module, muser);
}

/* Say what is wrong with the configuration before anything is done. */
static void
migration_pop3_mail_namespaces_created(struct mail_namespace *namespaces)
{
	struct mail_user *user = namespaces->user;
	struct migration_pop3_user *muser = MIGRATION_POP3_USER_CONTEXT(user);
	struct mail_namespace *ns;
	const char *error;

	/* doveadm import gives its source user one namespace only. The other
	   user has the rest. */
	if (muser == NULL || namespaces->next == NULL)
		return;
	if (migration_pop3_find_namespace(user, muser->set, &ns, &error) < 0)
		migration_user_fail(user, error);
	else
		migration_pop3_room_warn(muser);
}

static void migration_pop3_mailbox_allocated(struct mailbox *box)
{
	if (MIGRATION_POP3_USER_CONTEXT(box->storage->user) == NULL)
		return;
	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) == 0)
		migration_pop3_source_mailbox_allocated(box);
	else
		migration_pop3_dest_mailbox_allocated(box);
}

static void migration_pop3_mail_allocated(struct mail *mail)
{
	if (MIGRATION_POP3_USER_CONTEXT(mail->box->storage->user) != NULL &&
	    strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) == 0)
		migration_pop3_source_mail_allocated(mail);
}

static struct mail_storage_hooks migration_pop3_mail_storage_hooks = {
	.mail_user_created = migration_pop3_mail_user_created,
	.mail_namespaces_created = migration_pop3_mail_namespaces_created,
	.mailbox_allocated = migration_pop3_mailbox_allocated,
	.mail_allocated = migration_pop3_mail_allocated,
};

void migration_pop3_plugin_init(struct module *module)
{
	mail_storage_hooks_add(module, &migration_pop3_mail_storage_hooks);
}

void migration_pop3_plugin_deinit(void)
{
	mail_storage_hooks_remove(&migration_pop3_mail_storage_hooks);
}
