/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "oauth2-request.h"

#include <ctype.h>

#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define JWT_GRANT "urn:ietf:params:oauth:grant-type:jwt-bearer"

static const char *const grant_names[] = {
	[MIGRATION_OAUTH2_GRANT_REFRESH] = "refresh token",
	[MIGRATION_OAUTH2_GRANT_JWT] = "service account",
	[MIGRATION_OAUTH2_GRANT_CLIENT] = "client credentials",
	[MIGRATION_OAUTH2_GRANT_FILE] = "token file",
	[MIGRATION_OAUTH2_GRANT_COMMAND] = "token command",
};

const char *migration_oauth2_grant_name(enum migration_oauth2_grant grant)
{
	return grant_names[grant];
}

static bool is_set(const char *value)
{
	return value[0] != '\0';
}

bool migration_oauth2_config_is_used(const struct migration_oauth2_config *config)
{
	return is_set(config->tenant) || is_set(config->token_url) ||
		is_set(config->scope) || is_set(config->client_id) ||
		is_set(config->client_secret_file) ||
		is_set(config->refresh_token_file) ||
		is_set(config->key_file) || is_set(config->certificate_file) ||
		is_set(config->token_file) || is_set(config->token_command);
}

static int
missing(const char *setting, const char *why, const char **error_r)
{
	*error_r = t_strdup_printf("migration_oauth2_%s is not set: %s",
				   setting, why);
	return -1;
}

/* A key signs for users at Google, and for the client elsewhere. Others may have
   service accounts as Google has them: their key files name the client. */
static enum migration_oauth2_grant
key_file_grant(const struct migration_oauth2_config *config)
{
	if (strcmp(config->provider, "google") == 0 ||
	    (strcmp(config->provider, "custom") == 0 &&
	     !is_set(config->client_id)))
		return MIGRATION_OAUTH2_GRANT_JWT;
	return MIGRATION_OAUTH2_GRANT_CLIENT;
}

/* Each of these says by itself where tokens come from. */
static int
find_main_setting(const struct migration_oauth2_config *config,
		  enum migration_oauth2_grant *grant_r, const char **name_r,
		  const char **error_r)
{
	const struct {
		const char *name, *value;
		enum migration_oauth2_grant grant;
	} sources[] = {
		{ "token_file", config->token_file,
		  MIGRATION_OAUTH2_GRANT_FILE },
		{ "token_command", config->token_command,
		  MIGRATION_OAUTH2_GRANT_COMMAND },
		{ "refresh_token_file", config->refresh_token_file,
		  MIGRATION_OAUTH2_GRANT_REFRESH },
		{ "key_file", config->key_file, key_file_grant(config) },
	};
	unsigned int i;

	*name_r = NULL;
	for (i = 0; i < N_ELEMENTS(sources); i++) {
		if (!is_set(sources[i].value))
			continue;
		if (*name_r != NULL) {
			*error_r = t_strdup_printf("migration_oauth2_%s and "
				"migration_oauth2_%s are both set: which one "
				"is the source of tokens?", *name_r,
				sources[i].name);
			return -1;
		}
		*name_r = sources[i].name;
		*grant_r = sources[i].grant;
	}
	return 0;
}

static int
check_client(const struct migration_oauth2_config *config,
	     enum migration_oauth2_grant grant, const char **error_r)
{
	bool microsoft = strcmp(config->provider, "microsoft") == 0;

	if (grant == MIGRATION_OAUTH2_GRANT_FILE ||
	    grant == MIGRATION_OAUTH2_GRANT_COMMAND)
		return 0;
	if (grant != MIGRATION_OAUTH2_GRANT_JWT && !is_set(config->client_id)) {
		return missing("client_id", "the provider gave it to the "
			"application when it was registered", error_r);
	}
	if (grant == MIGRATION_OAUTH2_GRANT_CLIENT && microsoft &&
	    !is_set(config->tenant) && !is_set(config->token_url)) {
		return missing("tenant", "it is the directory (tenant) ID, or "
			"a domain of the tenant", error_r);
	}
	if (grant == MIGRATION_OAUTH2_GRANT_CLIENT &&
	    is_set(config->key_file) && microsoft &&
	    !is_set(config->certificate_file)) {
		return missing("certificate_file", "Microsoft finds the key by "
			"the certificate that was uploaded", error_r);
	}
	if (strcmp(config->provider, "custom") == 0 &&
	    grant != MIGRATION_OAUTH2_GRANT_JWT && !is_set(config->token_url)) {
		return missing("token_url", "only google, microsoft and yahoo "
			"have one that is known", error_r);
	}
	return 0;
}

