/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One file m.N of an mdbox: see uidl-store-mdbox.c. */

#include "lib.h"
#include "array.h"
#include "ostream.h"
#include "index-attachment.h"
#include "mdbox-storage.h"
#include "mdbox-file.h"
#include "mdbox-map.h"
#include "mdbox-map-private.h"
#include "mdbox-state.h"
#include "uidl-store-journal.h"
#include "uidl-store-private.h"
#include "uidl-store-mdbox-private.h"

#include <sys/stat.h>

/* More than the metadata of a mail takes. Only for choosing the file. */
#define MDBOX_METADATA_MAX_SIZE 4096

/* One file that is being copied. */
struct mdbox_rewrite {
	struct mdbox_work *work;
	struct dbox_file *file;
	uint32_t file_id;
	/* the mails to change in it, by map UID */
	const struct mdbox_target *targets;
	unsigned int targets_count;
	/* mails that are left out lose their detached attachments, too */
	bool delete_attachments;

	ARRAY_TYPE(mdbox_map_file_msg) msgs;
	ARRAY_TYPE(uint32_t) moved_map_uids;
	pool_t attachments_pool;
	ARRAY_TYPE(mail_attachment_extref) attachments;
	struct mdbox_map_atomic_context *atomic;
	struct mdbox_map_append_context *append;
	/* where the last mail was written to */
	struct ostream *output;
};

static int mdbox_msg_offset_cmp(const struct mdbox_map_file_msg *m1,
				const struct mdbox_map_file_msg *m2)
{
	if (m1->offset != m2->offset)
		return m1->offset < m2->offset ? -1 : 1;
	return 0;
}

const char *uidl_store_mdbox_error(struct mdbox_work *work)
{
	return mail_storage_get_last_internal_error(
		&work->storage->storage.storage, NULL);
}

void uidl_store_mdbox_get_use(struct mdbox_work *work,
			      struct mdbox_map_atomic_context *atomic,
			      uint32_t file_id, struct mdbox_file_use *use_r)
{
	struct mail_index_view *view = atomic->sync_view;
	uint32_t seq, count = mail_index_view_get_messages_count(view);
	struct dbox_mail_lookup_rec rec;

	i_zero(use_r);
	for (seq = 1; seq <= count; seq++) {
		if (mdbox_map_view_lookup_rec(work->map, view, seq,
					      &rec) < 0 ||
		    rec.rec.file_id != file_id)
			continue;
		use_r->records++;
		if (rec.refcount > 0)
			use_r->referenced++;
	}
}

static void mdbox_unlink_file(struct mdbox_work *work, uint32_t file_id)
{
	const char *dirs[] = {
		work->storage->storage_dir, work->storage->alt_storage_dir
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(dirs); i++) {
		if (dirs[i] != NULL) {
			i_unlink_if_exists(t_strdup_printf(
				"%s/"MDBOX_MAIL_FILE_FORMAT,
				dirs[i], file_id));
		}
	}
}

/* With the map locked: the file goes first, since a record without a file is
   nothing that a rebuild could bring back. */
void uidl_store_mdbox_remove_file(struct mdbox_work *work,
				  struct mdbox_map_atomic_context *atomic,
				  uint32_t file_id)
{
	struct mail_index_view *view = atomic->sync_view;
	uint32_t seq, count = mail_index_view_get_messages_count(view);
	struct dbox_mail_lookup_rec rec;

	mdbox_unlink_file(work, file_id);
	for (seq = 1; seq <= count; seq++) {
		if (mdbox_map_view_lookup_rec(work->map, view, seq,
					      &rec) == 0 &&
		    rec.rec.file_id == file_id)
			mail_index_expunge(atomic->sync_trans, seq);
	}
}

/* Deletes a file of which no mailbox has a mail any more. */
static int
mdbox_remove_file(struct mdbox_work *work, uint32_t file_id,
		  const char **error_r)
{
	struct mdbox_map_atomic_context *atomic;
	struct mdbox_file_use use;
	int ret = 0;

	atomic = mdbox_map_atomic_begin(work->map);
	if (mdbox_map_atomic_lock(atomic, "removing file") < 0) {
		*error_r = uidl_store_mdbox_error(work);
		ret = -1;
	} else {
		uidl_store_mdbox_get_use(work, atomic, file_id, &use);
		if (use.referenced > 0) {
			/* copied from a mailbox where it was expunged just
			   before we looked */
			*error_r = t_strdup_printf("A mail of m.%u was "
				"expunged and copied at the same time: run "
				"\"doveadm force-resync\" and then again",
				file_id);
			ret = -1;
		} else {
			uidl_store_mdbox_remove_file(work, atomic, file_id);
			mdbox_map_atomic_set_success(atomic);
		}
	}
	if (mdbox_map_atomic_finish(&atomic) < 0 && ret == 0) {
		*error_r = uidl_store_mdbox_error(work);
		ret = -1;
	}
	return ret;
}

/* -- one file */

