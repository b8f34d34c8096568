/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "imap-arg.h"
#include "imapc-client-private.h"
#include "migration-imapc-private.h"

bool migration_imapc_reply_file(const struct imapc_untagged_reply *reply,
				const struct imap_arg *arg, int *fd_r)
{
	const struct imapc_arg_file *file;
	const struct imap_arg *list;
	unsigned int i, count;

	for (i = 0; i < reply->file_args_count; i++) {
		file = &reply->file_args[i];
		if (file->parent_arg == arg->parent &&
		    imap_arg_get_list_full(arg->parent, &list, &count) &&
		    file->list_idx < count && &list[file->list_idx] == arg) {
			*fd_r = file->fd;
			return TRUE;
		}
	}
	return FALSE;
}
