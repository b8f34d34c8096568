/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hex-binary.h"
#include "ioloop.h"
#include "ostream.h"
#include "randgen.h"
#include "sleep.h"
#include "str.h"
#include "str-sanitize.h"
#include "time-util.h"
#include "program-client.h"
#include "outside-clients.h"
#include "oauth2-file.h"
#include "oauth2-http.h"
#include "oauth2-jwt.h"
#include "oauth2-key.h"
#include "oauth2-sasl.h"
#include "oauth2-settings.h"
#include "oauth2-fetch.h"

#include <unistd.h>

/* one request, and one start of a command */
#define REQUEST_TIMEOUT_MSECS (20*1000)
/* Google refuses longer ones */
#define GOOGLE_ASSERTION_LIFETIME_SECS 3600
#define CLIENT_ASSERTION_LIFETIME_SECS 600
#define MAX_COMMAND_OUTPUT (64*1024)

/* What one request is made of. */
struct fetch_request {
	const struct migration_oauth2_fetch *fetch;
	struct migration_oauth2_form form;
	const char *url;
	/* shown nowhere */
	const char *key;
	/* certificate's */
	const char *x5t, *x5t_s256;
	struct migration_oauth2_account account;
	/* holds the lock of the refresh token's file, or -1 */
	int refresh_fd;
};

static uint64_t now_msecs(void)
{
	struct timeval tv;

	i_gettimeofday(&tv);
	return tv.tv_sec * 1000ULL + tv.tv_usec / 1000;
}

static int
fetch_fail(struct migration_oauth2_fetched *fetched_r,
	   enum migration_oauth2_problem problem, const char *advice)
{
	fetched_r->problem = problem;
	fetched_r->advice = advice;
	return -1;
}

/* A file that cannot be used: the setting and why. */
static int
fetch_fail_file(struct migration_oauth2_fetched *fetched_r,
		const char *setting, const char *error)
{
	return fetch_fail(fetched_r, MIGRATION_OAUTH2_PROBLEM_SETTINGS,
		t_strdup_printf("migration_oauth2_%s: %s", setting, error));
}

static void
fetched_set(struct migration_oauth2_fetched *fetched_r,
	    const struct migration_oauth2_response *response, uint64_t asked)
{
	fetched_r->token.token = response->access_token;
	fetched_r->token.scope = response->scope == NULL ? "" : response->scope;
	/* it lives from when it was made, which was not before we asked */
	fetched_r->token.obtained_msecs = asked;
	fetched_r->token.expires_msecs =
		asked + response->lifetime_secs * 1000ULL;
}

/* --- token file and token command --- */

static int
fetch_from_file(const struct migration_oauth2_fetch *fetch,
		struct migration_oauth2_fetched *fetched_r)
{
	struct migration_oauth2_response response;
	pool_t pool = pool_datastack_create();
	const char *text, *error;

	if (migration_oauth2_file_read(pool, fetch->config->token_file, &text,
				       &error) < 0)
		return fetch_fail_file(fetched_r, "token_file", error);
	if (migration_oauth2_token_text_parse(pool, text, &response,
					      &error) < 0) {
		return fetch_fail_file(fetched_r, "token_file",
			t_strdup_printf("%s: %s", fetch->config->token_file,
					error));
	}
	fetched_r->is_for_one_login = TRUE;
	fetched_set(fetched_r, &response, now_msecs());
	return 0;
}

/* Returns what the program did, and its output. */
static enum program_client_exit_status
command_run(const struct migration_oauth2_fetch *fetch,
	    const char *const *words, string_t *output)
{
	/* like for requests: an ioloop of its own */
	struct ioloop *ioloop = io_loop_create();
	struct program_client *client;
	enum program_client_exit_status status;
	struct ostream *stream;

	client = outside_program_init(fetch->event, words[0], words + 1,
		I_MIN(fetch->set->timeout * 1000, REQUEST_TIMEOUT_MSECS));
	stream = o_stream_create_buffer(output);
	program_client_set_output(client, stream);
	o_stream_unref(&stream);
	status = program_client_run(client);
	program_client_destroy(&client);
	io_loop_set_current(ioloop);
	io_loop_destroy(&ioloop);
	return status;
}

static int
fetch_from_command(const struct migration_oauth2_fetch *fetch,
		   struct migration_oauth2_fetched *fetched_r)
{
	const char *const *words =
		t_strsplit_spaces(fetch->config->token_command, " ");
	struct migration_oauth2_response response;
	uint64_t asked = now_msecs();
	string_t *output = t_str_new(4096);
	const char *error;

