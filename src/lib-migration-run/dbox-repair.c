/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "index-storage.h"
#include "index-pop3-uidl.h"
#include "mailbox-list-private.h"
#include "dbox-storage.h"
#include "dbox-save.h"
#include "sdbox-storage.h"
#include "mdbox-storage.h"
#include "mdbox-map-private.h"
#include "mail-index-private.h"
#include "mdbox-state.h"
#include "dbox-repair.h"

#include <dirent.h>

bool mailbox_is_mdbox(const struct mailbox *box)
{
	return strcmp(box->storage->name, MDBOX_STORAGE_NAME) == 0;
}

bool mailbox_is_sdbox(const struct mailbox *box)
{
	return strcmp(box->storage->name, SDBOX_STORAGE_NAME) == 0;
}

void dbox_repair_failed_save(struct mailbox_transaction_context *t)
{
	struct dbox_save_context *ctx;

	if (t->save_ctx == NULL || !mailbox_is_sdbox(t->box))
		return;
	ctx = DBOX_SAVECTX(t->save_ctx);
	if (ctx->failed) {
		e_debug(t->box->event, "migration: the last save failed, "
			"the mails before it are kept");
	}
	ctx->failed = FALSE;
}

bool dbox_repair_uidl_max(struct mailbox *box, struct mail_index_view *view,
			  struct mail_index_transaction *trans, uint32_t uid)
{
	struct mailbox_index_pop3_uidl uidl;
	const void *data;
	size_t size;

	if (!mailbox_is_sdbox(box) && !mailbox_is_mdbox(box))
		return FALSE;
	mail_index_get_header_ext(view, box->pop3_uidl_hdr_ext_id,
				  &data, &size);
	if (size < sizeof(uidl))
		return FALSE;
	memcpy(&uidl, data, sizeof(uidl));
	if (uidl.max_uid_with_pop3_uidl >= uid)
		return FALSE;
	e_debug(box->event, "migration: POP3 UIDLs exist up to UID %u, not %u",
		uid, uidl.max_uid_with_pop3_uidl);
	index_pop3_uidl_set_max_uid(box, trans, uid);
	return TRUE;
}

void dbox_repair_find_killed_commit(struct mailbox *box,
				    ARRAY_TYPE(seq_range) *uids)
{
	const size_t prefix_len = strlen(SDBOX_MAIL_FILE_PREFIX);
	uint32_t uid, next_uid = mail_index_get_header(box->view)->next_uid;
	const struct dirent *entry;
	const char *path;
	DIR *dir;

	if (!mailbox_is_sdbox(box) ||
	    mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_MAILBOX,
				&path) <= 0)
		return;
	dir = opendir(path);
	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, SDBOX_MAIL_FILE_PREFIX,
			    prefix_len) == 0 &&
		    str_to_uint32(entry->d_name + prefix_len, &uid) == 0 &&
		    uid >= next_uid)
			seq_range_array_add(uids, uid);
	}
	(void)closedir(dir);
}

static int map_mkdir(struct mail_storage *storage, struct mdbox_map *map)
{
	if (mailbox_list_mkdir_root(map->root_list, map->path,
				    MAILBOX_LIST_PATH_TYPE_DIR) == 0 &&
	    (strcmp(map->path, map->index_path) == 0 ||
	     mailbox_list_mkdir_root(map->root_list, map->index_path,
				     MAILBOX_LIST_PATH_TYPE_INDEX) == 0))
		return 0;
	mail_storage_copy_list_error(storage, map->root_list);
	return -1;
}

static int map_index_open(struct mail_storage *storage, struct mdbox_map *map)
{
	enum mail_index_open_flags flags = MAIL_INDEX_OPEN_FLAG_NEVER_IN_MEMORY |
		mail_storage_settings_to_index_flags(storage->set);
	struct mailbox_permissions perm;

	mailbox_list_get_root_permissions(map->root_list, &perm);
	mail_index_set_permissions(map->index, perm.file_create_mode,
				   perm.file_create_gid,
				   perm.file_create_gid_origin);
	if (mail_index_open_or_create(map->index, flags) < 0) {
		mail_storage_set_index_error(storage, map->index);
		return -1;
	}
	return 0;
}

