/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* `doveadm import` that can be run again: recognises a stock import by the
   transactions of its two mailboxes and has an import_target decide on each
   mail that stock copies. */

#include "lib.h"
#include "array.h"
#include "llist.h"
#include "mail-user.h"
#include "mail-search.h"
#include "mail-storage-hooks.h"
#include "mail-storage-private.h"
#include "mailbox-list-private.h"
#include "index-storage.h"
#include "cache-keep.h"
#include "settings-loader.h"
#include "migration-folders.h"
#include "migration-run.h"
#include "migration-user.h"
#include "import-create.h"
#include "import-folders.h"
#include "import-list.h"
#include "import-local.h"
#include "import-names.h"
#include "import-source-mail.h"
#include "import-target.h"
#include "migration-import-settings.h"
#include "migration-import-plugin.h"

#include <dirent.h>

#define MIGRATION_IMPORT_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_import_user_module)
#define MIGRATION_IMPORT_USER_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_import_user_module)
#define MIGRATION_IMPORT_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_import_storage_module)

/* Reasons that stock's import gives for its transactions: the name of the
   command in the source, the name of a function in the destination. */
#define IMPORT_SOURCE_REASON "import"
#define IMPORT_DEST_REASON "cmd_import_box_contents"

struct migration_import_user {
	union mail_user_module_context module_ctx;
	struct migration_import_user *prev, *next;
	struct mail_user *user;

	const struct migration_import_settings *set;
	struct import_target_settings target_set;
	/* The user who was there when this one was created. For the source of
	   an import: the user whom it was created for. */
	const char *created_for;
	/* ... and he himself */
	struct mail_user *dest_user;
	/* mailboxes that stock's import has looked into */
	unsigned int source_boxes_count;
	/* of the source's user, see import_names_keep_apart() */
	const char *const *vnames;
};

struct migration_import_mailbox {
	union mailbox_module_context module_ctx;
	/* while this mailbox is imported into */
	struct import_target *target;
	/* of an archive whose mails tell their folders */
	struct import_folders *folders;
	/* The name of the mailbox is this and the name of the source's. NULL if
	   it is not one that mails are imported into. */
	const char *parent;
	/* by this command */
	bool subscribed;
	/* What stock gets to describe a mail with. It belongs to no storage, so
	   that stock's transaction stays empty. */
	struct mail_save_context stock_save_ctx;
};

const char *migration_import_plugin_version = DOVECOT_ABI_VERSION;

static MODULE_CONTEXT_DEFINE_INIT(migration_import_user_module,
				  &mail_user_module_register);
static MODULE_CONTEXT_DEFINE_INIT(migration_import_storage_module,
				  &mail_storage_module_register);

/* A doveadm process works for one user at a time, from one mailbox to
   another. */
static struct migration_import_user *import_users;
static struct mailbox *import_source_box;
/* what it is imported into, once its first mail was */
static struct import_target *import_source_target;

/* Why nothing can come from the source's folder. NULL if something could, and if
   the source is no folder. */
static const char *
migration_import_why_closed(struct mail_user *source, bool one_user)
{
	struct mailbox_list *list;
	const char *path;
	DIR *dir;

	if (source->namespaces == NULL)
		return NULL;
	list = source->namespaces->list;
	/* of many users, one without old mail is no error */
	path = import_list_get_missing(list);
	if (path != NULL) {
		return !one_user ? NULL :
			t_strdup_printf(IMPORT_LIST_MISSING, path);
	}
	if (!mailbox_list_get_root_path(list, MAILBOX_LIST_PATH_TYPE_MAILBOX,
					&path))
		return NULL;
	dir = opendir(path);
	if (dir == NULL) {
		return errno == ENOENT ? NULL :
			t_strdup_printf("opendir(%s) failed: %m", path);
	}
	(void)closedir(dir);
	return NULL;
}

/* Stock ends with 0 as well if it has found no mailbox at all, because the
   location is wrong or Dovecot may not write its index files there. */
static void migration_import_report_empty(struct migration_import_user *source)
{
	struct migration_run *run = migration_run_find(source->user);
	const char *why;

	if (source->created_for == NULL || source->source_boxes_count > 0 ||
	    strcmp(run->command, "import") != 0)
		return;
	why = migration_import_why_closed(source->user, run->one_user);
	if (why != NULL) {
		migration_run_finding(run, MIGRATION_SEVERITY_ERROR, NULL, 0,
			FINDING_SOURCE_EMPTY,
			"The source cannot be read: %s", why);
		return;
	}
	migration_run_finding(run, MIGRATION_SEVERITY_WARNING, NULL, 0,
		FINDING_SOURCE_EMPTY, SOURCE_EMPTY_WORDS);
}

