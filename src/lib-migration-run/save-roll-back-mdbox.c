/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* mdbox writes a mail into a file m.N, commits the map that says where mails
   are, and then the mailbox's index. Killed in between, it leaves mails that no
   mailbox has: in the map, or only in a file. Dovecot looks for them when it
   rebuilds the storage, which it does as soon as somebody notices that the map
   was not finished, and brings each of them back as a new mail: with another
   UID, without flags, and a second time if the run has been repeated
   meanwhile (QUIRKS.md, "mdbox-killed-commit").

   So those of them that the journal names are entered into the map as mails
   that nobody has: that is what Dovecot does with expunged mails. A rebuild
   believes it, and "doveadm purge" deletes them. A mail that is cut off at the
   end of a file is cut away: Dovecot would give up the file for it, and bring
   back what there is of it. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "istream.h"
#include "seq-range-array.h"
#include "mail-namespace.h"
#include "mailbox-list-iter.h"
#include "mail-storage-private.h"
#include "mdbox-storage.h"
#include "mdbox-file.h"
#include "mdbox-map.h"
#include "mdbox-map-private.h"
#include "dbox-repair.h"
#include "save-roll-back.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

/* A mail that the map knows. */
struct mdbox_known_mail {
	uint32_t file_id, offset, size;
	/* in the map's index */
	uint32_t seq;
	/* the map says that mailboxes have it, and none has */
	bool orphan;
};
ARRAY_DEFINE_TYPE(mdbox_known_mail, struct mdbox_known_mail);

struct mdbox_roll_back {
	struct save_roll_back *roll_back;
	struct mdbox_storage *storage;
	struct mdbox_map *map;
	struct mdbox_map_atomic_context *atomic;

	/* map UIDs of the mails in all mailboxes */
	ARRAY_TYPE(seq_range) used_map_uids;
	/* sorted by file and offset */
	ARRAY_TYPE(mdbox_known_mail) known;
	uint32_t next_map_uid, highest_file_id;
};

/* The mails of one file, while it is looked through. */
struct mdbox_roll_back_file {
	struct mdbox_roll_back *ctx;
	struct dbox_file *file;
	uint32_t file_id;
	const struct mdbox_known_mail *known;
	unsigned int known_count;
	/* mails of it that the map or the journal knows */
	unsigned int sound_count;
};

static int mdbox_known_mail_cmp(const struct mdbox_known_mail *m1,
				const struct mdbox_known_mail *m2)
{
	if (m1->file_id != m2->file_id)
		return m1->file_id < m2->file_id ? -1 : 1;
	if (m1->offset != m2->offset)
		return m1->offset < m2->offset ? -1 : 1;
	return 0;
}

/* -- what mailboxes have */

static void
mdbox_roll_back_read_mailbox(struct mdbox_roll_back *ctx, struct mailbox *box)
{
	struct mdbox_mailbox *mbox = MDBOX_MAILBOX(box);
	uint32_t seq, count = mail_index_view_get_messages_count(box->view);
	struct mdbox_mail_index_record rec;
	const void *data;

	for (seq = 1; seq <= count; seq++) {
		mail_index_lookup_ext(box->view, seq, mbox->ext_id, &data,
				      NULL);
		if (data == NULL)
			continue;
		memcpy(&rec, data, sizeof(rec));
		seq_range_array_add(&ctx->used_map_uids, rec.map_uid);
	}
}

static int
mdbox_roll_back_open_mailbox(struct mdbox_roll_back *ctx,
			     const struct mailbox_info *info)
{
	struct mailbox *box;
	int ret = 0;

	box = mailbox_alloc(info->ns->list, info->vname,
			    MAILBOX_FLAG_READONLY | MAILBOX_FLAG_IGNORE_ACLS);
	if (box->storage != &ctx->storage->storage.storage)
		;
	else if (mailbox_open(box) == 0)
		mdbox_roll_back_read_mailbox(ctx, box);
	else if (mailbox_get_last_mail_error(box) != MAIL_ERROR_NOTFOUND) {
		mail_storage_set_critical(&ctx->storage->storage.storage,
			"migration: %s can't be read, so what an earlier run "
			"has left can't be taken back: %s", box->vname,
			mailbox_get_last_internal_error(box, NULL));
		ret = -1;
	}
	mailbox_free(&box);
	return ret;
}

