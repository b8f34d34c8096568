/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "lib-event.h"
#include "mail-storage-hooks.h"
#include "compat-imapc.h"
#include "settings-loader.h"
#include "migration-elsewhere.h"
#include "migration-folders.h"
#include "migration-metadata.h"
#include "migration-pairing.h"
#include "migration-run.h"
#include "migration-user.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"
#include "migration-gmail-plugin.h"

const char *migration_gmail_plugin_version = DOVECOT_ABI_VERSION;

struct migration_gmail_user_module migration_gmail_user_module =
	MODULE_CONTEXT_INIT(&mail_user_module_register);
struct migration_gmail_list_module migration_gmail_list_module =
	MODULE_CONTEXT_INIT(&mailbox_list_module_register);
struct migration_gmail_storage_module migration_gmail_storage_module =
	MODULE_CONTEXT_INIT(&mail_storage_module_register);
struct migration_gmail_mail_module migration_gmail_mail_module =
	MODULE_CONTEXT_INIT(&mail_module_register);

/* A command's first user. If it has a second one, mails go from one to the
   other, in one process. */
static struct mail_user *migration_gmail_first_user = NULL;

bool migration_gmail_user_copies(struct mail_user *user)
{
	return user->dsyncing ||
		strcmp(migration_run_find(user)->command, "import") == 0;
}

struct migration_gmail_user *
migration_gmail_user_find_other(struct mail_user *source)
{
	if (migration_gmail_first_user == NULL ||
	    migration_gmail_first_user == source)
		return NULL;
	return MIGRATION_GMAIL_USER_CONTEXT(migration_gmail_first_user);
}

struct migration_gmail_user *
migration_gmail_user_find_dest(struct mail_user *source)
{
	return migration_gmail_user_copies(source) ?
		migration_gmail_user_find_other(source) : NULL;
}

/* dsync ends the source's user first, so now everything is at the destination
   that will be. */
static void migration_gmail_user_check_rest(struct mail_user *user)
{
	struct migration_gmail_list *mlist;
	struct mail_namespace *ns;

	for (ns = user->namespaces; ns != NULL; ns = ns->next) {
		mlist = MIGRATION_GMAIL_LIST_CONTEXT(ns->list);
		if (mlist != NULL && ns->alias_for == NULL) {
			migration_gmail_rest_check(mlist);
			if (mlist->pool != NULL) {
				migration_gmail_counts_report(mlist);
				if (mlist->read) {
					migration_gmail_keywords_save(
						mlist->muser, mlist->keywords);
				}
			}
		}
	}
}

static void migration_gmail_user_deinit_pre(struct mail_user *user)
{
	struct migration_gmail_user *muser = MIGRATION_GMAIL_USER_CONTEXT(user);

	migration_gmail_user_check_rest(user);
	migration_gmail_takeout_finish(muser);
	if (muser->local != NULL)
		migration_gmail_local_deinit(&muser->local);
	if (migration_gmail_first_user == user)
		migration_gmail_first_user = NULL;
	muser->module_ctx.super.deinit_pre(user);
}

static void migration_gmail_user_deinit(struct mail_user *user)
{
	struct migration_gmail_user *muser = MIGRATION_GMAIL_USER_CONTEXT(user);

	/* namespaces, and with them lists and connections, go in here */
	muser->module_ctx.super.deinit(user);
	event_unref(&muser->event);
	migration_settings_free(muser->set);
}

static enum migration_gmail_all migration_gmail_all_parse(const char *value)
{
	if (strcmp(value, "archived") == 0)
		return MIGRATION_GMAIL_ALL_ARCHIVED;
	if (strcmp(value, "none") == 0)
		return MIGRATION_GMAIL_ALL_NONE;
	return MIGRATION_GMAIL_ALL_WHOLE;
}

static void migration_gmail_mail_user_created(struct mail_user *user)
{
	struct mail_user_vfuncs *v = user->vlast;
	struct migration_gmail_user *muser;
	const void *set;

	if (!migration_user_settings_init(user,
			&migration_gmail_setting_parser_info, &set))
		return;

	muser = p_new(user->pool, struct migration_gmail_user, 1);
	muser->user = user;
	muser->set = set;
	muser->policy = gmail_label_policy_parse(muser->set->labels);
	muser->all = migration_gmail_all_parse(muser->set->all);
	muser->event = event_create(user->event);
	event_set_append_log_prefix(muser->event, "migration_gmail: ");
	muser->module_ctx.super = *v;
	user->vlast = &muser->module_ctx.super;
	v->deinit_pre = migration_gmail_user_deinit_pre;
	v->deinit = migration_gmail_user_deinit;
	if (migration_gmail_first_user == NULL) {
		migration_gmail_first_user = user;
		muser->local = migration_gmail_local_init(user);
	}
	MODULE_CONTEXT_SET(user, migration_gmail_user_module, muser);
}

static void migration_gmail_mail_storage_created(struct mail_storage *storage)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(storage->user);
	struct imapc_storage *istorage;

	if (muser == NULL || strcmp(storage->name, IMAPC_STORAGE_NAME) != 0)
		return;

	/* Stock's own support for Gmail is switched off, because it
	   - (gmail-list-panic) asks for the list of mailboxes from within the reply to a SELECT,
	     and panics if that list was not there yet;
	   - fails a mailbox if the server does not like the search for what POP3
	     does not show;
	   - fails a run if the server is not Gmail.
	   What it does otherwise is done here, so the word in imapc_features
	   makes no difference any more. */
	istorage = IMAPC_STORAGE(storage);
	if (compat_imapc_disable_gmail_migration(istorage->set)) {
		e_debug(muser->event, "imapc_features: taking over "
			"gmail-migration from imapc");
	}
}

static void migration_gmail_mailbox_created(struct mailbox *box)
{
	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) == 0)
		migration_gmail_mailbox_allocated(box);
	else
		migration_gmail_dest_mailbox_allocated(box);
}

static struct mail_storage_hooks migration_gmail_mail_storage_hooks = {
	.mail_user_created = migration_gmail_mail_user_created,
	.mailbox_list_created = migration_gmail_list_created,
	.mail_storage_created = migration_gmail_mail_storage_created,
	.mailbox_allocated = migration_gmail_mailbox_created,
	.mail_allocated = migration_gmail_mail_allocated,
};

void migration_gmail_plugin_init(struct module *module)
{
	migration_elsewhere_register(migration_gmail_elsewhere_count);
	migration_folders_register(migration_gmail_takeout_get_folders);
	migration_metadata_register(&migration_gmail_metadata);
	migration_pairing_register(migration_gmail_pairing_find);
	mail_storage_hooks_add(module, &migration_gmail_mail_storage_hooks);
}

void migration_gmail_plugin_deinit(void)
{
	migration_pairing_unregister();
	migration_metadata_unregister(&migration_gmail_metadata);
	migration_folders_unregister();
	migration_elsewhere_unregister();
	mail_storage_hooks_remove(&migration_gmail_mail_storage_hooks);
}
