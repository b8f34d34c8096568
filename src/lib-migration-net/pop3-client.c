/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "strnum.h"
#include "base64.h"
#include "safe-memset.h"
#include "sleep.h"
#include "time-util.h"
#include "pop3-connection.h"
#include "oauth2-sasl.h"
#include "oauth2-token.h"
#include "pop3-client.h"

/* TOPs in flight. Enough for any line, and little enough that no server's input
   buffer stands full while its output waits for us. */
#define MAX_PENDING_TOPS 500
/* "All lines" of TOP. Fits into a signed 32-bit number everywhere. */
#define ALL_LINES 2000000000U
/* RFC 5034: a longer initial response must be sent on a line of its own. */
#define MAX_AUTH_LINE 255

enum pop3_capability {
	POP3_CAPABILITY_PIPELINING = 0x01,
	POP3_CAPABILITY_UIDL = 0x02,
	POP3_CAPABILITY_TOP = 0x04,
	POP3_CAPABILITY_USER = 0x08,
	POP3_CAPABILITY_SASL_PLAIN = 0x10,
	POP3_CAPABILITY_UTF8 = 0x20,
	/* the server answered CAPA at all */
	POP3_CAPABILITY_CAPA = 0x40,
};

struct pop3_client {
	struct pop3_client_settings set;
	/* what the settings point to */
	char *host, *username, *master_user, *password;
	struct event *event;
	struct pop3_connection *conn;
	enum pop3_capability capabilities;
	/* what the server announces: all of it, and its SASL mechanisms */
	string_t *capability_lines;
	char *sasl_mechanisms;

	/* where tokens come from, or NULL */
	struct migration_oauth2_source *oauth2;
	/* why there is none although there should be */
	char *oauth2_error;
	/* a token was refused in this login, the next one is the last */
	bool token_refused;

	/* list */
	pool_t list_pool;
	ARRAY_TYPE(pop3_client_mail) mails;

	/* lines of a multi-line reply, while it arrives */
	string_t *partial_line;
	/* last refused reply */
	char *refusal;
	/* what a step found wrong with a line */
	char *bad_line;

	char *error;
	enum pop3_client_error error_type;
	struct pop3_client_stats stats;
	bool no_top;
};

/* --- errors --- */

static void client_disconnect(struct pop3_client *client)
{
	const struct pop3_connection_stats *stats;

	if (client->conn == NULL)
		return;
	stats = pop3_connection_get_stats(client->conn);
	client->stats.waits += stats->waits;
	client->stats.bytes_in += stats->bytes_in;
	pop3_connection_deinit(&client->conn);
}

static int ATTR_FORMAT(3, 4)
client_fail(struct pop3_client *client, enum pop3_client_error type,
	    const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	i_free(client->error);
	client->error = i_strdup_printf("POP3 server %s:%u: %s",
		client->set.host, client->set.port, t_strdup_vprintf(fmt, args));
	client->error_type = type;
	va_end(args);
	client_disconnect(client);
	return -1;
}

/* TRUE if one of the words is anywhere in the line, in any case. */
static bool
line_has_word(const char *line, const char *const *words)
{
	const char *lcase = t_str_lcase(line);

	for (; *words != NULL; words++) {
		if (strstr(lcase, *words) != NULL)
			return TRUE;
	}
	return FALSE;
}

/* Answers that mean "later", wherever they come (RFC 2449, 3206), and Gmail's
   and others' words for the same. */
static bool reply_is_temporary(const char *line)
{
	static const char *const words[] = {
		"[in-use]", "[login-delay]", "[sys/temp]",
		"exceeded", "too many", "try again", "unavailable", NULL
	};

	return line_has_word(line, words);
}

/* pop3-in-use: another session has the maildrop, perhaps one of ours that the
   server has not noticed the end of. Worth waiting a few seconds for. */
static bool reply_is_busy(const char *line)
{
	static const char *const words[] = { "[in-use]", "lock", NULL };

	return line_has_word(line, words);
}

/* --- replies --- */

struct simple_reply {
	bool ok;
	char *line;
};

static void simple_finished(void *context, const struct pop3_reply *reply)
{
	struct simple_reply *simple = context;

	simple->ok = reply->ok;
	simple->line = i_strdup(reply->line);
}

static void client_send_simple(struct pop3_client *client, const char *line,
			       struct simple_reply *reply)
{
	const struct pop3_command command = {
		.line = line,
		.finished = simple_finished,
		.context = reply,
	};

