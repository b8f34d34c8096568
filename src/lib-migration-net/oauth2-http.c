/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "ioloop.h"
#include "istream.h"
#include "str.h"
#include "safe-memset.h"
#include "http-client.h"
#include "http-response.h"
#include "outside-clients.h"
#include "oauth2-response.h"
#include "oauth2-http.h"

/* tokens have at most some 10 kB */
#define MAX_BODY_SIZE (512*1024)

struct post_context {
	struct migration_oauth2_response *response;
	string_t *body;
	struct istream *payload;
	struct io *io;
	/* NULL if the server answered */
	char *error;
};

static void post_fail(struct post_context *ctx, const char *error)
{
	if (ctx->error == NULL)
		ctx->error = i_strdup(error);
}

static void post_payload_end(struct post_context *ctx)
{
	io_remove(&ctx->io);
	i_stream_unref(&ctx->payload);
}

static void post_payload(struct post_context *ctx)
{
	const unsigned char *data;
	size_t size;
	ssize_t ret;

	while ((ret = i_stream_read_more(ctx->payload, &data, &size)) > 0) {
		if (str_len(ctx->body) + size <= MAX_BODY_SIZE)
			str_append_data(ctx->body, data, size);
		i_stream_skip(ctx->payload, size);
	}
	if (ret == 0)
		return;
	if (ctx->payload->stream_errno != 0)
		post_fail(ctx, i_stream_get_error(ctx->payload));
	post_payload_end(ctx);
}

/* "120", or a date, which is of the server's clock. */
static unsigned int retry_after_secs(const struct http_response *http)
{
	const char *value = http_response_header_get(http, "Retry-After");
	unsigned int secs;

	if (value == NULL)
		return 0;
	if (str_to_uint(value, &secs) == 0)
		return secs;
	if (http->date == (time_t)-1 || http->retry_after == (time_t)-1 ||
	    http->retry_after <= http->date)
		return 0;
	return http->retry_after - http->date;
}

static void
post_answered(const struct http_response *http, struct post_context *ctx)
{
	struct migration_oauth2_response *response = ctx->response;

	if (http->status >= HTTP_CLIENT_REQUEST_ERROR_ABORTED) {
		post_fail(ctx, http_response_get_message(http));
		return;
	}
	response->http_status = http->status;
	response->server_time = http->date == (time_t)-1 ? 0 : http->date;
	response->retry_after_secs = retry_after_secs(http);
	if (http->payload == NULL)
		return;
	ctx->payload = http->payload;
	i_stream_ref(ctx->payload);
	ctx->io = io_add_istream(ctx->payload, post_payload, ctx);
	post_payload(ctx);
}

static int
post_run(const struct migration_oauth2_post *post, struct post_context *ctx,
	 const char **error_r)
{
	struct http_client *client;
	struct http_client_request *request;

	if (outside_http_client_init(post->user, post->proxy,
				     post->timeout_msecs, &client,
				     error_r) < 0)
		return -1;
	request = http_client_request_url_str(client, "POST", post->url,
					      post_answered, ctx);
	http_client_request_add_header(request, "Content-Type",
		"application/x-www-form-urlencoded");
	http_client_request_add_header(request, "Accept", "application/json");
	http_client_request_set_payload_data(request, str_data(post->body),
					     str_len(post->body));
	http_client_request_submit(request);
	http_client_wait(client);
	/* an answer that was cut off */
	if (ctx->payload != NULL) {
		post_fail(ctx, "the answer was cut off");
		post_payload_end(ctx);
	}
	http_client_deinit(&client);
	return 0;
}

int migration_oauth2_http_post(pool_t pool,
			       const struct migration_oauth2_post *post,
			       struct migration_oauth2_response *response_r,
			       bool *certificate_r, const char **error_r)
{
	struct ioloop *previous = current_ioloop, *ioloop;
	struct post_context ctx = { .response = response_r };
	int ret;

	i_zero(response_r);
	*certificate_r = FALSE;
	ctx.body = str_new(default_pool, 4096);
	/* The client must not outlive this loop: kept, it would leave its ios
	   in whatever loop is current the next time. */
	ioloop = io_loop_create();
	ret = post_run(post, &ctx, error_r);
	io_loop_set_current(ioloop);
	io_loop_destroy(&ioloop);
	i_assert(current_ioloop == previous);

	if (ret == 0 && ctx.error != NULL) {
		*error_r = t_strdup(ctx.error);
		*certificate_r = strstr(ctx.error, "certificate") != NULL;
		ret = -1;
	}
	if (ret == 0) {
		migration_oauth2_response_parse(pool, str_c(ctx.body),
						str_len(ctx.body), response_r);
	}
	safe_memset(str_c_modifiable(ctx.body), 0, str_len(ctx.body));
	str_free(&ctx.body);
	i_free(ctx.error);
	return ret;
}
