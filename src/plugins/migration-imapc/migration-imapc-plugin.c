/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "lib-event.h"
#include "mail-user.h"
#include "mail-storage-hooks.h"
#include "mail-storage-private.h"
#include "compat-imapc.h"
#include "settings-loader.h"
#include "mail-reuse.h"
#include "migration-run.h"
#include "migration-user.h"
#include "oauth2-user.h"
#include "source-select.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead.h"
#include "migration-imapc-placeholders.h"
#include "migration-imapc-plugin.h"

const char *migration_imapc_plugin_version = DOVECOT_ABI_VERSION;

struct migration_imapc_user_module migration_imapc_user_module =
	MODULE_CONTEXT_INIT(&mail_user_module_register);
struct migration_imapc_list_module migration_imapc_list_module =
	MODULE_CONTEXT_INIT(&mailbox_list_module_register);
struct migration_imapc_storage_module migration_imapc_storage_module =
	MODULE_CONTEXT_INIT(&mail_storage_module_register);
struct migration_imapc_mail_module migration_imapc_mail_module =
	MODULE_CONTEXT_INIT(&mail_module_register);

/* A command's first user. If it has a second one, mails go from one to the
   other, in one process. */
static struct mail_user *migration_imapc_first_user = NULL;

struct mail_user *migration_imapc_user_find_first(struct mail_user *source)
{
	return migration_imapc_first_user == source ? NULL :
		migration_imapc_first_user;
}

struct mail_user *migration_imapc_user_find_dest(struct mail_user *source)
{
	return source->dsyncing ? migration_imapc_user_find_first(source) : NULL;
}

bool migration_imapc_user_is_imported(struct mail_user *user)
{
	/* a command makes its source's user second */
	return !user->dsyncing && migration_imapc_first_user != user &&
		strcmp(migration_run_find(user)->command, "import") == 0;
}

bool migration_imapc_user_is_synced(struct mail_user *user)
{
	const struct migration_run *run = migration_run_find(user);

	return user->dsyncing && strcmp(run->command, "sync") == 0 &&
		run->options != NULL &&
		!migration_run_has_option(run, "oneway-sync");
}

bool migration_imapc_user_is_source(struct mail_user *user)
{
	return user->dsyncing || migration_imapc_user_is_imported(user) ||
		(migration_imapc_first_user != user &&
		 migration_run_find(user)->ahead.wanted);
}

/* Answers to what is given up are still to come: no mailbox can be opened on
   these connections from here on. */
static void user_stop_ahead(struct mail_user *user)
{
	struct migration_imapc_list *mlist;
	struct mail_namespace *ns;

	for (ns = user->namespaces; ns != NULL; ns = ns->next) {
		mlist = MIGRATION_IMAPC_LIST_CONTEXT(ns->list);
		if (mlist != NULL && mlist->ahead != NULL)
			migration_imapc_ahead_stop(mlist->ahead);
	}
}

static void migration_imapc_user_deinit_pre(struct mail_user *user)
{
	struct migration_imapc_user *muser = MIGRATION_IMAPC_USER_CONTEXT(user);

	/* dsync ends the source's user first: everything is at the destination
	   now that will be, and both users are still there */
	migration_imapc_pause_check(user);
	migration_imapc_placeholders_finish(muser);
	if (migration_imapc_first_user == user)
		migration_imapc_first_user = NULL;
	/* other plugins may look at the source once more */
	muser->module_ctx.super.deinit_pre(user);
	user_stop_ahead(user);
}

static void migration_imapc_user_deinit(struct mail_user *user)
{
	struct migration_imapc_user *muser = MIGRATION_IMAPC_USER_CONTEXT(user);

	/* namespaces, and with them lists and connections, go in here */
	muser->module_ctx.super.deinit(user);
	migration_imapc_sides_unref(&muser->sides);
	event_unref(&muser->event);
	migration_settings_free(muser->set);
}