	i_zero(reply);
	pop3_connection_send(client->conn, &command);
}

/* Returns 0, or -1 after setting a temporary error. */
static int client_wait(struct pop3_client *client, const char *doing)
{
	const char *error;

	if (pop3_connection_wait(client->conn, &error) == 0)
		return 0;
	return client_fail(client, POP3_CLIENT_ERROR_TEMP, "%s (%s)",
			   error, doing);
}

/* Calls back for each line of a text that comes in pieces. */
static void
text_lines(struct pop3_client *client, const unsigned char *data, size_t size,
	   void (*callback)(struct pop3_client *client, const char *line))
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

/* --- capabilities --- */

static void capability_line(struct pop3_client *client, const char *line)
{
	static const struct {
		const char *name;
		enum pop3_capability flag;
	} names[] = {
		{ "PIPELINING", POP3_CAPABILITY_PIPELINING },
		{ "UIDL", POP3_CAPABILITY_UIDL },
		{ "TOP", POP3_CAPABILITY_TOP },
		{ "USER", POP3_CAPABILITY_USER },
		{ "UTF8", POP3_CAPABILITY_UTF8 },
	};
	const char *const *words = t_strsplit_spaces(line, " ");

	if (words[0] == NULL)
		return;
	if (str_len(client->capability_lines) > 0)
		str_append(client->capability_lines, ", ");
	str_append(client->capability_lines, line);
	for (unsigned int i = 0; i < N_ELEMENTS(names); i++) {
		if (strcasecmp(words[0], names[i].name) == 0)
			client->capabilities |= names[i].flag;
	}
	if (strcasecmp(words[0], "SASL") != 0)
		return;
	i_free(client->sasl_mechanisms);
	client->sasl_mechanisms = i_strdup(t_strarray_join(words + 1, " "));
	if (str_array_icase_find(words + 1, "PLAIN"))
		client->capabilities |= POP3_CAPABILITY_SASL_PLAIN;
}

static void capability_data(void *context, uint32_t number ATTR_UNUSED,
			    const unsigned char *data, size_t size)
{
	text_lines(context, data, size, capability_line);
}

static void capability_finished(void *context, const struct pop3_reply *reply)
{
	struct pop3_client *client = context;

	str_truncate(client->partial_line, 0);
	if (reply->ok)
		client->capabilities |= POP3_CAPABILITY_CAPA;
}

static void client_send_capa(struct pop3_client *client)
{
	const struct pop3_command command = {
		.line = "CAPA",
		.multiline = TRUE,
		.data = capability_data,
		.finished = capability_finished,
		.context = client,
	};

	client->capabilities = 0;
	str_truncate(client->capability_lines, 0);
	pop3_connection_send(client->conn, &command);
}

static bool client_pipelines(const struct pop3_client *client)
{
	return !client->set.no_pipelining &&
		(client->capabilities & POP3_CAPABILITY_PIPELINING) != 0;
}

/* --- login --- */

static int client_greeting(struct pop3_client *client)
{
	const struct pop3_connection_settings set = {
		.host = client->set.host,
		.port = client->set.port,
		.tls = client->set.ssl_mode == POP3_CLIENT_SSL_POP3S,
		.allow_invalid_cert = client->set.allow_invalid_cert,
		.user = client->set.user,
		.connect_timeout_msecs = client->set.timeout_secs * 1000,
		.read_timeout_msecs = client->set.timeout_secs * 1000,
	};
	struct simple_reply reply;
	const char *error;
	int ret = 0;

	if (pop3_connection_init(&set, &client->conn, &error) < 0) {
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"%s (is this what pop3c_host, pop3c_port and pop3c_ssl should say?)",
			error);
	}
	client->stats.connections++;
	client_send_simple(client, NULL, &reply);
	if (client_wait(client, "waiting for the greeting") < 0)
		return -1;
	if (!reply.ok) {
		ret = client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"The server refuses connections: %s",
			str_sanitize(reply.line, 200));
	}
	i_free(reply.line);
	return ret;
}

static int client_starttls(struct pop3_client *client)
{
	struct simple_reply reply;
	const char *error;
	int ret = 0;

	client_send_simple(client, "STLS", &reply);
	if (client_wait(client, "starting TLS") < 0)
		return -1;
	if (!reply.ok) {
		ret = client_fail(client, POP3_CLIENT_ERROR_UNSUPPORTED,
			"The server refuses TLS (pop3c_ssl=starttls): %s",
			str_sanitize(reply.line, 200));
	} else if (pop3_connection_start_tls(client->conn, &error) < 0) {
		ret = client_fail(client, POP3_CLIENT_ERROR_TEMP, "%s", error);
	}
	i_free(reply.line);
	return ret;
}

