/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "uidl-store-journal.h"

#include <fcntl.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/stat.h>

#define JOURNAL_NAME "dovecot-migration-uidl"
/* a few lines of three numbers */
#define JOURNAL_MAX_SIZE 8192

struct uidl_store_journal {
	char *path;
	int fd;
	/* size before the last entry was added */
	off_t last_offset;
	ARRAY_TYPE(uidl_store_journal_entry) entries;
};

static bool
parse_line(const char *line, struct uidl_store_journal_entry *entry_r)
{
	const char *const *words = t_strsplit(line, " ");

	return str_array_length(words) == 4 &&
		str_to_uint32(words[0], &entry_r->old_file_id) == 0 &&
		str_to_uint32(words[1], &entry_r->first_new_file_id) == 0 &&
		str_to_uint32(words[2], &entry_r->new_files_count) == 0 &&
		strcmp(words[3], ".") == 0;
}

/* A line that was cut off belongs to a change that was not begun. */
static int
journal_read(struct uidl_store_journal *journal, const char **error_r)
{
	struct uidl_store_journal_entry entry;
	char data[JOURNAL_MAX_SIZE + 1];
	const char *const *line;
	ssize_t size;

	size = pread(journal->fd, data, sizeof(data) - 1, 0);
	if (size < 0) {
		*error_r = t_strdup_printf("read(%s) failed: %m",
					   journal->path);
		return -1;
	}
	data[size] = '\0';
	for (line = t_strsplit(data, "\n"); *line != NULL; line++) {
		if (parse_line(*line, &entry))
			array_push_back(&journal->entries, &entry);
	}
	return 0;
}

static int
journal_lock(struct uidl_store_journal *journal, const char **error_r)
{
	struct stat st1, st2;

	if (flock(journal->fd, LOCK_EX | LOCK_NB) < 0) {
		*error_r = errno != EWOULDBLOCK ?
			t_strdup_printf("flock(%s) failed: %m", journal->path) :
			t_strdup_printf("Another \"doveadm migration uidl\" "
				"has locked %s: run again when it is done",
				journal->path);
		return -1;
	}
	if (fstat(journal->fd, &st1) < 0 || stat(journal->path, &st2) < 0 ||
	    st1.st_ino != st2.st_ino) {
		*error_r = t_strdup_printf("%s was deleted by another \"doveadm "
			"migration uidl\" that has just ended: run again",
			journal->path);
		return -1;
	}
	return 0;
}

int uidl_store_journal_open(const char *dir, bool create,
			    struct uidl_store_journal **journal_r,
			    const char **error_r)
{
	struct uidl_store_journal *journal;
	const char *path = t_strconcat(dir, "/"JOURNAL_NAME, NULL);
	int fd;

	fd = open(path, O_RDWR | (create ? O_CREAT : 0), 0600);
	if (fd == -1) {
		if (errno == ENOENT && !create)
			return 0;
		*error_r = t_strdup_printf("open(%s) failed: %m", path);
		return -1;
	}
	journal = i_new(struct uidl_store_journal, 1);
	journal->path = i_strdup(path);
	journal->fd = fd;
	i_array_init(&journal->entries, 4);
	if (journal_lock(journal, error_r) < 0 ||
	    journal_read(journal, error_r) < 0) {
		/* not ours: not deleted */
		array_free(&journal->entries);
		i_close_fd(&journal->fd);
		i_free(journal->path);
		i_free(journal);
		return -1;
	}
	*journal_r = journal;
	return 1;
}

void uidl_store_journal_close(struct uidl_store_journal **_journal)
{
	struct uidl_store_journal *journal = *_journal;

	*_journal = NULL;
	if (array_count(&journal->entries) == 0)
		i_unlink(journal->path);
	array_free(&journal->entries);
	i_close_fd(&journal->fd);
	i_free(journal->path);
	i_free(journal);
}

const ARRAY_TYPE(uidl_store_journal_entry) *
uidl_store_journal_get(struct uidl_store_journal *journal)
{
	return &journal->entries;
}

int uidl_store_journal_add(struct uidl_store_journal *journal,
			   const struct uidl_store_journal_entry *entry,
			   const char **error_r)
{
	const char *line;
	struct stat st;

	if (fstat(journal->fd, &st) < 0) {
		*error_r = t_strdup_printf("fstat(%s) failed: %m",
					   journal->path);
		return -1;
	}
	/* begins with a newline: an earlier line may have been cut off */
	line = t_strdup_printf("\n%u %u %u .\n", entry->old_file_id,
			       entry->first_new_file_id,
			       entry->new_files_count);
	if (pwrite(journal->fd, line, strlen(line), st.st_size) !=
	    (ssize_t)strlen(line)) {
		*error_r = t_strdup_printf("write(%s) failed: %m",
					   journal->path);
		return -1;
	}
	if (fdatasync(journal->fd) < 0) {
		*error_r = t_strdup_printf("fdatasync(%s) failed: %m",
					   journal->path);
		return -1;
	}
	journal->last_offset = st.st_size;
	array_push_back(&journal->entries, entry);
	return 0;
}

static int
journal_truncate(struct uidl_store_journal *journal, off_t size,
		 const char **error_r)
{
	if (ftruncate(journal->fd, size) < 0) {
		*error_r = t_strdup_printf("ftruncate(%s) failed: %m",
					   journal->path);
		return -1;
	}
	return 0;
}

int uidl_store_journal_remove_last(struct uidl_store_journal *journal,
				   const char **error_r)
{
	if (journal_truncate(journal, journal->last_offset, error_r) < 0)
		return -1;
	array_pop_back(&journal->entries);
	return 0;
}

int uidl_store_journal_clear(struct uidl_store_journal *journal,
			     const char **error_r)
{
	if (journal_truncate(journal, 0, error_r) < 0)
		return -1;
	array_clear(&journal->entries);
	return 0;
}
