/* SPDX-License-Identifier: LGPL-2.1-or-later */

#ifndef POP3_CLIENT_PRIVATE_H
#define POP3_CLIENT_PRIVATE_H

/* What pop3-client.c and pop3-client-login.c share. */

#include "pop3-connection.h"
#include "pop3-client.h"

enum pop3_capability {
	POP3_CAPABILITY_PIPELINING = 0x01,
	POP3_CAPABILITY_UIDL = 0x02,
	POP3_CAPABILITY_TOP = 0x04,
	POP3_CAPABILITY_USER = 0x08,
	POP3_CAPABILITY_SASL_PLAIN = 0x10,
	POP3_CAPABILITY_UTF8 = 0x20,
	/* the server answered CAPA at all */
	POP3_CAPABILITY_CAPA = 0x40,
};

struct pop3_client {
	struct pop3_client_settings set;
	/* what the settings point to */
	char *host, *username, *master_user, *password;
	struct event *event;
	struct pop3_connection *conn;
	enum pop3_capability capabilities;
	/* what the server announces: all of it, and its SASL mechanisms */
	string_t *capability_lines;
	char *sasl_mechanisms;

	/* where tokens come from, or NULL */
	struct migration_oauth2_source *oauth2;
	/* why there is none although there should be */
	char *oauth2_error;
	/* a token was refused in this login, the next one is the last */
	bool token_refused;

	/* list */
	pool_t list_pool;
	ARRAY_TYPE(pop3_client_mail) mails;

	/* lines of a multi-line reply, while it arrives */
	string_t *partial_line;
	/* last refused reply */
	char *refusal;
	/* what a step found wrong with a line */
	char *bad_line;

	char *error;
	enum pop3_client_error error_type;
	struct pop3_client_stats stats;
	bool no_top;
};

/* Ends the connection and adds its counts to the client's. */
void pop3_client_disconnect(struct pop3_client *client);
/* Sets the client's error, which names the server, and disconnects. Returns -1. */
int pop3_client_fail(struct pop3_client *client, enum pop3_client_error type,
		     const char *fmt, ...) ATTR_FORMAT(3, 4);
/* Waits until all that was sent is answered. Returns 0, or -1 after setting a
   temporary error that says what the client was doing. */
int pop3_client_wait(struct pop3_client *client, const char *doing);
/* Calls back for each line of a text that comes in pieces, without its line
   end. The caller empties partial_line where the text ends. */
void pop3_client_lines(struct pop3_client *client,
		       const unsigned char *data, size_t size,
		       void (*callback)(struct pop3_client *client,
					const char *line));
/* TRUE if the server takes commands before it has answered the last one. */
bool pop3_client_pipelines(const struct pop3_client *client);

/* TRUE if one of the words is anywhere in the line, in any case. */
bool pop3_line_has_word(const char *line, const char *const *words);
/* Answers that mean "later", wherever they come (RFC 2449, 3206), and Gmail's
   and others' words for the same. */
bool pop3_reply_is_temporary(const char *line);

#endif