int dbox_repair_open_map(struct mailbox *box)
{
	struct mail_storage *storage = box->storage;
	struct mdbox_map *map;
	int ret;

	if (!mailbox_is_mdbox(box))
		return 0;
	map = ((struct mdbox_storage *)storage)->map;
	if (map->view != NULL)
		return 0;
	if (map_mkdir(storage, map) < 0 || map_index_open(storage, map) < 0)
		return -1;
	/* If this fails late it closes the index, but not its view. The index
	   stays open here meanwhile, which is what saves it from the panic. */
	ret = mdbox_map_open_or_create(map);
	if (ret < 0 && map->view != NULL)
		mail_index_view_close(&map->view);
	mail_index_close(map->index);
	return ret;
}

void dbox_repair_commit_post(struct mail_save_context *ctx,
			     struct mail_private *mail)
{
	struct mailbox *box = ctx->transaction->box;

	if (!mailbox_is_sdbox(box) && !mailbox_is_mdbox(box))
		return;
	i_zero(mail);
	mail->mail.box = box;
	mail->mail.saving = TRUE;
	/* lent: 2.4 logs with it, and makes one if there is none */
	mail->_event = box->event;
	ctx->dest_mail = &mail->mail;
}

/* The mailbox's map if it is open, else NULL. */
static struct mdbox_map *get_open_map(struct mailbox *box)
{
	struct mdbox_map *map;

	if (!mailbox_is_mdbox(box))
		return NULL;
	map = ((struct mdbox_storage *)box->storage)->map;
	return map->view == NULL ? NULL : map;
}

uint32_t dbox_repair_rebuild_count(struct mailbox *box)
{
	struct mdbox_map_mail_index_header hdr;
	struct mdbox_map *map = get_open_map(box);
	struct mail_index_view *view;
	const void *data;
	size_t size;

	if (map == NULL)
		return 0;
	i_zero(&hdr);
	/* the map's own view may be older */
	view = mail_index_view_open(map->index);
	mail_index_get_header_ext(view, map->map_ext_id, &data, &size);
	if (size > 0)
		memcpy(&hdr, data, I_MIN(size, sizeof(hdr)));
	mail_index_view_close(&view);
	return hdr.rebuild_count;
}

void dbox_repair_end_rebuild(struct mailbox *box, uint32_t count)
{
	struct mdbox_map *map = get_open_map(box);
	struct mdbox_map_atomic_context *atomic;

	if (map == NULL || !map->index->fscked ||
	    migration_mdbox_is_corrupted(map->storage) ||
	    dbox_repair_rebuild_count(box) == count)
		return;
	(void)mail_index_reset_fscked(map->index);
	atomic = mdbox_map_atomic_begin(map);
	if (mdbox_map_atomic_lock(atomic, "the storage was rebuilt") == 0) {
		mdbox_map_atomic_unset_fscked(atomic);
		mdbox_map_atomic_set_success(atomic);
	}
	/* if that fails it is only rebuilt once more */
	(void)mdbox_map_atomic_finish(&atomic);
}

/* The map's lock shows whether the last one who had it has finished. */
static int look_at_map(struct mdbox_map *map)
{
	struct mdbox_map_atomic_context *atomic = mdbox_map_atomic_begin(map);
	int ret = mdbox_map_atomic_lock(atomic, "looking for damage");

	mdbox_map_atomic_set_success(atomic);
	if (mdbox_map_atomic_finish(&atomic) < 0)
		ret = -1;
	return ret;
}

int dbox_repair_unfinished_map(struct mailbox *box)
{
	struct mdbox_storage *storage;
	uint32_t rebuild_count;
	int ret;

	if (!mailbox_is_mdbox(box))
		return 0;
	storage = (struct mdbox_storage *)box->storage;
	ret = mdbox_map_open(storage->map);
	if (ret <= 0) {
		/* without a map there is no mail yet */
		return ret;
	}
	rebuild_count = dbox_repair_rebuild_count(box);
	ret = look_at_map(storage->map);
	if (ret == 0 && migration_mdbox_is_corrupted(storage))
		ret = migration_mdbox_rebuild(storage);
	dbox_repair_end_rebuild(box, rebuild_count);
	return ret;
}
