/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "strnum.h"
#include "safe-memset.h"
#include "time-util.h"
#include "oauth2-token.h"
#include "pop3-client-private.h"

/* TOPs in flight. Enough for any line, and little enough that no server's input
   buffer stands full while its output waits for us. */
#define MAX_PENDING_TOPS 500
/* "All lines" of TOP. Fits into a signed 32-bit number everywhere. */
#define ALL_LINES 2000000000U

/* --- errors --- */

void pop3_client_disconnect(struct pop3_client *client)
{
	const struct pop3_connection_stats *stats;

	if (client->conn == NULL)
		return;
	stats = pop3_connection_get_stats(client->conn);
	client->stats.waits += stats->waits;
	client->stats.bytes_in += stats->bytes_in;
	pop3_connection_deinit(&client->conn);
}

int pop3_client_fail(struct pop3_client *client, enum pop3_client_error type,
		     const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	i_free(client->error);
	client->error = i_strdup_printf("POP3 server %s:%u: %s",
		client->set.host, client->set.port, t_strdup_vprintf(fmt, args));
	client->error_type = type;
	va_end(args);
	pop3_client_disconnect(client);
	return -1;
}

bool pop3_line_has_word(const char *line, const char *const *words)
{
	const char *lcase = t_str_lcase(line);

	for (; *words != NULL; words++) {
		if (strstr(lcase, *words) != NULL)
			return TRUE;
	}
	return FALSE;
}

bool pop3_reply_is_temporary(const char *line)
{
	static const char *const words[] = {
		"[in-use]", "[login-delay]", "[sys/temp]",
		"exceeded", "too many", "try again", "unavailable", NULL
	};

	return pop3_line_has_word(line, words);
}

/* --- replies --- */

int pop3_client_wait(struct pop3_client *client, const char *doing)
{
	const char *error;

	if (pop3_connection_wait(client->conn, &error) == 0)
		return 0;
	return pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP, "%s (%s)",
				error, doing);
}

void pop3_client_lines(struct pop3_client *client,
		       const unsigned char *data, size_t size,
		       void (*callback)(struct pop3_client *client,
					const char *line))
{
	const unsigned char *end = data + size, *lf;

	while ((lf = memchr(data, '\n', end - data)) != NULL) {
		str_append_data(client->partial_line, data, lf - data);
		data = lf + 1;
		if (str_len(client->partial_line) > 0 &&
		    str_data(client->partial_line)
			[str_len(client->partial_line)-1] == '\r') {
			str_truncate(client->partial_line,
				     str_len(client->partial_line) - 1);
		}
		T_BEGIN {
			callback(client, str_c(client->partial_line));
		} T_END;
		str_truncate(client->partial_line, 0);
	}
	str_append_data(client->partial_line, data, end - data);
}

bool pop3_client_pipelines(const struct pop3_client *client)
{
	return !client->set.no_pipelining &&
		(client->capabilities & POP3_CAPABILITY_PIPELINING) != 0;
}

/* --- list --- */

static struct pop3_client_mail *
client_mail(struct pop3_client *client, const char *line, const char **rest_r)
{
	struct pop3_client_mail *mail;
	uint32_t number;

	if (str_parse_uint32(line, &number, rest_r) < 0 || number == 0 ||
	    number > 10*1000*1000 || (**rest_r != ' ' && **rest_r != '\0')) {
		if (client->bad_line == NULL)
			client->bad_line = i_strdup(line);
		return NULL;
	}
	while (**rest_r == ' ')
		*rest_r += 1;
	mail = array_idx_get_space(&client->mails, number - 1);
	if (mail->number == 0) {
		mail->number = number;
		mail->uidl = "";
		mail->size = UOFF_T_MAX;
	}
	return mail;
}

static void uidl_line(struct pop3_client *client, const char *line)
{
	const char *uidl;
	struct pop3_client_mail *mail = client_mail(client, line, &uidl);

	if (mail != NULL)
		mail->uidl = p_strdup(client->list_pool, uidl);
}

static void list_line(struct pop3_client *client, const char *line)
{
	const char *size, *end;
	struct pop3_client_mail *mail = client_mail(client, line, &size);

	if (mail == NULL)
		return;
	if (str_parse_uoff(size, &mail->size, &end) < 0)
		mail->size = UOFF_T_MAX;
}

static void uidl_data(void *context, uint32_t number ATTR_UNUSED,
		      const unsigned char *data, size_t size)
{
	pop3_client_lines(context, data, size, uidl_line);
}

