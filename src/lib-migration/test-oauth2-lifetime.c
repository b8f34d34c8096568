/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "oauth2-lifetime.h"
#include "check-suite.h"

#define SECS(n) ((n) * 1000ULL)
#define START SECS(1700000000)

static const struct {
	/* seconds, and of the margin milliseconds */
	unsigned int life, margin_msecs;
} margins[] = {
	/* Google's and Microsoft's */
	{ 3600, 360*1000 },
	{ 5400, 540*1000 },
	{ 900, 120*1000 },
	/* short ones */
	{ 400, 100*1000 },
	{ 60, 15*1000 },
	{ 2, 500 },
	{ 1, 250 },
	{ 0, 0 },
};

START_TEST(test_margin)
{
	const struct migration_oauth2_token token = {
		.token = "t", .obtained_msecs = START,
		.expires_msecs = START + SECS(margins[_i].life),
	};

	ck_assert_uint_eq(migration_oauth2_margin_msecs(&token),
			  margins[_i].margin_msecs);
}
END_TEST

static const struct {
	/* milliseconds since the token of an hour was obtained */
	long long age_msecs;
	const char *refused;
	bool usable, session_should_end;
	const char *reason;
} uses[] = {
	{ 0, NULL, TRUE, FALSE, "good" },
	{ 0, "other", TRUE, FALSE, "good" },
	{ 0, "token", FALSE, FALSE, "did not take" },
	{ 3239*1000, NULL, TRUE, FALSE, "good" },
	/* renewed 6 minutes before the end, sessions end 3 before it */
	{ 3240*1000, NULL, FALSE, FALSE, "expires" },
	{ 3419*1000, NULL, FALSE, FALSE, "expires" },
	{ 3420*1000, NULL, FALSE, TRUE, "expires" },
	{ 4000*1000, NULL, FALSE, TRUE, "expires" },
	/* clocks of two machines, and one that was set back */
	{ -900, NULL, TRUE, FALSE, "good" },
	{ -5000, NULL, FALSE, FALSE, "set back" },
};

START_TEST(test_use)
{
	const struct migration_oauth2_token token = {
		.token = "token", .obtained_msecs = START,
		.expires_msecs = START + SECS(3600),
	};
	uint64_t now = START + uses[_i].age_msecs;
	const char *reason = "";

	ck_assert_int_eq(migration_oauth2_token_is_usable(&token, now,
				uses[_i].refused, &reason), uses[_i].usable);
	ck_assert_ptr_nonnull(strstr(reason, uses[_i].reason));
	ck_assert_int_eq(migration_oauth2_session_should_end(&token, now),
			 uses[_i].session_should_end);
}
END_TEST

static const struct {
	unsigned int life_secs, age_msecs;
	bool suspect;
} suspects[] = {
	{ 3600, 0, FALSE },
	{ 3600, 59999, FALSE },
	{ 3600, 60000, TRUE },
	{ 3600, 3700*1000, TRUE },
	{ 2, 499, FALSE },
	{ 2, 500, TRUE },
};

START_TEST(test_suspect)
{
	const struct migration_oauth2_token token = {
		.token = "t", .obtained_msecs = START,
		.expires_msecs = START + SECS(suspects[_i].life_secs),
	};

	ck_assert_int_eq(migration_oauth2_token_is_suspect(&token,
				START + suspects[_i].age_msecs),
			 suspects[_i].suspect);
}
END_TEST

static const struct {
	unsigned int tries, retry_after, random_number, msecs;
} backoffs[] = {
	{ 0, 0, 0, 1000 },
	{ 0, 0, 500, 1500 },
	{ 0, 0, 501, 1000 },
	{ 1, 0, 0, 2000 },
	{ 5, 0, 0, 32000 },
	{ 50, 0, 0, 32000 },
	/* what the server says, exactly */
	{ 0, 120, 77, 120000 },
	{ 3, 1, 77, 1000 },
	{ 0, UINT_MAX, 0, UINT_MAX / 1000 * 1000 },
};

START_TEST(test_backoff)
{
	ck_assert_uint_eq(migration_oauth2_backoff_msecs(backoffs[_i].tries,
				backoffs[_i].retry_after,
				backoffs[_i].random_number),
			  backoffs[_i].msecs);
}
END_TEST

static const struct {
	struct migration_oauth2_cache_entry entry;
	const char *text;
} entries[] = {
	{ { .token = "ya29.x-_~", .scope = "a b", .obtained_msecs = 5,
	    .expires_msecs = 99 },
	  "migration-oauth2 1\nobtained 5\nexpires 99\nscope a b\n"
	  "token ya29.x-_~\nend\n" },
	{ { .token = "t", .obtained_msecs = 5, .expires_msecs = 99 },
	  "migration-oauth2 1\nobtained 5\nexpires 99\ntoken t\nend\n" },
	{ { .not_before_msecs = 7 },
	  "migration-oauth2 1\nnot-before 7\nend\n" },
};

START_TEST(test_cache)
{
	struct migration_oauth2_cache_entry entry;
	string_t *str = t_str_new(128);

	migration_oauth2_cache_append(str, &entries[_i].entry);
	ck_assert_str_eq(str_c(str), entries[_i].text);
	ck_assert(migration_oauth2_cache_parse(pool_datastack_create(),
					       str_c(str), &entry));
	ck_assert_pstr_eq(entry.token, entries[_i].entry.token);
	ck_assert_pstr_eq(entry.scope, entries[_i].entry.scope);
	ck_assert_uint_eq(entry.obtained_msecs,
			  entries[_i].entry.obtained_msecs);
	ck_assert_uint_eq(entry.expires_msecs, entries[_i].entry.expires_msecs);
	ck_assert_uint_eq(entry.not_before_msecs,
			  entries[_i].entry.not_before_msecs);
}
END_TEST

static const char *const damaged[] = {
	"",
	"\n",
	"migration-oauth2 2\nend\n",
	"migration-oauth2 1\n",
	/* cut off */
	"migration-oauth2 1\nobtained 5\nexpires 99\ntoken t",
	"migration-oauth2 1\nobtained 5x\nend\n",
	"migration-oauth2 1\nexpires -1\nend\n",
	"migration-oauth2 1\ntoken \nend\n",
	"migration-oauth2 1\nwhat 1\nend\n",
	"migration-oauth2 1\nwhat\nend\n",
};

START_TEST(test_cache_damaged)
{
	struct migration_oauth2_cache_entry entry;

	ck_assert(!migration_oauth2_cache_parse(pool_datastack_create(),
						damaged[_i], &entry));
	ck_assert_ptr_null(entry.token);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "oauth2-lifetime");

	tcase_add_loop_test(tc, test_margin, 0, N_ELEMENTS(margins));
	tcase_add_loop_test(tc, test_use, 0, N_ELEMENTS(uses));
	tcase_add_loop_test(tc, test_suspect, 0, N_ELEMENTS(suspects));
	tcase_add_loop_test(tc, test_backoff, 0, N_ELEMENTS(backoffs));
	tcase_add_loop_test(tc, test_cache, 0, N_ELEMENTS(entries));
	tcase_add_loop_test(tc, test_cache_damaged, 0, N_ELEMENTS(damaged));
	return check_suite_run(s);
}
