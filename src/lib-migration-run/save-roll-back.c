/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "dbox-file.h"
#include "mail-storage-private.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"
#include "sdbox-file.h"
#include "sdbox-storage.h"
#include "sdbox-sync.h"
#include "save-roll-back.h"

#include <dirent.h>
#include <unistd.h>

bool mailbox_is_maildir(const struct mailbox *box)
{
	return strcmp(box->storage->name, MAILDIR_STORAGE_NAME) == 0;
}

const char *save_roll_back_guid_line(const char *guid)
{
	guid_128_t guid_128;

	mail_generate_guid_128_hash(guid, guid_128);
	return guid_128_to_string(guid_128);
}

const char *save_roll_back_maildir_line(const char *filename)
{
	return t_strcut(t_strcut(filename, ':'), ',');
}

bool save_roll_back_has(const struct save_roll_back *roll_back,
			const char *line)
{
	return hash_table_lookup(roll_back->lines, line) != NULL;
}

int save_roll_back_error(struct mailbox *box, const char *function,
			 const char *path)
{
	mailbox_set_critical(box, "migration: %s(%s) failed: %m",
			     function, path);
	return -1;
}

static int
roll_back_unlink(struct save_roll_back *roll_back, const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT) {
		return save_roll_back_error(roll_back->box, "unlink", path);
	}
	roll_back->deleted_count++;
	return 0;
}

static const char *sdbox_read_guid(struct sdbox_mailbox *mbox, uint32_t uid)
{
	struct dbox_file *file = sdbox_file_init(mbox, uid);
	const char *guid = NULL;
	bool deleted;

	if (dbox_file_open(file, &deleted) > 0 && !deleted &&
	    dbox_file_seek(file, 0) > 0 && dbox_file_metadata_read(file) > 0)
		guid = dbox_file_metadata_get(file, DBOX_METADATA_GUID);
	if (guid != NULL)
		guid = save_roll_back_guid_line(guid);
	dbox_file_unref(&file);
	return guid;
}

/* The UID of a mail's file, or 0. */
static uint32_t sdbox_file_uid(const char *name)
{
	const size_t prefix_len = strlen(SDBOX_MAIL_FILE_PREFIX);
	uint32_t uid;

	if (strncmp(name, SDBOX_MAIL_FILE_PREFIX, prefix_len) != 0 ||
	    str_to_uint32(name + prefix_len, &uid) < 0)
		return 0;
	return uid;
}

static int
roll_back_sdbox_dir(struct save_roll_back *roll_back, uint32_t next_uid)
{
	struct mailbox *box = roll_back->box;
	struct dirent *entry;
	const char *dir_path, *guid;
	uint32_t uid;
	DIR *dir;
	int ret = 0;

	if (mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_MAILBOX,
				&dir_path) <= 0)
		return 0;
	dir = opendir(dir_path);
	if (dir == NULL)
		return save_roll_back_error(box, "opendir", dir_path);
	while (ret == 0 && (entry = readdir(dir)) != NULL) T_BEGIN {
		uid = sdbox_file_uid(entry->d_name);
		guid = uid < next_uid ? NULL :
			sdbox_read_guid(SDBOX_MAILBOX(box), uid);
		if (guid != NULL && save_roll_back_has(roll_back, guid)) {
			ret = roll_back_unlink(roll_back, t_strconcat(
				dir_path, "/", entry->d_name, NULL));
		}
	} T_END;
	(void)closedir(dir);
	return ret;
}

/* The index is locked while files are moved to their places: nobody is in the
   middle of that. */
int save_roll_back_sdbox(struct save_roll_back *roll_back)
{
	struct sdbox_mailbox *mbox = SDBOX_MAILBOX(roll_back->box);
	struct sdbox_sync_context *sync_ctx;
	int ret;

	if (sdbox_sync_begin(mbox, SDBOX_SYNC_FLAG_FORCE,
			     &sync_ctx) < 0)
		return -1;
	ret = roll_back_sdbox_dir(roll_back, mail_index_get_header(
			sync_ctx->sync_view)->next_uid);
	if (sdbox_sync_finish(&sync_ctx, TRUE) < 0)
		ret = -1;
	return ret;
}

