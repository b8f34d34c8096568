/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "oauth2-jwt.h"
#include "check-suite.h"

/* of RFC 4648 section 10, RFC 7515 appendices A.1 and C */
static const struct {
	const char *data, *encoded;
} base64url_tests[] = {
	{ "", "" },
	{ "f", "Zg" },
	{ "fo", "Zm8" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg" },
	{ "fooba", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy" },
	{ "\x03\xec\xff\xe0\xc1", "A-z_4ME" },
	{ "{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}",
	  "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" },
};

START_TEST(test_base64url)
{
	const char *data = base64url_tests[_i].data;

	ck_assert_str_eq(migration_oauth2_base64url(data, strlen(data)),
			 base64url_tests[_i].encoded);
}
END_TEST

/* The expected texts were made by another implementation (Python's base64). */
static const struct {
	struct migration_oauth2_jwt jwt;
	const char *encoded;
} jwt_tests[] = {
	/* {"alg":"RS256","typ":"JWT","kid":"k1"}
	   {"iss":"sa@p.example","sub":"jane@example.com",
	   "scope":"https://mail.google.com/",
	   "aud":"https://oauth2.googleapis.com/token",
	   "iat":1700000000,"exp":1700003600} */
	{ { .key_id = "k1", .issuer = "sa@p.example",
	    .subject = "jane@example.com", .scope = "https://mail.google.com/",
	    .audience = "https://oauth2.googleapis.com/token",
	    .issued_at = 1700000000, .lifetime_secs = 3600 },
	  "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0.eyJpc3Mi"
	  "OiJzYUBwLmV4YW1wbGUiLCJzdWIiOiJqYW5lQGV4YW1wbGUuY29tIiwic2Nv"
	  "cGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8iLCJhdWQiOiJodHRwczov"
	  "L29hdXRoMi5nb29nbGVhcGlzLmNvbS90b2tlbiIsImlhdCI6MTcwMDAwMDAw"
	  "MCwiZXhwIjoxNzAwMDAzNjAwfQ" },
	/* {"alg":"RS256","typ":"JWT","x5t":"aa","x5t#S256":"bb"}
	   {"iss":"c\"1","sub":"c\"1","aud":"https://x/","jti":"0f",
	   "iat":1,"exp":601} */
	{ { .x5t = "aa", .x5t_s256 = "bb", .issuer = "c\"1",
	    .subject = "c\"1", .audience = "https://x/", .jwt_id = "0f",
	    .issued_at = 1, .lifetime_secs = 600 },
	  "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsIng1dCI6ImFhIiwieDV0I1My"
	  "NTYiOiJiYiJ9.eyJpc3MiOiJjXCIxIiwic3ViIjoiY1wiMSIsImF1ZCI6Imh"
	  "0dHBzOi8veC8iLCJqdGkiOiIwZiIsImlhdCI6MSwiZXhwIjo2MDF9" },
};

START_TEST(test_jwt)
{
	string_t *str = t_str_new(512);

	migration_oauth2_jwt_append(str, &jwt_tests[_i].jwt);
	ck_assert_str_eq(str_c(str), jwt_tests[_i].encoded);
	migration_oauth2_jwt_append_signature(str, "\x03\xec\xff", 3);
	ck_assert_str_eq(str_c(str), t_strconcat(jwt_tests[_i].encoded,
						 ".A-z_", NULL));
}
END_TEST

static const struct {
	const char *text, *error;
} account_tests[] = {
	{ "{\"type\": \"service_account\", \"project_id\": \"p\","
	  " \"private_key_id\": \"k\", \"private_key\": \"-----BEGIN\\nx\\n\","
	  " \"client_email\": \"e\", \"nested\": {\"type\": \"no\"},"
	  " \"list\": [1, {\"client_email\": \"no\"}],"
	  " \"token_uri\": \"https://t/\"}", NULL },
	{ "", "JSON" },
	{ "-----BEGIN PRIVATE KEY-----\n", "JSON" },
	{ "{\"type\": \"service_account\", \"private_key\": \"x", "JSON" },
	{ "{\"installed\": {\"client_id\": \"c\"}}", "service_account" },
	{ "{\"type\": \"authorized_user\", \"refresh_token\": \"r\"}",
	  "belongs to a user" },
	{ "{\"type\": \"service_account\", \"client_email\": \"e\"}",
	  "\"private_key\"" },
	{ "{\"type\": \"service_account\", \"private_key\": \"k\"}",
	  "\"client_email\"" },
};

START_TEST(test_account)
{
	struct migration_oauth2_account account;
	const char *error = NULL;
	int ret;

	ret = migration_oauth2_account_parse(pool_datastack_create(),
		account_tests[_i].text, &account, &error);
	if (account_tests[_i].error != NULL) {
		ck_assert_int_eq(ret, -1);
		ck_assert_ptr_nonnull(strstr(error, account_tests[_i].error));
		return;
	}
	ck_assert_int_eq(ret, 0);
	ck_assert_str_eq(account.private_key, "-----BEGIN\nx\n");
	ck_assert_str_eq(account.private_key_id, "k");
	ck_assert_str_eq(account.client_email, "e");
	ck_assert_str_eq(account.token_uri, "https://t/");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "oauth2-jwt");

	tcase_add_loop_test(tc, test_base64url, 0,
			    N_ELEMENTS(base64url_tests));
	tcase_add_loop_test(tc, test_jwt, 0, N_ELEMENTS(jwt_tests));
	tcase_add_loop_test(tc, test_account, 0, N_ELEMENTS(account_tests));
	return check_suite_run(s);
}
