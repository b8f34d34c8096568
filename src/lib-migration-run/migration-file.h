/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_FILE_H
#define MIGRATION_FILE_H

/* Writes a small file, readable by its owner only, making its directory if
   needed. The file appears complete or not at all: it is written beside the
   path and renamed. Returns 0, or -1 and error_r (data stack). */
int migration_file_replace(const char *path, const string_t *data,
			   const char **error_r);

#endif
