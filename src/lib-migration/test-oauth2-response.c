/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "oauth2-response.h"
#include "check-suite.h"

#define NOW 1700000000
#define G(name) MIGRATION_OAUTH2_GRANT_##name
#define P(name) MIGRATION_OAUTH2_PROBLEM_##name

static const struct {
	unsigned int status;
	const char *body;
	enum migration_oauth2_grant grant;
	/* of the server's clock against ours */
	int clock;
	enum migration_oauth2_problem problem;
	const char *advice;
} tests[] = {
	{ 200, "{\"access_token\":\"t\",\"token_type\":\"Bearer\"}",
	  G(REFRESH), 0, P(NONE), NULL },
	{ 200, "{\"access_token\":\"t\",\"token_type\":\"bearer\"}",
	  G(JWT), 9999, P(NONE), NULL },
	{ 200, "{\"access_token\":\"t\"}", G(CLIENT), 0, P(NONE), NULL },
	{ 200, "{\"access_token\":\"t\",\"token_type\":\"mac\"}", G(CLIENT), 0,
	  P(REQUEST), "another type" },
	{ 200, "<html>", G(CLIENT), 0, P(REQUEST),
	  "migration_oauth2_token_url" },
	{ 200, "{\"id_token\":\"t\"}", G(CLIENT), 0, P(REQUEST),
	  "migration_oauth2_token_url" },
	/* would break the SASL message */
	{ 200, "{\"access_token\":\"t\\u0001auth=x\"}", G(CLIENT), 0,
	  P(REQUEST), "migration_oauth2_token_url" },
	{ 404, "", G(CLIENT), 0, P(REQUEST), "HTTP status 404" },
	{ 302, "", G(CLIENT), 0, P(REQUEST), "migration_oauth2_token_url" },

	/* Google, service account */
	{ 401, "{\"error\":\"unauthorized_client\",\"error_description\":"
	  "\"Client is unauthorized to retrieve access tokens using this "
	  "method, or client not authorized for any of the scopes requested."
	  "\"}", G(JWT), 0, P(DELEGATION), "admin console" },
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":"
	  "\"Invalid JWT: Token must be a short-lived token (60 minutes) and "
	  "in a reasonable timeframe.\"}", G(JWT), 3600, P(CLOCK),
	  "3600 seconds behind" },
	{ 400, "{\"error\":\"invalid_grant\"}", G(JWT), -900, P(CLOCK),
	  "900 seconds ahead" },
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":"
	  "\"Invalid email or User ID\"}", G(JWT), 5, P(USER), "jane" },
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":"
	  "\"Account has been deleted\"}", G(JWT), 0, P(USER), "suspended" },
	/* the scope was not delegated; Google says so in either way */
	{ 403, "{\"error\":\"access_denied\",\"error_description\":"
	  "\"Requested client not authorized.\"}", G(JWT), 0, P(DELEGATION),
	  "this scope" },
	/* our clock is wrong, but that is not why */
	{ 401, "{\"error\":\"unauthorized_client\"}", G(JWT), 3600,
	  P(DELEGATION), "admin console" },
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":"
	  "\"Invalid JWT Signature.\"}", G(JWT), 0, P(USER),
	  "Invalid JWT Signature." },
	/* refresh tokens */
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":"
	  "\"Token has been expired or revoked.\"}", G(REFRESH), 0, P(CONSENT),
	  "consent again" },
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":"
	  "\"AADSTS700082: The refresh token has expired due to inactivity.\","
	  "\"error_codes\":[700082],\"trace_id\":\"x\"}", G(REFRESH), 9999,
	  P(CONSENT), "AADSTS700082" },
	{ 400, "{\"error\":\"invalid_grant\",\"error_description\":"
	  "\"AADSTS65001: The user or administrator has not consented to use "
	  "the application.\",\"suberror\":\"consent_required\"}", G(REFRESH),
	  0, P(CONSENT), "AADSTS65001" },
	{ 400, "{\"error\":\"consent_required\"}", G(REFRESH), 0, P(CONSENT),
	  "consent again" },
	{ 400, "{\"error\":\"interaction_required\"}", G(REFRESH), 0,
	  P(CONSENT), "consent again" },
	/* Microsoft, client */
	{ 401, "{\"error\":\"invalid_client\",\"error_description\":"
	  "\"AADSTS7000215: Invalid client secret provided.\"}", G(CLIENT), 0,
	  P(CLIENT), "_client_secret_file" },
	{ 401, "{\"error\":\"invalid_client\",\"error_description\":"
	  "\"AADSTS7000222: The provided client secret keys for app are "
	  "expired.\"}", G(CLIENT), 0, P(CLIENT), "has expired" },
	{ 401, "{\"error\":\"invalid_client\",\"error_description\":"
	  "\"AADSTS700024: Client assertion is not within its valid time "
	  "range.\"}", G(CLIENT), 900, P(CLOCK), "900 seconds behind" },
	{ 400, "{\"error\":\"unauthorized_client\",\"error_description\":"
	  "\"AADSTS700016: Application not found\"}", G(CLIENT), 0,
	  P(DELEGATION), "consented" },
	{ 400, "{\"error\":\"invalid_grant\"}", G(CLIENT), 0, P(CLIENT),
	  "migration_oauth2_tenant" },
	{ 400, "{\"error\":\"invalid_scope\"}", G(CLIENT), 0, P(REQUEST),
	  "migration_oauth2_scope" },
	{ 400, "{\"error\":\"invalid_request\"}", G(CLIENT), 0, P(REQUEST),
	  "invalid_request" },
	{ 400, "{\"error\":\"unsupported_grant_type\"}", G(CLIENT), 0,
	  P(REQUEST), "unsupported_grant_type" },
	/* passes */
	{ 429, "", G(CLIENT), 0, P(THROTTLED), "fewer requests" },
	{ 400, "{\"error\":\"slow_down\"}", G(CLIENT), 0, P(THROTTLED),
	  "fewer requests" },
	{ 429, "{\"error\":\"invalid_grant\"}", G(REFRESH), 0, P(THROTTLED),
	  "fewer requests" },
	{ 503, "{\"error\":\"temporarily_unavailable\"}", G(REFRESH), 0,
	  P(TEMPORARY), "temporary" },
	{ 500, "<html>", G(JWT), 0, P(TEMPORARY), "HTTP status 500" },
	{ 400, "{\"error\":\"temporarily_unavailable\"}", G(JWT), 0,
	  P(TEMPORARY), "temporary" },
};

