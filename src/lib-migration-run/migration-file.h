/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_FILE_H
#define MIGRATION_FILE_H

/* Writes a small file, readable by its owner only, making its directory if
   needed. The file appears complete or not at all: it is written beside the
   path and renamed. Returns 0, or -1 and error_r (data stack). */
int migration_file_replace(const char *path, const string_t *data,
			   const char **error_r);

/* The same without waiting for the disk: for what is written again soon. After a
   power failure the file can be empty. */
int migration_file_replace_unsynced(const char *path, const string_t *data,
				    const char **error_r);

/* Adds to the end of such a file, or begins it. After a power failure only the end
   can be missing. */
int migration_file_append(const char *path, const string_t *data,
			  const char **error_r);

/* Appends the whole file to the text. Returns 1, 0 if there is no such file, or
   -1 and error_r (data stack): it cannot be read, or is larger than max_size. */
int migration_file_read(const char *path, size_t max_size, buffer_t *text,
			const char **error_r);

#endif