static int mdbox_roll_back_read_mailboxes(struct mdbox_roll_back *ctx)
{
	const char *const patterns[] = { "*", NULL };
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	int ret = 0;

	iter = mailbox_list_iter_init_namespaces(
		ctx->roll_back->box->storage->user->namespaces, patterns,
		MAIL_NAMESPACE_TYPE_MASK_ALL, MAILBOX_LIST_ITER_RAW_LIST |
		MAILBOX_LIST_ITER_RETURN_NO_FLAGS);
	while (ret == 0 && (info = mailbox_list_iter_next(iter)) != NULL) {
		if ((info->flags & (MAILBOX_NONEXISTENT |
				    MAILBOX_NOSELECT)) != 0)
			continue;
		T_BEGIN {
			ret = mdbox_roll_back_open_mailbox(ctx, info);
		} T_END;
	}
	if (mailbox_list_iter_deinit(&iter) < 0)
		ret = -1;
	return ret;
}

/* -- what the map knows */

/* Returns FALSE if the map is damaged in another way than by a killed commit,
   which Dovecot's own repair has to see as it is. */
static bool mdbox_roll_back_read_map(struct mdbox_roll_back *ctx)
{
	struct mail_index_view *view = ctx->atomic->sync_view;
	const struct mail_index_header *hdr = mail_index_get_header(view);
	const struct seq_range *used;
	struct mdbox_known_mail *known;
	struct dbox_mail_lookup_rec rec;
	const void *data;
	unsigned int count;
	size_t size;
	uint32_t seq;

	ctx->next_map_uid = hdr->next_uid;
	used = array_get(&ctx->used_map_uids, &count);
	if (count > 0 && used[count - 1].seq2 >= ctx->next_map_uid)
		return FALSE;
	mail_index_get_header_ext(view, ctx->map->map_ext_id, &data, &size);
	if (size >= sizeof(ctx->highest_file_id)) {
		memcpy(&ctx->highest_file_id, data,
		       sizeof(ctx->highest_file_id));
	}
	for (seq = 1; seq <= hdr->messages_count; seq++) {
		if (mdbox_map_view_lookup_rec(ctx->map, view, seq, &rec) < 0)
			return FALSE;
		known = array_append_space(&ctx->known);
		known->file_id = rec.rec.file_id;
		known->offset = rec.rec.offset;
		known->size = rec.rec.size;
		known->seq = seq;
		known->orphan = rec.refcount > 0 &&
			!seq_range_exists(&ctx->used_map_uids, rec.map_uid);
	}
	array_sort(&ctx->known, mdbox_known_mail_cmp);
	return TRUE;
}

static void
mdbox_roll_back_get_known(struct mdbox_roll_back_file *file)
{
	const struct mdbox_known_mail *known;
	unsigned int i, first, count;

	known = array_get(&file->ctx->known, &count);
	for (first = 0; first < count; first++) {
		if (known[first].file_id >= file->file_id)
			break;
	}
	for (i = first; i < count; i++) {
		if (known[i].file_id != file->file_id)
			break;
	}
	file->known = known + first;
	file->known_count = i - first;
}

static const struct mdbox_known_mail *
mdbox_roll_back_find_known(struct mdbox_roll_back_file *file, uoff_t offset)
{
	unsigned int i;

	for (i = 0; i < file->known_count; i++) {
		if (file->known[i].offset == offset)
			return &file->known[i];
	}
	return NULL;
}

/* -- the files */