START_TEST(test_judge)
{
	struct migration_oauth2_response response;
	const char *advice = NULL;

	i_zero(&response);
	response.http_status = tests[_i].status;
	response.server_time = NOW + tests[_i].clock;
	migration_oauth2_response_parse(pool_datastack_create(), tests[_i].body,
					strlen(tests[_i].body), &response);
	ck_assert_uint_eq(migration_oauth2_judge(&response, tests[_i].grant,
						     "jane", NOW, &advice),
			 tests[_i].problem);
	if (tests[_i].advice != NULL) {
		ck_assert_msg(strstr(advice, tests[_i].advice) != NULL,
			      "%s", advice);
	}
}
END_TEST

START_TEST(test_clock_unknown)
{
	struct migration_oauth2_response response;
	const char *advice;

	i_zero(&response);
	response.http_status = 400;
	response.error = "invalid_grant";
	ck_assert_uint_eq(migration_oauth2_judge(&response, G(JWT), "jane",
						     NOW, &advice),
			 P(USER));
}
END_TEST

static const struct {
	enum migration_oauth2_problem problem;
	const char *name;
	bool stops_run, temporary;
} problems[] = {
	{ P(NONE), "none", FALSE, FALSE },
	{ P(SETTINGS), "settings", FALSE, FALSE },
	{ P(CLIENT), "client", TRUE, FALSE },
	{ P(DELEGATION), "delegation", TRUE, FALSE },
	{ P(CLOCK), "clock", TRUE, FALSE },
	{ P(USER), "user", FALSE, FALSE },
	{ P(CONSENT), "consent", FALSE, FALSE },
	{ P(REQUEST), "request", TRUE, FALSE },
	{ P(THROTTLED), "throttled", FALSE, TRUE },
	{ P(TEMPORARY), "temporary", FALSE, TRUE },
};

