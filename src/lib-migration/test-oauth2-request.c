/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "oauth2-request.h"
#include "check-suite.h"

#define G(name) MIGRATION_OAUTH2_GRANT_##name

/* settings without those that are not set */
#define CONFIG(...) { .tenant = "", .token_url = "", .scope = "", \
	.client_id = "", .client_secret_file = "", .refresh_token_file = "", \
	.key_file = "", .certificate_file = "", .token_file = "", \
	.token_command = "", __VA_ARGS__ }
#pragma GCC diagnostic ignored "-Woverride-init"

static const struct {
	struct migration_oauth2_config config;
	/* -1 if refused */
	int grant;
	/* in the error, or the address and the scope */
	const char *error_or_url, *scope;
} tests[] = {
	{ CONFIG(.provider = "google", .client_id = "c",
		 .refresh_token_file = "/r"), G(REFRESH),
	  "https://oauth2.googleapis.com/token", "" },
	{ CONFIG(.provider = "google", .key_file = "/k"), G(JWT),
	  "https://oauth2.googleapis.com/token", "https://mail.google.com/" },
	{ CONFIG(.provider = "google", .key_file = "/k", .scope = "x"), G(JWT),
	  "https://oauth2.googleapis.com/token", "x" },
	{ CONFIG(.provider = "microsoft", .client_id = "c", .tenant = "t",
		 .client_secret_file = "/s"), G(CLIENT),
	  "https://login.microsoftonline.com/t/oauth2/v2.0/token",
	  "https://outlook.office365.com/.default" },
	{ CONFIG(.provider = "microsoft", .client_id = "c", .tenant = "t",
		 .key_file = "/k", .certificate_file = "/c"), G(CLIENT),
	  "https://login.microsoftonline.com/t/oauth2/v2.0/token",
	  "https://outlook.office365.com/.default" },
	{ CONFIG(.provider = "microsoft", .client_id = "c",
		 .refresh_token_file = "/r"), G(REFRESH),
	  "https://login.microsoftonline.com/common/oauth2/v2.0/token",
	  "https://outlook.office.com/IMAP.AccessAsUser.All "
	  "https://outlook.office.com/POP.AccessAsUser.All offline_access" },
	{ CONFIG(.provider = "yahoo", .client_id = "c",
		 .client_secret_file = "/s", .refresh_token_file = "/r"),
	  G(REFRESH), "https://api.login.yahoo.com/oauth2/get_token", "" },
	{ CONFIG(.provider = "custom", .client_id = "c", .token_url = "https://x/",
		 .refresh_token_file = "/r"), G(REFRESH), "https://x/", "" },
	{ CONFIG(.provider = "custom", .client_id = "c", .token_url = "https://x/",
		 .client_secret_file = "/s"), G(CLIENT), "https://x/", "" },
	/* an address of one's own, e.g. another cloud of the provider */
	{ CONFIG(.provider = "google", .key_file = "/k",
		 .token_url = "https://x/"), G(JWT), "https://x/",
	  "https://mail.google.com/" },
	/* a key file names the client */
	{ CONFIG(.provider = "custom", .key_file = "/k"), G(JWT), "",
	  "https://mail.google.com/" },
	{ CONFIG(.provider = "custom", .key_file = "/k", .client_id = "c",
		 .token_url = "https://x/"), G(CLIENT), "https://x/", "" },
	{ CONFIG(.provider = "custom", .token_file = "/t"), G(FILE), "", "" },
	{ CONFIG(.provider = "google", .token_command = "/t"), G(COMMAND),
	  "https://oauth2.googleapis.com/token", "" },

	{ CONFIG(.provider = "google"), -1, "where tokens come from", NULL },
	/* Google has no client credentials */
	{ CONFIG(.provider = "google", .client_secret_file = "/s",
		 .client_id = "c"), -1, "where tokens come from", NULL },
	{ CONFIG(.provider = "google", .refresh_token_file = "/r"), -1,
	  "migration_oauth2_client_id", NULL },
	{ CONFIG(.provider = "microsoft", .client_id = "c",
		 .client_secret_file = "/s"), -1, "migration_oauth2_tenant",
	  NULL },
	{ CONFIG(.provider = "microsoft", .client_id = "c", .tenant = "t",
		 .key_file = "/k"), -1, "migration_oauth2_certificate_file",
	  NULL },
	{ CONFIG(.provider = "custom", .client_id = "c",
		 .refresh_token_file = "/r"), -1, "migration_oauth2_token_url",
	  NULL },
	{ CONFIG(.provider = "yahoo", .client_id = "c", .key_file = "/k"), -1,
	  "migration_oauth2_key_file", NULL },
	{ CONFIG(.provider = "custom", .token_file = "/t",
		 .token_command = "/c"), -1,
	  "migration_oauth2_token_file and migration_oauth2_token_command",
	  NULL },
	{ CONFIG(.provider = "google", .key_file = "/k",
		 .refresh_token_file = "/r"), -1,
	  "migration_oauth2_refresh_token_file and migration_oauth2_key_file",
	  NULL },
};

