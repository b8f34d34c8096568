/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "str.h"
#include "mkdir-parents.h"
#include "safe-mkstemp.h"
#include "write-full.h"
#include "migration-file.h"

#include <stdio.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/stat.h>

static int make_directory_of(const char *path, const char **error_r)
{
	const char *p = strrchr(path, '/');
	const char *dir;

	if (p == NULL || p == path)
		return 0;
	dir = t_strdup_until(path, p);
	if (mkdir_parents(dir, 0700) < 0 && errno != EEXIST) {
		*error_r = t_strdup_printf("mkdir(%s) failed: %m", dir);
		return -1;
	}
	return 0;
}

static int
write_and_close(int fd, const char *path, const string_t *data, bool sync,
		const char **error_r)
{
	int ret = 0;

	if (write_full(fd, str_data(data), str_len(data)) < 0) {
		*error_r = t_strdup_printf("write(%s) failed: %m", path);
		ret = -1;
	} else if (sync && fdatasync(fd) < 0) {
		*error_r = t_strdup_printf("fdatasync(%s) failed: %m", path);
		ret = -1;
	}
	if (close(fd) < 0 && ret == 0) {
		*error_r = t_strdup_printf("close(%s) failed: %m", path);
		ret = -1;
	}
	return ret;
}

static int
save_by_rename(const char *path, const string_t *data, bool sync,
	       const char **error_r)
{
	string_t *temp_path = t_str_new(256);
	int fd;

	str_printfa(temp_path, "%s.tmp.", path);
	fd = safe_mkstemp_hostpid(temp_path, 0600, (uid_t)-1, (gid_t)-1);
	if (fd == -1) {
		*error_r = t_strdup_printf("Can't create %s: %m",
					   str_c(temp_path));
		return -1;
	}
	if (write_and_close(fd, str_c(temp_path), data, sync, error_r) < 0) {
		i_unlink(str_c(temp_path));
		return -1;
	}
	if (rename(str_c(temp_path), path) < 0) {
		*error_r = t_strdup_printf("rename(%s, %s) failed: %m",
					   str_c(temp_path), path);
		i_unlink(str_c(temp_path));
		return -1;
	}
	return 0;
}

int migration_file_append(const char *path, const string_t *data,
			  const char **error_r)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);

	if (fd == -1) {
		*error_r = t_strdup_printf("open(%s) failed: %m", path);
		return -1;
	}
	return write_and_close(fd, path, data, TRUE, error_r);
}

int migration_file_replace(const char *path, const string_t *data,
			   const char **error_r)
{
	if (make_directory_of(path, error_r) < 0)
		return -1;
	return save_by_rename(path, data, TRUE, error_r);
}

int migration_file_replace_unsynced(const char *path, const string_t *data,
				    const char **error_r)
{
	if (make_directory_of(path, error_r) < 0)
		return -1;
	return save_by_rename(path, data, FALSE, error_r);
}

int migration_file_read(const char *path, size_t max_size, buffer_t *text,
			const char **error_r)
{
	struct istream *input = i_stream_create_file(path, IO_BLOCK_SIZE);
	const unsigned char *data;
	size_t size;
	int ret = 1;

	while (i_stream_read_more(input, &data, &size) > 0 &&
	       text->used + size <= max_size) {
		buffer_append(text, data, size);
		i_stream_skip(input, size);
	}
	if (input->stream_errno == ENOENT) {
		ret = 0;
	} else if (input->stream_errno != 0) {
		*error_r = t_strdup_printf("read(%s) failed: %s", path,
					   i_stream_get_error(input));
		ret = -1;
	} else if (!input->eof) {
		*error_r = t_strdup_printf("%s is larger than %zu bytes", path,
					   max_size);
		ret = -1;
	}
	i_stream_unref(&input);
	return ret;
}
