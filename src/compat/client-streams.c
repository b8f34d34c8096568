/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "istream-dot.h"
#include "ostream.h"
#include "iostream-ssl.h"
#include "mail-user.h"
#include "client-streams.h"

#if DOVECOT_PREREQ(2, 4, 0)

#include "settings.h"
#include "ssl-settings.h"

struct istream *client_stream_create_dot(struct istream *input)
{
	return i_stream_create_dot(input, ISTREAM_DOT_LOOSE_EOT);
}

/* Not from the cache that io_stream_autocreate_ssl_client() uses: there a
   context keeps the protocol (ALPN) of its first user, so that after imapc a
   POP3S server would be offered "imap", which Dovecot 2.4's refuses
   (QUIRKS.md, "alpn-of-cached-context"). */
static int
tls_context_init(struct mail_user *user, struct ssl_iostream_context **context_r,
		 const char **error_r)
{
	static const char *const protocols[] = { "pop3", NULL };
	const struct ssl_settings *ssl_set;
	const struct ssl_iostream_settings *set;
	int ret;

	if (ssl_client_settings_get(user->event, &ssl_set, error_r) < 0)
		return -1;
	ssl_client_settings_to_iostream_set(ssl_set, &set);
	settings_free(ssl_set);
	ret = ssl_iostream_context_init_client(set, context_r, error_r);
	settings_free(set);
	if (ret < 0)
		return -1;
	ssl_iostream_context_set_application_protocols(*context_r, protocols);
	return 0;
}

static int
start_tls(struct mail_user *user, const char *host, bool allow_invalid_cert,
	  struct istream **input, struct ostream **output,
	  struct ssl_iostream **ssl_iostream_r, const char **error_r)
{
	struct ssl_iostream_context *context;
	int ret;

	if (tls_context_init(user, &context, error_r) < 0)
		return -1;
	ret = io_stream_create_ssl_client(context, host, user->event,
		allow_invalid_cert ? SSL_IOSTREAM_FLAG_ALLOW_INVALID_CERT : 0,
		input, output, ssl_iostream_r, error_r);
	ssl_iostream_context_unref(&context);
	return ret;
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
