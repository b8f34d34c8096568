/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CLIENT_STREAMS_H
#define CLIENT_STREAMS_H

struct istream;
struct ostream;
struct ssl_iostream;
struct mail_user;

/* The text of a multi-line POP3 reply: dots removed, ends at the line with a
   single dot, whatever line ends the server uses. */
struct istream *client_stream_create_dot(struct istream *input);

/* Begins TLS on a connection, with the user's ssl_client_* settings. Replaces
   both streams; the handshake goes on while they are read and written. The
   certificate must be valid and made for host, unless allow_invalid_cert.
   Returns 0, or -1 and error_r. */
int client_stream_start_tls(struct mail_user *user, const char *host,
			    bool allow_invalid_cert,
			    struct istream **input, struct ostream **output,
			    struct ssl_iostream **ssl_iostream_r,
			    const char **error_r);

#endif