static const char *sasl_plain_response(const struct pop3_client *client)
{
	string_t *plain = t_str_new(128), *base64 = t_str_new(256);

	if (*client->set.master_user != '\0') {
		str_append(plain, client->set.username);
		str_append_c(plain, '\0');
		str_append(plain, client->set.master_user);
	} else {
		str_append_c(plain, '\0');
		str_append(plain, client->set.username);
	}
	str_append_c(plain, '\0');
	str_append(plain, client->set.password);
	base64_encode(str_data(plain), str_len(plain), base64);
	safe_memset(str_c_modifiable(plain), 0, str_len(plain));
	return str_c(base64);
}

/* The last of the replies decides. Returns 1, 0 if refused (line_r on the data
   stack) or -1. */
static int client_auth_plain(struct pop3_client *client, const char **line_r)
{
	const char *response = sasl_plain_response(client);
	struct simple_reply reply;
	bool two_steps = strlen(response) + strlen("AUTH PLAIN ") + 2 >
		MAX_AUTH_LINE;
	bool ok;

	client_send_simple(client, two_steps ? "AUTH PLAIN" :
			   t_strconcat("AUTH PLAIN ", response, NULL), &reply);
	if (client_wait(client, "logging in") < 0)
		return -1;
	if (reply.ok && strncasecmp(reply.line, "+OK", 3) != 0) {
		/* a challenge: the server wants the response now */
		i_free(reply.line);
		client_send_simple(client, response, &reply);
		if (client_wait(client, "logging in") < 0)
			return -1;
	}
	*line_r = t_strdup(reply.line);
	ok = reply.ok && strncasecmp(reply.line, "+OK", 3) == 0;
	i_free(reply.line);
	return ok ? 1 : 0;
}

static bool has_line_end(const char *str)
{
	return strchr(str, '\n') != NULL || strchr(str, '\r') != NULL;
}

/* Returns like client_auth_plain(). */
static int client_user_pass(struct pop3_client *client, const char **line_r)
{
	struct simple_reply user, pass;
	int ret = 1;

	if (has_line_end(client->set.username) ||
	    has_line_end(client->set.password)) {
		return client_fail(client, POP3_CLIENT_ERROR_AUTH,
			"pop3c_user or pop3c_password contains a line end");
	}
	client_send_simple(client, t_strconcat("USER ", client->set.username,
					       NULL), &user);
	if (!client_pipelines(client)) {
		if (client_wait(client, "logging in") < 0)
			return -1;
		if (!user.ok) {
			*line_r = t_strdup(user.line);
			i_free(user.line);
			return 0;
		}
	}
	client_send_simple(client, t_strconcat("PASS ", client->set.password,
					       NULL), &pass);
	if (client_wait(client, "logging in") < 0)
		ret = -1;
	else if (!user.ok || !pass.ok) {
		*line_r = t_strdup(user.ok ? pass.line : user.line);
		ret = 0;
	}
	i_free(user.line);
	i_free(pass.line);
	return ret;
}

/* courier-utf8: Courier answers TOP with a stand-in for mails with 8-bit
   headers unless the client said UTF8 before it logged in. A server that refuses
   it goes on as before. */
static int client_utf8(struct pop3_client *client)
{
	struct simple_reply reply;

	if ((client->capabilities & POP3_CAPABILITY_UTF8) == 0)
		return 0;
	client_send_simple(client, "UTF8", &reply);
	if (client_wait(client, "asking for UTF8") < 0)
		return -1;
	i_free(reply.line);
	return 0;
}

/* Sends a line of the SASL exchange, or the command that begins it. Returns 0
   and line_r (data stack), or -1. */
static int client_auth_line(struct pop3_client *client, const char *line,
			    const char **line_r)
{
	struct simple_reply reply;

	client_send_simple(client, line, &reply);
	if (client_wait(client, "logging in") < 0)
		return -1;
	*line_r = t_strdup(reply.line);
	i_free(reply.line);
	return 0;
}

static bool is_challenge(const char *line)
{
	return line[0] == '+' && strncasecmp(line, "+OK", 3) != 0;
}

