/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "istream-dot.h"
#include "ostream.h"
#include "iostream-ssl.h"
#include "mail-user.h"
#include "client-streams.h"

#if DOVECOT_PREREQ(2, 4, 0)

struct istream *client_stream_create_dot(struct istream *input)
{
	return i_stream_create_dot(input, ISTREAM_DOT_LOOSE_EOT);
}

static int
start_tls(struct mail_user *user, const char *host, bool allow_invalid_cert,
	  struct istream **input, struct ostream **output,
	  struct ssl_iostream **ssl_iostream_r, const char **error_r)
{
	const struct ssl_iostream_client_autocreate_parameters params = {
		.event_parent = user->event,
		.host = host,
		.flags = allow_invalid_cert ?
			SSL_IOSTREAM_FLAG_ALLOW_INVALID_CERT : 0,
	};

	return io_stream_autocreate_ssl_client(&params, input, output,
					       ssl_iostream_r, error_r);
}

#else

struct istream *client_stream_create_dot(struct istream *input)
{
	return i_stream_create_dot(input, TRUE);
}

static int
start_tls(struct mail_user *user, const char *host, bool allow_invalid_cert,
	  struct istream **input, struct ostream **output,
	  struct ssl_iostream **ssl_iostream_r, const char **error_r)
{
	struct ssl_iostream_settings set;
	struct ssl_iostream_context *context;
	int ret;

	mail_user_init_ssl_client_settings(user, &set);
	/* else an invalid certificate is reported as a lost connection */
	set.verbose_invalid_cert = TRUE;
	set.allow_invalid_cert = allow_invalid_cert;
	if (ssl_iostream_client_context_cache_get(&set, &context, error_r) < 0)
		return -1;
	ret = io_stream_create_ssl_client(context, host, &set, input, output,
					  ssl_iostream_r, error_r);
	ssl_iostream_context_unref(&context);
	return ret;
}

#endif

int client_stream_start_tls(struct mail_user *user, const char *host,
			    bool allow_invalid_cert,
			    struct istream **input, struct ostream **output,
			    struct ssl_iostream **ssl_iostream_r,
			    const char **error_r)
{
	if (start_tls(user, host, allow_invalid_cert, input, output,
		      ssl_iostream_r, error_r) < 0)
		return -1;
	if (ssl_iostream_handshake(*ssl_iostream_r) < 0) {
		*error_r = t_strdup(ssl_iostream_get_last_error(*ssl_iostream_r));
		return -1;
	}
	return 0;
}
