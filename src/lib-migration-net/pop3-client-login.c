/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "str-sanitize.h"
#include "base64.h"
#include "safe-memset.h"
#include "net.h"
#include "oauth2-sasl.h"
#include "oauth2-token.h"
#include "pop3-client-private.h"

/* RFC 5034: a longer initial response must be sent on a line of its own. */
#define MAX_AUTH_LINE 255

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
/* pop3-in-use: another session has the maildrop, perhaps one of ours that the
   server has not noticed the end of. */
static bool reply_is_busy(const char *line)
{
	static const char *const words[] = { "[in-use]", "lock", NULL };

	return pop3_line_has_word(line, words);
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
	pop3_client_lines(context, data, size, capability_line);
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
		return pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP,
			"%s (is this what pop3c_host, pop3c_port and pop3c_ssl should say?)",
			error);
	}
	client->stats.connections++;
	client_send_simple(client, NULL, &reply);
	if (pop3_client_wait(client, "waiting for the greeting") < 0)
		return -1;
	if (!reply.ok) {
		ret = pop3_client_fail(client, POP3_CLIENT_ERROR_BUSY,
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
	if (pop3_client_wait(client, "starting TLS") < 0)
		return -1;
	if (!reply.ok) {
		ret = pop3_client_fail(client, POP3_CLIENT_ERROR_UNSUPPORTED,
			"The server refuses TLS (pop3c_ssl=starttls): %s",
			str_sanitize(reply.line, 200));
	} else if (pop3_connection_start_tls(client->conn, &error) < 0) {
		ret = pop3_client_fail(client, POP3_CLIENT_ERROR_TEMP, "%s", error);
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
	if (pop3_client_wait(client, "logging in") < 0)
		return -1;
	if (reply.ok && strncasecmp(reply.line, "+OK", 3) != 0) {
		/* a challenge: the server wants the response now */
		i_free(reply.line);
		client_send_simple(client, response, &reply);
		if (pop3_client_wait(client, "logging in") < 0)
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
		return pop3_client_fail(client, POP3_CLIENT_ERROR_AUTH,
			"pop3c_user or pop3c_password contains a line end");
	}
	client_send_simple(client, t_strconcat("USER ", client->set.username,
					       NULL), &user);
	if (!pop3_client_pipelines(client)) {
		if (pop3_client_wait(client, "logging in") < 0)
			return -1;
		if (!user.ok) {
			*line_r = t_strdup(user.line);
			i_free(user.line);
			return 0;
		}
	}
	client_send_simple(client, t_strconcat("PASS ", client->set.password,
					       NULL), &pass);
	if (pop3_client_wait(client, "logging in") < 0)
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
	if (pop3_client_wait(client, "asking for UTF8") < 0)
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
	if (pop3_client_wait(client, "logging in") < 0)
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
	return pop3_client_fail(client,
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

	return pop3_client_fail(client, POP3_CLIENT_ERROR_AUTH,
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

	if (reply_is_busy(line)) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_BUSY,
			"The maildrop is in use: %s", str_sanitize(line, 200));
	}
	/* gmail-pop3-auth: Gmail also says [AUTH] when it only is too busy, so
	   look at the text first */
	if (pop3_reply_is_temporary(line)) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_BUSY,
			"The login of %s has to wait: %s", who,
			str_sanitize(line, 200));
	}
	if (client->oauth2 != NULL)
		return client_refused_token(client, line);
	return pop3_client_fail(client, POP3_CLIENT_ERROR_AUTH,
		"The login of %s was refused: %s (check pop3c_user, "
		"pop3c_master_user and pop3c_password)", who,
		str_sanitize(line, 200));
}

/* One attempt, or two with OAuth2. */
static int client_login_once(struct pop3_client *client)
{
	const char *line;
	int ret;

	if (client_greeting(client) < 0)
		return -1;
	if (client->set.ssl_mode == POP3_CLIENT_SSL_STARTTLS &&
	    client_starttls(client) < 0)
		return -1;
	client_send_capa(client);
	if (pop3_client_wait(client, "asking for capabilities") < 0 ||
	    client_utf8(client) < 0 ||
	    (ret = client_authenticate(client, &line)) < 0)
		return -1;
	if (ret > 0)
		return 0;
	if (client->oauth2 != NULL && !client->token_refused &&
	    !reply_is_busy(line) && !pop3_reply_is_temporary(line)) {
		client->token_refused = TRUE;
		e_debug(client->event, "POP3: %s: trying once more with a new "
			"token", str_sanitize(line, 200));
		migration_oauth2_source_refused(client->oauth2, t_strdup(
			migration_oauth2_source_get_challenge(client->oauth2)));
		pop3_client_disconnect(client);
		return client_login_once(client);
	}
	return client_refused(client, line);
}

int pop3_client_login(struct pop3_client *client)
{
	pop3_client_disconnect(client);
	if (client->oauth2_error != NULL) {
		return pop3_client_fail(client, POP3_CLIENT_ERROR_AUTH, "%s",
					client->oauth2_error);
	}
	client->token_refused = FALSE;
	if (client_login_once(client) < 0)
		return -1;
	if (client->oauth2 != NULL) {
		e_debug(client->event, "POP3: logged in with an OAuth2 token");
	}
	/* pop3-capa-after-login: some capabilities are told only then */
	if ((client->capabilities & POP3_CAPABILITY_CAPA) != 0 &&
	    (client->capabilities & POP3_CAPABILITY_PIPELINING) == 0) {
		client_send_capa(client);
		if (pop3_client_wait(client, "asking for capabilities") < 0)
			return -1;
	}
	e_debug(client->event, "POP3: logged in to %s:%u, %s",
		client->set.host, client->set.port, pop3_client_pipelines(client) ?
		"commands are pipelined" : "one command at a time");
	return 0;
}
