/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "module-context.h"
#include "str-sanitize.h"
#include "unichar.h"
#include "mail-namespace.h"
#include "mail-user.h"
#include "mailbox-list-private.h"
#include "mail-storage-private.h"
#include "mailbox-list-iter-private.h"
#include "imapc-list.h"
#include "import-name.h"
#include "mailbox-name.h"
#include "migration-run.h"
#include "import-list.h"

#include <sys/stat.h>

#define IMPORT_LIST_CONTEXT(obj) \
	MODULE_CONTEXT(obj, import_list_module)
#define IMPORT_LIST_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, import_list_module)

struct import_list_name {
	const char *storage_name, *vname;
	/* the name says something else than the storage's does */
	bool changed, told;
};

struct import_list {
	union mailbox_list_module_context module_ctx;
	struct mailbox_list *list;

	struct mail_user *dest_user;
	const char *parent;
	/* The parent in the storage's own names if the storage is the source's,
	   else NULL. Known once the source is listed. */
	const char *own_parent;
	bool own_parent_known, parent_left_out, inbox_looked_for;
	/* all names were listed once */
	bool learned;

	/* The path if nothing was there, or NULL, and the listing of that. */
	const char *missing;
	struct mailbox_list_iterate_context *nothing;

	/* mailboxes that Dovecot does not find by the name it gives them */
	HASH_TABLE(const char *, struct import_list_name *) by_storage_name;
	HASH_TABLE(const char *, struct import_list_name *) by_vname;
};

static MODULE_CONTEXT_DEFINE_INIT(import_list_module,
				  &mailbox_list_module_register);

/* -- names */

/* Dovecot has no path, but an assertion, for some names of folders. */
static bool get_path(struct import_list *ilist, const char *storage_name,
		     const char **path_r)
{
	const char *error;

	return mailbox_list_is_valid_name(ilist->list, storage_name, &error) &&
		mailbox_list_get_path(ilist->list, storage_name,
				      MAILBOX_LIST_PATH_TYPE_DIR, path_r) > 0;
}

/* An mbox that is the INBOX can be a file "inbox". */
static bool is_inbox(struct import_list *ilist, const char *storage_name)
{
	const char *path, *inbox_path;

	return strcasecmp(storage_name, "INBOX") == 0 &&
		get_path(ilist, storage_name, &path) &&
		get_path(ilist, "INBOX", &inbox_path) &&
		strcmp(path, inbox_path) == 0;
}

/* TRUE if Dovecot finds the mailbox again. */
static bool is_found(struct import_list *ilist, const char *storage_name,
		     const char *vname)
{
	return uni_utf8_str_is_valid(vname) &&
		(strcmp(ilist->module_ctx.super.get_storage_name(ilist->list,
								 vname),
			storage_name) == 0 || is_inbox(ilist, storage_name));
}

static bool is_taken(struct import_list *ilist, const char *vname)
{
	const char *path;
	struct stat st;

	if (hash_table_lookup(ilist->by_vname, vname) != NULL)
		return TRUE;
	return get_path(ilist, ilist->module_ctx.super.get_storage_name(
				ilist->list, vname), &path) &&
		stat(path, &st) == 0;
}

/* quirk: badly-encoded-folder */
static const struct import_list_name *
import_list_add_name(struct import_list *ilist, const char *storage_name,
		     const char *listed)
{
	pool_t pool = ilist->list->pool;
	struct import_list_name *name = p_new(pool, struct import_list_name, 1);
	const char *vname = import_name_of_bytes(listed);

	if (is_taken(ilist, vname))
		vname = mailbox_name_differ(vname, storage_name);
	name->vname = p_strdup(pool, vname);
	name->storage_name = p_strdup(pool, storage_name);
	name->changed = strcmp(vname, listed) != 0;
	hash_table_insert(ilist->by_storage_name, name->storage_name, name);
	hash_table_insert(ilist->by_vname, name->vname, name);
	return name;
}

