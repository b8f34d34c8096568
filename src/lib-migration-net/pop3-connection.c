/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "ioloop.h"
#include "istream.h"
#include "ostream.h"
#include "iostream-ssl.h"
#include "client-streams.h"
#include "pop3-connection.h"

#include <poll.h>

/* RFC 2449 allows 512 bytes. Long UIDLs are the reason to take more. */
#define MAX_LINE_LENGTH (64*1024)

struct pop3_connection {
	struct pop3_connection_settings set;
	int fd;
	struct istream *input;
	struct ostream *output;
	struct ssl_iostream *ssl;

	/* only while waiting */
	struct ioloop *ioloop;
	struct io *io;
	struct timeout *to;

	/* queue[queue_pos..] have no reply yet */
	ARRAY(struct pop3_command) queue;
	unsigned int queue_pos;
	/* text of the present reply */
	struct istream *dot_input;
	/* first line of the present reply */
	string_t *line;
	bool line_ok;

	char *error;
	struct pop3_connection_stats stats;
	bool connected;
};

static void connection_fail(struct pop3_connection *conn, const char *error)
{
	if (conn->error == NULL)
		conn->error = i_strdup(error);
	if (conn->ioloop != NULL)
		io_loop_stop(conn->ioloop);
}

static void connection_timeout(struct pop3_connection *conn)
{
	unsigned int secs = (conn->connected ? conn->set.read_timeout_msecs :
			     conn->set.connect_timeout_msecs) / 1000;

	connection_fail(conn, conn->connected ?
		t_strdup_printf("The server did not answer for %u seconds", secs) :
		t_strdup_printf("Connecting took longer than %u seconds", secs));
}

/* Why reading ended. TLS errors say more than the stream's. */
static const char *disconnect_reason(struct pop3_connection *conn)
{
	const char *ssl_error = conn->ssl == NULL ? NULL :
		ssl_iostream_get_last_error(conn->ssl);
	int error = net_geterror(conn->fd);

	if (ssl_error != NULL)
		return t_strdup_printf("TLS failed: %s", ssl_error);
	if (error != 0)
		return strerror(error);
	if (conn->input->stream_errno != 0 && conn->input->stream_errno != EPIPE)
		return i_stream_get_error(conn->input);
	if (!conn->connected)
		return "The server closed the connection instead of greeting";
	return "The server closed the connection";
}

static struct pop3_command *present_command(struct pop3_connection *conn)
{
	return conn->queue_pos == array_count(&conn->queue) ? NULL :
		array_idx_modifiable(&conn->queue, conn->queue_pos);
}

static void reply_finished(struct pop3_connection *conn)
{
	/* a copy: the callback may make the queue grow */
	struct pop3_command command = *present_command(conn);
	const struct pop3_reply reply = {
		.number = command.number,
		.ok = conn->line_ok,
		.line = t_strdup(str_c(conn->line)),
	};

	conn->queue_pos++;
	conn->connected = TRUE;
	if (command.finished != NULL)
		command.finished(command.context, &reply);
	if (pop3_connection_pending(conn) == 0 && conn->ioloop != NULL)
		io_loop_stop(conn->ioloop);
}

/* Returns TRUE if the text is complete. */
static bool read_text(struct pop3_connection *conn)
{
	struct pop3_command *command = present_command(conn);
	const unsigned char *data;
	size_t size;
	ssize_t ret;

	while ((ret = i_stream_read_more(conn->dot_input, &data, &size)) > 0) {
		conn->stats.bytes_in += size;
		if (command->data != NULL)
			command->data(command->context, command->number,
				      data, size);
		i_stream_skip(conn->dot_input, size);
	}
	if (ret == 0)
		return FALSE;
	if (conn->dot_input->stream_errno != 0) {
		connection_fail(conn, disconnect_reason(conn));
		return FALSE;
	}
	i_stream_unref(&conn->dot_input);
	return TRUE;
}

/* Returns TRUE if a first line was read, and the reply is complete by it
   (*finished_r) or has a text. */
