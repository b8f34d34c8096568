/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VERIFY_POP3_H
#define VERIFY_POP3_H

#include "parity.h"
#include "verify-storage.h"

struct doveadm_pop3_settings;
struct event;

/* What the POP3 servers of the two sides list. */

/* A session with the source's POP3 server. Nothing is matched in it: a proof
   of migration_pop3's work must not be made of that work. */
struct verify_pop3_source;

/* Logs in. Returns 0 and source_r, or -1 and error_r. */
int verify_pop3_source_init(struct mail_user *user,
			    const struct doveadm_pop3_settings *set,
			    struct event *event, pool_t pool,
			    struct verify_pop3_source **source_r,
			    struct verify_error *error_r);
void verify_pop3_source_deinit(struct verify_pop3_source **source);

/* Lists the UIDLs and sizes. Returns 0, or -1 and error_r. */
int verify_pop3_source_list(struct verify_pop3_source *source,
			    ARRAY_TYPE(parity_pop3_mail) *list,
			    struct verify_error *error_r);
/* Adds the headers of the pairs' mails to the list, as far as the server gives
   them. Returns 0, or -1 and error_r. */
int verify_pop3_source_read_headers(struct verify_pop3_source *source,
				    const ARRAY_TYPE(parity_pop3_pair) *pairs,
				    ARRAY_TYPE(parity_pop3_mail) *list,
				    struct verify_error *error_r);

/* The same for this Dovecot. The list is what its POP3 server gives the user:
   in its order, and with UIDLs read the way it reads them, which on sdbox and
   mdbox passes by the index header that says up to which UID there are UIDLs at
   all. For a mail without a stored UIDL it is the one that pop3_uidl_format
   makes up (pop3_reuse_xuidl, which doveadm does not know, is not considered).
   With all_mailboxes it is what POP3 gives that merges the mailboxes of the
   INBOX's namespace as the source's does: the mails with a stored UIDL, in the
   stored order. */
struct verify_pop3_dest;

int verify_pop3_dest_open(struct mail_user *user, bool all_mailboxes,
			  pool_t pool, struct verify_pop3_dest **dest_r,
			  struct verify_error *error_r);
void verify_pop3_dest_close(struct verify_pop3_dest **dest);
int verify_pop3_dest_list(struct verify_pop3_dest *dest, pool_t pool,
			  ARRAY_TYPE(parity_pop3_mail) *list,
			  struct verify_error *error_r);
int verify_pop3_dest_read_headers(struct verify_pop3_dest *dest,
				  const ARRAY_TYPE(parity_pop3_pair) *pairs,
				  pool_t pool,
				  ARRAY_TYPE(parity_pop3_mail) *list,
				  struct verify_error *error_r);

#endif
