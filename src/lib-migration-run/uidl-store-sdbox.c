/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each mail's file u.UID is copied to a temporary file beside it, and renamed
   over it while the mailbox's index is locked: as Dovecot does it when it moves
   a file between primary and alternative storage, which takes the same lock.

   A file is unlinked only after its mail was expunged in the index under that
   lock. So as long as the locked index has the mail, its file is not being
   unlinked, and a copy cannot bring back what somebody deleted. Copies are made
   in advance, without the lock, so that nobody has to wait for them.

   Killed before a rename, a temporary file stays, which Dovecot deletes by
   itself after 36 hours. */

#include "lib.h"
#include "array.h"
#include "fdatasync-path.h"
#include "istream.h"
#include "ostream.h"
#include "index-mail.h"
#include "index-storage.h"
#include "sdbox-storage.h"
#include "sdbox-file.h"
#include "sdbox-sync.h"
#include "cache-replace.h"
#include "uidl-store-private.h"

#include <stdio.h>
#include <unistd.h>
#include <sys/stat.h>

/* A lock taken for so many renames is held for milliseconds, and the copies
   made for it take little room. */
#define SDBOX_BATCH_MAILS 200
#define SDBOX_BATCH_BYTES (64U * 1024 * 1024)

struct sdbox_copy {
	uint32_t uid;
	char *path, *temp_path;
	dev_t dev;
	ino_t ino;
};

struct sdbox_batch {
	struct sdbox_mailbox *mbox;
	ARRAY(struct sdbox_copy) copies;
	uoff_t bytes;
	struct uidl_store_result *result;
};

static bool want_fsync(struct mailbox *box)
{
	return box->storage->set->parsed_fsync_mode != FSYNC_MODE_NEVER;
}

static void sdbox_batch_clear(struct sdbox_batch *batch)
{
	struct sdbox_copy *copy;

	array_foreach_modifiable(&batch->copies, copy) {
		if (copy->temp_path != NULL)
			i_unlink_if_exists(copy->temp_path);
		i_free(copy->temp_path);
		i_free(copy->path);
	}
	array_clear(&batch->copies);
	batch->bytes = 0;
}

/* sdbox takes the file's ctime for the date on which the mail was saved, unless
   the cache has it. The new file will have another ctime. */
static int
sdbox_keep_save_dates(struct sdbox_batch *batch, const char **error_r)
{
	struct mailbox *box = &batch->mbox->box;
	struct index_mailbox_context *ibox = INDEX_STORAGE_CONTEXT(box);
	unsigned int field = ibox->cache_fields[MAIL_CACHE_SAVE_DATE].idx;
	struct mailbox_transaction_context *t;
	const struct sdbox_copy *copy;
	struct mail *mail;
	time_t date;
	uint32_t date32;

	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	array_foreach(&batch->copies, copy) {
		if (!mail_set_uid(mail, copy->uid) ||
		    mail_cache_field_exists(t->cache_view, mail->seq,
					    field) > 0 ||
		    mail_get_save_date(mail, &date) <= 0)
			continue;
		date32 = (uint32_t)date;
		migration_cache_replace(t, mail->seq, field,
					&date32, sizeof(date32));
	}
	mail_free(&mail);
	if (mailbox_transaction_commit(&t) < 0) {
		*error_r = t_strdup_printf("Index can't be updated: %s",
			mailbox_get_last_internal_error(box, NULL));
		return -1;
	}
	return 0;
}

static bool
sdbox_copy_is_current(struct mail_index_view *view,
		      const struct sdbox_copy *copy)
{
	struct stat st;
	uint32_t seq;

	return mail_index_lookup_seq(view, copy->uid, &seq) &&
		stat(copy->path, &st) == 0 &&
		st.st_ino == copy->ino && CMP_DEV_T(st.st_dev, copy->dev);
}

static int
sdbox_batch_rename(struct sdbox_batch *batch, struct mail_index_view *view,
		   const char **error_r)
{
	struct sdbox_copy *copy;
	const char *dir, *last_dir = "";

	array_foreach_modifiable(&batch->copies, copy) {
		if (!sdbox_copy_is_current(view, copy)) {
			batch->result->vanished++;
			continue;
		}
		if (rename(copy->temp_path, copy->path) < 0) {
			*error_r = t_strdup_printf("rename(%s, %s) failed: %m",
						   copy->temp_path, copy->path);
			return -1;
		}
		i_free(copy->temp_path);
		batch->result->written++;
	}
	if (!want_fsync(&batch->mbox->box))
		return 0;
	/* primary and alternative storage are two directories */
	array_foreach_modifiable(&batch->copies, copy) {
		dir = t_strdup_until(copy->path, strrchr(copy->path, '/'));
		if (strcmp(dir, last_dir) == 0)
			continue;
		if (fdatasync_path(dir) < 0) {
			*error_r = t_strdup_printf("fdatasync(%s) failed: %m",
						   dir);
			return -1;
		}
		last_dir = dir;
	}
	return 0;
}

