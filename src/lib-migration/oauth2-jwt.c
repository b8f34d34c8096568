/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "base64.h"
#include "json-escape.h"
#include "json-members.h"
#include "oauth2-jwt.h"

static void append_base64url(string_t *dest, const void *data, size_t size)
{
	base64url_encode(BASE64_ENCODE_FLAG_NO_PADDING, SIZE_MAX, data, size,
			 dest);
}

const char *migration_oauth2_base64url(const void *data, size_t size)
{
	string_t *str = t_str_new(64);

	append_base64url(str, data, size);
	return str_c(str);
}

static void append_member(string_t *json, const char *name, const char *value)
{
	if (value == NULL)
		return;
	str_printfa(json, "%s\"%s\":\"", str_len(json) > 1 ? "," : "", name);
	json_append_escaped(json, value);
	str_append_c(json, '"');
}

static void append_time(string_t *json, const char *name, time_t value)
{
	str_printfa(json, "%s\"%s\":%"PRIdTIME_T,
		    str_len(json) > 1 ? "," : "", name, value);
}

void migration_oauth2_jwt_append(string_t *dest,
				 const struct migration_oauth2_jwt *jwt)
{
	string_t *json = t_str_new(256);

	str_append_c(json, '{');
	append_member(json, "alg", "RS256");
	append_member(json, "typ", "JWT");
	append_member(json, "kid", jwt->key_id);
	append_member(json, "x5t", jwt->x5t);
	append_member(json, "x5t#S256", jwt->x5t_s256);
	str_append_c(json, '}');
	append_base64url(dest, str_data(json), str_len(json));

	str_truncate(json, 1);
	append_member(json, "iss", jwt->issuer);
	append_member(json, "sub", jwt->subject);
	append_member(json, "scope", jwt->scope);
	append_member(json, "aud", jwt->audience);
	append_member(json, "jti", jwt->jwt_id);
	append_time(json, "iat", jwt->issued_at);
	append_time(json, "exp", jwt->issued_at + jwt->lifetime_secs);
	str_append_c(json, '}');
	str_append_c(dest, '.');
	append_base64url(dest, str_data(json), str_len(json));
}

void migration_oauth2_jwt_append_signature(string_t *dest,
					   const void *signature, size_t size)
{
	str_append_c(dest, '.');
	append_base64url(dest, signature, size);
}

struct account_parse {
	pool_t pool;
	struct migration_oauth2_account *account;
	const char *type;
};

static void account_member(void *context, const char *name, const char *value)
{
	struct account_parse *parse = context;
	struct migration_oauth2_account *account = parse->account;
	const struct {
		const char *name;
		const char **member;
	} members[] = {
		{ "type", &parse->type },
		{ "private_key", &account->private_key },
		{ "private_key_id", &account->private_key_id },
		{ "client_email", &account->client_email },
		{ "token_uri", &account->token_uri },
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(members); i++) {
		if (strcmp(name, members[i].name) == 0)
			*members[i].member = p_strdup(parse->pool, value);
	}
}

int migration_oauth2_account_parse(pool_t pool, const char *text,
				   struct migration_oauth2_account *account_r,
				   const char **error_r)
{
	struct account_parse parse = { .pool = pool, .account = account_r };
	const char *error;

	i_zero(account_r);
	if (json_members_parse(text, strlen(text), account_member, &parse,
			       &error) < 0) {
		*error_r = "it is not complete JSON";
		return -1;
	}
	if (parse.type == NULL || strcmp(parse.type, "service_account") != 0) {
		*error_r = parse.type != NULL &&
			strcmp(parse.type, "authorized_user") == 0 ?
			"it belongs to a user and not to a service account" :
			"it is not the key file of a service account (no "
			"\"type\": \"service_account\")";
		return -1;
	}
	if (account_r->private_key == NULL || account_r->client_email == NULL) {
		*error_r = t_strdup_printf("it has no \"%s\"",
			account_r->private_key == NULL ? "private_key" :
			"client_email");
		return -1;
	}
	return 0;
}
