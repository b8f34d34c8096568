/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_POP3_SETTINGS_H
#define DOVEADM_POP3_SETTINGS_H

#include "pop3-source.h"

struct mail_user;
struct verify_error;

/* What the commands that only look want to know of migration_pop3's settings. */
struct doveadm_pop3_settings {
	/* mailbox of the pop3c namespace, "" if there is none to compare */
	const char *mailbox;
	/* the source's POP3 lists mails of several mailboxes as one */
	bool all_mailboxes;
	/* POP3 may show less than the INBOX has, by configuration */
	bool ignore_extra_uidls;
	struct pop3_source_limits limits;
};

/* Reads them, whether the plugin is enabled or not; strings are the pool's.
   Returns 0, or -1 and error_r (MAIL_ERROR_PARAMS, text on the data stack). */
int doveadm_pop3_settings_get(struct mail_user *user, pool_t pool,
			      struct doveadm_pop3_settings *set_r,
			      struct verify_error *error_r);

#endif
