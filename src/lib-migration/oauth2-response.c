/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "str-sanitize.h"
#include "json-members.h"
#include "oauth2-response.h"

/* Google and Microsoft accept assertions that are some minutes off. Less than
   this cannot be the reason of a refusal, and answers take time themselves. */
#define CLOCK_TOLERANCE_SECS 60
#define DESCRIPTION_MAX_CHARS 400
/* longer ones are a mistake of somebody's units */
#define LIFETIME_MAX_SECS (30*24*60*60)

static const struct {
	const char *name;
	bool stops_run, temporary;
} problems[] = {
	[MIGRATION_OAUTH2_PROBLEM_NONE] = { "none", FALSE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_SETTINGS] = { "settings", FALSE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_CLIENT] = { "client", TRUE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_DELEGATION] = { "delegation", TRUE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_CLOCK] = { "clock", TRUE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_USER] = { "user", FALSE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_CONSENT] = { "consent", FALSE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_REQUEST] = { "request", TRUE, FALSE },
	[MIGRATION_OAUTH2_PROBLEM_THROTTLED] = { "throttled", FALSE, TRUE },
	[MIGRATION_OAUTH2_PROBLEM_TEMPORARY] = { "temporary", FALSE, TRUE },
};
_Static_assert(N_ELEMENTS(problems) == MIGRATION_OAUTH2_PROBLEM_COUNT,
	       "each problem has a row");

const char *
migration_oauth2_problem_name(enum migration_oauth2_problem problem)
{
	return problems[problem].name;
}

bool migration_oauth2_problem_stops_run(enum migration_oauth2_problem problem)
{
	return problems[problem].stops_run;
}

bool migration_oauth2_problem_is_temporary(enum migration_oauth2_problem problem)
{
	return problems[problem].temporary;
}

struct response_parse {
	pool_t pool;
	struct migration_oauth2_response *response;
};

/* Numbers can come as strings, and with a fraction. */
static void
parse_lifetime(struct migration_oauth2_response *response, const char *value)
{
	unsigned int secs;

	if (str_to_uint(t_strcut(value, '.'), &secs) < 0)
		return;
	response->lifetime_secs = I_MIN(secs, LIFETIME_MAX_SECS);
	response->lifetime_known = TRUE;
}

static void response_member(void *context, const char *name, const char *value)
{
	struct response_parse *parse = context;
	struct migration_oauth2_response *response = parse->response;
	const struct {
		const char *name;
		const char **member;
	} members[] = {
		{ "access_token", &response->access_token },
		{ "token_type", &response->token_type },
		{ "refresh_token", &response->refresh_token },
		{ "scope", &response->scope },
		{ "error", &response->error },
		{ "error_description", &response->error_description },
	};
	unsigned int i;

	if (strcmp(name, "expires_in") == 0)
		parse_lifetime(response, value);
	for (i = 0; i < N_ELEMENTS(members); i++) {
		if (strcmp(name, members[i].name) == 0)
			*members[i].member = p_strdup(parse->pool, value);
	}
}

/* RFC 6750: a token in a header line is of visible ASCII characters. Anything
   else would also break the SASL message. */
static bool token_is_valid(const char *token)
{
	const char *p;

	for (p = token; *p != '\0'; p++) {
		if (*p <= 0x20 || *p >= 0x7f)
			return FALSE;
	}
	return p != token;
}

void migration_oauth2_response_parse(pool_t pool, const char *body, size_t size,
				     struct migration_oauth2_response *response)
{
	struct response_parse parse = { .pool = pool, .response = response };
	const char *error;

	response->lifetime_secs = MIGRATION_OAUTH2_DEFAULT_LIFETIME_SECS;
	if (json_members_parse(body, size, response_member, &parse,
			       &error) < 0) {
		response->access_token = NULL;
		response->error = NULL;
	}
	if (response->access_token != NULL &&
	    !token_is_valid(response->access_token))
		response->access_token = NULL;
}

