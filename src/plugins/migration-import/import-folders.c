/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mailbox-list-iter.h"
#include "gmail-takeout.h"
#include "import-name.h"
#include "dbox-repair.h"
#include "migration-run.h"
#include "save-journal.h"
#include "import-target.h"
#include "import-folders.h"

/* Between a folder and those in it, in the names that mails tell. */
#define FOLDER_SEP '/'
/* Folders that have mails which are not committed yet. Each of them keeps files
   open. */
#define FOLDERS_MAX_UNCOMMITTED 16

struct import_folder {
	const char *vname;
	/* it is the mailbox that the archive becomes */
	bool own;
	/* NULL if it cannot be had: then error says why */
	struct import_target *target;
	const char *error;
};

struct import_folders {
	pool_t pool;
	struct mailbox_transaction_context *trans;
	const char *parent;
	bool subscribe;
	const struct import_target_settings *set;
	/* of the mailbox that the archive becomes */
	struct import_target *const *own_target;

	/* what mails call them */
	HASH_TABLE(const char *, struct import_folder *) names;
	ARRAY(struct import_folder *) all;
	/* folders with mails that are not committed yet */
	ARRAY(struct import_folder *) uncommitted;
};

struct import_folders *
import_folders_init(struct mailbox_transaction_context *t, const char *parent,
		    bool subscribe, const struct import_target_settings *set,
		    struct import_target *const *own_target)
{
	struct import_folders *folders;
	pool_t pool = pool_alloconly_create("import folders", 1024);

	folders = p_new(pool, struct import_folders, 1);
	folders->pool = pool;
	folders->trans = t;
	folders->parent = p_strdup(pool, parent);
	folders->subscribe = subscribe;
	folders->set = set;
	folders->own_target = own_target;
	hash_table_create(&folders->names, pool, 0, str_hash, strcmp);
	p_array_init(&folders->all, pool, 16);
	p_array_init(&folders->uncommitted, pool, FOLDERS_MAX_UNCOMMITTED + 1);
	return folders;
}

/* -- finding a folder */

/* The user's mailbox with this attribute, or NULL (data stack). */
static const char *
find_special_use(struct mail_user *user, const char *special_use)
{
	const char *const patterns[] = { "*", NULL };
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	const char *vname = NULL;

	iter = mailbox_list_iter_init_namespaces(user->namespaces, patterns,
		MAIL_NAMESPACE_TYPE_MASK_ALL,
		MAILBOX_LIST_ITER_SELECT_SPECIALUSE |
		MAILBOX_LIST_ITER_RETURN_SPECIALUSE);
	while (vname == NULL && (info = mailbox_list_iter_next(iter)) != NULL) {
		if (info->special_use != NULL && str_array_icase_find(
			t_strsplit_spaces(info->special_use, " "), special_use))
			vname = t_strdup(info->vname);
	}
	if (mailbox_list_iter_deinit(&iter) < 0) {
		/* then it gets a name that says what it is */
		return NULL;
	}
	return vname;
}

static const char *
import_folder_vname(struct import_folders *folders, const char *name)
{
	struct mail_user *user = folders->trans->box->storage->user;
	struct mail_namespace *ns;
	const char *vname;

	if (*name == '\\' && *folders->parent == '\0') {
		vname = find_special_use(user, name);
		if (vname != NULL)
			return vname;
	}
	name = gmail_takeout_folder(name);
	ns = *folders->parent != '\0' ?
		mailbox_get_namespace(folders->trans->box) :
		mail_namespace_find(user->namespaces, name);
	return t_strconcat(folders->parent,
		import_name_convert(name, FOLDER_SEP,
				    mail_namespace_get_sep(ns)), NULL);
}

static int
import_folder_create(struct import_folders *folders, struct mailbox *box)
{
	enum mail_error error;

	if (mailbox_create(box, NULL, FALSE) < 0) {
		(void)mailbox_get_last_error(box, &error);
		if (error != MAIL_ERROR_EXISTS)
			return -1;
	}
	return folders->subscribe ? mailbox_set_subscribed(box, TRUE) : 0;
}

static void
import_folders_set_error(struct import_folders *folders, const char *error)
{
	mail_storage_set_error(folders->trans->box->storage, MAIL_ERROR_TEMP,
			       error);
}

static int import_folders_flush(struct import_folders *folders)
{
	struct import_folder *folder;
	const char *error;
	int ret = 0;

	array_foreach_elem(&folders->uncommitted, folder) {
		if (import_target_flush(folder->target, &error) < 0) {
			import_folders_set_error(folders, error);
			ret = -1;
		}
	}
	array_clear(&folders->uncommitted);
	return ret;
}

/* If mdbox finds something to repair, it brings back every mail that no mailbox
   has: those that are being saved into other mailboxes, too. So there it is one
   mailbox at a time (QUIRKS.md, "mdbox-rebuild-restores"). What could not be
   committed is reported and does not hold up the others. */
static void import_folders_flush_all(struct import_folders *folders)
{
	const char *error;

	if (*folders->own_target != NULL)
		(void)import_target_flush(*folders->own_target, &error);
	(void)import_folders_flush(folders);
}

