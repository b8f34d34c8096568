/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "http-client.h"
#include "http-url.h"
#include "iostream-ssl.h"
#include "program-client.h"
#include "mail-user.h"
#include "outside-clients.h"

/* connecting to one address */
#define OUTSIDE_CONNECT_TIMEOUT_MSECS (10*1000)

static int
proxy_parse(pool_t pool, const char *proxy_url, struct http_url **url_r,
	    const char **error_r)
{
	const char *error;

	*url_r = NULL;
	if (proxy_url[0] == '\0')
		return 0;
	if (http_url_parse(proxy_url, NULL, HTTP_URL_ALLOW_USERINFO_PART,
			   pool, url_r, &error) < 0) {
		*error_r = t_strdup_printf("the proxy's URL is wrong: %s",
					   error);
		return -1;
	}
	return 0;
}

#if DOVECOT_PREREQ(2, 4, 0)

#include "settings.h"
#include "ssl-settings.h"

static int
outside_ssl_init(struct mail_user *user, struct http_client *client,
		 const char **error_r)
{
	const struct ssl_settings *ssl_set;
	const struct ssl_iostream_settings *original, *set;
	struct ssl_iostream_settings *copy;
	pool_t pool;

	if (ssl_client_settings_get(user->event, &ssl_set, error_r) < 0)
		return -1;
	ssl_client_settings_to_iostream_set(ssl_set, &original);
	pool = pool_alloconly_create("outside ssl", 1024);
	copy = p_memdup(pool, original, sizeof(*original));
	copy->pool = pool;
	pool_add_external_ref(pool, original->pool);
	copy->verify_remote_cert = TRUE;
	copy->allow_invalid_cert = FALSE;
	/* The TLS contexts are cached by these settings and keep the protocol
	   (ALPN) of their first user: with another one than imapc's neither
	   is offered the other's (QUIRKS.md, "alpn-of-cached-context"). */
	copy->tickets = !copy->tickets;
	settings_free(original);
	settings_free(ssl_set);
	http_client_set_ssl_settings(client, copy);
	set = copy;
	settings_free(set);
	return 0;
}

int outside_http_client_init(struct mail_user *user, const char *proxy_url,
			     unsigned int timeout_msecs,
			     struct http_client **client_r,
			     const char **error_r)
{
	struct http_client_settings *set;
	struct http_client *client;
	pool_t pool = pool_alloconly_create("outside http", 2048);

	set = p_new(pool, struct http_client_settings, 1);
	http_client_settings_init(pool, set);
	pool_unref(&pool);
	set->request_absolute_timeout_msecs = timeout_msecs;
	set->request_timeout_msecs = timeout_msecs;
	set->connect_timeout_msecs =
		I_MIN(timeout_msecs, OUTSIDE_CONNECT_TIMEOUT_MSECS);
	set->request_max_attempts = 1;
	set->auto_retry = FALSE;
	set->auto_redirect = FALSE;
	if (proxy_parse(set->pool, proxy_url, &set->parsed_proxy_url,
			error_r) < 0) {
		pool_unref(&set->pool);
		return -1;
	}
	set->proxy_url = p_strdup(set->pool, proxy_url);
	/* takes over the settings */
	client = http_client_init_private(set, user->event);
	if (outside_ssl_init(user, client, error_r) < 0) {
		http_client_deinit(&client);
		return -1;
	}
	*client_r = client;
	return 0;
}

struct program_client *
outside_program_init(struct event *event, const char *path,
		     const char *const *args, unsigned int timeout_msecs)
{
	const struct program_client_parameters params = {
		.client_connect_timeout_msecs = timeout_msecs,
		.input_idle_timeout_msecs = timeout_msecs,
	};

	return program_client_local_create(event, path, args, &params);
}

#else

#include "restrict-access.h"

int outside_http_client_init(struct mail_user *user, const char *proxy_url,
			     unsigned int timeout_msecs,
			     struct http_client **client_r,
			     const char **error_r)
{
	struct ssl_iostream_settings ssl_set;
	struct http_client_settings set;
	struct http_url *proxy;

	/* used only while the client is made, which copies it */
	if (proxy_parse(pool_datastack_create(), proxy_url, &proxy,
			error_r) < 0)
		return -1;
	mail_user_init_ssl_client_settings(user, &ssl_set);
	ssl_set.allow_invalid_cert = FALSE;
	/* else a refused certificate is reported as a lost connection */
	ssl_set.verbose_invalid_cert = TRUE;
	i_zero(&set);
	set.ssl = &ssl_set;
	set.proxy_url = proxy;
	set.request_absolute_timeout_msecs = timeout_msecs;
	set.request_timeout_msecs = timeout_msecs;
	set.connect_timeout_msecs =
		I_MIN(timeout_msecs, OUTSIDE_CONNECT_TIMEOUT_MSECS);
	set.max_attempts = 1;
	set.no_auto_retry = TRUE;
	set.no_auto_redirect = TRUE;
	set.event_parent = user->event;
	*client_r = http_client_init_private(&set);
	return 0;
}

struct program_client *
outside_program_init(struct event *event, const char *path,
		     const char *const *args, unsigned int timeout_msecs)
{
	struct program_client_settings set = {
		.client_connect_timeout_msecs = timeout_msecs,
		.input_idle_timeout_msecs = timeout_msecs,
		.event = event,
		.allow_root = TRUE,
	};

	restrict_access_init(&set.restrict_set);
	return program_client_local_create(path, args, &set);
}

#endif
