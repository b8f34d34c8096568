/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "read-full.h"
#include "str.h"
#include "write-full.h"
#include "dbox-file.h"
#include "mail-storage-private.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"
#include "sdbox-file.h"
#include "sdbox-storage.h"
#include "sdbox-sync.h"
#include "import-journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define IMPORT_JOURNAL_NAME "dovecot-migration-import"
/* more than any commit has lines for; a larger file is none of ours */
#define IMPORT_JOURNAL_MAX_SIZE (64 * 1024 * 1024)

struct import_journal {
	struct mailbox *box;
	/* lines by which a mail's file is recognised: sdbox's GUID, or how the
	   name of Maildir's file can begin */
	string_t *lines;
};

struct import_journal_names {
	HASH_TABLE(const char *, const char *) table;
	pool_t pool;
	unsigned int deleted_count;
};

static bool is_sdbox(const struct mailbox *box)
{
	return strcmp(box->storage->name, SDBOX_STORAGE_NAME) == 0;
}

static bool is_maildir(const struct mailbox *box)
{
	return strcmp(box->storage->name, MAILDIR_STORAGE_NAME) == 0;
}

/* NULL: the mailbox needs no journal, or has no place for one */
static const char *import_journal_path(struct mailbox *box)
{
	const char *dir;

	if ((!is_sdbox(box) && !is_maildir(box)) ||
	    mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_CONTROL, &dir) <= 0)
		return NULL;
	return t_strconcat(dir, "/"IMPORT_JOURNAL_NAME, NULL);
}

struct import_journal *import_journal_init(struct mailbox *box)
{
	struct import_journal *journal = i_new(struct import_journal, 1);

	journal->box = box;
	journal->lines = str_new(default_pool, 1024);
	return journal;
}

void import_journal_deinit(struct import_journal **_journal)
{
	struct import_journal *journal = *_journal;

	*_journal = NULL;
	str_free(&journal->lines);
	i_free(journal);
}

/* Maildir's file gets sizes and flags behind a comma or colon. */
static const char *maildir_unique_name(const char *name)
{
	return t_strcut(t_strcut(name, ':'), ',');
}

/* The name that the file has before the commit. */
static const char *saved_maildir_name(struct mail *mail)
{
	const char *path, *name;

	path = maildir_save_file_get_path(mail->transaction, mail->seq);
	name = strrchr(path, '/');
	return name == NULL ? path : name + 1;
}

static const char *guid_line(const char *guid)
{
	guid_128_t guid_128;

	mail_generate_guid_128_hash(guid, guid_128);
	return guid_128_to_string(guid_128);
}

void import_journal_note(struct import_journal *journal,
			 struct mail *saved_mail, const char *guid)
{
	if (is_sdbox(journal->box))
		str_printfa(journal->lines, "%s\n", guid_line(guid));
	else if (is_maildir(journal->box)) {
		/* a GUID that can be a file's name becomes it */
		str_printfa(journal->lines, "%s\n%s\n", maildir_unique_name(
				saved_maildir_name(saved_mail)),
			    maildir_unique_name(guid));
	}
}

static int import_journal_write(struct import_journal *journal,
				const char *path)
{
	int fd, ret;

	fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	if (fd == -1)
		return -1;
	ret = write_full(fd, str_data(journal->lines), str_len(journal->lines));
	if (ret == 0 &&
	    journal->box->storage->set->parsed_fsync_mode != FSYNC_MODE_NEVER)
		ret = fdatasync(fd);
	if (close(fd) < 0)
		ret = -1;
	return ret;
}

void import_journal_begin_commit(struct import_journal *journal)
{
	const char *path = import_journal_path(journal->box);

	if (path == NULL)
		return;
	if (import_journal_write(journal, path) < 0) {
		e_debug(journal->box->event, "Import: %s can't be written, so "
			"a run that is killed now loses UIDs or flags: %m",
			path);
	}
}

void import_journal_end_commit(struct import_journal *journal)
{
	const char *path = import_journal_path(journal->box);

	str_truncate(journal->lines, 0);
	if (path != NULL)
		i_unlink_if_exists(path);
}

/*
 * Rolling back
 */

static int
roll_back_error(struct mailbox *box, const char *function, const char *path)
{
	mailbox_set_critical(box, "migration_import: %s(%s) failed: %m",
			     function, path);
	return -1;
}

static void
import_journal_parse(struct import_journal_names *names, char *data)
{
	const char *line, *next;

	for (line = data; (next = strchr(line, '\n')) != NULL; line = next + 1) {
		line = p_strdup_until(names->pool, line, next);
		hash_table_update(names->table, line, line);
	}
}

/* Returns 1, 0 if there is no journal, -1. */
static int
import_journal_read(struct mailbox *box, const char *path,
		    struct import_journal_names *names)
{
	struct stat st;
	char *data;
	int fd, ret;

	fd = open(path, O_RDONLY);
	if (fd == -1) {
		return errno == ENOENT || errno == ENOTDIR ? 0 :
			roll_back_error(box, "open", path);
	}
	if (fstat(fd, &st) < 0 || st.st_size > IMPORT_JOURNAL_MAX_SIZE) {
		i_close_fd(&fd);
		return roll_back_error(box, "fstat", path);
	}
	data = i_malloc(st.st_size + 1);
	ret = read_full(fd, data, st.st_size);
	if (ret < 0)
		ret = roll_back_error(box, "read", path);
	else {
		import_journal_parse(names, data);
		ret = 1;
	}
	i_free(data);
	i_close_fd(&fd);
	return ret;
}

