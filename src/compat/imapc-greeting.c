/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "ioloop-private.h"
#include "istream-private.h"
#include "ostream-private.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "compat-imapc.h"
#include "imapc-greeting.h"

/* What is longer is no greeting (RFC 2683 3.2.1.5: 1000 octets for a client,
   8000 for a server). */
#define GREETING_MAX_SIZE 8192

/* How struct imapc_connection begins, in 2.3 and in 2.4. Dovecot has it in
   imapc-connection.c only; these modules are built for one build of Dovecot. */
struct connection_begin {
	struct imapc_client *client;
	void *name_or_event;
	int refcount;

	int fd;
	struct io *io;
	struct istream *input, *raw_input;
	struct ostream *output, *raw_output;
};

/* One at a time: a process logs in to one server, and streams have no place for
   a context of ours. */
static struct {
	struct imapc_client *client;
	/* what the connection was read from when it was looked at */
	struct istream *latest;
	/* the stream whose next bytes are the greeting, or NULL */
	struct istream *input;
	ssize_t (*super_read)(struct istream_private *stream);
	stream_flush_callback_t *super_connected;
	string_t *line;
} watched;

static void unwatch(void)
{
	if (watched.input == NULL)
		return;
	watched.input->real_stream->read = watched.super_read;
	i_stream_unref(&watched.input);
}

static ssize_t greeting_read(struct istream_private *stream)
{
	ssize_t ret = watched.super_read(stream);
	const unsigned char *data, *end;

	if (ret <= 0)
		return ret;
	data = stream->buffer + stream->pos - ret;
	end = memchr(data, '\n', ret);
	str_append_data(watched.line, data,
			end == NULL ? (size_t)ret : (size_t)(end - data));
	if (end != NULL || str_len(watched.line) > GREETING_MAX_SIZE)
		unwatch();
	return ret;
}

static void watch(struct istream *input)
{
	unwatch();
	str_truncate(watched.line, 0);
	watched.input = input;
	i_stream_ref(input);
	watched.super_read = input->real_stream->read;
	input->real_stream->read = greeting_read;
}

/* Else what was read was the beginning of TLS, or nothing. */
static bool have_greeting(void)
{
	return strncmp(str_c(watched.line), "* ", 2) == 0;
}

/* NULL if there is none. */
static const struct connection_begin *get_connection(struct imapc_client *client)
{
	struct imapc_client_connection *conn;
	const struct connection_begin *begin;

	array_foreach_elem(&client->conns, conn) {
		begin = (const void *)conn->conn;
		if (begin->client == client && begin->input != NULL &&
		    i_stream_get_fd(begin->input) == begin->fd)
			return begin;
	}
	return NULL;
}

static int greeting_connected(void *context);

static void look_at_connection(void)
{
	const struct connection_begin *conn = get_connection(watched.client);
	struct istream *input = conn == NULL ? NULL : conn->input;
	struct ostream_private *output;

	if (input == watched.latest)
		return;
	watched.latest = input;
	/* the stream that STARTTLS makes has no greeting */
	if (input == NULL || have_greeting())
		return;
	watch(input);
	output = conn->output->real_stream;
	if (input == conn->raw_input && output->callback != NULL) {
		/* imapc_connection_connected() sets another one */
		watched.super_connected = output->callback;
		output->callback = greeting_connected;
	}
}

/* The connection begins TLS, whose stream takes the place of its own, and may be
   read from before the loop's step is over. */
static int greeting_connected(void *context)
{
	int ret = watched.super_connected(context);

	look_at_connection();
	return ret;
}

static void client_run_loop(struct imapc_client *client)
{
	const struct connection_begin *conn;
	struct ostream_private *output;

	if (client->ioloop->handler_context == NULL)
		io_loop_handler_init(client->ioloop, IOLOOP_INITIAL_FD_COUNT);
	watched.client = client;
	watched.latest = NULL;
	/* a connection that was not made just now has been read from */
	conn = get_connection(client);
	if (conn != NULL && conn->input->v_offset > 0)
		watched.latest = conn->input;
	look_at_connection();
	while (io_loop_is_running(client->ioloop)) {
		io_loop_handler_run(client->ioloop);
		look_at_connection();
	}
	unwatch();
	conn = get_connection(client);
	output = conn == NULL ? NULL : conn->output->real_stream;
	if (output != NULL && output->callback == greeting_connected)
		output->callback = watched.super_connected;
}

void imapc_client_run_greeted(struct imapc_client *client, string_t *greeting)
{
	struct imapc_client_connection *conn;
	struct ioloop *prev_ioloop;

	/* it grows in frames of the data stack that end before it is used */
	watched.line = str_new(default_pool, 256);
	prev_ioloop = compat_imapc_loop_begin(client);
	array_foreach_elem(&client->conns, conn) {
		if (imapc_connection_get_state(conn->conn) ==
		    IMAPC_CONNECTION_STATE_DISCONNECTED)
			imapc_connection_connect(conn->conn);
	}
	client_run_loop(client);
	compat_imapc_loop_end(client, prev_ioloop);

	if (have_greeting()) {
		str_truncate(greeting, 0);
		str_append_str(greeting, watched.line);
	}
	str_free(&watched.line);
}
