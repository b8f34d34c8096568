/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef POP3_CONNECTION_H
#define POP3_CONNECTION_H

#include "net.h"

struct mail_user;
struct pop3_connection;

/* A POP3 connection: bytes, lines and replies in the order of the commands, but
   no knowledge of what the commands mean. Works synchronously: each
   pop3_connection_wait() runs an ioloop of its own and leaves nothing behind in
   any loop, so that it may be used between the calls of code that has loops of
   its own (imapc). */

struct pop3_connection_settings {
	const char *host;
	in_port_t port;
	/* TLS from the first byte */
	bool tls;
	bool allow_invalid_cert;
	/* whose ssl_client_* settings are used; also the event's parent */
	struct mail_user *user;
	unsigned int connect_timeout_msecs;
	/* longest silence while a reply is expected */
	unsigned int read_timeout_msecs;
};

struct pop3_connection_stats {
	/* times that commands were sent while nothing was in flight */
	unsigned int waits;
	uint64_t bytes_in;
};

struct pop3_reply {
	/* what the command was given */
	uint32_t number;
	/* "+OK", or "+" of a SASL challenge */
	bool ok;
	/* the first line without its line end, data stack */
	const char *line;
};

struct pop3_command {
	/* text without CRLF, NULL for the greeting, which nothing asks for */
	const char *line;
	/* +OK is followed by lines up to a dot */
	bool multiline;
	uint32_t number;
	/* a piece of the text, as often as needed; may be NULL */
	void (*data)(void *context, uint32_t number,
		     const unsigned char *data, size_t size);
	/* the reply is complete. May send further commands. May be NULL. */
	void (*finished)(void *context, const struct pop3_reply *reply);
	void *context;
};

/* Connect, with TLS if so set. Returns 0 and conn_r, else -1 and error_r. The
   greeting has still to be waited for. */
int pop3_connection_init(const struct pop3_connection_settings *set,
			 struct pop3_connection **conn_r,
			 const char **error_r);
void pop3_connection_deinit(struct pop3_connection **conn);

/* Queue a command and expect its reply. The line is copied. */
void pop3_connection_send(struct pop3_connection *conn,
			  const struct pop3_command *command);
/* Commands that have no reply yet. */
unsigned int pop3_connection_pending(struct pop3_connection *conn);
/* Wait until all replies are there. Returns 0, or -1 and error_r if the
   connection is lost, silent for too long or talks nonsense; then it cannot be
   used any more. */
int pop3_connection_wait(struct pop3_connection *conn, const char **error_r);
/* Begin TLS after the server agreed to STLS. */
int pop3_connection_start_tls(struct pop3_connection *conn,
			      const char **error_r);

const struct pop3_connection_stats *
pop3_connection_get_stats(struct pop3_connection *conn);

#endif