static bool read_first_line(struct pop3_connection *conn, bool *finished_r)
{
	struct pop3_command *command = present_command(conn);
	const char *line = i_stream_read_next_line(conn->input);

	if (line == NULL) {
		if (conn->input->stream_errno == ENOBUFS) {
			connection_fail(conn, "The server sent a line without end");
		} else if (conn->input->eof || conn->input->stream_errno != 0) {
			connection_fail(conn, disconnect_reason(conn));
		}
		return FALSE;
	}
	conn->stats.bytes_in += strlen(line) + 2;
	if (command == NULL) {
		connection_fail(conn, t_strdup_printf(
			"The server sent an answer to nothing: %s",
			str_sanitize(line, 80)));
		return FALSE;
	}
	if (strncasecmp(line, "+OK", 3) != 0 &&
	    strncasecmp(line, "-ERR", 4) != 0 &&
	    strncmp(line, "+ ", 2) != 0 && strcmp(line, "+") != 0) {
		connection_fail(conn, t_strdup_printf(
			"The server sent something that is no POP3 answer: %s",
			str_sanitize(line, 80)));
		return FALSE;
	}
	str_truncate(conn->line, 0);
	str_append(conn->line, line);
	conn->line_ok = *line == '+';
	*finished_r = TRUE;
	if (conn->line_ok && command->multiline) {
		conn->dot_input = client_stream_create_dot(conn->input);
		*finished_r = FALSE;
	}
	return TRUE;
}

static void connection_input(struct pop3_connection *conn)
{
	bool finished;

	if (conn->to != NULL)
		timeout_reset(conn->to);
	while (conn->error == NULL) {
		if (conn->dot_input != NULL) {
			if (!read_text(conn))
				return;
			finished = TRUE;
		} else if (!read_first_line(conn, &finished)) {
			return;
		}
		if (finished) T_BEGIN {
			reply_finished(conn);
		} T_END;
		if (pop3_connection_pending(conn) == 0)
			return;
	}
}

/* Returns the addresses of the host. A blocking lookup: the dns-client socket
   exists only where a Dovecot runs, which a migration does not need. */
static int lookup_host(const char *host, const struct ip_addr **ips_r,
		       unsigned int *count_r, const char **error_r)
{
	struct ip_addr *ips, *ip = t_new(struct ip_addr, 1);
	int ret;

	if (net_addr2ip(host, ip) == 0) {
		*ips_r = ip;
		*count_r = 1;
		return 0;
	}
	if ((ret = net_gethostbyname(host, &ips, count_r)) != 0) {
		*error_r = t_strdup_printf("Cannot find the host: %s",
					   net_gethosterror(ret));
		return -1;
	}
	*ips_r = ips;
	return 0;
}

static void connection_enter(struct pop3_connection *conn)
{
	i_assert(conn->ioloop == NULL);
	conn->ioloop = io_loop_create();
	o_stream_switch_ioloop(conn->output);
	conn->io = io_add_istream(conn->input, connection_input, conn);
	conn->to = timeout_add(conn->connected ? conn->set.read_timeout_msecs :
			       conn->set.connect_timeout_msecs,
			       connection_timeout, conn);
	/* what an earlier wait left over */
	i_stream_set_input_pending(conn->input, TRUE);
}

static void
connection_leave(struct pop3_connection *conn, struct ioloop *prev_ioloop)
{
	io_remove(&conn->io);
	timeout_remove(&conn->to);
	io_loop_set_current(prev_ioloop);
	o_stream_switch_ioloop(conn->output);
	i_stream_switch_ioloop(conn->input);
	io_loop_set_current(conn->ioloop);
	io_loop_destroy(&conn->ioloop);
}

int pop3_connection_wait(struct pop3_connection *conn, const char **error_r)
{
	struct ioloop *prev_ioloop = current_ioloop;

	if (conn->error == NULL && pop3_connection_pending(conn) > 0) {
		connection_enter(conn);
		io_loop_run(conn->ioloop);
		connection_leave(conn, prev_ioloop);
	}
	if (conn->error != NULL) {
		*error_r = t_strdup(conn->error);
		return -1;
	}
	array_clear(&conn->queue);
	conn->queue_pos = 0;
	return 0;
}