static const struct uidl_store_change *
mdbox_rewrite_find(struct mdbox_rewrite *rewrite, uint32_t map_uid)
{
	unsigned int left = 0, right = rewrite->targets_count, middle;

	while (left < right) {
		middle = (left + right) / 2;
		if (rewrite->targets[middle].map_uid == map_uid)
			return rewrite->targets[middle].change;
		if (rewrite->targets[middle].map_uid < map_uid)
			left = middle + 1;
		else
			right = middle;
	}
	return NULL;
}

/* Chooses the file to write to: the one that this rewrite has begun, or a new
   one. A size that no existing file has room for gives a new one. */
static int
mdbox_rewrite_next_output(struct mdbox_rewrite *rewrite)
{
	struct dbox_file_append_context *file_append;
	struct dbox_file *file = rewrite->file;
	uoff_t rotate_size = rewrite->work->map->set->mdbox_rotate_size;
	uoff_t size = file->msg_header_size + file->cur_physical_size +
		MDBOX_METADATA_MAX_SIZE;
	enum mdbox_map_append_flags flags = 0;

	if (rewrite->output == NULL ||
	    rewrite->output->offset + size > rotate_size)
		size = I_MAX(rotate_size, size);
	if (dbox_file_is_in_alt(file))
		flags |= DBOX_MAP_APPEND_FLAG_ALT;
	return mdbox_map_append_next(rewrite->append, size, flags,
				     &file_append, &rewrite->output);
}

static int
mdbox_rewrite_drop(struct mdbox_rewrite *rewrite, const char **error_r)
{
	const char *refs;

	if (!rewrite->delete_attachments)
		return 0;
	if (dbox_file_metadata_read(rewrite->file) <= 0) {
		*error_r = t_strdup_printf("%s can't be read: run \"doveadm "
			"force-resync\" first", rewrite->file->cur_path);
		return -1;
	}
	refs = dbox_file_metadata_get(rewrite->file, DBOX_METADATA_EXT_REF);
	if (refs != NULL) {
		/* damaged: an attachment stays that nobody has */
		(void)index_attachment_parse_extrefs(refs,
			rewrite->attachments_pool, &rewrite->attachments);
	}
	return 0;
}

static void mdbox_rewrite_delete_attachments(struct mdbox_rewrite *rewrite)
{
	struct dbox_storage *storage = rewrite->file->storage;
	const struct mail_attachment_extref *extref;

	array_foreach(&rewrite->attachments, extref) {
		(void)index_attachment_delete(&storage->storage,
					      storage->attachment_fs,
					      extref->path);
	}
}

static int
mdbox_rewrite_msg(struct mdbox_rewrite *rewrite,
		  const struct mdbox_map_file_msg *msg, const char **error_r)
{
	const struct uidl_store_change *change;

	if (msg->refcount == 0) {
		return mdbox_rewrite_drop(rewrite, error_r);
	}
	if (mdbox_rewrite_next_output(rewrite) < 0) {
		*error_r = t_strdup_printf("No file can be created: %s",
					   uidl_store_mdbox_error(rewrite->work));
		return -1;
	}
	change = mdbox_rewrite_find(rewrite, msg->map_uid);
	if (uidl_store_dbox_copy(rewrite->file, msg->offset, change,
				 rewrite->output, error_r) <= 0)
		return -1;
	mdbox_map_append_finish(rewrite->append);
	array_push_back(&rewrite->moved_map_uids, &msg->map_uid);
	return 0;
}

/* Copies all mails. The file must have exactly those that the map has. */
static int
mdbox_rewrite_msgs(struct mdbox_rewrite *rewrite, const char **error_r)
{
	const struct mdbox_map_file_msg *msgs;
	unsigned int i = 0, count;
	bool last = FALSE;
	uoff_t offset;
	int ret, result = 0;

	msgs = array_get(&rewrite->msgs, &count);
	dbox_file_seek_rewind(rewrite->file);
	while ((ret = dbox_file_seek_next(rewrite->file, &offset,
					  &last)) > 0) {
		if (i == count || msgs[i].offset != offset)
			break;
		T_BEGIN {
			result = mdbox_rewrite_msg(rewrite, &msgs[i], error_r);
		} T_END_PASS_STR_IF(result < 0, error_r);
		if (result < 0)
			return -1;
		i++;
	}
	if (ret != 0 || !last || i != count) {
		*error_r = t_strdup_printf("%s and the map of mails do not "
			"agree: run \"doveadm force-resync\" first",
			rewrite->file->cur_path);
		return -1;
	}
	return 0;
}

static uint32_t mdbox_first_new_file_id(struct mdbox_rewrite *rewrite)
{
	const void *data;
	size_t size;
	uint32_t highest_file_id = 0;

	mail_index_get_header_ext(rewrite->atomic->sync_view,
				  rewrite->work->map->map_ext_id, &data, &size);
	if (size >= sizeof(highest_file_id))
		memcpy(&highest_file_id, data, sizeof(highest_file_id));
	return highest_file_id + 1;
}