	if (access(words[0], X_OK) < 0) {
		return fetch_fail_file(fetched_r, "token_command",
			t_strdup_printf("%s cannot be started: %m", words[0]));
	}
	if (command_run(fetch, words, output) !=
	    PROGRAM_CLIENT_EXIT_STATUS_SUCCESS) {
		return fetch_fail(fetched_r,
			MIGRATION_OAUTH2_PROBLEM_TEMPORARY, t_strdup_printf(
			"migration_oauth2_token_command: %s failed or took too "
			"long (what it writes to stderr is in the log)",
			words[0]));
	}
	if (str_len(output) > MAX_COMMAND_OUTPUT)
		str_truncate(output, MAX_COMMAND_OUTPUT);
	if (migration_oauth2_token_text_parse(pool_datastack_create(),
			str_c(output), &response, &error) < 0) {
		return fetch_fail_file(fetched_r, "token_command",
			t_strdup_printf("%s printed something else than a "
					"token: %s", words[0], error));
	}
	fetched_r->is_for_one_login = !response.lifetime_known;
	fetched_set(fetched_r, &response, asked);
	return 0;
}

/* --- token server --- */

static const char *random_id(void)
{
	unsigned char id[16];

	random_fill(id, sizeof(id));
	return binary_to_hex(id, sizeof(id));
}

/* Returns 0, or -1 after fetch_fail(). */
static int
request_sign(struct fetch_request *request,
	     const struct migration_oauth2_jwt *jwt,
	     struct migration_oauth2_fetched *fetched_r)
{
	string_t *str = t_str_new(1024);
	buffer_t *signature = t_buffer_create(512);
	const char *error;

	migration_oauth2_jwt_append(str, jwt);
	if (migration_oauth2_sign(request->key, str_data(str), str_len(str),
				  signature, &error) < 0) {
		return fetch_fail_file(fetched_r, "key_file",
			t_strdup_printf("%s: %s",
				request->fetch->config->key_file, error));
	}
	migration_oauth2_jwt_append_signature(str, signature->data,
					      signature->used);
	request->form.assertion = str_c(str);
	return 0;
}

static int
request_sign_user(struct fetch_request *request,
		  struct migration_oauth2_fetched *fetched_r)
{
	const struct migration_oauth2_jwt jwt = {
		.key_id = request->account.private_key_id,
		.issuer = request->account.client_email,
		.subject = request->fetch->login_user,
		.audience = request->url,
		.scope = request->form.scope,
		.issued_at = time(NULL),
		.lifetime_secs = GOOGLE_ASSERTION_LIFETIME_SECS,
	};

	return request_sign(request, &jwt, fetched_r);
}

static int
request_sign_client(struct fetch_request *request,
		    struct migration_oauth2_fetched *fetched_r)
{
	const struct migration_oauth2_jwt jwt = {
		.x5t = request->x5t,
		.x5t_s256 = request->x5t_s256,
		.issuer = request->form.client_id,
		.subject = request->form.client_id,
		.audience = request->url,
		.jwt_id = random_id(),
		.issued_at = time(NULL),
		.lifetime_secs = CLIENT_ASSERTION_LIFETIME_SECS,
	};

	return request_sign(request, &jwt, fetched_r);
}

/* The assertion holds the time: a new one for each request. */
static int
request_renew_assertion(struct fetch_request *request,
			struct migration_oauth2_fetched *fetched_r)
{
	if (request->key == NULL)
		return 0;
	return request->form.grant == MIGRATION_OAUTH2_GRANT_JWT ?
		request_sign_user(request, fetched_r) :
		request_sign_client(request, fetched_r);
}

static int
request_read_account(struct fetch_request *request, const char *text,
		     struct migration_oauth2_fetched *fetched_r)
{
	const char *error;

	if (migration_oauth2_account_parse(pool_datastack_create(), text,
					   &request->account, &error) < 0) {
		return fetch_fail_file(fetched_r, "key_file",
			t_strdup_printf("%s: %s",
				request->fetch->config->key_file, error));
	}
	request->key = request->account.private_key;
	return 0;
}

static int
request_read_certificate(struct fetch_request *request,
			 struct migration_oauth2_fetched *fetched_r)
{
	const char *path = request->fetch->config->certificate_file;
	const char *text, *error;

	if (path[0] == '\0')
		return 0;
	if (migration_oauth2_file_read(pool_datastack_create(), path, &text,
				       &error) < 0)
		return fetch_fail_file(fetched_r, "certificate_file", error);
	if (migration_oauth2_certificate_ids(text, &request->x5t,
					     &request->x5t_s256, &error) < 0) {
		return fetch_fail_file(fetched_r, "certificate_file",
			t_strdup_printf("%s: %s", path, error));
	}
	return 0;
}

static int
request_read_key(struct fetch_request *request,
		 struct migration_oauth2_fetched *fetched_r)
{
	const struct migration_oauth2_config *config = request->fetch->config;
	const char *text, *error;