static void list_data(void *context, uint32_t number ATTR_UNUSED,
		      const unsigned char *data, size_t size)
{
	pop3_client_lines(context, data, size, list_line);
}

static void list_finished(void *context, const struct pop3_reply *reply)
{
	struct pop3_client *client = context;

	str_truncate(client->partial_line, 0);
	if (!reply->ok && client->refusal == NULL)
		client->refusal = i_strdup(reply->line);
}

/* Send UIDL or LIST. Returns -1 on error, else 0. */
static int
client_send_list(struct pop3_client *client, const char *name,
		 void (*data)(void *context, uint32_t number,
			      const unsigned char *data, size_t size))
{
	const struct pop3_command command = {
		.line = name,
		.multiline = TRUE,
		.data = data,
		.finished = list_finished,
		.context = client,
	};

	pop3_connection_send(client->conn, &command);
	return pop3_client_pipelines(client) ? 0 :
		pop3_client_wait(client, t_strconcat("reading ", name, NULL));
}

static int client_list_refused(struct pop3_client *client)
{
	const char *line = t_strdup(client->refusal);

	if (pop3_reply_is_temporary(line)) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"The list of mails was refused: %s",
			str_sanitize(line, 200));
	}
	return pop3_client_fail(client, POP3_CLIENT_ERROR_UNSUPPORTED,
		"The server has no UIDLs (%s), so there is nothing to keep: "
		"leave out migration_pop3", str_sanitize(line, 200));
}

/* pop3-list-gaps: some servers leave out mails that are marked as deleted. Close
   the gaps, the numbers stay in the mails. */
static void client_list_compact(struct pop3_client *client)
{
	struct pop3_client_mail *mails;
	unsigned int i, used = 0, count;

	mails = array_get_modifiable(&client->mails, &count);
	for (i = 0; i < count; i++) {
		if (mails[i].number != 0)
			mails[used++] = mails[i];
	}
	array_delete(&client->mails, used, count - used);
}

int pop3_client_list(struct pop3_client *client,
		     const ARRAY_TYPE(pop3_client_mail) **mails_r)
{
	p_clear(client->list_pool);
	array_clear(&client->mails);
	i_free(client->refusal);
	i_free(client->bad_line);

	if (client->conn == NULL) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP,
					"Not connected");
	}
	if (client_send_list(client, "UIDL", uidl_data) < 0)
		return -1;
	if (client->refusal == NULL &&
	    client_send_list(client, "LIST", list_data) < 0)
		return -1;
	if (pop3_client_wait(client, "reading UIDL and LIST") < 0)
		return -1;
	if (client->refusal != NULL)
		return client_list_refused(client);
	if (client->bad_line != NULL) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"The list of mails has a line that makes no sense: %s",
			str_sanitize(client->bad_line, 80));
	}
	client_list_compact(client);
	*mails_r = &client->mails;
	return 0;
}

/* --- headers and texts --- */

struct pop3_client_reading {
	struct pop3_client *client;
	const uint32_t *numbers;
	unsigned int next, count;
	bool whole_texts;
	pop3_client_mail_callback_t *callback;
	void *context;
	unsigned int max_pending;
};

static void reading_send(struct pop3_client_reading *reading);

static void reading_data(void *context, uint32_t number,
			 const unsigned char *data, size_t size)
{
	struct pop3_client_reading *reading = context;

	reading->callback(reading->context, number, data, size, TRUE);
}

/* A server without TOP says so for every mail in the same words; one that only
   lacks a mail says something else. */
static bool refusal_means_no_top(const char *line)
{
	static const char *const words[] = {
		"unknown", "unimplemented", "not implemented", "not supported",
		"invalid command", "unrecognized", NULL
	};

	return pop3_line_has_word(line, words);
}

static void reading_finished(void *context, const struct pop3_reply *reply)
{
	struct pop3_client_reading *reading = context;
	struct pop3_client *client = reading->client;

	if (!reply->ok && refusal_means_no_top(reply->line))
		client->no_top = TRUE;
	reading->callback(reading->context, reply->number, NULL, 0, reply->ok);
	reading_send(reading);
}

/* The server would end the session in the middle of a mail. */
static bool client_token_expires(struct pop3_client *client)
{
	const struct migration_oauth2_token *token = client->oauth2 == NULL ?
		NULL : migration_oauth2_source_get_latest(client->oauth2);
	struct timeval tv;

	if (token == NULL)
		return FALSE;
	i_gettimeofday(&tv);
	return migration_oauth2_session_should_end(token,
		tv.tv_sec * 1000ULL + tv.tv_usec / 1000);
}

