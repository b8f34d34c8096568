/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "net.h"
#include "str.h"
#include "oauth2-sasl.h"
#include "check-suite.h"

#define X MIGRATION_OAUTH2_XOAUTH2
#define O MIGRATION_OAUTH2_OAUTHBEARER

static const struct {
	enum migration_oauth2_mechanism mechanism;
	const char *user, *host;
	in_port_t port;
	const char *message;
} messages[] = {
	/* Google's documentation */
	{ X, "someuser@example.com", NULL, 0,
	  "user=someuser@example.com\001auth=Bearer ya29\001\001" },
	{ X, "someuser@example.com", "h", 993,
	  "user=someuser@example.com\001auth=Bearer ya29\001\001" },
	/* RFC 7628 section 4.1 */
	{ O, "user@example.com", "server.example.com", 143,
	  "n,a=user@example.com,\001host=server.example.com\001port=143\001"
	  "auth=Bearer ya29\001\001" },
	{ O, "user", NULL, 0, "n,a=user,\001auth=Bearer ya29\001\001" },
	{ O, "a=b,c", NULL, 0, "n,a=a=3Db=2Cc,\001auth=Bearer ya29\001\001" },
};

START_TEST(test_message)
{
	string_t *str = t_str_new(128);

	migration_oauth2_append_message(str, messages[_i].mechanism,
		messages[_i].user, messages[_i].host, messages[_i].port,
		"ya29");
	ck_assert_str_eq(str_c(str), messages[_i].message);
}
END_TEST

START_TEST(test_answer)
{
	ck_assert_str_eq(migration_oauth2_challenge_answer(X), "");
	ck_assert_str_eq(migration_oauth2_challenge_answer(O), "\001");
}
END_TEST

static const struct {
	const char *announced;
	enum migration_oauth2_mechanism mechanism;
} choices[] = {
	{ "", X },
	{ "PLAIN LOGIN", X },
	{ "PLAIN XOAUTH2 OAUTHBEARER", X },
	{ "OAUTHBEARER XOAUTH2", X },
	{ "PLAIN oauthbearer", O },
};

START_TEST(test_choose)
{
	const char *const *words =
		t_strsplit_spaces(choices[_i].announced, " ");
	enum migration_oauth2_mechanism mechanism =
		migration_oauth2_mechanism_choose(words);

	ck_assert_int_eq((int)mechanism, (int)choices[_i].mechanism);
	ck_assert_str_eq(migration_oauth2_mechanism_name(mechanism),
			 mechanism == X ? "XOAUTH2" : "OAUTHBEARER");
}
END_TEST

static const struct {
	const char *challenge, *text;
} challenges[] = {
	{ "{\"status\":\"401\",\"schemes\":\"bearer\","
	  "\"scope\":\"https://mail.google.com/\"}",
	  "status 401, schemes bearer, scope https://mail.google.com/" },
	{ "{\"status\":\"invalid_token\",\"openid-configuration\":\"\"}",
	  "status invalid_token, openid-configuration \"\"" },
	{ "{}", "{}" },
	{ "not JSON", "not JSON" },
	{ "", "" },
};

START_TEST(test_challenge)
{
	const char *challenge = challenges[_i].challenge;

	ck_assert_str_eq(migration_oauth2_challenge_text(challenge,
							 strlen(challenge)),
			 challenges[_i].text);
}
END_TEST

static const struct {
	const char *text, *secret, *masked;
} masks[] = {
	{ "no secret", "hidden", "no secret" },
	{ "it is s3cret, s3cret!", "s3cret", "it is <hidden>, <hidden>!" },
	{ "s3cret", "s3cret", "<hidden>" },
	{ "abc", "b", "abc" },
	{ "abc", "", "abc" },
	{ "abc", NULL, "abc" },
};

START_TEST(test_mask)
{
	ck_assert_str_eq(migration_oauth2_mask(masks[_i].text,
					       masks[_i].secret),
			 masks[_i].masked);
}
END_TEST

static const struct {
	const char *line, *masked;
} commands[] = {
	{ "Command 'AUTHENTICATE XOAUTH2 dXNlcj0=' timed out",
	  "Command 'AUTHENTICATE XOAUTH2 <hidden>' timed out" },
	{ "2 AUTHENTICATE OAUTHBEARER bixhPQ==",
	  "2 AUTHENTICATE OAUTHBEARER <hidden>" },
	{ "Command 'AUTHENTICATE XOAUTH2' timed out",
	  "Command 'AUTHENTICATE XOAUTH2' timed out" },
	{ "NO AUTHENTICATE failed. Sorry", "NO AUTHENTICATE failed. Sorry" },
	{ "AUTHENTICATE", "AUTHENTICATE" },
	{ "AUTHENTICATE ", "AUTHENTICATE " },
	{ "auth=Bearer abc\001", "auth=Bearer <hidden>" },
	{ "Command 'UID FETCH 1 (FLAGS)' timed out",
	  "Command 'UID FETCH 1 (FLAGS)' timed out" },
};

START_TEST(test_mask_command)
{
	ck_assert_str_eq(migration_oauth2_mask_command(commands[_i].line),
			 commands[_i].masked);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "oauth2-sasl");

	tcase_add_loop_test(tc, test_message, 0, N_ELEMENTS(messages));
	tcase_add_test(tc, test_answer);
	tcase_add_loop_test(tc, test_choose, 0, N_ELEMENTS(choices));
	tcase_add_loop_test(tc, test_challenge, 0, N_ELEMENTS(challenges));
	tcase_add_loop_test(tc, test_mask, 0, N_ELEMENTS(masks));
	tcase_add_loop_test(tc, test_mask_command, 0, N_ELEMENTS(commands));
	return check_suite_run(s);
}
