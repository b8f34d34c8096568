/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_FILE_H
#define OAUTH2_FILE_H

/* Files with secrets in them. Errors (data stack) name the file and never hold
   anything of its content. */

/* Reads the whole file. It must be a regular file that others can neither read
   nor write and that the group cannot write. Returns 0, or -1 and error_r.
   text_r is allocated from the pool. */
int migration_oauth2_file_read(pool_t pool, const char *path,
			       const char **text_r, const char **error_r);
/* The same for a file that has one line: without blanks around it. An empty
   file is an error. */
int migration_oauth2_file_read_line(pool_t pool, const char *path,
				    const char **line_r, const char **error_r);

/* Replaces the file as a whole, mode 0600, or leaves it as it was: written
   beside it, brought to disk, renamed. An existing file's owner, group and
   mode are kept as far as we may. Returns 0, or -1 and error_r. */
int migration_oauth2_file_write(const char *path, const char *text,
				const char **error_r);

/* Locks the file that is at the path now against others who do the same, also
   if it is replaced while waiting. With create, it is made if it is missing
   (mode 0600). Returns 1 and fd_r, which holds the lock until it is closed,
   0 if it is still locked after the timeout, or -1 and error_r. */
int migration_oauth2_file_lock(const char *path, bool create,
			       unsigned int timeout_secs, int *fd_r,
			       const char **error_r);

#endif
