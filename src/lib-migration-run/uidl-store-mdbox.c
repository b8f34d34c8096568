/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A file m.N that has mails to change is copied as a whole into new files, the
   map's records of its mails are pointed to the copies, and m.N is unlinked.
   This is what Dovecot does when it purges a file, with the same locks in the
   same order (m.N, then the map), so that deliveries, expunges, copies and
   purges may go on meanwhile. Mails keep their map UID, so no mailbox's index
   has to be written, and copies in other mailboxes stay copies.

   Mails that were expunged and not yet purged are left out, as by a purge. A
   rebuild of the map takes a mail that it finds in a file and not in the map
   for a lost one, and brings it back. So their records stay in the map until
   m.N is gone: first the other mails' records are moved, then, with the map
   locked again, m.N is unlinked and the records of the rest are removed.

   Nothing is appended to existing files: what a killed run leaves in its new
   ones is either a temporary file, which Dovecot deletes after 36 hours, or
   m.* files that the journal names (uidl-store-journal.h). */

#include "lib.h"
#include "array.h"
#include "sleep.h"
#include "ostream.h"
#include "index-attachment.h"
#include "mdbox-storage.h"
#include "mdbox-file.h"
#include "mdbox-map.h"
#include "mdbox-map-private.h"
#include "mdbox-state.h"
#include "uidl-store-journal.h"
#include "uidl-store-private.h"

#include <unistd.h>
#include <sys/stat.h>

/* Another process locks an m.* file while it saves to it or purges it. */
#define MDBOX_BUSY_RETRIES 60
#define MDBOX_BUSY_WAIT_MSECS 500
/* More than the metadata of a mail takes. Only for choosing the file. */
#define MDBOX_METADATA_MAX_SIZE 4096

struct mdbox_target {
	uint32_t file_id, map_uid;
	const struct uidl_store_change *change;
};
ARRAY_DEFINE_TYPE(mdbox_target, struct mdbox_target);

struct mdbox_work {
	struct mailbox *box;
	struct mdbox_storage *storage;
	struct mdbox_map *map;
	struct uidl_store_journal *journal;
	struct uidl_store_result *result;
	/* the file that was busy last, for the error */
	uint32_t busy_file_id;
};

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

static int mdbox_target_cmp(const struct mdbox_target *t1,
			    const struct mdbox_target *t2)
{
	if (t1->file_id != t2->file_id)
		return t1->file_id < t2->file_id ? -1 : 1;
	if (t1->map_uid != t2->map_uid)
		return t1->map_uid < t2->map_uid ? -1 : 1;
	return 0;
}

static int mdbox_msg_offset_cmp(const struct mdbox_map_file_msg *m1,
				const struct mdbox_map_file_msg *m2)
{
	if (m1->offset != m2->offset)
		return m1->offset < m2->offset ? -1 : 1;
	return 0;
}

static const char *storage_error(struct mdbox_work *work)
{
	return mail_storage_get_last_internal_error(
		&work->storage->storage.storage, NULL);
}

/* -- files without mails */

struct mdbox_file_use {
	/* records in the map, and those that some mailbox has */
	unsigned int records, referenced;
};

