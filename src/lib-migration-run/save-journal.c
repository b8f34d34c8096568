/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "hex-binary.h"
#include "read-full.h"
#include "sha1.h"
#include "str.h"
#include "write-full.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "maildir-storage.h"
#include "mdbox-storage.h"
#include "dbox-repair.h"
#include "save-journal.h"
#include "save-journal-mbox.h"
#include "save-roll-back.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAVE_JOURNAL_NAME "dovecot-migration-saving"
/* of the hash of a mailbox's name */
#define SAVE_JOURNAL_NAME_BYTES 8
/* more than any commit has lines for; a larger file is none of ours */
#define SAVE_JOURNAL_MAX_SIZE (64 * 1024 * 1024)

struct save_journal {
	struct mailbox *box;
	/* Lines by which a mail is recognised: a GUID, or how the name of
	   Maildir's file can begin. Those from written on are not in the file
	   yet. */
	string_t *lines;
	size_t written;
	/* -1 while there is no file */
	int fd;
	bool failed;
};

/* What is to be looked for in which folder. NULL: the mailbox needs no journal,
   or has no place for one. */
static const char *save_journal_dir(struct mailbox *box)
{
	const struct mdbox_storage *storage;
	const char *dir;

	if (mailbox_is_mdbox(box)) {
		/* its mails lie together, and Dovecot repairs all mailboxes
		   at once */
		storage = MDBOX_STORAGE(box->storage);
		return storage->storage_dir;
	}
	if (mailbox_is_mbox(box)) {
		/* its other paths are those of files */
		return mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_INDEX,
					   &dir) <= 0 ? NULL : dir;
	}
	if ((!mailbox_is_sdbox(box) && !mailbox_is_maildir(box)) ||
	    mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_CONTROL, &dir) <= 0)
		return NULL;
	return dir;
}

static const char *save_journal_path(struct mailbox *box)
{
	const char *dir = save_journal_dir(box);
	unsigned char sha1[SHA1_RESULTLEN];

	if (dir == NULL || !mailbox_is_mdbox(box)) {
		return dir == NULL ? NULL :
			t_strconcat(dir, "/"SAVE_JOURNAL_NAME, NULL);
	}
	/* several mailboxes may be written to at once */
	sha1_get_digest(box->vname, strlen(box->vname), sha1);
	return t_strdup_printf("%s/"SAVE_JOURNAL_NAME"-%s", dir,
		binary_to_hex(sha1, SAVE_JOURNAL_NAME_BYTES));
}

struct save_journal *save_journal_init(struct mailbox *box)
{
	struct save_journal *journal = i_new(struct save_journal, 1);

	journal->box = box;
	journal->lines = str_new(default_pool, 1024);
	journal->fd = -1;
	return journal;
}

void save_journal_deinit(struct save_journal **_journal)
{
	struct save_journal *journal = *_journal;

	*_journal = NULL;
	i_close_fd(&journal->fd);
	str_free(&journal->lines);
	i_free(journal);
}

/* The name that the file has before the commit. */
static const char *saved_maildir_name(struct mail *mail)
{
	const char *path, *name;

	path = maildir_save_file_get_path(mail->transaction, mail->seq);
	name = strrchr(path, '/');
	return name == NULL ? path : name + 1;
}

/* Adds to the file what it does not have yet. */
static int save_journal_write(struct save_journal *journal,
			      const char *path)
{
	const unsigned char *data = str_data(journal->lines);

	if (journal->fd == -1) {
		journal->fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
		if (journal->fd == -1)
			return -1;
	}
	if (write_full(journal->fd, data + journal->written,
		       str_len(journal->lines) - journal->written) < 0)
		return -1;
	journal->written = str_len(journal->lines);
	return 0;
}

static void
save_journal_try_write(struct save_journal *journal, bool sync)
{
	const char *path;

	if (journal->failed || str_len(journal->lines) == 0)
		return;
	path = save_journal_path(journal->box);
	if (path == NULL)
		return;
	if (save_journal_write(journal, path) < 0 ||
	    (sync && fdatasync(journal->fd) < 0)) {
		e_debug(journal->box->event, "migration: %s can't be written, so "
			"a run that is killed now loses UIDs or flags: %m",
			path);
		journal->failed = TRUE;
	}
}

int save_journal_begin_transaction(struct save_journal *journal,
				   struct mailbox_transaction_context *t)
{
	return mailbox_is_mbox(journal->box) ?
		save_journal_mbox_begin(t, journal->lines) : 0;
}