static void migration_imapc_mail_user_created(struct mail_user *user)
{
	struct mail_user_vfuncs *v = user->vlast;
	struct migration_imapc_user *muser;
	const char *features;
	const void *set;

	if (!migration_user_settings_init(user,
			&migration_imapc_setting_parser_info, &set))
		return;

	muser = p_new(user->pool, struct migration_imapc_user, 1);
	muser->user = user;
	muser->set = set;
	muser->sides = migration_imapc_sides_ref(user->username);
	muser->event = event_create(user->event);
	event_set_append_log_prefix(muser->event, "migration_imapc: ");
	muser->module_ctx.super = *v;
	user->vlast = &muser->module_ctx.super;
	v->deinit = migration_imapc_user_deinit;
	v->deinit_pre = migration_imapc_user_deinit_pre;
	MODULE_CONTEXT_SET(user, migration_imapc_user_module, muser);
	if (migration_imapc_first_user == NULL)
		migration_imapc_first_user = user;

	migration_imapc_filter_init(muser);
	migration_oauth2_user_prepare(user);
	features = compat_imapc_user_enable_features(user);
	if (features[0] != '\0') {
		e_debug(muser->event, "adding to imapc_features: %s "
			"(sizes and headers without bodies, clean login errors)",
			features);
	}
}

static void migration_imapc_mail_storage_created(struct mail_storage *storage)
{
	struct migration_imapc_user *muser =
		MIGRATION_IMAPC_USER_CONTEXT(storage->user);
	struct mail_storage_settings *set;

	if (muser == NULL || strcmp(storage->name, IMAPC_STORAGE_NAME) != 0)
		return;

	muser->keeps_metadata = compat_imapc_user_keeps_metadata(storage->user);
	/* the original belongs to others, too */
	set = p_new(storage->pool, struct mail_storage_settings, 1);
	*set = *storage->set;
	/* a search holds one mail more than this */
	set->mail_prefetch_count =
		I_MIN(muser->set->prefetch, MIGRATION_IMAPC_STOCK_PREFETCH) - 1;
	e_debug(muser->event, "raising mail_prefetch_count from %u to %u: mails "
		"are asked for ahead, up to %u of them or %"PRIuUOFF_T" bytes",
		storage->set->mail_prefetch_count, set->mail_prefetch_count,
		muser->set->prefetch, muser->set->prefetch_size);
	storage->set = set;
}

static struct mail_storage_hooks migration_imapc_mail_storage_hooks = {
	.mail_user_created = migration_imapc_mail_user_created,
	.mailbox_list_created = migration_imapc_list_created,
	.mail_storage_created = migration_imapc_mail_storage_created,
	.mailbox_allocated = migration_imapc_mailbox_allocated,
	.mail_allocated = migration_imapc_mail_allocated,
};

/* One call of a hook may wrap an object only once. The first one asks before all
   others whether anything has to be fetched at all. */
static struct mail_storage_hooks migration_imapc_reuse_hooks = {
	.mail_allocated = migration_imapc_reuse_mail_allocated,
};
/* Innermost: what other plugins know of a mail is not waited for here. */
static struct mail_storage_hooks migration_imapc_serve_hooks = {
	.mail_allocated = migration_imapc_serve_mail_allocated,
};

static int migration_imapc_plugin_select(struct mailbox *box, const char *reason)
{
	struct migration_imapc_mailbox *mmbox;

	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) != 0)
		return 0;
	mmbox = MIGRATION_IMAPC_CONTEXT(box);
	return mmbox == NULL ? 0 : migration_imapc_virtual_leave(mmbox, reason);
}

static bool
migration_imapc_plugin_compare(struct mailbox *box,
			       const ARRAY_TYPE(seq_range) *uids,
			       const char *const *headers)
{
	return strcmp(box->storage->name, IMAPC_STORAGE_NAME) == 0 &&
		migration_imapc_query_compared(box, uids, headers);
}

void migration_imapc_plugin_init(struct module *module)
{
	migration_imapc_oauth2_init();
	mail_storage_hooks_add(module, &migration_imapc_reuse_hooks);
	mail_storage_hooks_add(module, &migration_imapc_mail_storage_hooks);
	mail_storage_hooks_add_internal(&migration_imapc_serve_hooks);
	migration_source_select_set(migration_imapc_plugin_select);
	migration_source_compare_set(migration_imapc_plugin_compare);
	mail_reuse_set_served(TRUE);
}

void migration_imapc_plugin_deinit(void)
{
	mail_reuse_set_served(FALSE);
	migration_source_compare_set(NULL);
	migration_source_select_set(NULL);
	mail_storage_hooks_remove_internal(&migration_imapc_serve_hooks);
	mail_storage_hooks_remove(&migration_imapc_mail_storage_hooks);
	mail_storage_hooks_remove(&migration_imapc_reuse_hooks);
	migration_imapc_oauth2_deinit();
}