/* The map has all of the file, and mailboxes have all that it says they have. */
static bool mdbox_roll_back_is_whole(struct mdbox_roll_back_file *file)
{
	uoff_t size = file->file->file_header_size;
	struct stat st;
	unsigned int i;

	for (i = 0; i < file->known_count; i++) {
		if (file->known[i].orphan)
			return FALSE;
		size += file->known[i].size;
	}
	return fstat(file->file->fd, &st) == 0 && (uoff_t)st.st_size == size;
}

static void mdbox_roll_back_set_unused(struct mdbox_roll_back *ctx, uint32_t seq)
{
	const uint16_t refcount = 0;

	mail_index_update_ext(ctx->atomic->sync_trans, seq,
			      ctx->map->ref_ext_id, &refcount, NULL);
	ctx->roll_back->deleted_count++;
}

static void
mdbox_roll_back_add_unused(struct mdbox_roll_back_file *file, uoff_t offset)
{
	struct mdbox_roll_back *ctx = file->ctx;
	struct mdbox_map_mail_index_record rec;
	uint32_t seq;

	i_zero(&rec);
	rec.file_id = file->file_id;
	rec.offset = offset;
	rec.size = file->file->input->v_offset - offset;
	mail_index_append(ctx->atomic->sync_trans, ctx->next_map_uid++, &seq);
	mail_index_update_ext(ctx->atomic->sync_trans, seq,
			      ctx->map->map_ext_id, &rec, NULL);
	mdbox_roll_back_set_unused(ctx, seq);
	if (ctx->highest_file_id < file->file_id)
		ctx->highest_file_id = file->file_id;
}

/* The file is at a mail, whose metadata were read. */
static void
mdbox_roll_back_mail(struct mdbox_roll_back_file *file, uoff_t offset)
{
	const struct mdbox_known_mail *known =
		mdbox_roll_back_find_known(file, offset);
	const char *guid = dbox_file_metadata_get(file->file,
						  DBOX_METADATA_GUID);
	bool ours;

	ours = guid != NULL &&
		save_roll_back_has(file->ctx->roll_back,
				   save_roll_back_guid_line(guid));
	if (known != NULL || ours)
		file->sound_count++;
	if (!ours)
		return;
	if (known == NULL)
		mdbox_roll_back_add_unused(file, offset);
	else if (known->orphan)
		mdbox_roll_back_set_unused(file->ctx, known->seq);
}

/* What begins at offset cannot be read. */
static int
mdbox_roll_back_cut(struct mdbox_roll_back_file *file, uoff_t offset)
{
	unsigned int i;
	int ret;

	/* else it is not the end of a file that a killed process has left */
	if (file->sound_count == 0)
		return 0;
	for (i = 0; i < file->known_count; i++) {
		if (file->known[i].offset >= offset)
			return 0;
	}
	ret = dbox_file_try_lock(file->file);
	if (ret <= 0)
		return ret;
	if (ftruncate(file->file->fd, offset) < 0) {
		dbox_file_set_syscall_error(file->file, "ftruncate()");
		ret = -1;
	} else {
		file->ctx->roll_back->deleted_count++;
	}
	dbox_file_unlock(file->file);
	return ret < 0 ? -1 : 0;
}

static int mdbox_roll_back_mails(struct mdbox_roll_back_file *file)
{
	uoff_t offset;
	bool last = FALSE;
	int ret;

	dbox_file_seek_rewind(file->file);
	while ((ret = dbox_file_seek_next(file->file, &offset, &last)) > 0) {
		ret = dbox_file_metadata_read(file->file);
		if (ret <= 0)
			break;
		mdbox_roll_back_mail(file, offset);
	}
	if (ret < 0)
		return -1;
	return last ? 0 : mdbox_roll_back_cut(file, offset);
}

static int
mdbox_roll_back_file(struct mdbox_roll_back *ctx, uint32_t file_id)
{
	struct mdbox_roll_back_file file;
	bool deleted;
	int ret;

	i_zero(&file);
	file.ctx = ctx;
	file.file_id = file_id;
	mdbox_roll_back_get_known(&file);
	file.file = mdbox_file_init(ctx->storage, file_id);
	ret = dbox_file_open(file.file, &deleted);
	if (ret > 0 && !deleted && !mdbox_roll_back_is_whole(&file)) {
		ret = mdbox_roll_back_mails(&file);
		/* what was read of it may be gone */
		dbox_file_close(file.file);
	}
	dbox_file_unref(&file.file);
	return ret < 0 ? -1 : 0;
}