/* Keeps what the server says of the token, and lets it go on. */
static int
client_answer_challenge(struct pop3_client *client,
			enum migration_oauth2_mechanism mechanism,
			const char **line_r)
{
	const char *base64 = (*line_r)[1] == ' ' ? *line_r + 2 : "";
	const char *answer = migration_oauth2_challenge_answer(mechanism);
	buffer_t *json = t_base64_decode_str(base64);

	migration_oauth2_source_refused(client->oauth2,
		migration_oauth2_challenge_text(json->data, json->used));
	return client_auth_line(client, str_c(t_base64_encode(0, 0, answer,
							      strlen(answer))),
				line_r);
}

/* pop3-oauth2-two-steps: the token always goes on a line of its own. RFC 5034
   allows a command of 255 bytes, and Microsoft insists on it. */
static int
client_auth_token(struct pop3_client *client, const char *token,
		  const char **line_r)
{
	enum migration_oauth2_mechanism mechanism =
		migration_oauth2_mechanism_choose(t_strsplit_spaces(
			client->sasl_mechanisms == NULL ? "" :
			client->sasl_mechanisms, " "));
	string_t *message = t_str_new(4096);
	const char *base64;

	migration_oauth2_append_message(message, mechanism,
		client->set.username, client->set.host, client->set.port,
		token);
	base64 = str_c(t_base64_encode(0, 0, str_data(message),
				       str_len(message)));
	safe_memset(str_c_modifiable(message), 0, str_len(message));
	if (client_auth_line(client, t_strconcat("AUTH ",
			migration_oauth2_mechanism_name(mechanism), NULL),
			line_r) < 0)
		return -1;
	if (!is_challenge(*line_r))
		return strncasecmp(*line_r, "+OK", 3) == 0 ? 1 : 0;
	if (client_auth_line(client, base64, line_r) < 0)
		return -1;
	if (is_challenge(*line_r) &&
	    client_answer_challenge(client, mechanism, line_r) < 0)
		return -1;
	return strncasecmp(*line_r, "+OK", 3) == 0 ? 1 : 0;
}

static int
client_token_failed(struct pop3_client *client,
		    const struct migration_oauth2_failure *failure)
{
	return client_fail(client,
		migration_oauth2_problem_is_temporary(failure->problem) ?
		POP3_CLIENT_ERROR_TEMP : POP3_CLIENT_ERROR_AUTH,
		"%s", failure->text);
}

/* Returns like client_auth_plain(). */
static int client_auth_oauth2(struct pop3_client *client, const char **line_r)
{
	const struct migration_oauth2_token *token;
	const struct migration_oauth2_failure *failure;

	if (migration_oauth2_source_login(client->oauth2, client->set.username,
					  &token, &failure) < 0)
		return client_token_failed(client, failure);
	return client_auth_token(client, token->token, line_r);
}

static int client_authenticate(struct pop3_client *client, const char **line_r)
{
	bool sasl = *client->set.master_user != '\0' ||
		(client->capabilities & (POP3_CAPABILITY_USER |
					 POP3_CAPABILITY_SASL_PLAIN)) ==
		POP3_CAPABILITY_SASL_PLAIN;

	if (client->oauth2 != NULL)
		return client_auth_oauth2(client, line_r);
	return sasl ? client_auth_plain(client, line_r) :
		client_user_pass(client, line_r);
}

static int
client_refused_token(struct pop3_client *client, const char *line)
{
	const char *challenge =
		migration_oauth2_source_get_challenge(client->oauth2);

	return client_fail(client, POP3_CLIENT_ERROR_AUTH,
		"The login of %s with an OAuth2 token was refused, also with a "
		"new one: %s%s%s (does the mailbox exist, is POP switched on "
		"for it, and may the application open it?)",
		client->set.username, str_sanitize(line, 200),
		challenge == NULL ? "" : "; the server said of the token: ",
		challenge == NULL ? "" : challenge);
}

static int client_refused(struct pop3_client *client, const char *line)
{
	const char *who = *client->set.master_user == '\0' ?
		client->set.username :
		t_strdup_printf("%s (as %s)", client->set.master_user,
				client->set.username);

	/* gmail-pop3-auth: Gmail also says [AUTH] when it only is too busy, so
	   look at the text first */
	if (reply_is_temporary(line)) {
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"The login of %s has to wait: %s", who,
			str_sanitize(line, 200));
	}
	if (client->oauth2 != NULL)
		return client_refused_token(client, line);
	return client_fail(client, POP3_CLIENT_ERROR_AUTH,
		"The login of %s was refused: %s (check pop3c_user, "
		"pop3c_master_user and pop3c_password)", who,
		str_sanitize(line, 200));
}