static void reading_send(struct pop3_client_reading *reading)
{
	struct pop3_client *client = reading->client;

	while (reading->next < reading->count &&
	       !client_token_expires(client) &&
	       pop3_connection_pending(client->conn) < reading->max_pending) {
		uint32_t number = reading->numbers[reading->next++];
		const struct pop3_command command = {
			.line = t_strdup_printf("TOP %u %u", number,
				reading->whole_texts ? ALL_LINES : 0),
			.multiline = TRUE,
			.number = number,
			.data = reading_data,
			.finished = reading_finished,
			.context = reading,
		};

		if (reading->whole_texts)
			client->stats.texts++;
		else
			client->stats.tops++;
		pop3_connection_send(client->conn, &command);
	}
}

int pop3_client_read(struct pop3_client *client,
		     const uint32_t *numbers, unsigned int count,
		     bool whole_texts,
		     pop3_client_mail_callback_t *callback, void *context)
{
	struct pop3_client_reading reading = {
		.client = client,
		.numbers = numbers,
		.count = count,
		.whole_texts = whole_texts,
		.callback = callback,
		.context = context,
		.max_pending = pop3_client_pipelines(client) ? MAX_PENDING_TOPS : 1,
	};

	if (client->conn == NULL) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP,
					"Not connected");
	}
	reading_send(&reading);
	if (pop3_client_wait(client, whole_texts ? "reading mails" :
			     "reading headers") < 0)
		return -1;
	if (reading.next < count) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"The OAuth2 token expires soon, so the session ends");
	}
	return 0;
}

/* --- life --- */

struct pop3_client *pop3_client_init(const struct pop3_client_settings *set)
{
	struct pop3_client *client = i_new(struct pop3_client, 1);
	const char *error;

	client->set = *set;
	client->set.host = client->host = i_strdup(set->host);
	client->set.username = client->username = i_strdup(set->username);
	client->set.master_user = client->master_user =
		i_strdup(set->master_user);
	client->set.password = client->password = i_strdup(set->password);
	client->event = set->event;
	event_ref(client->event);
	if (migration_oauth2_source_init(set->user, &client->oauth2,
					 &error) < 0)
		client->oauth2_error = i_strdup(error);
	client->list_pool =
		pool_alloconly_create(MEMPOOL_GROWING"pop3 list", 1024*16);
	i_array_init(&client->mails, 128);
	client->partial_line = str_new(default_pool, 128);
	client->capability_lines = str_new(default_pool, 128);
	return client;
}

void pop3_client_deinit(struct pop3_client **_client)
{
	struct pop3_client *client = *_client;

	*_client = NULL;
	if (client->conn != NULL) {
		const struct pop3_command quit = { .line = "QUIT" };

		/* nothing was changed, so the answer says nothing */
		pop3_connection_send(client->conn, &quit);
		pop3_client_disconnect(client);
	}
	safe_memset(client->password, 0, strlen(client->password));
	migration_oauth2_source_deinit(&client->oauth2);
	i_free(client->oauth2_error);
	i_free(client->sasl_mechanisms);
	i_free(client->host);
	i_free(client->username);
	i_free(client->master_user);
	i_free(client->password);
	i_free(client->refusal);
	i_free(client->bad_line);
	i_free(client->error);
	array_free(&client->mails);
	pool_unref(&client->list_pool);
	str_free(&client->partial_line);
	str_free(&client->capability_lines);
	event_unref(&client->event);
	i_free(client);
}

bool pop3_client_has_no_top(struct pop3_client *client)
{
	return client->no_top;
}

const char *pop3_client_get_capabilities(struct pop3_client *client)
{
	return str_c(client->capability_lines);
}

const char *pop3_client_get_error(struct pop3_client *client,
				  enum pop3_client_error *error_r)
{
	*error_r = client->error_type;
	return client->error;
}

void pop3_client_get_stats(struct pop3_client *client,
			   struct pop3_client_stats *stats_r)
{
	*stats_r = client->stats;
	if (client->conn != NULL) {
		const struct pop3_connection_stats *stats =
			pop3_connection_get_stats(client->conn);

		stats_r->waits += stats->waits;
		stats_r->bytes_in += stats->bytes_in;
	}
}