static int mdbox_roll_back_files(struct mdbox_roll_back *ctx)
{
	const size_t prefix_len = strlen(MDBOX_MAIL_FILE_PREFIX);
	const char *dir_path = ctx->storage->storage_dir;
	struct dirent *entry;
	uint32_t file_id;
	DIR *dir;
	int ret = 0;

	dir = opendir(dir_path);
	if (dir == NULL) {
		return save_roll_back_error(ctx->roll_back->box, "opendir",
					    dir_path);
	}
	while (ret == 0 && (entry = readdir(dir)) != NULL) T_BEGIN {
		if (strncmp(entry->d_name, MDBOX_MAIL_FILE_PREFIX,
			    prefix_len) == 0 &&
		    str_to_uint32(entry->d_name + prefix_len, &file_id) == 0)
			ret = mdbox_roll_back_file(ctx, file_id);
	} T_END;
	(void)closedir(dir);
	return ret;
}

/* -- all */

static int mdbox_roll_back_locked(struct mdbox_roll_back *ctx)
{
	if (!mdbox_roll_back_read_map(ctx))
		return 0;
	if (mdbox_roll_back_files(ctx) < 0)
		return -1;
	mail_index_update_header_ext(ctx->atomic->sync_trans,
				     ctx->map->map_ext_id, 0,
				     &ctx->highest_file_id,
				     sizeof(ctx->highest_file_id));
	return 0;
}

/* Mailboxes are read before the map is locked: one that is closed meanwhile
   would have Dovecot rebuild the storage, which wants the lock. What no mailbox
   has cannot get into one but by a rebuild. If there was one, Dovecot has
   brought the mails back, and the run finds them. */
static int
mdbox_roll_back_lock(struct mdbox_roll_back *ctx, uint32_t rebuild_count)
{
	int ret;

	ctx->atomic = mdbox_map_atomic_begin(ctx->map);
	ret = mdbox_map_atomic_lock(ctx->atomic, "taking back a commit");
	if (ret == 0)
		ret = mdbox_map_refresh(ctx->map);
	if (ret == 0 &&
	    mdbox_map_get_rebuild_count(ctx->map) == rebuild_count) {
		ret = mdbox_roll_back_locked(ctx);
		if (ret == 0)
			mdbox_map_atomic_set_success(ctx->atomic);
		else
			mdbox_map_atomic_set_failed(ctx->atomic);
	}
	if (mdbox_map_atomic_finish(&ctx->atomic) < 0)
		ret = -1;
	return ret;
}

int save_roll_back_mdbox(struct save_roll_back *roll_back)
{
	struct mdbox_roll_back ctx;
	uint32_t rebuild_count;
	int ret;

	i_zero(&ctx);
	ctx.roll_back = roll_back;
	ctx.storage = MDBOX_STORAGE(roll_back->box->storage);
	ctx.map = ctx.storage->map;
	ret = mdbox_map_open(ctx.map);
	if (ret <= 0) {
		/* without a map there is no mail yet */
		return ret;
	}
	if (mdbox_map_refresh(ctx.map) < 0)
		return -1;
	rebuild_count = mdbox_map_get_rebuild_count(ctx.map);

	i_array_init(&ctx.used_map_uids, 128);
	i_array_init(&ctx.known, 128);
	ret = mdbox_roll_back_read_mailboxes(&ctx);
	if (ret == 0)
		ret = mdbox_roll_back_lock(&ctx, rebuild_count);
	/* now, and not while mails are being saved: Dovecot would bring those
	   back as well */
	if (ret == 0)
		ret = dbox_repair_unfinished_map(roll_back->box);
	array_free(&ctx.used_map_uids);
	array_free(&ctx.known);
	return ret;
}
