/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OUTSIDE_CLIENTS_H
#define OUTSIDE_CLIENTS_H

struct mail_user;
struct event;
struct http_client;
struct program_client;

/* A HTTP client of its own for one request, with the user's ssl_client_*
   settings. Certificates are always verified, also where
   ssl_client_require_valid_cert allows others for mail. It neither retries
   nor follows redirects. proxy_url may be "". timeout_msecs is for the whole
   request. Returns 0, or -1 and error_r (data stack). */
int outside_http_client_init(struct mail_user *user, const char *proxy_url,
			     unsigned int timeout_msecs,
			     struct http_client **client_r,
			     const char **error_r);

/* A program that is started with the arguments (without its own name), as the
   user that this process is. Its stderr is ours. */
struct program_client *
outside_program_init(struct event *event, const char *path,
		     const char *const *args, unsigned int timeout_msecs);

#endif