	if (config->key_file[0] == '\0')
		return 0;
	if (migration_oauth2_file_read(pool_datastack_create(),
				       config->key_file, &text, &error) < 0)
		return fetch_fail_file(fetched_r, "key_file", error);
	if (request->form.grant == MIGRATION_OAUTH2_GRANT_JWT)
		return request_read_account(request, text, fetched_r);
	request->key = text;
	return request_read_certificate(request, fetched_r);
}

static int
request_read_secret(struct fetch_request *request,
		    struct migration_oauth2_fetched *fetched_r)
{
	const char *path = request->fetch->config->client_secret_file;
	const char *error;

	if (path[0] == '\0')
		return 0;
	if (migration_oauth2_file_read_line(pool_datastack_create(), path,
			&request->form.client_secret, &error) < 0)
		return fetch_fail_file(fetched_r, "client_secret_file", error);
	return 0;
}

/* The lock is held until the answer was stored: a server that replaces refresh
   tokens may take the old one's second use for theft. */
static int
request_read_refresh_token(struct fetch_request *request,
			   struct migration_oauth2_fetched *fetched_r)
{
	const char *path = request->fetch->config->refresh_token_file;
	const char *error;
	int ret;

	if (request->form.grant != MIGRATION_OAUTH2_GRANT_REFRESH)
		return 0;
	ret = migration_oauth2_file_lock(path, FALSE,
					 request->fetch->set->timeout,
					 &request->refresh_fd, &error);
	if (ret == 0) {
		return fetch_fail(fetched_r,
			MIGRATION_OAUTH2_PROBLEM_TEMPORARY, t_strdup_printf(
			"another process has been using %s longer than "
			"migration_oauth2_timeout", path));
	}
	if (ret < 0 || migration_oauth2_file_read_line(pool_datastack_create(),
			path, &request->form.refresh_token, &error) < 0)
		return fetch_fail_file(fetched_r, "refresh_token_file", error);
	return 0;
}

static int
request_init(struct fetch_request *request,
	     const struct migration_oauth2_fetch *fetch,
	     struct migration_oauth2_fetched *fetched_r)
{
	i_zero(request);
	request->fetch = fetch;
	request->refresh_fd = -1;
	request->form.grant = fetch->grant;
	request->form.client_id = fetch->config->client_id;
	request->form.scope = migration_oauth2_scope(fetch->config,
						     fetch->grant);
	if (request_read_key(request, fetched_r) < 0 ||
	    request_read_secret(request, fetched_r) < 0 ||
	    request_read_refresh_token(request, fetched_r) < 0)
		return -1;
	request->url = migration_oauth2_token_url(fetch->config,
						  request->account.token_uri);
	if (strncasecmp(request->url, "https://", 8) != 0) {
		return fetch_fail_file(fetched_r, "key_file", t_strdup_printf(
			"its token_uri does not begin with https://: %s",
			str_sanitize(request->url, 80)));
	}
	return 0;
}

/* A server that repeats what it was sent must not bring it into a log. text may
   be NULL. */
static const char *
request_mask(const struct fetch_request *request, const char *text)
{
	if (text == NULL)
		return NULL;
	text = migration_oauth2_mask(text, request->form.client_secret);
	text = migration_oauth2_mask(text, request->form.refresh_token);
	return migration_oauth2_mask(text, request->form.assertion);
}

/* Microsoft and others replace the refresh token at each use. It is stored
   before the access token is used. */
static void
request_store_refresh_token(struct fetch_request *request,
			    const struct migration_oauth2_response *response)
{
	const char *path = request->fetch->config->refresh_token_file;
	const char *error;

	if (request->form.grant != MIGRATION_OAUTH2_GRANT_REFRESH ||
	    response->refresh_token == NULL ||
	    response->refresh_token[0] == '\0' ||
	    strpbrk(response->refresh_token, "\r\n") != NULL ||
	    strcmp(response->refresh_token, request->form.refresh_token) == 0)
		return;
	if (migration_oauth2_file_write(path,
			t_strconcat(response->refresh_token, "\n", NULL),
			&error) < 0) {
		e_error(request->fetch->event, "The provider has replaced the "
			"refresh token, but the new one cannot be stored "
			"(migration_oauth2_refresh_token_file). If the old one "
			"is not accepted any more, the user has to consent "
			"again: %s", error);
	} else {
		e_debug(request->fetch->event, "the provider has replaced the "
			"refresh token: stored in %s", path);
	}
}

