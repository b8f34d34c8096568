/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILDROP_MAILBOXES_H
#define MAILDROP_MAILBOXES_H

struct mail_namespace;

/* The mailboxes, besides the INBOX, that a POP3 server shows which merges all
   of the namespace (migration_pop3_all_mailboxes): those that can be selected,
   in the namespace's order. The names are on the data stack. Returns 0, or -1
   and both errors (data stack). */
int maildrop_mailboxes_list(struct mail_namespace *ns,
			    ARRAY_TYPE(const_string) *vnames,
			    const char **error_r, enum mail_error *mail_error_r);

#endif
