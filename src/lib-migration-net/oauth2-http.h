/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_HTTP_H
#define OAUTH2_HTTP_H

struct mail_user;
struct migration_oauth2_response;

struct migration_oauth2_post {
	/* https: */
	const char *url;
	/* of a proxy, or "" */
	const char *proxy;
	/* a form */
	const string_t *body;
	unsigned int timeout_msecs;
	/* whose ssl_client_* settings are used */
	struct mail_user *user;
};

/* Sends one request and waits for the answer, in an ioloop of its own that
   leaves nothing behind: it can be called from within other loops, such as
   imapc's. Returns 0 and response_r (allocated from the pool) for an answer of
   whatever kind, or -1 and error_r (data stack) if there was none.
   certificate_r is then set if it is the server's certificate that was
   refused. */
int migration_oauth2_http_post(pool_t pool,
			       const struct migration_oauth2_post *post,
			       struct migration_oauth2_response *response_r,
			       bool *certificate_r, const char **error_r);

#endif
