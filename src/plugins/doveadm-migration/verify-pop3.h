/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VERIFY_POP3_H
#define VERIFY_POP3_H

#include "parity.h"
#include "verify-storage.h"

/* What the POP3 servers of the two sides list. */

struct verify_pop3_settings {
	/* mailbox of the pop3c namespace, "" if there is none to compare */
	const char *mailbox;
	/* POP3 may show more than the INBOX has, or less: by configuration */
	bool ignore_extra_uidls;
};

/* Reads migration_pop3's settings, whether the plugin is enabled or not.
   Returns 0, or -1 and error_r. */
int verify_pop3_get_settings(struct mail_user *user, pool_t pool,
			     struct verify_pop3_settings *set_r,
			     struct verify_error *error_r);

/* Lists what the source's POP3 server lists, by stock pop3c and without any
   matching: a proof of migration_pop3's work must not be made of that work.
   Returns 0, or -1 and error_r. */
int verify_pop3_read_source(struct mail_user *user, const char *mailbox,
			    pool_t pool, ARRAY_TYPE(parity_pop3_mail) *list,
			    struct verify_error *error_r);

/* Lists what this Dovecot's POP3 server lists for the user, the way it reads
   the order and the stored UIDLs: on sdbox and mdbox that passes by the index
   header that says up to which UID there are UIDLs at all. For a mail without a
   stored UIDL it makes up the one of pop3_uidl_format (pop3_reuse_xuidl, which
   doveadm does not know, is not considered). Returns 0, or -1 and error_r. */
int verify_pop3_read_dest(struct mail_user *user, pool_t pool,
			  ARRAY_TYPE(parity_pop3_mail) *list,
			  struct verify_error *error_r);

#endif