START_TEST(test_choose)
{
	const struct migration_oauth2_config *config = &tests[_i].config;
	enum migration_oauth2_grant grant;
	const char *error = "";
	int ret;

	ret = migration_oauth2_choose_grant(config, &grant, &error);
	if (tests[_i].grant < 0) {
		ck_assert_int_eq(ret, -1);
		ck_assert_ptr_nonnull(strstr(error, tests[_i].error_or_url));
		return;
	}
	ck_assert_msg(ret == 0, "%s", error);
	ck_assert_int_eq((int)grant, tests[_i].grant);
	ck_assert_str_eq(migration_oauth2_token_url(config, NULL),
			 tests[_i].error_or_url);
	ck_assert_str_eq(migration_oauth2_scope(config, grant),
			 tests[_i].scope);
	ck_assert(migration_oauth2_config_is_used(config));
	ck_assert_ptr_nonnull(migration_oauth2_grant_name(grant));
}
END_TEST

START_TEST(test_key_file_address)
{
	static const struct migration_oauth2_config plain =
		CONFIG(.provider = "google");
	static const struct migration_oauth2_config own =
		CONFIG(.provider = "google", .token_url = "https://own/");

	ck_assert(!migration_oauth2_config_is_used(&plain));
	ck_assert_str_eq(migration_oauth2_token_url(&plain, "https://k/"),
			 "https://k/");
	ck_assert_str_eq(migration_oauth2_token_url(&own, "https://k/"),
			 "https://own/");
}
END_TEST

static const struct {
	struct migration_oauth2_form form;
	const char *body;
} forms[] = {
	{ { .grant = G(REFRESH), .client_id = "c", .scope = "",
	    .refresh_token = "1//r+/=&%" },
	  "grant_type=refresh_token&refresh_token=1%2F%2Fr%2B%2F%3D%26%25"
	  "&client_id=c" },
	{ { .grant = G(REFRESH), .client_id = "c", .scope = "a b",
	    .client_secret = "s~_.-", .refresh_token = "r" },
	  "grant_type=refresh_token&refresh_token=r&client_id=c"
	  "&client_secret=s~_.-&scope=a%20b" },
	{ { .grant = G(JWT), .client_id = "", .scope = "x",
	    .assertion = "h.p.s" },
	  "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
	  "&assertion=h.p.s" },
	{ { .grant = G(CLIENT), .client_id = "c", .client_secret = "\xc3\xa4",
	    .scope = "https://outlook.office365.com/.default" },
	  "grant_type=client_credentials&client_id=c&client_secret=%C3%A4"
	  "&scope=https%3A%2F%2Foutlook.office365.com%2F.default" },
	{ { .grant = G(CLIENT), .client_id = "c", .assertion = "h.p.s",
	    .scope = "" },
	  "grant_type=client_credentials&client_id=c&client_assertion_type="
	  "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
	  "&client_assertion=h.p.s" },
};

START_TEST(test_form)
{
	string_t *str = t_str_new(128);

	migration_oauth2_append_form(str, &forms[_i].form);
	ck_assert_str_eq(str_c(str), forms[_i].body);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "oauth2-request");

	tcase_add_loop_test(tc, test_choose, 0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_key_file_address);
	tcase_add_loop_test(tc, test_form, 0, N_ELEMENTS(forms));
	return check_suite_run(s);
}