int migration_oauth2_token_text_parse(pool_t pool, const char *text,
				      struct migration_oauth2_response *response_r,
				      const char **error_r)
{
	const char *const *words;

	i_zero(response_r);
	response_r->http_status = 200;
	response_r->lifetime_secs = MIGRATION_OAUTH2_DEFAULT_LIFETIME_SECS;
	words = t_strsplit_spaces(text, " \t\r\n");
	if (words[0] == NULL) {
		*error_r = "there is no token, only an empty text";
		return -1;
	}
	if (words[0][0] == '{') {
		migration_oauth2_response_parse(pool, text, strlen(text),
						response_r);
		if (response_r->access_token != NULL)
			return 0;
		*error_r = "the JSON is broken or has no access_token";
		return -1;
	}
	if (words[1] != NULL)
		parse_lifetime(response_r, words[1]);
	if (!token_is_valid(words[0]) ||
	    (words[1] != NULL &&
	     (words[2] != NULL || !response_r->lifetime_known))) {
		*error_r = "it is neither a token, nor a token and its "
			"lifetime in seconds, nor JSON with access_token";
		return -1;
	}
	response_r->access_token = p_strdup(pool, words[0]);
	return 0;
}

static const char *
skew_text(const struct migration_oauth2_response *response, time_t now)
{
	long long skew = response->server_time == 0 ? 0 :
		(long long)now - (long long)response->server_time;

	if (skew >= -CLOCK_TOLERANCE_SECS && skew <= CLOCK_TOLERANCE_SECS)
		return NULL;
	return t_strdup_printf("this machine's clock is %lld seconds %s the "
		"token server's: set the clock (NTP)",
		skew < 0 ? -skew : skew, skew < 0 ? "behind" : "ahead of");
}

static enum migration_oauth2_problem
judge_invalid_grant(const struct migration_oauth2_response *response,
		    enum migration_oauth2_grant grant, const char *user,
		    time_t now, const char **advice_r)
{
	const char *skew = skew_text(response, now);

	switch (grant) {
	case MIGRATION_OAUTH2_GRANT_REFRESH:
		*advice_r = "the refresh token was revoked, has expired, or "
			"the password was changed: the user has to consent "
			"again (migration_oauth2_refresh_token_file)";
		return MIGRATION_OAUTH2_PROBLEM_CONSENT;
	case MIGRATION_OAUTH2_GRANT_JWT:
		if (skew != NULL) {
			*advice_r = skew;
			return MIGRATION_OAUTH2_PROBLEM_CLOCK;
		}
		*advice_r = t_strdup_printf("the user %s is unknown or "
			"suspended there, or the key of "
			"migration_oauth2_key_file was deleted",
			str_sanitize(user, 80));
		return MIGRATION_OAUTH2_PROBLEM_USER;
	case MIGRATION_OAUTH2_GRANT_CLIENT:
	case MIGRATION_OAUTH2_GRANT_FILE:
	case MIGRATION_OAUTH2_GRANT_COMMAND:
		break;
	}
	*advice_r = "the application is not known to this tenant "
		"(migration_oauth2_tenant, migration_oauth2_client_id)";
	return MIGRATION_OAUTH2_PROBLEM_CLIENT;
}

