/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mailbox-list-iter.h"
#include "maildrop-mailboxes.h"

int maildrop_mailboxes_list(struct mail_namespace *ns,
			    ARRAY_TYPE(const_string) *vnames,
			    const char **error_r, enum mail_error *mail_error_r)
{
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	const char *vname;

	iter = mailbox_list_iter_init(ns->list, "*",
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_NO_AUTO_BOXES);
	while ((info = mailbox_list_iter_next(iter)) != NULL) {
		if ((info->flags & (MAILBOX_NOSELECT |
				    MAILBOX_NONEXISTENT)) == 0 &&
		    strcmp(info->vname, "INBOX") != 0) {
			vname = t_strdup(info->vname);
			array_push_back(vnames, &vname);
		}
	}
	if (mailbox_list_iter_deinit(&iter) < 0) {
		*error_r = t_strdup_printf("Listing mailboxes failed: %s",
			mailbox_list_get_last_internal_error(ns->list,
							     mail_error_r));
		return -1;
	}
	return 0;
}