int save_journal_begin_mail(struct save_journal *journal,
			    struct mail *mail, struct mail *text)
{
	if (!mailbox_is_mbox(journal->box))
		return 0;
	if (save_journal_mbox_add(journal->box, mail, text,
				  journal->lines) < 0)
		return -1;
	save_journal_try_write(journal, FALSE);
	return 0;
}

void save_journal_begin_save(struct save_journal *journal,
			     const char *guid)
{
	if (!mailbox_is_mdbox(journal->box))
		return;
	str_printfa(journal->lines, "%s\n", save_roll_back_guid_line(guid));
	save_journal_try_write(journal, FALSE);
}

void save_journal_note(struct save_journal *journal,
		       struct mail *saved_mail, const char *guid)
{
	if (mailbox_is_sdbox(journal->box)) {
		/* the line is made of it when it is read: rarely */
		str_append(journal->lines, strchr(guid, '\n') == NULL ? guid :
			   save_roll_back_guid_line(guid));
		str_append_c(journal->lines, '\n');
	} else if (mailbox_is_maildir(journal->box)) {
		/* a GUID that can be a file's name becomes it */
		str_printfa(journal->lines, "%s\n%s\n",
			    save_roll_back_maildir_line(
					saved_maildir_name(saved_mail)),
			    save_roll_back_maildir_line(guid));
	}
}

void save_journal_begin_commit(struct save_journal *journal)
{
	if (mailbox_is_mbox(journal->box))
		save_journal_mbox_add_end(journal->lines);
	save_journal_try_write(journal,
		journal->box->storage->set->parsed_fsync_mode !=
		FSYNC_MODE_NEVER);
}

/* A later commit would delete it, or begin it anew. */
static void save_journal_keep(const char *path)
{
	const char *kept_path = t_strdup_printf("%s-%08x", path, i_rand());

	/* it stays where it is, and as long as nothing can be renamed nothing
	   can be saved */
	(void)rename(path, kept_path);
}

void save_journal_end_commit(struct save_journal *journal, bool committed)
{
	const char *path;

	str_truncate(journal->lines, 0);
	journal->written = 0;
	journal->failed = FALSE;
	if (journal->fd == -1)
		return;
	i_close_fd(&journal->fd);
	path = save_journal_path(journal->box);
	if (path == NULL)
		;
	else if (committed || !mailbox_is_mdbox(journal->box))
		i_unlink_if_exists(path);
	else
		save_journal_keep(path);
}

/* -- rolling back */

static void
save_journal_parse(struct save_roll_back *roll_back, char *data)
{
	const char *begin, *line, *next;

	for (begin = data; (next = strchr(begin, '\n')) != NULL;
	     begin = next + 1) T_BEGIN {
		line = t_strdup_until(begin, next);
		if (mailbox_is_sdbox(roll_back->box))
			line = save_roll_back_guid_line(line);
		line = p_strdup(roll_back->pool, line);
		hash_table_update(roll_back->lines, line, line);
	} T_END;
}

static int
save_journal_read(struct save_roll_back *roll_back, const char *path)
{
	struct stat st;
	char *data;
	int fd, ret;

	fd = open(path, O_RDONLY);
	if (fd == -1)
		return save_roll_back_error(roll_back->box, "open", path);
	if (fstat(fd, &st) < 0 || st.st_size > SAVE_JOURNAL_MAX_SIZE) {
		i_close_fd(&fd);
		return save_roll_back_error(roll_back->box, "fstat", path);
	}
	data = i_malloc(st.st_size + 1);
	ret = read_full(fd, data, st.st_size);
	if (ret < 0)
		ret = save_roll_back_error(roll_back->box, "read", path);
	else {
		if (mailbox_is_mbox(roll_back->box)) {
			/* with its NUL: a file that was just made is empty */
			roll_back->text = p_memdup(roll_back->pool, data,
						   st.st_size + 1);
			roll_back->text_size = st.st_size;
		} else {
			save_journal_parse(roll_back, data);
		}
		ret = 0;
	}
	i_free(data);
	i_close_fd(&fd);
	return ret;
}

static int save_journal_roll_back_open(struct save_roll_back *roll_back)
{
	struct mailbox *box = roll_back->box;
	int ret;

	if (mailbox_open(box) < 0)
		return -1;
	if (mailbox_is_sdbox(box))
		ret = save_roll_back_sdbox(roll_back);
	else if (mailbox_is_maildir(box))
		ret = save_roll_back_maildir(roll_back);
	else
		ret = save_roll_back_mbox(roll_back);
	mailbox_close(box);
	return ret;
}

/* An mbox's journal lies beside the index, which can outlive the file. */
static bool save_journal_is_without_mails(struct mailbox *box)
{
	struct stat st;
	const char *path;

	return mailbox_is_mbox(box) &&
		mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_MAILBOX,
				    &path) > 0 &&
		stat(path, &st) < 0 && errno == ENOENT;
}