static void migration_import_user_deinit(struct mail_user *user)
{
	struct migration_import_user *muser =
		MIGRATION_IMPORT_USER_CONTEXT_REQUIRE(user);

	migration_import_report_empty(muser);
	DLLIST_REMOVE(&import_users, muser);
	if (muser->target_set.local != NULL)
		import_local_deinit(&muser->target_set.local);
	migration_settings_free(muser->set);
	muser->module_ctx.super.deinit(user);
}

/* Stock creates the source once, for the first user of -A, -F or a mask, and
   imports the first user's mail into all others (QUIRKS.md,
   "import-source-once"). The doveadm module makes it forget the source after
   each user. This is for the case that it does not. */
static const char *
migration_import_get_foreign_source(const struct mail_user *dest_user)
{
	const struct migration_import_user *source;

	if (import_source_box == NULL)
		return NULL;
	source = MIGRATION_IMPORT_USER_CONTEXT_REQUIRE(
		import_source_box->storage->user);
	if (source->created_for == NULL ||
	    strcmp(source->created_for, dest_user->username) == 0 ||
	    strcmp(source->created_for, source->user->username) != 0)
		return NULL;
	return source->user->username;
}

static int migration_import_refuse_foreign_source(struct mailbox *box)
{
	const char *owner =
		migration_import_get_foreign_source(box->storage->user);

	if (owner == NULL)
		return 0;
	mail_storage_set_error(box->storage, MAIL_ERROR_NOTPOSSIBLE,
		t_strdup_printf("migration_import: the source is %s's mail. "
			"doveadm import of several users reads the mail of the "
			"first one for all of them, unless "
			"lib20_doveadm_migration_plugin is installed: install "
			"it, or import one user at a time", owner));
	return -1;
}

static bool
migration_import_is_dest(const struct mailbox_transaction_context *t)
{
	return strcmp(t->reason, IMPORT_DEST_REASON) == 0;
}

/* Stock says nothing when it creates a mailbox, but it has opened the source
   before. */
static bool
migration_import_is_dest_create(const struct mailbox *box,
				const struct mailbox_update *update,
				bool directory)
{
	return import_source_box != NULL && update == NULL && !directory &&
		(box->flags & MAILBOX_FLAG_SAVEONLY) != 0 &&
		box->storage->user != import_source_box->storage->user;
}

static int
migration_import_create_box(struct mailbox *box,
			    const struct mailbox_update *update, bool directory)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(box);

	if (!migration_import_is_dest_create(box, update, directory)) {
		return mbox->module_ctx.super.create_box(box, update,
							 directory);
	}
	if (migration_import_refuse_foreign_source(box) < 0)
		return -1;
	return import_create_box(box, import_source_box,
				 mbox->module_ctx.super.create_box);
}

static struct mailbox_transaction_context *
migration_import_transaction_begin(struct mailbox *box,
				   enum mailbox_transaction_flags flags,
				   const char *reason)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(box);
	struct migration_import_user *muser =
		MIGRATION_IMPORT_USER_CONTEXT_REQUIRE(box->storage->user);

	if (strcmp(reason, IMPORT_SOURCE_REASON) == 0) {
		import_source_box = box;
		muser->source_boxes_count++;
	}
	return mbox->module_ctx.super.transaction_begin(box, flags, reason);
}

/* The source is only known if both are read by this plugin and the mail is
   not one that a virtual mailbox shows. */
static struct mailbox *migration_import_source_of(const struct mail *mail)
{
	return mail->box == import_source_box ? import_source_box : NULL;
}

static int
migration_import_take_here(struct mailbox_transaction_context *t,
			   struct mail *mail)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(t->box);
	struct migration_import_user *muser =
		MIGRATION_IMPORT_USER_CONTEXT_REQUIRE(t->box->storage->user);

	if (mbox->target == NULL) {
		if (import_target_init(t->box, t->flags,
				       migration_import_source_of(mail),
				       &muser->target_set, &mbox->target) < 0)
			return -1;
		import_source_target = mbox->target;
	}
	return import_target_add(mbox->target, mail);
}