static const char *
import_list_get_vname(struct mailbox_list *list, const char *storage_name)
{
	struct import_list *ilist = IMPORT_LIST_CONTEXT_REQUIRE(list);
	const struct import_list_name *name =
		hash_table_lookup(ilist->by_storage_name, storage_name);
	const char *vname;

	if (name != NULL)
		return name->vname;
	vname = ilist->module_ctx.super.get_vname(list, storage_name);
	return is_found(ilist, storage_name, vname) ? vname :
		import_list_add_name(ilist, storage_name, vname)->vname;
}

/* A query can name a mailbox that was not listed. */
static void import_list_learn(struct import_list *ilist)
{
	struct mailbox_list_iterate_context *iter;

	ilist->learned = TRUE;
	iter = mailbox_list_iter_init(ilist->list, "*",
		MAILBOX_LIST_ITER_NO_AUTO_BOXES |
		MAILBOX_LIST_ITER_RETURN_NO_FLAGS |
		MAILBOX_LIST_ITER_RAW_LIST);
	while (mailbox_list_iter_next(iter) != NULL)
		;
	/* a list that cannot be read teaches nothing */
	(void)mailbox_list_iter_deinit(&iter);
}

static bool can_be_of_bytes(const char *vname)
{
	for (; *vname != '\0'; vname++) {
		if (*vname == '&' || *vname == '=' ||
		    (unsigned char)*vname >= 0x80)
			return TRUE;
	}
	return FALSE;
}

static const char *
import_list_get_storage_name(struct mailbox_list *list, const char *vname)
{
	struct import_list *ilist = IMPORT_LIST_CONTEXT_REQUIRE(list);
	const struct import_list_name *name;

	if (!ilist->learned && can_be_of_bytes(vname) && !is_taken(ilist, vname))
		import_list_learn(ilist);
	name = hash_table_lookup(ilist->by_vname, vname);
	return name != NULL ? name->storage_name :
		ilist->module_ctx.super.get_storage_name(list, vname);
}

/* Folders that are no mailboxes get names, too. */
static void
import_list_tell_name(struct import_list *ilist,
		      const struct mailbox_info *info)
{
	struct import_list_name *name =
		hash_table_lookup(ilist->by_vname, info->vname);

	if (name == NULL || !name->changed || name->told ||
	    (info->flags & (MAILBOX_NOSELECT | MAILBOX_NONEXISTENT)) != 0)
		return;
	name->told = TRUE;
	migration_run_finding(migration_run_find(ilist->list->ns->user),
		MIGRATION_SEVERITY_WARNING, name->vname, 0,
		FINDING_NAME_NOT_TEXT, "The source's folder %s has a name that "
		"no client can use, and is imported as this mailbox",
		str_sanitize_utf8(name->storage_name, 200));
}

/* Returns the path of a Maildir's folder .INBOX if the INBOX is elsewhere. */
static const char *find_hidden_inbox(struct mailbox_list *list)
{
	const char *root, *path, *inbox_path;
	struct stat st, inbox_st;

	if (strcmp(list->name, MAILBOX_LIST_NAME_MAILDIRPLUSPLUS) != 0 ||
	    !mailbox_list_get_root_path(list, MAILBOX_LIST_PATH_TYPE_MAILBOX,
					&root) ||
	    mailbox_list_get_path(list, "INBOX", MAILBOX_LIST_PATH_TYPE_MAILBOX,
				  &inbox_path) <= 0)
		return NULL;
	path = t_strdup_printf("%s/%cINBOX", root,
			       mailbox_list_get_hierarchy_sep(list));
	if (stat(t_strconcat(path, "/cur", NULL), &st) < 0 ||
	    (stat(t_strconcat(inbox_path, "/cur", NULL), &inbox_st) == 0 &&
	     CMP_DEV_T(st.st_dev, inbox_st.st_dev) &&
	     st.st_ino == inbox_st.st_ino))
		return NULL;
	return path;
}

/* quirk: maildir-folder-inbox */
static void import_list_tell_inbox(struct import_list *ilist)
{
	const char *path;

	if (ilist->inbox_looked_for)
		return;
	ilist->inbox_looked_for = TRUE;
	path = find_hidden_inbox(ilist->list);
	if (path == NULL)
		return;
	migration_run_finding(migration_run_find(ilist->list->ns->user),
		MIGRATION_SEVERITY_ERROR, NULL, 0, FINDING_INBOX_HIDDEN,
		"The source's folder %s is not imported: Dovecot has no name "
		"for it beside the INBOX. Rename it and run again",
		str_sanitize_utf8(path, 200));
}