/* Points the map to the copies. Returns 1, 0 to try again, -1 and *error_r. */
static int
mdbox_rewrite_commit(struct mdbox_rewrite *rewrite, const char **error_r)
{
	struct mdbox_work *work = rewrite->work;
	struct uidl_store_journal_entry entry;
	ARRAY_TYPE(seq_range) none;

	if (mdbox_map_append_flush(rewrite->append) < 0 ||
	    mdbox_map_atomic_lock(rewrite->atomic, "changing UIDLs") < 0) {
		*error_r = uidl_store_mdbox_error(work);
		return -1;
	}
	if (migration_mdbox_is_corrupted(work->storage))
		return 0;
	entry.old_file_id = rewrite->file_id;
	entry.first_new_file_id = mdbox_first_new_file_id(rewrite);
	entry.new_files_count = array_count(&rewrite->append->file_appends);
	if (uidl_store_journal_add(work->journal, &entry, error_r) < 0)
		return -1;
	t_array_init(&none, 1);
	if (mdbox_map_append_move(rewrite->append, &rewrite->moved_map_uids,
				  &none) < 0 ||
	    mdbox_map_append_commit(rewrite->append) < 0) {
		*error_r = uidl_store_mdbox_error(work);
		return -1;
	}
	return 1;
}

/* Returns 1 if the copies are in place, 0 to try again, -1 and *error_r. */
static int
mdbox_rewrite_locked(struct mdbox_rewrite *rewrite, const char **error_r)
{
	struct mdbox_work *work = rewrite->work;
	int ret;

	if (mdbox_map_get_file_msgs(work->map, rewrite->file_id,
				    &rewrite->msgs) < 0) {
		*error_r = uidl_store_mdbox_error(work);
		return -1;
	}
	if (array_count(&rewrite->msgs) == 0)
		return 0;
	array_sort(&rewrite->msgs, mdbox_msg_offset_cmp);

	rewrite->atomic = mdbox_map_atomic_begin(work->map);
	rewrite->append = mdbox_map_append_begin(rewrite->atomic);
	ret = mdbox_rewrite_msgs(rewrite, error_r) < 0 ? -1 :
		mdbox_rewrite_commit(rewrite, error_r);
	mdbox_map_append_free(&rewrite->append);
	if (mdbox_map_atomic_finish(&rewrite->atomic) < 0 && ret > 0) {
		*error_r = uidl_store_mdbox_error(work);
		ret = -1;
	}
	if (ret <= 0)
		return ret;
	/* Only now, when the map has the new places: who still reads the old
	   one finds the file gone and looks into the map again. */
	if (mdbox_remove_file(work, rewrite->file_id, error_r) < 0)
		return -1;
	mdbox_rewrite_delete_attachments(rewrite);
	return uidl_store_journal_remove_last(work->journal, error_r) < 0 ?
		-1 : 1;
}

static bool mdbox_file_is_current(struct dbox_file *file)
{
	struct stat st1, st2;

	return fstat(file->fd, &st1) == 0 && stat(file->cur_path, &st2) == 0 &&
		st1.st_ino == st2.st_ino;
}

static int
mdbox_rewrite_file(struct mdbox_rewrite *rewrite, const char **error_r)
{
	struct mdbox_work *work = rewrite->work;
	bool deleted = FALSE;
	int ret;

	rewrite->file = mdbox_file_init(work->storage, rewrite->file_id);
	i_array_init(&rewrite->msgs, 128);
	i_array_init(&rewrite->moved_map_uids, 128);
	rewrite->attachments_pool =
		pool_alloconly_create("mdbox attachments", 1024);
	p_array_init(&rewrite->attachments, rewrite->attachments_pool, 4);
	if (dbox_file_open(rewrite->file, &deleted) <= 0) {
		*error_r = t_strdup_printf("%s can't be read: run \"doveadm "
			"force-resync\" first", rewrite->file->cur_path);
		ret = -1;
	} else if (deleted) {
		ret = 0;
	} else if ((ret = dbox_file_try_lock(rewrite->file)) < 0) {
		*error_r = uidl_store_mdbox_error(work);
	} else if (ret > 0) {
		ret = !mdbox_file_is_current(rewrite->file) ? 0 :
			mdbox_rewrite_locked(rewrite, error_r);
		dbox_file_unlock(rewrite->file);
	}
	array_free(&rewrite->msgs);
	array_free(&rewrite->moved_map_uids);
	pool_unref(&rewrite->attachments_pool);
	dbox_file_unref(&rewrite->file);
	return ret;
}

int uidl_store_mdbox_rewrite(struct mdbox_work *work, uint32_t file_id,
			     const struct mdbox_target *targets,
			     unsigned int targets_count,
			     bool delete_attachments, const char **error_r)
{
	struct mdbox_rewrite rewrite;
	int ret;

	i_zero(&rewrite);
	rewrite.work = work;
	rewrite.file_id = file_id;
	rewrite.targets = targets;
	rewrite.targets_count = targets_count;
	rewrite.delete_attachments = delete_attachments;
	T_BEGIN {
		ret = mdbox_rewrite_file(&rewrite, error_r);
	} T_END_PASS_STR_IF(ret < 0, error_r);
	if (ret > 0) {
		e_debug(work->box->event, "UIDLs: m.%u written anew with "
			"%u changes", file_id, targets_count);
	} else if (ret == 0) {
		work->busy_file_id = file_id;
	}
	return ret;
}