/* *here is set to TRUE if one of the folders is this mailbox. */
static int
migration_import_take_for_folders(struct mailbox_transaction_context *t,
				  struct mail *mail, const char *const *names,
				  bool *here)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(t->box);
	struct migration_import_user *muser =
		MIGRATION_IMPORT_USER_CONTEXT_REQUIRE(t->box->storage->user);
	bool own;
	int ret;

	if (mbox->folders == NULL) {
		mbox->folders = import_folders_init(t,
			mbox->parent == NULL ? "" : mbox->parent,
			mbox->subscribed, &muser->target_set, &mbox->target);
	}
	ret = import_folders_add(mbox->folders, mail, names, &own);
	*here = *here || own;
	return ret;
}

static int
migration_import_take(struct mailbox_transaction_context *t, struct mail *mail)
{
	struct migration_folders folders;
	bool stays = TRUE;
	int ret = 0;

	if (migration_import_refuse_foreign_source(t->box) < 0)
		return -1;
	if (migration_folders_get(mail, &folders)) {
		stays = folders.stays;
		ret = migration_import_take_for_folders(t, mail, folders.names,
							&stays);
	}
	if (stays && migration_import_take_here(t, mail) < 0)
		ret = -1;
	return ret;
}

static bool is_query_for_all(const struct mail_search_args *args)
{
	const struct mail_search_arg *arg;

	for (arg = args->args; arg != NULL; arg = arg->next) {
		if (arg->type != SEARCH_ALL || arg->match_not)
			return FALSE;
	}
	return TRUE;
}

/* Stock does something for each mail that its search finds, and most of that is
   what it costs to find out that nothing is to be done. */
static bool
migration_import_search_next_update_seq(struct mail_search_context *ctx)
{
	struct mailbox *box = ctx->transaction->box;
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(box);
	bool passes_over = box == import_source_box &&
		import_source_target != NULL && is_query_for_all(ctx->args) &&
		strcmp(ctx->transaction->reason, IMPORT_SOURCE_REASON) == 0;
	uint32_t uid;

	while (mbox->module_ctx.super.search_next_update_seq(ctx)) {
		if (!passes_over)
			return TRUE;
		mail_index_lookup_uid(ctx->transaction->view, ctx->seq, &uid);
		if (!import_target_passes_over(import_source_target, box, uid))
			return TRUE;
	}
	return FALSE;
}

static struct mail_save_context *
migration_import_save_alloc(struct mailbox_transaction_context *t)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(t->box);

	if (!migration_import_is_dest(t))
		return mbox->module_ctx.super.save_alloc(t);
	mbox->stock_save_ctx.transaction = t;
	return &mbox->stock_save_ctx;
}

static void migration_import_save_cancel(struct mail_save_context *ctx)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(ctx->transaction->box);

	if (migration_import_is_dest(ctx->transaction))
		index_save_context_free(ctx);
	else
		mbox->module_ctx.super.save_cancel(ctx);
}

static int
migration_import_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct mailbox_transaction_context *t = ctx->transaction;
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(t->box);
	int ret;

	if (!migration_import_is_dest(t))
		return mbox->module_ctx.super.copy(ctx, mail);
	/* super is left out on purpose: the target saves the mail, or not */
	ret = migration_import_take(t, mail);
	index_save_context_free(ctx);
	return ret;
}

static void
migration_import_transaction_end(struct mailbox_transaction_context *t)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(t->box);

	if (mbox->stock_save_ctx.dest_mail != NULL)
		mailbox_save_context_deinit(&mbox->stock_save_ctx);
	/* of mails that are not in this transaction */
	if (array_is_created(&t->pvt_saves))
		array_clear(&t->pvt_saves);
}

static int
migration_import_transaction_commit(struct mailbox_transaction_context *t,
		struct mail_transaction_commit_changes *changes_r)
{
	struct mailbox *box = t->box;
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(box);
	const char *error = NULL;

	if (migration_import_is_dest(t)) {
		import_source_target = NULL;
		if (mbox->target != NULL)
			(void)import_target_finish(&mbox->target, &error);
		if (mbox->folders != NULL)
			(void)import_folders_finish(&mbox->folders, &error);
		migration_import_transaction_end(t);
	}
	if (mbox->module_ctx.super.transaction_commit(t, changes_r) < 0)
		return -1;
	if (error != NULL) {
		mail_storage_set_error(box->storage, MAIL_ERROR_TEMP, error);
		return -1;
	}
	return 0;
}

static void
migration_import_transaction_rollback(struct mailbox_transaction_context *t)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(t->box);

	if (migration_import_is_dest(t)) {
		import_source_target = NULL;
		if (mbox->target != NULL)
			import_target_abort(&mbox->target);
		if (mbox->folders != NULL)
			import_folders_abort(&mbox->folders);
		migration_import_transaction_end(t);
	}
	mbox->module_ctx.super.transaction_rollback(t);
}