/* -- the user's own mail */

static bool is_same_storage(struct mailbox_list *list1,
			    struct mailbox_list *list2)
{
	const char *root1, *root2;
	struct stat st1, st2;

	return mailbox_list_get_root_path(list1, MAILBOX_LIST_PATH_TYPE_MAILBOX,
					  &root1) &&
		mailbox_list_get_root_path(list2,
					   MAILBOX_LIST_PATH_TYPE_MAILBOX,
					   &root2) &&
		stat(root1, &st1) == 0 && stat(root2, &st2) == 0 &&
		CMP_DEV_T(st1.st_dev, st2.st_dev) && st1.st_ino == st2.st_ino;
}

/* The lists of both must be there, and the destination's can come last. */
static void import_list_find_own_parent(struct import_list *ilist)
{
	struct mail_namespace *ns;

	if (ilist->own_parent_known || *ilist->parent == '\0')
		return;
	ilist->own_parent_known = TRUE;
	ns = mail_namespace_find(ilist->dest_user->namespaces, ilist->parent);
	if (is_same_storage(ns->list, ilist->list)) {
		ilist->own_parent = p_strdup(ilist->list->pool,
			mailbox_list_get_storage_name(ns->list,
						      ilist->parent));
	}
}

static bool
is_left_out(struct import_list *ilist, const struct mailbox_info *info)
{
	if (ilist->own_parent == NULL ||
	    !import_name_is_below(
			mailbox_list_get_storage_name(ilist->list, info->vname),
			ilist->own_parent,
			mailbox_list_get_hierarchy_sep(ilist->list)))
		return FALSE;
	if (!ilist->parent_left_out) {
		migration_run_finding(migration_run_find(ilist->dest_user),
			MIGRATION_SEVERITY_INFO, ilist->parent, 0,
			FINDING_PARENT_LEFT_OUT, "The source is the user's own "
			"mail: mailboxes that are below this one already are "
			"not imported below it again");
	}
	ilist->parent_left_out = TRUE;
	return TRUE;
}

/* -- listing */

/* Returns the path of a storage that is not there, or NULL. */
static const char *find_missing(struct mailbox_list *list)
{
	const char *path, *inbox_path;
	struct stat st;

	if (!mailbox_list_get_root_path(list, MAILBOX_LIST_PATH_TYPE_DIR,
					&path) ||
	    stat(path, &st) == 0 || errno != ENOENT)
		return NULL;
	if (mailbox_list_get_path(list, "INBOX", MAILBOX_LIST_PATH_TYPE_MAILBOX,
				  &inbox_path) > 0 &&
	    stat(inbox_path, &st) == 0)
		return NULL;
	return path;
}

const char *import_list_get_missing(struct mailbox_list *list)
{
	struct import_list *ilist = IMPORT_LIST_CONTEXT(list);

	return ilist == NULL ? NULL : ilist->missing;
}

static int
missing_box_exists(struct mailbox *box ATTR_UNUSED, bool auto_boxes ATTR_UNUSED,
		   enum mailbox_existence *existence_r)
{
	*existence_r = MAILBOX_EXISTENCE_NONE;
	return 0;
}

static int missing_box_open(struct mailbox *box)
{
	mail_storage_set_error(box->storage, MAIL_ERROR_NOTFOUND,
		t_strdup_printf(IMPORT_LIST_MISSING,
				import_list_get_missing(box->list)));
	return -1;
}

void import_list_box_missing(struct mailbox_vfuncs *v)
{
	v->exists = missing_box_exists;
	v->open = missing_box_open;
}

static struct mailbox_list_iterate_context *
import_list_iter_nothing(struct mailbox_list *list,
			 enum mailbox_list_iter_flags flags)
{
	struct mailbox_list_iterate_context *ctx;
	pool_t pool = pool_alloconly_create("import list nothing", 256);