START_TEST(test_problem)
{
	enum migration_oauth2_problem problem = problems[_i].problem;

	ck_assert_str_eq(migration_oauth2_problem_name(problem),
			 problems[_i].name);
	ck_assert_int_eq(migration_oauth2_problem_stops_run(problem),
			 problems[_i].stops_run);
	ck_assert_int_eq(migration_oauth2_problem_is_temporary(problem),
			 problems[_i].temporary);
}
END_TEST

static const struct {
	const char *body;
	unsigned int lifetime;
	bool known;
} lifetimes[] = {
	{ "{\"access_token\":\"t\"}", 3600, FALSE },
	{ "{\"access_token\":\"t\",\"expires_in\":3599}", 3599, TRUE },
	{ "{\"access_token\":\"t\",\"expires_in\":\"4000\"}", 4000, TRUE },
	{ "{\"access_token\":\"t\",\"expires_in\":59.5}", 59, TRUE },
	{ "{\"access_token\":\"t\",\"expires_in\":-1}", 3600, FALSE },
	{ "{\"access_token\":\"t\",\"expires_in\":null}", 3600, FALSE },
	{ "{\"expires_in\":999999999,\"access_token\":\"t\"}", 2592000, TRUE },
	{ "{\"x\":{\"expires_in\":5},\"access_token\":\"t\"}", 3600, FALSE },
};

START_TEST(test_lifetime)
{
	struct migration_oauth2_response response;

	i_zero(&response);
	migration_oauth2_response_parse(pool_datastack_create(),
		lifetimes[_i].body, strlen(lifetimes[_i].body), &response);
	ck_assert_str_eq(response.access_token, "t");
	ck_assert_uint_eq(response.lifetime_secs, lifetimes[_i].lifetime);
	ck_assert_int_eq(response.lifetime_known, lifetimes[_i].known);
}
END_TEST

static const struct {
	const char *text;
	/* NULL if refused */
	const char *token;
	unsigned int lifetime;
	bool known;
} texts[] = {
	{ "ya29.abc", "ya29.abc", 3600, FALSE },
	{ " ya29.abc\r\n", "ya29.abc", 3600, FALSE },
	{ "tok 1800\n", "tok", 1800, TRUE },
	{ "tok\n1800\n", "tok", 1800, TRUE },
	{ "{\"access_token\": \"tok\", \"expires_in\": 60}\n", "tok", 60, TRUE },
	{ "{\"access_token\": \"tok\"}", "tok", 3600, FALSE },
	{ "", NULL, 0, FALSE },
	{ "\n", NULL, 0, FALSE },
	{ "tok soon", NULL, 0, FALSE },
	{ "tok 60 x", NULL, 0, FALSE },
	{ "Usage: get-token USER", NULL, 0, FALSE },
	{ "{\"error\": \"x\"}", NULL, 0, FALSE },
	{ "{\"access_token\": \"tok", NULL, 0, FALSE },
	{ "t\xc3\xa4", NULL, 0, FALSE },
};

START_TEST(test_text)
{
	struct migration_oauth2_response response;
	const char *error = NULL;
	int ret = migration_oauth2_token_text_parse(pool_datastack_create(),
		texts[_i].text, &response, &error);

	if (texts[_i].token == NULL) {
		ck_assert_int_eq(ret, -1);
		ck_assert_ptr_nonnull(error);
		return;
	}
	ck_assert_int_eq(ret, 0);
	ck_assert_str_eq(response.access_token, texts[_i].token);
	ck_assert_uint_eq(response.lifetime_secs, texts[_i].lifetime);
	ck_assert_int_eq(response.lifetime_known, texts[_i].known);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "oauth2-response");

	tcase_add_loop_test(tc, test_judge, 0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_clock_unknown);
	tcase_add_loop_test(tc, test_problem, 0, N_ELEMENTS(problems));
	tcase_add_loop_test(tc, test_lifetime, 0, N_ELEMENTS(lifetimes));
	tcase_add_loop_test(tc, test_text, 0, N_ELEMENTS(texts));
	return check_suite_run(s);
}