static int
sdbox_batch_commit(struct sdbox_batch *batch, const char **error_r)
{
	struct mailbox *box = &batch->mbox->box;
	struct sdbox_sync_context *sync_ctx;
	int ret;

	if (array_count(&batch->copies) == 0)
		return 0;
	if (sdbox_keep_save_dates(batch, error_r) < 0)
		return -1;
	if (sdbox_sync_begin(batch->mbox, SDBOX_SYNC_FLAG_FORCE,
			     &sync_ctx) < 0) {
		*error_r = t_strdup_printf("Index can't be locked: %s",
			mailbox_get_last_internal_error(box, NULL));
		return -1;
	}
	ret = sdbox_batch_rename(batch, sync_ctx->sync_view, error_r);
	if (sdbox_sync_finish(&sync_ctx, TRUE) < 0 && ret == 0) {
		*error_r = t_strdup_printf("Index can't be synchronised: %s",
			mailbox_get_last_internal_error(box, NULL));
		ret = -1;
	}
	e_debug(box->event, "UIDLs: %u mails written",
		batch->result->written);
	sdbox_batch_clear(batch);
	return ret;
}

static int
sdbox_finish_copy(struct sdbox_batch *batch, const struct stat *st, int fd,
		  const char *path, const char **error_r)
{
	/* of no use to Dovecot, but backup programs look at it */
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (want_fsync(&batch->mbox->box) && fdatasync(fd) < 0) {
		*error_r = t_strdup_printf("fdatasync(%s) failed: %m", path);
		return -1;
	}
	if (futimens(fd, times) < 0) {
		*error_r = t_strdup_printf("futimens(%s) failed: %m", path);
		return -1;
	}
	return 0;
}

/* Writes the copy. Returns like uidl_store_dbox_copy(). */
static int
sdbox_write_copy(struct sdbox_batch *batch, struct dbox_file *file,
		 const struct uidl_store_change *change,
		 const char *temp_path, const struct stat *st,
		 const char **error_r)
{
	struct ostream *output;
	int fd, ret;

	fd = file->storage->v.file_create_fd(file, temp_path, FALSE);
	if (fd == -1) {
		*error_r = t_strdup_printf("%s can't be created: %s", temp_path,
			mailbox_get_last_internal_error(&batch->mbox->box,
							NULL));
		return -1;
	}
	output = o_stream_create_fd_file(fd, 0, FALSE);
	o_stream_set_name(output, temp_path);
	o_stream_cork(output);
	ret = uidl_store_dbox_copy(file, 0, change, output, error_r);
	if (ret <= 0)
		o_stream_abort(output);
	else if (o_stream_finish(output) < 0) {
		*error_r = t_strdup_printf("write(%s) failed: %s", temp_path,
					   o_stream_get_error(output));
		ret = -1;
	} else if (sdbox_finish_copy(batch, st, fd, temp_path, error_r) < 0)
		ret = -1;
	o_stream_unref(&output);
	i_close_fd(&fd);
	return ret;
}

static int
sdbox_batch_add_file(struct sdbox_batch *batch, struct dbox_file *file,
		     const struct uidl_store_change *change,
		     const char **error_r)
{
	struct sdbox_copy *copy;
	const char *temp_path;
	struct stat st;

	if (fstat(file->fd, &st) < 0) {
		*error_r = t_strdup_printf("fstat(%s) failed: %m",
					   file->cur_path);
		return -1;
	}
	temp_path = t_strdup_printf("%s/%s",
		t_strdup_until(file->cur_path, strrchr(file->cur_path, '/')),
		dbox_generate_tmp_filename());
	if (sdbox_write_copy(batch, file, change, temp_path, &st,
			     error_r) <= 0) {
		i_unlink_if_exists(temp_path);
		return -1;
	}
	copy = array_append_space(&batch->copies);
	copy->uid = change->uid;
	copy->path = i_strdup(file->cur_path);
	copy->temp_path = i_strdup(temp_path);
	copy->dev = st.st_dev;
	copy->ino = st.st_ino;
	batch->bytes += st.st_size;
	return 0;
}

static int
sdbox_batch_add(struct sdbox_batch *batch,
		const struct uidl_store_change *change, const char **error_r)
{
	struct dbox_file *file;
	bool deleted = FALSE;
	int ret;

	file = sdbox_file_init(batch->mbox, change->uid);
	if (dbox_file_open(file, &deleted) <= 0) {
		*error_r = t_strdup_printf("%s can't be read: run "
			"\"doveadm force-resync\" first", file->cur_path);
		ret = -1;
	} else if (deleted) {
		batch->result->vanished++;
		ret = 0;
	} else {
		ret = sdbox_batch_add_file(batch, file, change, error_r);
	}
	dbox_file_unref(&file);
	return ret;
}

static int
uidl_store_sdbox_write(struct mailbox *box,
		       const struct uidl_store_change *changes,
		       unsigned int count, struct uidl_store_result *result,
		       const char **error_r)
{
	struct sdbox_batch batch;
	unsigned int i;
	int ret = 0;

	i_zero(&batch);
	batch.mbox = SDBOX_MAILBOX(box);
	batch.result = result;
	i_array_init(&batch.copies, I_MIN(count, SDBOX_BATCH_MAILS) + 1);
	for (i = 0; i < count && ret == 0; i++) {
		if (!changes[i].write)
			continue;
		ret = sdbox_batch_add(&batch, &changes[i], error_r);
		if (ret == 0 &&
		    (array_count(&batch.copies) >= SDBOX_BATCH_MAILS ||
		     batch.bytes >= SDBOX_BATCH_BYTES))
			ret = sdbox_batch_commit(&batch, error_r);
	}
	if (ret == 0)
		ret = sdbox_batch_commit(&batch, error_r);
	sdbox_batch_clear(&batch);
	array_free(&batch.copies);
	return ret;
}

const struct uidl_store_vfuncs uidl_store_sdbox = {
	.name = SDBOX_STORAGE_NAME,
	.read = uidl_store_dbox_read,
	.write = uidl_store_sdbox_write,
	.show = uidl_store_dbox_show,
};