int migration_oauth2_choose_grant(const struct migration_oauth2_config *config,
				  enum migration_oauth2_grant *grant_r,
				  const char **error_r)
{
	const char *name;

	if (find_main_setting(config, grant_r, &name, error_r) < 0)
		return -1;
	if (name == NULL) {
		if (!is_set(config->client_secret_file) ||
		    strcmp(config->provider, "google") == 0 ||
		    strcmp(config->provider, "yahoo") == 0) {
			*error_r = t_strdup_printf(
				"migration_oauth2_provider=%s, but nothing says "
				"where tokens come from: set "
				"migration_oauth2_refresh_token_file, "
				"_key_file, _token_file or _token_command%s",
				config->provider,
				strcmp(config->provider, "microsoft") == 0 ?
				", or _client_secret_file" : "");
			return -1;
		}
		*grant_r = MIGRATION_OAUTH2_GRANT_CLIENT;
	}
	if (name != NULL && strcmp(name, "key_file") == 0 &&
	    strcmp(config->provider, "yahoo") == 0) {
		*error_r = "migration_oauth2_key_file is of no use at Yahoo: "
			"set migration_oauth2_refresh_token_file";
		return -1;
	}
	return check_client(config, *grant_r, error_r);
}

const char *
migration_oauth2_token_url(const struct migration_oauth2_config *config,
			   const char *key_url)
{
	const char *tenant = config->tenant;

	if (is_set(config->token_url))
		return config->token_url;
	if (key_url != NULL && is_set(key_url))
		return key_url;
	if (strcmp(config->provider, "google") == 0)
		return "https://oauth2.googleapis.com/token";
	if (strcmp(config->provider, "yahoo") == 0)
		return "https://api.login.yahoo.com/oauth2/get_token";
	if (strcmp(config->provider, "microsoft") == 0) {
		return t_strdup_printf(
			"https://login.microsoftonline.com/%s/oauth2/v2.0/token",
			is_set(tenant) ? tenant : "common");
	}
	return "";
}

const char *
migration_oauth2_scope(const struct migration_oauth2_config *config,
		       enum migration_oauth2_grant grant)
{
	if (is_set(config->scope))
		return config->scope;
	if (grant == MIGRATION_OAUTH2_GRANT_JWT)
		return "https://mail.google.com/";
	if (strcmp(config->provider, "microsoft") != 0)
		return "";
	if (grant == MIGRATION_OAUTH2_GRANT_CLIENT)
		return "https://outlook.office365.com/.default";
	/* without offline_access there is no new refresh token */
	return "https://outlook.office.com/IMAP.AccessAsUser.All "
		"https://outlook.office.com/POP.AccessAsUser.All "
		"offline_access";
}

void migration_oauth2_form_add(string_t *dest, const char *name,
			       const char *value)
{
	const unsigned char *p;

	if (str_len(dest) > 0)
		str_append_c(dest, '&');
	str_append(dest, name);
	str_append_c(dest, '=');
	for (p = (const unsigned char *)value; *p != '\0'; p++) {
		/* the unreserved ones of RFC 3986 */
		if ((*p < 0x80 && i_isalnum(*p)) ||  strchr("-._~", *p) != NULL)
			str_append_c(dest, *p);
		else
			str_printfa(dest, "%%%02X", *p);
	}
}

static void
form_add_set(string_t *dest, const char *name, const char *value)
{
	if (value != NULL && is_set(value))
		migration_oauth2_form_add(dest, name, value);
}

void migration_oauth2_append_form(string_t *dest,
				  const struct migration_oauth2_form *form)
{
	switch (form->grant) {
	case MIGRATION_OAUTH2_GRANT_JWT:
		migration_oauth2_form_add(dest, "grant_type", JWT_GRANT);
		migration_oauth2_form_add(dest, "assertion", form->assertion);
		return;
	case MIGRATION_OAUTH2_GRANT_REFRESH:
		migration_oauth2_form_add(dest, "grant_type", "refresh_token");
		migration_oauth2_form_add(dest, "refresh_token",
					  form->refresh_token);
		break;
	case MIGRATION_OAUTH2_GRANT_CLIENT:
		migration_oauth2_form_add(dest, "grant_type",
					  "client_credentials");
		break;
	case MIGRATION_OAUTH2_GRANT_FILE:
	case MIGRATION_OAUTH2_GRANT_COMMAND:
		i_unreached();
	}
	migration_oauth2_form_add(dest, "client_id", form->client_id);
	form_add_set(dest, "client_secret", form->client_secret);
	if (form->assertion != NULL) {
		migration_oauth2_form_add(dest, "client_assertion_type",
					  ASSERTION_TYPE);
		migration_oauth2_form_add(dest, "client_assertion",
					  form->assertion);
	}
	form_add_set(dest, "scope", form->scope);
}
