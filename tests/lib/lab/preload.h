/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* open() in the place of libc's, for what lab.preload loads into a doveadm: who
   includes this says what it does. */

#include <fcntl.h>
#include <stdarg.h>

static int opened(const char *path, int flags, int mode);

int open(const char *path, int flags, ...)
{
	va_list args;
	int mode;

	va_start(args, flags);
	mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, int) : 0;
	va_end(args);
	return opened(path, flags, mode);
}

/* flags and mode are the same for both */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