void pop3_connection_send(struct pop3_connection *conn,
			  const struct pop3_command *command)
{
	if (pop3_connection_pending(conn) == 0)
		conn->stats.waits++;
	array_push_back(&conn->queue, command);
	if (command->line != NULL) {
		struct const_iovec iov[] = {
			{ command->line, strlen(command->line) },
			{ "\r\n", 2 },
		};

		o_stream_nsendv(conn->output, iov, N_ELEMENTS(iov));
	}
}

unsigned int pop3_connection_pending(struct pop3_connection *conn)
{
	return array_count(&conn->queue) - conn->queue_pos;
}

static int start_tls(struct pop3_connection *conn, const char **error_r)
{
	const char *error;

	if (client_stream_start_tls(conn->set.user, conn->set.host,
				    conn->set.allow_invalid_cert,
				    &conn->input, &conn->output, &conn->ssl,
				    &error) < 0) {
		*error_r = t_strdup_printf("TLS failed: %s", error);
		return -1;
	}
	return 0;
}

int pop3_connection_start_tls(struct pop3_connection *conn,
			      const char **error_r)
{
	i_assert(pop3_connection_pending(conn) == 0);
	/* whoever sits on the wire could add answers to what is sent later */
	if (i_stream_get_data_size(conn->input) > 0) {
		*error_r = "The server sent something between STLS and TLS";
		return -1;
	}
	conn->stats.waits++;
	return start_tls(conn, error_r);
}

/* Returns 0, or -1 and errno. */
static int wait_connected(int fd, unsigned int timeout_msecs)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	int ret;

	do {
		ret = poll(&pfd, 1, timeout_msecs);
	} while (ret < 0 && errno == EINTR);
	if (ret == 0)
		errno = ETIMEDOUT;
	else if (ret > 0)
		errno = net_geterror(fd);
	return ret > 0 && errno == 0 ? 0 : -1;
}

static int connect_any(const struct pop3_connection_settings *set,
		       const char **error_r)
{
	const struct ip_addr *ips;
	unsigned int i, count;
	int fd;

	if (lookup_host(set->host, &ips, &count, error_r) < 0)
		return -1;
	for (i = 0; i < count; i++) {
		fd = net_connect_ip(&ips[i], set->port, NULL);
		if (fd != -1 &&
		    wait_connected(fd, set->connect_timeout_msecs) == 0)
			return fd;
		*error_r = t_strdup_printf("Connecting failed: %m");
		if (fd != -1)
			net_disconnect(fd);
	}
	return -1;
}

int pop3_connection_init(const struct pop3_connection_settings *set,
			 struct pop3_connection **conn_r,
			 const char **error_r)
{
	struct pop3_connection *conn;
	int fd;

	if ((fd = connect_any(set, error_r)) == -1)
		return -1;

	conn = i_new(struct pop3_connection, 1);
	conn->set = *set;
	conn->fd = fd;
	conn->input = i_stream_create_fd(fd, MAX_LINE_LENGTH);
	conn->output = o_stream_create_fd(fd, SIZE_MAX);
	o_stream_set_no_error_handling(conn->output, TRUE);
	conn->line = str_new(default_pool, 256);
	i_array_init(&conn->queue, 64);
	if (set->tls && start_tls(conn, error_r) < 0) {
		pop3_connection_deinit(&conn);
		return -1;
	}
	*conn_r = conn;
	return 0;
}

void pop3_connection_deinit(struct pop3_connection **_conn)
{
	struct pop3_connection *conn = *_conn;

	*_conn = NULL;
	i_stream_unref(&conn->dot_input);
	ssl_iostream_destroy(&conn->ssl);
	i_stream_destroy(&conn->input);
	o_stream_destroy(&conn->output);
	net_disconnect(conn->fd);
	array_free(&conn->queue);
	str_free(&conn->line);
	i_free(conn->error);
	i_free(conn);
}

const struct pop3_connection_stats *
pop3_connection_get_stats(struct pop3_connection *conn)
{
	return &conn->stats;
}