static void
mdbox_map_get_file_use(struct mdbox_map *map, struct mail_index_view *view,
		       uint32_t file_id, struct mdbox_file_use *use_r)
{
	uint32_t seq, count = mail_index_view_get_messages_count(view);
	struct dbox_mail_lookup_rec rec;

	i_zero(use_r);
	for (seq = 1; seq <= count; seq++) {
		if (mdbox_map_view_lookup_rec(map, view, seq, &rec) < 0 ||
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
static void
mdbox_remove_file_locked(struct mdbox_work *work,
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
		*error_r = storage_error(work);
		ret = -1;
	} else {
		mdbox_map_get_file_use(work->map, atomic->sync_view,
				       file_id, &use);
		if (use.referenced > 0) {
			/* copied from a mailbox where it was expunged just
			   before we looked */
			*error_r = t_strdup_printf("A mail of m.%u was "
				"expunged and copied at the same time: run "
				"\"doveadm force-resync\" and then again",
				file_id);
			ret = -1;
		} else {
			mdbox_remove_file_locked(work, atomic, file_id);
			mdbox_map_atomic_set_success(atomic);
		}
	}
	if (mdbox_map_atomic_finish(&atomic) < 0 && ret == 0) {
		*error_r = storage_error(work);
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
					   storage_error(rewrite->work));
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
		*error_r = storage_error(work);
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
		*error_r = storage_error(work);
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
		*error_r = storage_error(work);
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
		*error_r = storage_error(work);
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

/* Returns 1 if done, 0 if the file is busy or its mails have just been moved
   elsewhere, -1 and *error_r. */
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
		*error_r = storage_error(work);
	} else if (ret > 0) {
		ret = !mdbox_file_is_current(rewrite->file) ? 0 :
			mdbox_rewrite_locked(rewrite, error_r);
		dbox_file_unlock(rewrite->file);
	}
	array_free(&rewrite->msgs);
	array_free(&rewrite->moved_map_uids);
	pool_unref(&rewrite->attachments_pool);
	dbox_file_unref(&rewrite->file);
	if (ret > 0) {
		e_debug(work->box->event, "UIDLs: m.%u written anew with "
			"%u changes", rewrite->file_id, rewrite->targets_count);
	} else if (ret == 0) {
		work->busy_file_id = rewrite->file_id;
	}
	return ret;
}

/* -- what a killed run left */

/* A file that is in the journal. Returns FALSE if mails of it have to move. */
static bool
mdbox_recover_file(struct mdbox_work *work,
		   struct mdbox_map_atomic_context *atomic, uint32_t file_id,
		   const struct mdbox_file_use *use)
{
	if (use->referenced > 0)
		return use->referenced == use->records;
	e_debug(work->box->event, "UIDLs: An earlier run was interrupted: "
		"m.%u has nothing but copies and is deleted", file_id);
	mdbox_remove_file_locked(work, atomic, file_id);
	return TRUE;
}

/* With the map locked. The mails are either in the old file or in the new ones,
   and the other side is deleted. If Dovecot has rebuilt the map in between, it
   knows both sides. Files that have both mails and copies that no mailbox has
   are added to the array. */
static void
mdbox_recover_entry(struct mdbox_work *work,
		    struct mdbox_map_atomic_context *atomic,
		    const struct uidl_store_journal_entry *entry,
		    ARRAY_TYPE(seq_range) *mixed)
{
	uint32_t id, end = entry->first_new_file_id + entry->new_files_count;
	struct mdbox_file_use old, new;
	bool new_used = FALSE;

	mdbox_map_get_file_use(work->map, atomic->sync_view,
			       entry->old_file_id, &old);
	for (id = entry->first_new_file_id; id < end; id++) {
		mdbox_map_get_file_use(work->map, atomic->sync_view, id, &new);
		if (new.records > 0)
			new_used = TRUE;
		if (!mdbox_recover_file(work, atomic, id, &new))
			seq_range_array_add(mixed, id);
	}
	/* without records of new files the old one is as it was */
	if ((new_used || entry->new_files_count == 0) &&
	    !mdbox_recover_file(work, atomic, entry->old_file_id, &old))
		seq_range_array_add(mixed, entry->old_file_id);
}

static int
mdbox_recover_locked(struct mdbox_work *work, ARRAY_TYPE(seq_range) *mixed,
		     const char **error_r)
{
	const struct uidl_store_journal_entry *entry;
	struct mdbox_map_atomic_context *atomic;
	int ret = 1;

	atomic = mdbox_map_atomic_begin(work->map);
	if (mdbox_map_atomic_lock(atomic, "finishing UIDL changes") < 0) {
		*error_r = storage_error(work);
		ret = -1;
	} else if (migration_mdbox_is_corrupted(work->storage)) {
		ret = 0;
	} else {
		array_foreach(uidl_store_journal_get(work->journal), entry) {
			mdbox_recover_entry(work, atomic, entry, mixed);
		}
		mdbox_map_atomic_set_success(atomic);
	}
	(void)mdbox_map_atomic_finish(&atomic);
	return ret;
}

/* Mails that a rebuilt map has twice: the second copy is one that no mailbox
   has. It would be chosen at random by the next rebuild. */
static int
mdbox_drop_copies(struct mdbox_work *work, const ARRAY_TYPE(seq_range) *mixed,
		  const char **error_r)
{
	struct mdbox_rewrite rewrite;
	struct seq_range_iter iter;
	unsigned int n = 0;

	i_zero(&rewrite);
	rewrite.work = work;
	/* the copies that are kept have the same attachments */
	rewrite.delete_attachments = FALSE;
	seq_range_array_iter_init(&iter, mixed);
	while (seq_range_array_iter_nth(&iter, n++, &rewrite.file_id)) {
		/* busy: the copies wait for the next "doveadm purge" */
		rewrite.output = NULL;
		if (mdbox_rewrite_file(&rewrite, error_r) < 0)
			return -1;
	}
	return 0;
}

static int mdbox_resync(struct mdbox_work *work, const char **error_r)
{
	if (mailbox_sync(work->box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		*error_r = t_strdup_printf("Mailbox can't be synchronised: %s",
			mailbox_get_last_internal_error(work->box, NULL));
		return -1;
	}
	return 0;
}

static int mdbox_recover(struct mdbox_work *work, const char **error_r)
{
	ARRAY_TYPE(seq_range) mixed;
	int ret;

	if (array_count(uidl_store_journal_get(work->journal)) == 0)
		return 0;
	i_array_init(&mixed, 4);
	ret = mdbox_recover_locked(work, &mixed, error_r);
	if (ret == 0) {
		/* killed while the map was written: Dovecot rebuilds it */
		ret = mdbox_resync(work, error_r) < 0 ? -1 :
			mdbox_recover_locked(work, &mixed, error_r);
	}
	if (ret == 0) {
		*error_r = "The map of mails is damaged: run "
			"\"doveadm force-resync\" first";
		ret = -1;
	}
	if (ret > 0)
		ret = mdbox_drop_copies(work, &mixed, error_r);
	if (ret == 0)
		ret = uidl_store_journal_clear(work->journal, error_r);
	array_free(&mixed);
	return ret;
}

/* -- all files */

/* Finds the files of the mails that have not been changed yet. */
static int
mdbox_find_targets(struct mdbox_work *work,
		   const ARRAY_TYPE(mdbox_target) *todo,
		   ARRAY_TYPE(mdbox_target) *targets, const char **error_r)
{
	struct mdbox_mailbox *mbox = MDBOX_MAILBOX(work->box);
	const struct mdbox_target *wanted;
	struct mdbox_target target;
	uint32_t seq;
	uoff_t offset;
	int ret;

	array_clear(targets);
	array_foreach(todo, wanted) {
		target = *wanted;
		if (!mail_index_lookup_seq(work->box->view,
					   target.change->uid, &seq)) {
			work->result->vanished++;
			continue;
		}
		if (mdbox_mail_lookup(mbox, work->box->view, seq,
				      &target.map_uid) < 0 ||
		    (ret = mdbox_map_lookup(work->map, target.map_uid,
					    &target.file_id, &offset)) < 0) {
			*error_r = storage_error(work);
			return -1;
		}
		if (ret == 0)
			work->result->vanished++;
		else
			array_push_back(targets, &target);
	}
	array_sort(targets, mdbox_target_cmp);
	return 0;
}

/* Writes the files of the targets anew. Those that could not be done now
   become the new todo. */
static int
mdbox_rewrite_targets(struct mdbox_work *work,
		      const ARRAY_TYPE(mdbox_target) *_targets,
		      ARRAY_TYPE(mdbox_target) *todo, const char **error_r)
{
	const struct mdbox_target *targets;
	struct mdbox_rewrite rewrite;
	unsigned int i, j, count;
	int ret;

	array_clear(todo);
	targets = array_get(_targets, &count);
	for (i = 0; i < count; i = j) {
		for (j = i + 1; j < count; j++) {
			if (targets[j].file_id != targets[i].file_id)
				break;
		}
		i_zero(&rewrite);
		rewrite.work = work;
		rewrite.file_id = targets[i].file_id;
		rewrite.targets = &targets[i];
		rewrite.targets_count = j - i;
		rewrite.delete_attachments =
			work->storage->storage.attachment_fs != NULL;
		T_BEGIN {
			ret = mdbox_rewrite_file(&rewrite, error_r);
		} T_END_PASS_STR_IF(ret < 0, error_r);
		if (ret < 0)
			return -1;
		if (ret > 0)
			work->result->written += j - i;
		else
			array_append(todo, &targets[i], j - i);
	}
	return 0;
}

static int
mdbox_write_all(struct mdbox_work *work, ARRAY_TYPE(mdbox_target) *todo,
		const char **error_r)
{
	ARRAY_TYPE(mdbox_target) targets;
	unsigned int round;
	int ret = 0;

	i_array_init(&targets, array_count(todo));
	for (round = 0; ret == 0 && array_count(todo) > 0; round++) {
		if (round > MDBOX_BUSY_RETRIES) {
			*error_r = t_strdup_printf("m.%u is in use by another "
				"process: run again later", work->busy_file_id);
			ret = -1;
			break;
		}
		if (round > 0) {
			i_sleep_msecs(MDBOX_BUSY_WAIT_MSECS);
			ret = mdbox_resync(work, error_r);
			/* a lookup refreshes it only for mails that it does
			   not know, not for mails that a purge has moved */
			if (ret == 0 && mdbox_map_refresh(work->map) < 0) {
				*error_r = storage_error(work);
				ret = -1;
			}
		}
		if (ret == 0)
			ret = mdbox_find_targets(work, todo, &targets, error_r);
		if (ret == 0) {
			ret = mdbox_rewrite_targets(work, &targets, todo,
						    error_r);
		}
	}
	array_free(&targets);
	return ret;
}

static void
mdbox_get_todo(const struct uidl_store_change *changes, unsigned int count,
	       ARRAY_TYPE(mdbox_target) *todo)
{
	struct mdbox_target target;
	unsigned int i;

	i_zero(&target);
	for (i = 0; i < count; i++) {
		if (!changes[i].write)
			continue;
		target.change = &changes[i];
		array_push_back(todo, &target);
	}
}

static int
uidl_store_mdbox_write(struct mailbox *box,
		       const struct uidl_store_change *changes,
		       unsigned int count, struct uidl_store_result *result,
		       const char **error_r)
{
	ARRAY_TYPE(mdbox_target) todo;
	struct mdbox_work work;
	int ret;

	i_zero(&work);
	work.box = box;
	work.storage = MDBOX_STORAGE(box->storage);
	work.map = work.storage->map;
	work.result = result;

	i_array_init(&todo, I_MAX(count, 1));
	mdbox_get_todo(changes, count, &todo);
	ret = uidl_store_journal_open(work.storage->storage_dir,
				      array_count(&todo) > 0,
				      &work.journal, error_r);
	if (ret > 0) {
		if (mdbox_map_open_or_create(work.map) < 0) {
			*error_r = storage_error(&work);
			ret = -1;
		} else if (mdbox_recover(&work, error_r) < 0 ||
			   mdbox_write_all(&work, &todo, error_r) < 0)
			ret = -1;
		uidl_store_journal_close(&work.journal);
	}
	array_free(&todo);
	return ret < 0 ? -1 : 0;
}

/* Copies have one map UID, and with it one place for UIDL and order. */
static int
uidl_store_mdbox_read(struct mail *mail, pool_t pool,
		      struct uidl_store_mail *mail_r, const char **error_r)
{
	int ret = uidl_store_dbox_read(mail, pool, mail_r, error_r);

	if (ret > 0 && mdbox_mail_lookup(MDBOX_MAILBOX(mail->box),
					 mail->transaction->view, mail->seq,
					 &mail_r->stored_id) < 0) {
		*error_r = t_strdup_printf("UID %u can't be read: %s",
			mail->uid,
			mailbox_get_last_internal_error(mail->box, NULL));
		ret = -1;
	}
	return ret;
}

const struct uidl_store_vfuncs uidl_store_mdbox = {
	.name = MDBOX_STORAGE_NAME,
	.read = uidl_store_mdbox_read,
	.write = uidl_store_mdbox_write,
	.show = uidl_store_dbox_show,
};
