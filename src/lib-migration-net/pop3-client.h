/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef POP3_CLIENT_H
#define POP3_CLIENT_H

#include "net.h"

struct mail_user;
struct event;

/* A POP3 client that reads what identifies mails: UIDLs, sizes, headers and, if
   need be, texts. It changes nothing at the server: texts are read by TOP with
   many lines instead of RETR, which marks mails as read or as fetched at many
   servers (QUIRKS.md, "retr-marks").

   Synchronous, and every step takes a constant number of waits where the server
   announces PIPELINING. */

enum pop3_client_ssl_mode {
	POP3_CLIENT_SSL_NONE,
	POP3_CLIENT_SSL_STARTTLS,
	POP3_CLIENT_SSL_POP3S
};

enum pop3_client_error {
	POP3_CLIENT_ERROR_NONE,
	/* Network, connection lost: trying later may help. */
	POP3_CLIENT_ERROR_TEMP,
	/* The server asks to come back later, or another session has the
	   maildrop. */
	POP3_CLIENT_ERROR_BUSY,
	/* The server refused the login. */
	POP3_CLIENT_ERROR_AUTH,
	/* The server cannot do what is needed: no UIDL, no TLS. */
	POP3_CLIENT_ERROR_UNSUPPORTED
};

struct pop3_client_settings {
	const char *host;
	in_port_t port;
	enum pop3_client_ssl_mode ssl_mode;
	bool allow_invalid_cert;
	/* The maildrop, and who logs in to it if not its owner (authzid and
	   authid of SASL PLAIN). */
	const char *username, *master_user;
	/* Unused with OAuth2: migration_oauth2_* of the user. */
	const char *password;
	/* One command at a time, whatever the server says. */
	bool no_pipelining;
	/* Longest silence of the server. */
	unsigned int timeout_secs;
	/* For TLS settings. */
	struct mail_user *user;
	struct event *event;
};

struct pop3_client_mail {
	/* POP3 message number */
	uint32_t number;
	/* As the server wrote it; "" if it gave none. */
	const char *uidl;
	/* UOFF_T_MAX if the server gave none. */
	uoff_t size;
};
ARRAY_DEFINE_TYPE(pop3_client_mail, struct pop3_client_mail);

struct pop3_client_stats {
	unsigned int connections;
	unsigned int waits;
	unsigned int tops, texts;
	uint64_t bytes_in;
};

/* A piece of a mail. ok, without data: complete. !ok: the server refused. */
typedef void
pop3_client_mail_callback_t(void *context, uint32_t number,
			    const unsigned char *data, size_t size, bool ok);

struct pop3_client *
pop3_client_init(const struct pop3_client_settings *set);
/* Says QUIT and leaves. */
void pop3_client_deinit(struct pop3_client **client);

/* Connect and log in. Returns 0, or -1: see pop3_client_get_error(). */
int pop3_client_login(struct pop3_client *client);
/* UIDLs and sizes, in the order of the message numbers. Allocated from the
   client; valid until the next call. */
int pop3_client_list(struct pop3_client *client,
		     const ARRAY_TYPE(pop3_client_mail) **mails_r);
/* Read headers, or whole texts. The numbers must be of the list's mails.
   Returns 0 also if the server refused single mails, and -1 if the connection
   ended; the mails before that are complete. */
int pop3_client_read(struct pop3_client *client,
		     const uint32_t *numbers, unsigned int count,
		     bool whole_texts,
		     pop3_client_mail_callback_t *callback, void *context);

/* TRUE if a TOP was refused in a way that says that there is no TOP. */
bool pop3_client_has_no_top(struct pop3_client *client);

/* What the server announced latest: "TOP, UIDL, SASL PLAIN XOAUTH2". Valid until
   the next login. */
const char *pop3_client_get_capabilities(struct pop3_client *client);

/* Why the last call returned -1. The text names host and port. */
const char *pop3_client_get_error(struct pop3_client *client,
				  enum pop3_client_error *error_r);
void pop3_client_get_stats(struct pop3_client *client,
			   struct pop3_client_stats *stats_r);

#endif
