/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef POP3_UIDL_FORMAT_H
#define POP3_UIDL_FORMAT_H

struct mail;

/* Appends the UIDL that this Dovecot's POP3 server makes up for a mail that has
   none stored: pop3_uidl_format. Returns 0, or -1 and error_r. */
int pop3_uidl_format_expand(struct mail *mail, string_t *dest,
			    const char **error_r);

#endif