/* One request. Returns 0, or -1 with the problem set. */
static int
request_send(struct fetch_request *request, uint64_t deadline,
	     unsigned int *retry_after_r,
	     struct migration_oauth2_fetched *fetched_r)
{
	const struct migration_oauth2_fetch *fetch = request->fetch;
	uint64_t asked = now_msecs();
	string_t *body = t_str_new(2048);
	const struct migration_oauth2_post post = {
		.url = request->url,
		.proxy = fetch->set->proxy,
		.body = body,
		.timeout_msecs = asked + 1000 > deadline ? 1000 :
			I_MIN(deadline - asked, REQUEST_TIMEOUT_MSECS),
		.user = fetch->user,
	};
	struct migration_oauth2_response response;
	const char *advice, *error;
	bool certificate;

	*retry_after_r = 0;
	if (request_renew_assertion(request, fetched_r) < 0)
		return -1;
	migration_oauth2_append_form(body, &request->form);
	if (migration_oauth2_http_post(pool_datastack_create(), &post,
				       &response, &certificate, &error) < 0) {
		return fetch_fail(fetched_r, certificate ?
			MIGRATION_OAUTH2_PROBLEM_SETTINGS :
			MIGRATION_OAUTH2_PROBLEM_TEMPORARY, t_strdup_printf(
			"cannot ask %s: %s%s", request->url, error,
			certificate ? " (ssl_client_ca_file)" : ""));
	}
	*retry_after_r = response.retry_after_secs;
	response.error = request_mask(request, response.error);
	response.error_description =
		request_mask(request, response.error_description);
	fetched_r->problem = migration_oauth2_judge(&response, fetch->grant,
		fetch->login_user, asked / 1000, &advice);
	if (fetched_r->problem != MIGRATION_OAUTH2_PROBLEM_NONE) {
		fetched_r->advice = advice;
		return -1;
	}
	request_store_refresh_token(request, &response);
	fetched_set(fetched_r, &response, asked);
	return 0;
}

/* Waits before the next try. Returns FALSE if the time does not suffice. */
static bool
request_wait(const struct migration_oauth2_fetch *fetch, unsigned int msecs,
	     uint64_t deadline, const char *why)
{
	if (now_msecs() + msecs >= deadline)
		return FALSE;
	e_debug(fetch->event, "asking for a token again in %u ms: %s",
		msecs, why);
	return i_sleep_intr_msecs(msecs);
}

static int
request_run(struct fetch_request *request, uint64_t deadline,
	    struct migration_oauth2_fetched *fetched_r)
{
	const struct migration_oauth2_fetch *fetch = request->fetch;
	unsigned int tries = 0, retry_after, msecs, random_number;

	while (request_send(request, deadline, &retry_after, fetched_r) < 0) {
		if (!migration_oauth2_problem_is_temporary(fetched_r->problem))
			return -1;
		random_fill(&random_number, sizeof(random_number));
		msecs = migration_oauth2_backoff_msecs(tries++, retry_after,
						       random_number);
		if (retry_after != 0)
			fetched_r->not_before_msecs = now_msecs() + msecs;
		if (!request_wait(fetch, msecs, deadline, fetched_r->advice)) {
			fetched_r->advice = t_strdup_printf(
				"%s; %u tries, and the next one would be after "
				"migration_oauth2_timeout", fetched_r->advice,
				tries);
			return -1;
		}
	}
	return 0;
}

static int
fetch_from_server(const struct migration_oauth2_fetch *fetch,
		  struct migration_oauth2_fetched *fetched_r)
{
	uint64_t now = now_msecs();
	uint64_t deadline = now + fetch->set->timeout * 1000ULL;
	struct fetch_request request;
	int ret;

	if (fetch->not_before_msecs > now &&
	    !request_wait(fetch, fetch->not_before_msecs - now, deadline,
			  "the server said so to another process")) {
		return fetch_fail(fetched_r,
			MIGRATION_OAUTH2_PROBLEM_THROTTLED, t_strdup_printf(
			"the token server does not want to be asked for %u "
			"more seconds", (unsigned int)
			((fetch->not_before_msecs - now + 999) / 1000)));
	}
	ret = request_init(&request, fetch, fetched_r);
	if (ret == 0)
		ret = request_run(&request, deadline, fetched_r);
	i_close_fd(&request.refresh_fd);
	return ret;
}

int migration_oauth2_fetch(const struct migration_oauth2_fetch *fetch,
			   struct migration_oauth2_fetched *fetched_r)
{
	i_zero(fetched_r);
	switch (fetch->grant) {
	case MIGRATION_OAUTH2_GRANT_FILE:
		return fetch_from_file(fetch, fetched_r);
	case MIGRATION_OAUTH2_GRANT_COMMAND:
		return fetch_from_command(fetch, fetched_r);
	case MIGRATION_OAUTH2_GRANT_REFRESH:
	case MIGRATION_OAUTH2_GRANT_JWT:
	case MIGRATION_OAUTH2_GRANT_CLIENT:
		return fetch_from_server(fetch, fetched_r);
	}
	i_unreached();
}