static void
import_folder_open(struct import_folders *folders, struct import_folder *folder)
{
	struct mail_user *user = folders->trans->box->storage->user;
	struct mail_namespace *ns =
		mail_namespace_find(user->namespaces, folder->vname);
	struct mailbox *box;

	box = mailbox_alloc(ns->list, folder->vname, 0);
	if (save_journal_roll_back_further(box) < 0 ||
	    import_folder_create(folders, box) < 0 ||
	    import_target_init(box, folders->trans->flags, NULL,
			       folders->set, &folder->target) < 0) {
		folder->error = p_strdup(folders->pool,
			mailbox_get_last_internal_error(box, NULL));
	}
	mailbox_free(&box);
}

/* Two names can be one folder, e.g. a label that is called like the mailbox with
   a special use: then they share its target, and a mail that has both is there
   once. */
static struct import_folder *
import_folders_get(struct import_folders *folders, const char *name)
{
	struct import_folder *folder =
		hash_table_lookup(folders->names, name);
	const char *vname;

	if (folder != NULL)
		return folder;
	vname = import_folder_vname(folders, name);
	array_foreach_elem(&folders->all, folder) {
		if (strcmp(folder->vname, vname) == 0)
			break;
		folder = NULL;
	}
	if (folder == NULL) {
		folder = p_new(folders->pool, struct import_folder, 1);
		folder->vname = p_strdup(folders->pool, vname);
		folder->own = strcmp(vname, folders->trans->box->vname) == 0;
		if (!folder->own) {
			import_folder_open(folders, folder);
			array_push_back(&folders->all, &folder);
		}
	}
	name = p_strdup(folders->pool, name);
	hash_table_insert(folders->names, name, folder);
	return folder;
}

/* -- mails */

static void
import_folder_report(struct import_folders *folders,
		     struct import_folder *folder, struct mail *mail)
{
	migration_run_finding(
		migration_run_find(folders->trans->box->storage->user),
		MIGRATION_SEVERITY_ERROR, folder->vname, mail->uid,
		FINDING_MAIL_NOT_IMPORTED,
		"The mail of %s belongs into this folder, "
		"which can't be written to: %s", mail->box->vname,
		folder->error);
}

static int
import_folders_limit(struct import_folders *folders,
		     struct import_folder *folder)
{
	struct import_folder *other;

	array_foreach_elem(&folders->uncommitted, other) {
		if (other == folder)
			return 0;
	}
	array_push_back(&folders->uncommitted, &folder);
	return array_count(&folders->uncommitted) <= FOLDERS_MAX_UNCOMMITTED ?
		0 : import_folders_flush(folders);
}

static int
import_folder_add(struct import_folders *folders, struct import_folder *folder,
		  struct mail *mail)
{
	if (folder->target == NULL) {
		import_folder_report(folders, folder, mail);
		import_folders_set_error(folders, folder->error);
		return -1;
	}
	/* one storage, so it has the error */
	if (import_target_add(folder->target, mail) < 0)
		return -1;
	return import_folders_limit(folders, folder);
}

int import_folders_add(struct import_folders *folders, struct mail *mail,
		       const char *const *names, bool *own_r)
{
	const bool one_at_a_time = mailbox_is_mdbox(folders->trans->box);
	ARRAY(struct import_folder *) mail_folders;
	struct import_folder *folder, *other;
	bool twice;
	int ret = 0;

	*own_r = FALSE;
	t_array_init(&mail_folders, 8);
	for (; *names != NULL; names++) {
		if (one_at_a_time)
			import_folders_flush_all(folders);
		folder = import_folders_get(folders, *names);
		if (folder->own) {
			*own_r = TRUE;
			continue;
		}
		twice = FALSE;
		array_foreach_elem(&mail_folders, other)
			twice = twice || other == folder;
		if (twice)
			continue;
		array_push_back(&mail_folders, &folder);
		if (import_folder_add(folders, folder, mail) < 0)
			ret = -1;
	}
	if (one_at_a_time)
		import_folders_flush_all(folders);
	return ret;
}

/* -- end */

static void import_folders_free(struct import_folders **_folders)
{
	struct import_folders *folders = *_folders;

	*_folders = NULL;
	hash_table_destroy(&folders->names);
	pool_unref(&folders->pool);
}

int import_folders_finish(struct import_folders **_folders,
			  const char **error_r)
{
	struct import_folder *folder;
	int ret = 0;

	array_foreach_elem(&(*_folders)->all, folder) {
		if (folder->target == NULL) {
			*error_r = t_strdup(folder->error);
			ret = -1;
		} else if (import_target_finish(&folder->target, error_r) < 0) {
			ret = -1;
		}
	}
	import_folders_free(_folders);
	return ret;
}

void import_folders_abort(struct import_folders **_folders)
{
	struct import_folder *folder;

	array_foreach_elem(&(*_folders)->all, folder) {
		if (folder->target != NULL)
			import_target_abort(&folder->target);
	}
	import_folders_free(_folders);
}
