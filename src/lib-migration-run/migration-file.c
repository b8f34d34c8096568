/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
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
write_and_close(int fd, const char *path, const string_t *data,
		const char **error_r)
{
	int ret = 0;

	if (write_full(fd, str_data(data), str_len(data)) < 0) {
		*error_r = t_strdup_printf("write(%s) failed: %m", path);
		ret = -1;
	} else if (fdatasync(fd) < 0) {
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
save_by_rename(const char *path, const string_t *data, const char **error_r)
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
	if (write_and_close(fd, str_c(temp_path), data, error_r) < 0) {
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

int migration_file_replace(const char *path, const string_t *data,
			   const char **error_r)
{
	if (make_directory_of(path, error_r) < 0)
		return -1;
	return save_by_rename(path, data, error_r);
}
