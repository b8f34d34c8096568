/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "buffer.h"
#include "str.h"
#include "file-lock.h"
#include "read-full.h"
#include "safe-mkstemp.h"
#include "safe-memset.h"
#include "write-full.h"
#include "oauth2-file.h"

#include <stdio.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/stat.h>

/* keys have 2 kB, tokens up to 10 kB */
#define MAX_FILE_SIZE (256*1024)

static int
check_mode(int fd, const char *path, struct stat *st_r, const char **error_r)
{
	if (fstat(fd, st_r) < 0) {
		*error_r = t_strdup_printf("fstat(%s) failed: %m", path);
		return -1;
	}
	if (!S_ISREG(st_r->st_mode)) {
		*error_r = t_strdup_printf("%s is not a file", path);
		return -1;
	}
	if ((st_r->st_mode & 027) != 0) {
		*error_r = t_strdup_printf("%s has mode 0%o, so that %s: "
			"chmod 600 it", path,
			(unsigned int)st_r->st_mode & 07777,
			(st_r->st_mode & 07) != 0 ?
			"everybody can use it" : "its group can change it");
		return -1;
	}
	if (st_r->st_size > MAX_FILE_SIZE) {
		*error_r = t_strdup_printf("%s is too large", path);
		return -1;
	}
	return 0;
}

static int
read_fd(pool_t pool, int fd, const char *path, const char **text_r,
	const char **error_r)
{
	struct stat st;
	char *text;
	int ret;

	if (check_mode(fd, path, &st, error_r) < 0)
		return -1;
	text = p_malloc(pool, st.st_size + 1);
	ret = read_full(fd, text, st.st_size);
	if (ret < 0) {
		*error_r = t_strdup_printf("read(%s) failed: %m", path);
		return -1;
	}
	if (ret == 0 || strlen(text) != (size_t)st.st_size) {
		*error_r = t_strdup_printf("%s changes while it is read, or is "
					   "not a text", path);
		return -1;
	}
	*text_r = text;
	return 0;
}

int migration_oauth2_file_read(pool_t pool, const char *path,
			       const char **text_r, const char **error_r)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	int ret;

	if (fd == -1) {
		*error_r = t_strdup_printf("open(%s) failed: %m", path);
		return -1;
	}
	ret = read_fd(pool, fd, path, text_r, error_r);
	i_close_fd(&fd);
	return ret;
}

int migration_oauth2_file_read_line(pool_t pool, const char *path,
				    const char **line_r, const char **error_r)
{
	const char *text;

	if (migration_oauth2_file_read(pool, path, &text, error_r) < 0)
		return -1;
	*line_r = p_strdup(pool, t_str_trim(text, " \t\r\n"));
	if (**line_r == '\0') {
		*error_r = t_strdup_printf("%s is empty", path);
		return -1;
	}
	if (strpbrk(*line_r, "\r\n") != NULL) {
		*error_r = t_strdup_printf("%s has more than one line", path);
		return -1;
	}
	return 0;
}

/* The new file is to be usable by the same people as the old one. */
static void keep_owner(int fd, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	/* what we may not do, we do not need: the file is ours then */
	if (fchown(fd, st.st_uid, st.st_gid) == 0)
		(void)fchmod(fd, st.st_mode & 0640);
}

static int
write_fd(int fd, const char *path, const char *text, const char **error_r)
{
	if (write_full(fd, text, strlen(text)) < 0) {
		*error_r = t_strdup_printf("write(%s) failed: %m", path);
		return -1;
	}
	if (fdatasync(fd) < 0) {
		*error_r = t_strdup_printf("fdatasync(%s) failed: %m", path);
		return -1;
	}
	return 0;
}

/* Brings the rename itself to disk, too. Not all file systems can. */
static void sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	int fd;

	if (slash == NULL || slash == path)
		return;
	fd = open(t_strdup_until(path, slash), O_RDONLY);
	if (fd != -1) {
		(void)fsync(fd);
		i_close_fd(&fd);
	}
}

int migration_oauth2_file_write(const char *path, const char *text,
				const char **error_r)
{
	string_t *temp_path = t_str_new(256);
	int fd, ret;

	str_printfa(temp_path, "%s.tmp.", path);
	fd = safe_mkstemp_hostpid(temp_path, 0600, (uid_t)-1, (gid_t)-1);
	if (fd == -1) {
		*error_r = t_strdup_printf("Can't create %s: %m",
					   str_c(temp_path));
		return -1;
	}
	keep_owner(fd, path);
	ret = write_fd(fd, str_c(temp_path), text, error_r);
	if (close(fd) < 0 && ret == 0) {
		*error_r = t_strdup_printf("close(%s) failed: %m",
					   str_c(temp_path));
		ret = -1;
	}
	if (ret == 0 && rename(str_c(temp_path), path) < 0) {
		*error_r = t_strdup_printf("rename(%s, %s) failed: %m",
					   str_c(temp_path), path);
		ret = -1;
	}
	if (ret < 0)
		i_unlink(str_c(temp_path));
	else
		sync_directory(path);
	return ret;
}

static bool is_same_file(int fd, const char *path)
{
	struct stat st1, st2;

	return fstat(fd, &st1) == 0 && stat(path, &st2) == 0 &&
		st1.st_ino == st2.st_ino && st1.st_dev == st2.st_dev;
}

int migration_oauth2_file_lock(const char *path, bool create,
			       unsigned int timeout_secs, int *fd_r,
			       const char **error_r)
{
	/* flock() and not fcntl(): it also locks what may only be read */
	const struct file_lock_settings lock_set = {
		.lock_method = FILE_LOCK_METHOD_FLOCK,
	};
	struct file_lock *lock;
	int fd, ret;

	for (;;) {
		fd = open(path, create ? O_RDWR | O_CREAT : O_RDONLY, 0600);
		if (fd == -1) {
			*error_r = t_strdup_printf("open(%s) failed: %m", path);
			return -1;
		}
		/* programs that are started later must not keep the lock */
		fd_close_on_exec(fd, TRUE);
		ret = file_wait_lock(fd, path, F_WRLCK, &lock_set,
				     timeout_secs, &lock, error_r);
		if (ret <= 0) {
			i_close_fd(&fd);
			return ret;
		}
		/* closing the descriptor unlocks */
		file_lock_free(&lock);
		if (is_same_file(fd, path))
			break;
		i_close_fd(&fd);
	}
	*fd_r = fd;
	return 1;
}