static enum migration_oauth2_problem
judge_error(const struct migration_oauth2_response *response,
	    enum migration_oauth2_grant grant, const char *user, time_t now,
	    const char **advice_r)
{
	const char *error = response->error, *skew;

	if (strcmp(error, "invalid_grant") == 0) {
		return judge_invalid_grant(response, grant, user, now,
					   advice_r);
	}
	if (strcmp(error, "invalid_client") == 0) {
		/* a signed assertion of the wrong time is refused so */
		skew = skew_text(response, now);
		if (skew != NULL) {
			*advice_r = skew;
			return MIGRATION_OAUTH2_PROBLEM_CLOCK;
		}
		*advice_r = "the client's secret or certificate is wrong or "
			"has expired, or the client is unknown "
			"(migration_oauth2_client_id, _client_secret_file, "
			"_key_file)";
		return MIGRATION_OAUTH2_PROBLEM_CLIENT;
	}
	if (strcmp(error, "unauthorized_client") == 0 ||
	    strcmp(error, "access_denied") == 0) {
		*advice_r = grant == MIGRATION_OAUTH2_GRANT_JWT ?
			"domain-wide delegation does not allow this client ID "
			"this scope: add both in the admin console" :
			"the administrator has not consented to the "
			"application's permissions";
		return MIGRATION_OAUTH2_PROBLEM_DELEGATION;
	}
	if (strcmp(error, "temporarily_unavailable") == 0 ||
	    strcmp(error, "server_error") == 0) {
		*advice_r = "the token server has a temporary problem";
		return MIGRATION_OAUTH2_PROBLEM_TEMPORARY;
	}
	if (strcmp(error, "slow_down") == 0) {
		*advice_r = "the token server wants fewer requests";
		return MIGRATION_OAUTH2_PROBLEM_THROTTLED;
	}
	if (strcmp(error, "invalid_scope") == 0) {
		*advice_r = "the scope is unknown or not allowed "
			"(migration_oauth2_scope)";
		return MIGRATION_OAUTH2_PROBLEM_REQUEST;
	}
	if (strcmp(error, "interaction_required") == 0 ||
	    strcmp(error, "consent_required") == 0 ||
	    strcmp(error, "login_required") == 0) {
		*advice_r = "the user has to log in at the provider and "
			"consent again (migration_oauth2_refresh_token_file)";
		return MIGRATION_OAUTH2_PROBLEM_CONSENT;
	}
	*advice_r = "the token server does not accept this kind of request "
		"(migration_oauth2_token_url, migration_oauth2_provider)";
	return MIGRATION_OAUTH2_PROBLEM_REQUEST;
}

static enum migration_oauth2_problem
judge(const struct migration_oauth2_response *response,
      enum migration_oauth2_grant grant, const char *user, time_t now,
      const char **advice_r)
{
	if (response->http_status == 429) {
		*advice_r = "the token server wants fewer requests";
		return MIGRATION_OAUTH2_PROBLEM_THROTTLED;
	}
	if (response->http_status / 100 == 5 || response->http_status == 408) {
		*advice_r = "the token server has a temporary problem";
		return MIGRATION_OAUTH2_PROBLEM_TEMPORARY;
	}
	if (response->error != NULL)
		return judge_error(response, grant, user, now, advice_r);
	if (response->http_status / 100 == 2 &&
	    response->access_token == NULL) {
		*advice_r = "the answer is not that of a token server "
			"(migration_oauth2_token_url)";
		return MIGRATION_OAUTH2_PROBLEM_REQUEST;
	}
	if (response->http_status / 100 == 2 &&
	    response->token_type != NULL &&
	    strcasecmp(response->token_type, "Bearer") != 0) {
		*advice_r = "the token is of another type than Bearer";
		return MIGRATION_OAUTH2_PROBLEM_REQUEST;
	}
	if (response->http_status / 100 == 2)
		return MIGRATION_OAUTH2_PROBLEM_NONE;
	*advice_r = "the address is not that of a token server "
		"(migration_oauth2_token_url)";
	return MIGRATION_OAUTH2_PROBLEM_REQUEST;
}

enum migration_oauth2_problem
migration_oauth2_judge(const struct migration_oauth2_response *response,
		       enum migration_oauth2_grant grant, const char *user,
		       time_t now, const char **advice_r)
{
	enum migration_oauth2_problem problem;
	string_t *str;

	problem = judge(response, grant, user, now, advice_r);
	if (problem == MIGRATION_OAUTH2_PROBLEM_NONE)
		return problem;
	str = t_str_new(256);
	str_append(str, *advice_r);
	str_printfa(str, " (HTTP status %u", response->http_status);
	if (response->error != NULL)
		str_printfa(str, ", %s", str_sanitize(response->error, 80));
	if (response->error_description != NULL) {
		str_printfa(str, ": %s",
			    str_sanitize(response->error_description,
					 DESCRIPTION_MAX_CHARS));
	}
	str_append_c(str, ')');
	*advice_r = str_c(str);
	return problem;
}
