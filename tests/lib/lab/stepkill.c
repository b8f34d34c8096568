/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Preloaded into a doveadm by lab.stepkill: the process kills itself before the
   n-th call that changes a file below a folder, wherever that is. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long steps_left;
static char folder[PATH_MAX];

/* Dovecot's programs clean their environment */
__attribute__((constructor)) static void begin(void)
{
	const char *step_str = getenv("STEPKILL_STEP");
	const char *path = getenv("STEPKILL_FOLDER");

	if (step_str != NULL && path != NULL) {
		steps_left = atol(step_str);
		snprintf(folder, sizeof(folder), "%s", path);
	}
}

static void step(const char *path)
{
	if (*folder != '\0' && strncmp(path, folder, strlen(folder)) == 0 &&
	    /* how often it is written depends on the time */
	    strstr(path, "/dovecot-migration-status") == NULL &&
	    --steps_left == 0)
		kill(getpid(), SIGKILL);
}

static void step_fd(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t size;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof(path) - 1);
	if (size > 0) {
		path[size] = '\0';
		step(path);
	}
}

int rename(const char *from, const char *to)
{
	step(to);
	return syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int link(const char *from, const char *to)
{
	step(to);
	return syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path)
{
	step(path);
	return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ftruncate(int fd, off_t size)
{
	step_fd(fd);
	return syscall(SYS_ftruncate, fd, size);
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fsync(int fd)
{
	step_fd(fd);
	return syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	step_fd(fd);
	return syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
	step_fd(fd);
	return syscall(SYS_write, fd, data, size);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	step_fd(fd);
	return syscall(SYS_writev, fd, iov, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	step_fd(fd);
	return syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite(fd, data, size, offset);
}