	ctx = p_new(pool, struct mailbox_list_iterate_context, 1);
	ctx->pool = pool;
	ctx->list = list;
	ctx->flags = flags;
	array_create(&ctx->module_contexts, pool, sizeof(void *), 1);
	return ctx;
}

static struct mailbox_list_iterate_context *
import_list_iter_init(struct mailbox_list *list, const char *const *patterns,
		      enum mailbox_list_iter_flags flags)
{
	struct import_list *ilist = IMPORT_LIST_CONTEXT_REQUIRE(list);

	if (ilist->missing == NULL) {
		import_list_tell_inbox(ilist);
		return ilist->module_ctx.super.iter_init(list, patterns,
							 flags);
	}
	ilist->nothing = import_list_iter_nothing(list, flags);
	return ilist->nothing;
}

static int import_list_iter_deinit(struct mailbox_list_iterate_context *ctx)
{
	struct import_list *ilist = IMPORT_LIST_CONTEXT_REQUIRE(ctx->list);

	if (ctx != ilist->nothing)
		return ilist->module_ctx.super.iter_deinit(ctx);
	ilist->nothing = NULL;
	pool_unref(&ctx->pool);
	if (!migration_run_find(ilist->list->ns->user)->one_user)
		return 0;
	mailbox_list_set_error(ilist->list, MAIL_ERROR_NOTFOUND,
		t_strdup_printf(IMPORT_LIST_MISSING, ilist->missing));
	return -1;
}

static const struct mailbox_info *
import_list_iter_next(struct mailbox_list_iterate_context *ctx)
{
	struct import_list *ilist = IMPORT_LIST_CONTEXT_REQUIRE(ctx->list);
	const struct mailbox_info *info;

	if (ctx == ilist->nothing)
		return NULL;
	import_list_find_own_parent(ilist);
	do {
		info = ilist->module_ctx.super.iter_next(ctx);
	} while (info != NULL && is_left_out(ilist, info));
	if (info != NULL)
		import_list_tell_name(ilist, info);
	return info;
}

/* -- begin and end */

static void import_list_deinit(struct mailbox_list *list)
{
	struct import_list *ilist = IMPORT_LIST_CONTEXT_REQUIRE(list);

	hash_table_destroy(&ilist->by_storage_name);
	hash_table_destroy(&ilist->by_vname);
	ilist->module_ctx.super.deinit(list);
}

static void
import_list_init(struct mailbox_list *list, struct mail_user *dest_user,
		 const char *parent)
{
	struct mailbox_list_vfuncs *v = list->vlast;
	struct import_list *ilist = p_new(list->pool, struct import_list, 1);

	ilist->list = list;
	ilist->dest_user = dest_user;
	ilist->parent = p_strdup(list->pool, parent);
	ilist->missing = p_strdup(list->pool, find_missing(list));
	hash_table_create(&ilist->by_storage_name, default_pool, 0, str_hash,
			  strcmp);
	hash_table_create(&ilist->by_vname, default_pool, 0, str_hash, strcmp);
	ilist->module_ctx.super = *v;
	list->vlast = &ilist->module_ctx.super;
	v->deinit = import_list_deinit;
	v->iter_init = import_list_iter_init;
	v->iter_deinit = import_list_iter_deinit;
	v->iter_next = import_list_iter_next;
	v->get_vname = import_list_get_vname;
	v->get_storage_name = import_list_get_storage_name;
	MODULE_CONTEXT_SET(list, import_list_module, ilist);
}

/* The option's value, "" without it. */
static const char *
get_option(const struct migration_run *run, const char *name)
{
	const char *const *values = migration_run_get_option(run, name);

	return values[0] == NULL ? "" : values[0];
}

void import_list_created(struct mailbox_list *list, struct mail_user *dest_user)
{
	const struct migration_run *run = migration_run_find(list->ns->user);

	/* migration_imapc's names */
	if (strcmp(list->name, MAILBOX_LIST_NAME_IMAPC) == 0)
		return;
	if (strcmp(run->command, "import") == 0) {
		import_list_init(list, dest_user,
				 get_option(run, "dest-parent-mailbox"));
	} else if (strcmp(get_option(run, "mode"), "import") == 0) {
		import_list_init(list, dest_user, get_option(run, "parent"));
	}
}
