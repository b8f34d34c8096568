/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef POP3_SOURCE_H
#define POP3_SOURCE_H

#include "pop3-client.h"

struct mail_user;
struct event;
struct pop3c_settings;

/* Stock pop3c's settings as settings of our own client. The strings are not
   copied. */
void pop3_source_fill_settings(const struct pop3c_settings *set,
			       struct mail_user *user,
			       unsigned int timeout_secs, struct event *event,
			       struct pop3_client_settings *set_r);

/* How to reach the POP3 server that a mailbox of a pop3c namespace names: the
   pop3c_* settings of that namespace, as stock pop3c would use them. mailbox is
   the value of migration_pop3_mailbox. The strings live as long as the user's
   storage. Returns 0, or -1 and error_r (data stack) if there is no pop3c
   namespace at this name. */
int pop3_source_get_settings(struct mail_user *user, const char *mailbox,
			     unsigned int timeout_secs, struct event *event,
			     struct pop3_client_settings *set_r,
			     const char **error_r);

#endif
