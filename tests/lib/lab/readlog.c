/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Preloaded into a doveadm by lab.readlog: writes down in which order it reads
   from a port and makes a mail's file (sdbox) below a folder, and how many bytes
   wait to be read then. */

#define _GNU_SOURCE
#include "preload.h"
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int port, socket_fd = -1;
static char folder[PATH_MAX], log_path[PATH_MAX];

/* Dovecot's programs clean their environment */
__attribute__((constructor)) static void begin(void)
{
	const char *port_str = getenv("READLOG_PORT");
	const char *folder_str = getenv("READLOG_FOLDER");
	const char *log_str = getenv("READLOG_FILE");

	if (port_str == NULL || folder_str == NULL || log_str == NULL)
		return;
	port = atoi(port_str);
	snprintf(folder, sizeof(folder), "%s", folder_str);
	snprintf(log_path, sizeof(log_path), "%s", log_str);
}

static void note(const char *what, long count)
{
	char line[64];
	int length, fd = syscall(SYS_openat, AT_FDCWD, log_path,
				 O_WRONLY | O_APPEND, 0);

	length = snprintf(line, sizeof(line), "%s %ld\n", what, count);
	if (fd == -1 || write(fd, line, length) != length)
		abort();
	close(fd);
}

static int is_from_port(int fd)
{
	struct sockaddr_in peer;
	socklen_t size = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
		peer.sin_family == AF_INET && ntohs(peer.sin_port) == port;
}

ssize_t read(int fd, void *buffer, size_t size)
{
	ssize_t count = syscall(SYS_read, fd, buffer, size);

	if (count > 0 && port != 0 && is_from_port(fd)) {
		socket_fd = fd;
		note("read", count);
	}
	return count;
}

static void note_mail(void)
{
	int waiting = 0;

	if (socket_fd != -1 && ioctl(socket_fd, FIONREAD, &waiting) < 0)
		abort();
	note("mail", waiting);
}

static int opened(const char *path, int flags, int mode)
{
	if (port != 0 && (flags & O_CREAT) != 0 &&
	    strncmp(path, folder, strlen(folder)) == 0 &&
	    strstr(path, "/dbox-Mails/.temp.") != NULL)
		note_mail();
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
