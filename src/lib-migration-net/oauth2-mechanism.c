/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "net.h"
#include "str.h"
#include "dsasl-client-private.h"
#include "compat-oauth2.h"
#include "oauth2-sasl.h"
#include "oauth2-token.h"
#include "secret-mask.h"
#include "oauth2-mechanism.h"

struct bearer_client {
	struct dsasl_client client;
	bool message_sent, refused;
};

static enum migration_oauth2_mechanism
bearer_mechanism(const struct bearer_client *bearer)
{
	return strcmp(bearer->client.mech->name, "XOAUTH2") == 0 ?
		MIGRATION_OAUTH2_XOAUTH2 : MIGRATION_OAUTH2_OAUTHBEARER;
}

static struct migration_oauth2_source *
bearer_source(const struct bearer_client *bearer)
{
	return bearer->client.password == NULL ? NULL :
		migration_oauth2_source_find(bearer->client.password);
}

/* Before the message the server asks for it, after it the server explains why
   it refuses. (Success needs no further word.) */
static int
bearer_input(struct dsasl_client *client, const unsigned char *input,
	     size_t input_len, const char **error_r ATTR_UNUSED)
{
	struct bearer_client *bearer =
		container_of(client, struct bearer_client, client);
	struct migration_oauth2_source *source = bearer_source(bearer);

	if (!bearer->message_sent)
		return 0;
	bearer->refused = TRUE;
	if (source != NULL) {
		migration_oauth2_source_refused(source,
			migration_oauth2_challenge_text(input, input_len));
	}
	return 0;
}

static int
bearer_get_token(struct bearer_client *bearer, const char *user,
		 const char **host_r, in_port_t *port_r, const char **token_r,
		 const char **error_r)
{
	struct migration_oauth2_source *source = bearer_source(bearer);
	const struct migration_oauth2_token *token;
	const struct migration_oauth2_failure *failure;

	*host_r = NULL;
	*port_r = 0;
	if (source == NULL) {
		*token_r = bearer->client.password;
		if (*token_r != NULL)
			return 0;
		*error_r = "password not set";
		return -1;
	}
	if (migration_oauth2_source_login(source, user, &token, &failure) < 0) {
		*error_r = failure->text;
		return -1;
	}
	migration_oauth2_source_get_server(source, host_r, port_r);
	*token_r = token->token;
	return 0;
}

static int
bearer_output(struct dsasl_client *client, const unsigned char **output_r,
	      size_t *output_len_r, const char **error_r)
{
	struct bearer_client *bearer =
		container_of(client, struct bearer_client, client);
	const char *answer, *token, *host, *user = client->set.authid;
	in_port_t port;
	string_t *str;

	if (bearer->refused) {
		answer = migration_oauth2_challenge_answer(
			bearer_mechanism(bearer));
		*output_r = (const unsigned char *)answer;
		*output_len_r = strlen(answer);
		return 0;
	}
	/* the token belongs to the mailbox's user, not to a master user */
	if (client->set.authzid != NULL && client->set.authzid[0] != '\0')
		user = client->set.authzid;
	if (user == NULL) {
		*error_r = "authid not set";
		return -1;
	}
	if (bearer_get_token(bearer, user, &host, &port, &token, error_r) < 0)
		return -1;
	str = str_new(client->pool, 2048);
	migration_oauth2_append_message(str, bearer_mechanism(bearer), user,
					host, port, token);
	migration_secrets_add(token);
	migration_secrets_add_message(str_data(str), str_len(str));
	*output_r = str_data(str);
	*output_len_r = str_len(str);
	bearer->message_sent = TRUE;
	return 0;
}

static struct dsasl_client_mech mechanisms[] = {
	{
		.name = "XOAUTH2",
		.struct_size = sizeof(struct bearer_client),
		.input = bearer_input,
		.output = bearer_output,
	},
	{
		.name = "OAUTHBEARER",
		.struct_size = sizeof(struct bearer_client),
		.input = bearer_input,
		.output = bearer_output,
	},
};
static unsigned int init_count = 0;

void migration_oauth2_mechanisms_init(void)
{
	unsigned int i;

	if (init_count++ > 0)
		return;
	dsasl_clients_init();
	for (i = 0; i < N_ELEMENTS(mechanisms); i++) {
		compat_oauth2_mech_init(&mechanisms[i]);
		dsasl_client_mech_register(&mechanisms[i]);
	}
}

void migration_oauth2_mechanisms_deinit(void)
{
	i_assert(init_count > 0);
	if (--init_count > 0)
		return;
	dsasl_client_mech_register(&dsasl_client_mech_xoauth2);
	dsasl_client_mech_register(&dsasl_client_mech_oauthbearer);
	dsasl_clients_deinit();
	migration_oauth2_tokens_forget();
}