static int save_journal_roll_back_lines(struct save_roll_back *roll_back)
{
	struct mailbox *box = roll_back->box;
	int ret;

	if (save_journal_is_without_mails(box))
		return 0;
	ret = mailbox_is_mdbox(box) ? save_roll_back_mdbox(roll_back) :
		save_journal_roll_back_open(roll_back);
	e_debug(box->event, "migration: an earlier run was stopped while it "
		"saved mails, %u of them are taken back",
		roll_back->deleted_count);
	return ret;
}

/* Adds the paths of the journals of all mailboxes. */
static int
save_journal_find_mdbox(struct mailbox *box, const char *dir_path,
			ARRAY_TYPE(const_string) *paths)
{
	const char *path;
	struct dirent *entry;
	DIR *dir;

	dir = opendir(dir_path);
	if (dir == NULL) {
		return errno == ENOENT || errno == ENOTDIR ? 0 :
			save_roll_back_error(box, "opendir", dir_path);
	}
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, SAVE_JOURNAL_NAME,
			    strlen(SAVE_JOURNAL_NAME)) == 0) {
			path = t_strconcat(dir_path, "/", entry->d_name, NULL);
			array_push_back(paths, &path);
		}
	}
	(void)closedir(dir);
	return 0;
}

/* Returns the paths of the journals (data stack): of the mailbox, or with mdbox
   of all. */
static int
save_journal_find(struct mailbox *box, ARRAY_TYPE(const_string) *paths_r)
{
	const char *path = save_journal_path(box);
	struct stat st;

	t_array_init(paths_r, 2);
	if (path == NULL)
		return 0;
	if (mailbox_is_mdbox(box)) {
		return save_journal_find_mdbox(box, save_journal_dir(box),
					       paths_r);
	}
	if (stat(path, &st) == 0)
		array_push_back(paths_r, &path);
	else if (errno != ENOENT && errno != ENOTDIR)
		return save_roll_back_error(box, "stat", path);
	return 0;
}

static int
save_journal_roll_back_files(struct mailbox *box,
			     const ARRAY_TYPE(const_string) *paths)
{
	struct save_roll_back roll_back;
	const char *path;
	int ret = 0;

	i_zero(&roll_back);
	roll_back.box = box;
	roll_back.pool = pool_alloconly_create("save journal", 4096);
	hash_table_create(&roll_back.lines, roll_back.pool, 0, str_hash,
			  strcmp);
	array_foreach_elem(paths, path) {
		if (save_journal_read(&roll_back, path) < 0)
			ret = -1;
	}
	if (ret == 0)
		ret = save_journal_roll_back_lines(&roll_back);
	array_foreach_elem(paths, path) {
		if (ret == 0)
			i_unlink_if_exists(path);
	}
	hash_table_destroy(&roll_back.lines);
	pool_unref(&roll_back.pool);
	return ret;
}

int save_journal_roll_back(struct mailbox *box)
{
	ARRAY_TYPE(const_string) paths;

	if (save_journal_find(box, &paths) < 0)
		return -1;
	return array_count(&paths) == 0 ? 0 :
		save_journal_roll_back_files(box, &paths);
}

/* Whether a namespace before this one has its mails in the same place. */
static bool save_journal_shares_storage(struct mail_namespace *ns)
{
	struct mail_namespace *other = ns->user->namespaces;

	while (mail_namespace_get_default_storage(other) !=
	       mail_namespace_get_default_storage(ns))
		other = other->next;
	return other != ns;
}

int save_journal_roll_back_mdboxes(struct mail_user *user)
{
	struct mail_namespace *ns;
	struct mailbox *box;
	int ret = 0;

	for (ns = user->namespaces; ns != NULL && ret == 0; ns = ns->next) {
		if (save_journal_shares_storage(ns))
			continue;
		/* any name: it is not opened */
		box = mailbox_alloc(ns->list, t_strconcat(ns->prefix, "INBOX",
							  NULL), 0);
		if (mailbox_is_mdbox(box) &&
		    (save_journal_roll_back(box) < 0 ||
		     dbox_repair_unfinished_map(box) < 0)) {
			e_error(box->event, "migration: What an earlier run "
				"left can't be taken back: %s",
				mailbox_get_last_internal_error(box, NULL));
			ret = -1;
		}
		mailbox_free(&box);
	}
	return ret;
}

int save_journal_roll_back_further(struct mailbox *box)
{
	return mailbox_is_mdbox(box) ? 0 : save_journal_roll_back(box);
}