static int migration_import_set_subscribed(struct mailbox *box, bool set)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(box);

	mbox->subscribed = set;
	return mbox->module_ctx.super.set_subscribed(box, set);
}

/* quirk: cache-purged-once */
static int migration_import_open(struct mailbox *box)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(box);

	if (mbox->module_ctx.super.open(box) < 0)
		return -1;
	if (box->index != NULL)
		compat_index_keep_cached_fields(box->index);
	return 0;
}

static void migration_import_close(struct mailbox *box)
{
	struct migration_import_mailbox *mbox =
		MIGRATION_IMPORT_CONTEXT_REQUIRE(box);

	if (import_source_box == box)
		import_source_box = NULL;
	mbox->module_ctx.super.close(box);
}

static void migration_import_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct migration_import_mailbox *mbox;
	struct migration_import_user *source;
	const char *parent;

	if (MIGRATION_IMPORT_USER_CONTEXT(box->storage->user) == NULL)
		return;
	parent = import_source_box == NULL ? NULL :
		import_names_get_parent(box, import_source_box);
	if (parent != NULL) {
		source = MIGRATION_IMPORT_USER_CONTEXT_REQUIRE(
			import_source_box->storage->user);
		import_names_keep_apart(box, import_source_box, parent,
					&source->vnames);
	}

	mbox = p_new(box->pool, struct migration_import_mailbox, 1);
	mbox->parent = parent;
	mbox->module_ctx.super = *v;
	box->vlast = &mbox->module_ctx.super;
	v->create_box = migration_import_create_box;
	v->transaction_begin = migration_import_transaction_begin;
	v->search_next_update_seq = migration_import_search_next_update_seq;
	v->save_alloc = migration_import_save_alloc;
	v->save_cancel = migration_import_save_cancel;
	v->copy = migration_import_copy;
	v->transaction_commit = migration_import_transaction_commit;
	v->transaction_rollback = migration_import_transaction_rollback;
	v->set_subscribed = migration_import_set_subscribed;
	v->open = migration_import_open;
	v->close = migration_import_close;
	if (import_list_get_missing(box->list) != NULL)
		import_list_box_missing(v);
	MODULE_CONTEXT_SET(box, migration_import_storage_module, mbox);
}

static void migration_import_mail_allocated(struct mail *mail)
{
	if (mail->box == import_source_box &&
	    strcmp(mail->transaction->reason, IMPORT_SOURCE_REASON) == 0)
		import_source_mail_allocated(mail);
}

static void migration_import_mailbox_list_created(struct mailbox_list *list)
{
	struct migration_import_user *muser =
		MIGRATION_IMPORT_USER_CONTEXT(list->ns->user);

	if (muser != NULL && muser->dest_user != NULL &&
	    !list->ns->user->autocreated)
		import_list_created(list, muser->dest_user);
}

static enum import_duplicates get_duplicates(const char *value)
{
	if (strcmp(value, "skip") == 0)
		return IMPORT_DUPLICATES_SKIP;
	if (strcmp(value, "import") == 0)
		return IMPORT_DUPLICATES_IMPORT;
	return IMPORT_DUPLICATES_MERGE_FLAGS;
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
	muser->user = user;
	muser->set = set;
	muser->target_set.duplicates = get_duplicates(muser->set->duplicates);
	muser->target_set.commit_mails = muser->set->commit_mails;
	if (import_users != NULL) {
		muser->created_for = p_strdup(user->pool,
					      import_users->user->username);
		muser->dest_user = import_users->user;
	} else if (strcmp(muser->set->scope, "all") == 0) {
		muser->target_set.local = import_local_init(user);
	}
	DLLIST_PREPEND(&import_users, muser);
	muser->module_ctx.super = *v;
	user->vlast = &muser->module_ctx.super;
	v->deinit = migration_import_user_deinit;
	MODULE_CONTEXT_SET(user, migration_import_user_module, muser);
}

static struct mail_storage_hooks migration_import_mail_storage_hooks = {
	.mail_user_created = migration_import_mail_user_created,
	.mailbox_list_created = migration_import_mailbox_list_created,
	.mailbox_allocated = migration_import_mailbox_allocated,
	.mail_allocated = migration_import_mail_allocated,
};

void migration_import_plugin_init(struct module *module)
{
	mail_storage_hooks_add(module, &migration_import_mail_storage_hooks);
}

void migration_import_plugin_deinit(void)
{
	mail_storage_hooks_remove(&migration_import_mail_storage_hooks);
}
