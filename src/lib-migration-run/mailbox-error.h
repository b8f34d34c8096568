/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_ERROR_H
#define MAILBOX_ERROR_H

#include "mail-storage.h"

/* A step failed: error_r is what was attempted and the storage's own words (data
   stack). Returns -1. */
static inline int
mailbox_error(struct mailbox *box, const char *what, const char **error_r)
{
	*error_r = t_strdup_printf("%s: %s", what,
				   mailbox_get_last_internal_error(box, NULL));
	return -1;
}

#endif