static int
roll_back_unlink(struct mailbox *box, struct import_journal_names *names,
		 const char *path)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return roll_back_error(box, "unlink", path);
	names->deleted_count++;
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
		guid = guid_line(guid);
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
roll_back_sdbox_dir(struct mailbox *box, uint32_t next_uid,
		    struct import_journal_names *names)
{
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
		return roll_back_error(box, "opendir", dir_path);
	while (ret == 0 && (entry = readdir(dir)) != NULL) T_BEGIN {
		uid = sdbox_file_uid(entry->d_name);
		guid = uid < next_uid ? NULL :
			sdbox_read_guid(SDBOX_MAILBOX(box), uid);
		if (guid != NULL &&
		    hash_table_lookup(names->table, guid) != NULL) {
			ret = roll_back_unlink(box, names,
				t_strconcat(dir_path, "/", entry->d_name, NULL));
		}
	} T_END;
	(void)closedir(dir);
	return ret;
}

/* The index is locked while files are moved to their places: nobody is in the
   middle of that. */
static int
roll_back_sdbox(struct mailbox *box, struct import_journal_names *names)
{
	struct sdbox_sync_context *sync_ctx;
	int ret;

	if (sdbox_sync_begin(SDBOX_MAILBOX(box), SDBOX_SYNC_FLAG_FORCE,
			     &sync_ctx) < 0)
		return -1;
	ret = roll_back_sdbox_dir(box, mail_index_get_header(
			sync_ctx->sync_view)->next_uid, names);
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
is_journaled(struct import_journal_names *names, const char *filename)
{
	return hash_table_lookup(names->table,
				 maildir_unique_name(filename)) != NULL;
}

/* The list of UIDs is written before the index. What only the list has was not
   committed, and nobody has seen it. FALSE if that cannot be told, because more
   than the journal's mails are not in the index: then the list counts. */
static bool
maildir_find_unindexed(struct mailbox *box, struct import_journal_names *names,
		       uint32_t next_uid, ARRAY_TYPE(const_string) *filenames)
{
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
		ret = is_journaled(names, filename);
		filename = t_strdup(filename);
		array_push_back(filenames, &filename);
	}
	maildir_uidlist_iter_deinit(&iter);
	return ret;
}

static void
maildir_forget_unindexed(struct mailbox *box,
			 struct import_journal_names *names,
			 struct maildir_uidlist_sync_ctx *sync_ctx)
{
	uint32_t next_uid = mail_index_get_header(box->view)->next_uid;
	ARRAY_TYPE(const_string) filenames;
	const char *filename;

	t_array_init(&filenames, 64);
	if (!maildir_find_unindexed(box, names, next_uid, &filenames) ||
	    array_count(&filenames) == 0)
		return;
	array_foreach_elem(&filenames, filename)
		maildir_uidlist_sync_remove(sync_ctx, filename);
	maildir_uidlist_set_next_uid(get_uidlist(box), next_uid, TRUE);
}

static int
roll_back_maildir_dir(struct mailbox *box, const char *subdir,
		      struct import_journal_names *names)
{
	const char *dir_path = t_strconcat(mailbox_get_path(box), subdir, NULL);
	struct dirent *entry;
	uint32_t uid;
	DIR *dir;
	int ret = 0;

	dir = opendir(dir_path);
	if (dir == NULL) {
		return errno == ENOENT ? 0 :
			roll_back_error(box, "opendir", dir_path);
	}
	while (ret == 0 && (entry = readdir(dir)) != NULL) T_BEGIN {
		if (is_journaled(names, entry->d_name) &&
		    !maildir_uidlist_get_uid(get_uidlist(box), entry->d_name,
					     &uid)) {
			ret = roll_back_unlink(box, names,
				t_strconcat(dir_path, "/", entry->d_name, NULL));
		}
	} T_END;
	(void)closedir(dir);
	return ret;
}

/* Files are moved to their places while the list of UIDs is locked. */
static int
roll_back_maildir(struct mailbox *box, struct import_journal_names *names)
{
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
	maildir_forget_unindexed(box, names, sync_ctx);
	ret = roll_back_maildir_dir(box, "/new", names);
	if (ret == 0)
		ret = roll_back_maildir_dir(box, "/cur", names);
	if (maildir_uidlist_sync_deinit(&sync_ctx, ret == 0) < 0)
		ret = -1;
	return ret;
}

static int
import_journal_roll_back_names(struct mailbox *box,
			       struct import_journal_names *names)
{
	int ret;

	if (mailbox_open(box) < 0)
		return -1;
	ret = is_sdbox(box) ? roll_back_sdbox(box, names) :
		roll_back_maildir(box, names);
	e_debug(box->event, "Import: an earlier one was killed while it "
		"committed %u mails, %u of them are taken back",
		hash_table_count(names->table), names->deleted_count);
	mailbox_close(box);
	return ret;
}

int import_journal_roll_back(struct mailbox *box)
{
	struct import_journal_names names;
	const char *path = import_journal_path(box);
	int ret;

	if (path == NULL)
		return 0;
	i_zero(&names);
	names.pool = pool_alloconly_create("import journal", 4096);
	hash_table_create(&names.table, names.pool, 0, str_hash, strcmp);
	ret = import_journal_read(box, path, &names);
	if (ret > 0) {
		ret = import_journal_roll_back_names(box, &names);
		if (ret == 0)
			i_unlink_if_exists(path);
	}
	hash_table_destroy(&names.table);
	pool_unref(&names.pool);
	return ret;
}
