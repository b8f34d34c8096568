/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Preloaded into a doveadm by lab.stepkill: the process kills itself before the
   n-th call that changes a file below a folder, wherever that is. Or from that
   call on all fail that need room (EDQUOT, ENOSPC), or all that change anything
   (EROFS). */

#define _GNU_SOURCE
#include "preload.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long steps_left;
/* 0: it is killed */
static int error;
static char folder[PATH_MAX];

/* Dovecot's programs clean their environment */
__attribute__((constructor)) static void begin(void)
{
	const char *step_str = getenv("STEPKILL_STEP");
	const char *path = getenv("STEPKILL_FOLDER");
	const char *error_str = getenv("STEPKILL_ERRNO");

	if (error_str != NULL)
		error = atoi(error_str);
	if (step_str != NULL && path != NULL) {
		steps_left = atol(step_str);
		snprintf(folder, sizeof(folder), "%s", path);
	}
}

/* Returns false, with errno, if the call is to fail. */
static bool step(const char *path, bool needs_room)
{
	if (*folder == '\0' || strncmp(path, folder, strlen(folder)) != 0 ||
	    /* how often it is written depends on the time */
	    strstr(path, "/dovecot-migration-status") != NULL ||
	    --steps_left > 0)
		return true;
	if (error == 0 && steps_left == 0)
		kill(getpid(), SIGKILL);
	if (error == 0 || (!needs_room && error != EROFS))
		return true;
	errno = error;
	return false;
}

static bool step_fd(int fd, bool needs_room)
{
	char link[64], path[PATH_MAX];
	ssize_t size;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof(path) - 1);
	if (size <= 0)
		return true;
	path[size] = '\0';
	return step(path, needs_room);
}

static bool makes_file(const char *path, int flags)
{
	struct stat st;

	return (flags & O_CREAT) != 0 && stat(path, &st) < 0;
}

static int opened(const char *path, int flags, int mode)
{
	/* a file that is made and killed before it is written to is an empty
	   file: no step of its own there */
	if (error != 0 && (makes_file(path, flags) || (error == EROFS &&
	    (flags & O_ACCMODE) != O_RDONLY)) && !step(path, true))
		return -1;
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int mkdir(const char *path, mode_t mode)
{
	if (error != 0 && !step(path, true))
		return -1;
	return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rename(const char *from, const char *to)
{
	if (!step(to, false))
		return -1;
	return syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int link(const char *from, const char *to)
{
	if (!step(to, true))
		return -1;
	return syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
	if (!step(path, false))
		return -1;
	return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ftruncate(int fd, off_t size)
{
	if (!step_fd(fd, false))
		return -1;
	return syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fsync(int fd)
{
	if (!step_fd(fd, false))
		return -1;
	return syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	if (!step_fd(fd, false))
		return -1;
	return syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
	if (!step_fd(fd, true))
		return -1;
	return syscall(SYS_write, fd, data, size);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	if (!step_fd(fd, true))
		return -1;
	return syscall(SYS_writev, fd, iov, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	if (!step_fd(fd, true))
		return -1;
	return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite(fd, data, size, offset);
}