/* One attempt. Returns 1, 0 if the maildrop is in use, -1 on error. */
static int client_login_once(struct pop3_client *client, const char **line_r)
{
	int ret;

	if (client_greeting(client) < 0)
		return -1;
	if (client->set.ssl_mode == POP3_CLIENT_SSL_STARTTLS &&
	    client_starttls(client) < 0)
		return -1;
	client_send_capa(client);
	if (client_wait(client, "asking for capabilities") < 0 ||
	    client_utf8(client) < 0 ||
	    (ret = client_authenticate(client, line_r)) < 0)
		return -1;
	if (ret > 0)
		return 1;
	if (reply_is_busy(*line_r)) {
		client_disconnect(client);
		return 0;
	}
	if (client->oauth2 != NULL && !client->token_refused &&
	    !reply_is_temporary(*line_r)) {
		client->token_refused = TRUE;
		e_debug(client->event, "POP3: %s: trying once more with a new "
			"token", str_sanitize(*line_r, 200));
		migration_oauth2_source_refused(client->oauth2, t_strdup(
			migration_oauth2_source_get_challenge(client->oauth2)));
		client_disconnect(client);
		return client_login_once(client, line_r);
	}
	return client_refused(client, *line_r);
}

int pop3_client_login(struct pop3_client *client)
{
	const char *line = "";
	unsigned int tries = 0, pause_secs;
	int ret;

	client_disconnect(client);
	if (client->oauth2_error != NULL) {
		return client_fail(client, POP3_CLIENT_ERROR_AUTH, "%s",
				   client->oauth2_error);
	}
	client->token_refused = FALSE;
	while ((ret = client_login_once(client, &line)) == 0 &&
	       tries < client->set.busy_retries) {
		pause_secs = 1U << I_MIN(tries, 5);
		e_debug(client->event, "POP3: maildrop is in use, "
			"trying again in %u seconds: %s", pause_secs,
			str_sanitize(line, 200));
		i_sleep_intr_secs(pause_secs);
		tries++;
	}
	if (ret == 0) {
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"The maildrop is in use, also after %u attempts: %s",
			tries + 1, str_sanitize(line, 200));
	}
	if (ret < 0)
		return -1;
	if (client->oauth2 != NULL) {
		e_debug(client->event, "POP3: logged in with an OAuth2 token");
	}
	/* pop3-capa-after-login: some capabilities are told only then */
	if ((client->capabilities & POP3_CAPABILITY_CAPA) != 0 &&
	    (client->capabilities & POP3_CAPABILITY_PIPELINING) == 0) {
		client_send_capa(client);
		if (client_wait(client, "asking for capabilities") < 0)
			return -1;
	}
	e_debug(client->event, "POP3: logged in to %s:%u, %s",
		client->set.host, client->set.port, client_pipelines(client) ?
		"commands are pipelined" : "one command at a time");
	return 0;
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
	text_lines(context, data, size, uidl_line);
}

static void list_data(void *context, uint32_t number ATTR_UNUSED,
		      const unsigned char *data, size_t size)
{
	text_lines(context, data, size, list_line);
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
	return client_pipelines(client) ? 0 :
		client_wait(client, t_strconcat("reading ", name, NULL));
}

static int client_list_refused(struct pop3_client *client)
{
	const char *line = t_strdup(client->refusal);

	if (reply_is_temporary(line)) {
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"The list of mails was refused: %s",
			str_sanitize(line, 200));
	}
	return client_fail(client, POP3_CLIENT_ERROR_UNSUPPORTED,
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
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
				   "Not connected");
	}
	if (client_send_list(client, "UIDL", uidl_data) < 0)
		return -1;
	if (client->refusal == NULL &&
	    client_send_list(client, "LIST", list_data) < 0)
		return -1;
	if (client_wait(client, "reading UIDL and LIST") < 0)
		return -1;
	if (client->refusal != NULL)
		return client_list_refused(client);
	if (client->bad_line != NULL) {
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
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

	return line_has_word(line, words);
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
		.max_pending = client_pipelines(client) ? MAX_PENDING_TOPS : 1,
	};

	if (client->conn == NULL) {
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
				   "Not connected");
	}
	reading_send(&reading);
	if (client_wait(client, whole_texts ? "reading mails" :
			"reading headers") < 0)
		return -1;
	if (reading.next < count) {
		return client_fail(client, POP3_CLIENT_ERROR_TEMP,
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
		client_disconnect(client);
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