static struct maildir_uidlist *get_uidlist(struct mailbox *box)
{
	struct maildir_mailbox *mbox = MAILDIR_MAILBOX(box);

	return mbox->uidlist;
}

static bool
is_journaled(const struct save_roll_back *roll_back, const char *filename)
{
	return save_roll_back_has(roll_back,
				  save_roll_back_maildir_line(filename));
}

/* The list of UIDs is written before the index. What only the list has was not
   committed, and nobody has seen it. FALSE if that cannot be told, because more
   than the journal's mails are not in the index: then the list counts. */
static bool
maildir_find_unindexed(struct save_roll_back *roll_back, uint32_t next_uid,
		       ARRAY_TYPE(const_string) *filenames)
{
	struct mailbox *box = roll_back->box;
	struct maildir_uidlist_iter_ctx *iter;
	enum maildir_uidlist_rec_flag flags;
	const char *filename;
	uint32_t uid;
	bool ret = !mail_index_is_in_memory(box->index);

	iter = maildir_uidlist_iter_init(get_uidlist(box));
	while (ret && maildir_uidlist_iter_next(iter, &uid, &flags,
						&filename)) {
		if (uid < next_uid)
			continue;
		ret = is_journaled(roll_back, filename);
		filename = t_strdup(filename);
		array_push_back(filenames, &filename);
	}
	maildir_uidlist_iter_deinit(&iter);
	return ret;
}

static void
maildir_forget_unindexed(struct save_roll_back *roll_back,
			 struct maildir_uidlist_sync_ctx *sync_ctx)
{
	struct mailbox *box = roll_back->box;
	uint32_t next_uid = mail_index_get_header(box->view)->next_uid;
	ARRAY_TYPE(const_string) filenames;
	const char *filename;

	t_array_init(&filenames, 64);
	if (!maildir_find_unindexed(roll_back, next_uid, &filenames) ||
	    array_count(&filenames) == 0)
		return;
	array_foreach_elem(&filenames, filename)
		maildir_uidlist_sync_remove(sync_ctx, filename);
	maildir_uidlist_set_next_uid(get_uidlist(box), next_uid, TRUE);
}

static int
roll_back_maildir_dir(struct save_roll_back *roll_back, const char *subdir)
{
	struct mailbox *box = roll_back->box;
	const char *dir_path = t_strconcat(mailbox_get_path(box), subdir, NULL);
	struct dirent *entry;
	uint32_t uid;
	DIR *dir;
	int ret = 0;

	dir = opendir(dir_path);
	if (dir == NULL) {
		return errno == ENOENT ? 0 :
			save_roll_back_error(box, "opendir", dir_path);
	}
	while (ret == 0 && (entry = readdir(dir)) != NULL) T_BEGIN {
		if (is_journaled(roll_back, entry->d_name) &&
		    !maildir_uidlist_get_uid(get_uidlist(box), entry->d_name,
					     &uid)) {
			ret = roll_back_unlink(roll_back, t_strconcat(
				dir_path, "/", entry->d_name, NULL));
		}
	} T_END;
	(void)closedir(dir);
	return ret;
}

/* Files are moved to their places while the list of UIDs is locked. */
int save_roll_back_maildir(struct save_roll_back *roll_back)
{
	struct mailbox *box = roll_back->box;
	struct maildir_uidlist_sync_ctx *sync_ctx;
	int ret;

	ret = maildir_uidlist_sync_init(get_uidlist(box),
					MAILDIR_UIDLIST_SYNC_PARTIAL,
					&sync_ctx);
	if (ret == 0) {
		/* The lock of a process that was killed while it wrote the
		   list does not tell who that was. It counts for nothing after
		   two minutes, which is how long we have waited now. */
		ret = maildir_uidlist_sync_init(get_uidlist(box),
						MAILDIR_UIDLIST_SYNC_PARTIAL,
						&sync_ctx);
	}
	if (ret <= 0)
		return -1;
	maildir_forget_unindexed(roll_back, sync_ctx);
	ret = roll_back_maildir_dir(roll_back, "/new");
	if (ret == 0)
		ret = roll_back_maildir_dir(roll_back, "/cur");
	if (maildir_uidlist_sync_deinit(&sync_ctx, ret == 0) < 0)
		ret = -1;
	return ret;
}

