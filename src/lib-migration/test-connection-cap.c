/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "connection-cap.h"
#include "check-suite.h"

#define NO_SLOT CONNECTION_CAP_NO_SLOT

static const struct {
	const char *value;
	bool ok, counted;
	unsigned int max;
} parse_tests[] = {
	{ "auto", TRUE, TRUE, 0 },
	{ "unlimited", TRUE, FALSE, 0 },
	{ "1", TRUE, TRUE, 1 },
	{ "250", TRUE, TRUE, 250 },
	/* nobody could connect */
	{ "0", FALSE, FALSE, 0 },
	{ "-1", FALSE, FALSE, 0 },
	{ "", FALSE, FALSE, 0 },
	{ "four", FALSE, FALSE, 0 },
	{ "4 ", FALSE, FALSE, 0 },
	{ "99999999999999999999", FALSE, FALSE, 0 },
};

START_TEST(test_parse)
{
	struct connection_cap cap;
	const char *error = NULL;

	ck_assert_int_eq(connection_cap_parse("some_max_connections",
		parse_tests[_i].value, &cap, &error), parse_tests[_i].ok);
	if (!parse_tests[_i].ok) {
		ck_assert_ptr_nonnull(strstr(error,
			"some_max_connections must be"));
		return;
	}
	ck_assert_int_eq(cap.counted, parse_tests[_i].counted);
	ck_assert_uint_eq(cap.max, parse_tests[_i].max);
}
END_TEST

#define GO CONNECTION_CAP_GO
#define WAIT CONNECTION_CAP_WAIT
#define LATER CONNECTION_CAP_LATER
#define IN_TURN CONNECTION_CAP_IN_TURN

static const struct {
	bool counted;
	unsigned int max, slot;
	bool second;
	uint64_t patience;
	enum connection_cap_action action;
} decide_tests[] = {
	/* unlimited: no slot is needed */
	{ FALSE, 0, NO_SLOT, FALSE, 0, GO },
	{ FALSE, 0, NO_SLOT, TRUE, 0, GO },
	/* not known (yet): any slot will do */
	{ TRUE, 0, 0, FALSE, 0, GO },
	{ TRUE, 0, 900, FALSE, 0, GO },
	{ TRUE, 0, NO_SLOT, FALSE, 1000, WAIT },
	/* the slots 0 to 3 */
	{ TRUE, 4, 0, FALSE, 0, GO },
	{ TRUE, 4, 3, FALSE, 0, GO },
	{ TRUE, 4, 3, TRUE, 0, GO },
	{ TRUE, 4, 4, FALSE, 1000, WAIT },
	{ TRUE, 4, NO_SLOT, FALSE, 1000, WAIT },
	{ TRUE, 4, NO_SLOT, FALSE, 50, LATER },
	{ TRUE, 4, NO_SLOT, FALSE, 0, LATER },
	/* a second one is never waited for */
	{ TRUE, 4, NO_SLOT, TRUE, 0, IN_TURN },
	{ TRUE, 4, NO_SLOT, TRUE, 600000, IN_TURN },
	{ TRUE, 1, NO_SLOT, TRUE, 600000, IN_TURN },
	{ TRUE, 1, 1, TRUE, 600000, IN_TURN },
};

START_TEST(test_decide)
{
	const struct connection_cap cap = {
		.counted = decide_tests[_i].counted,
		.max = decide_tests[_i].max,
	};
	struct connection_cap_waits waits = { .tries = 0 };
	unsigned int msecs;

	ck_assert_int_eq(connection_cap_decide(&cap, decide_tests[_i].slot,
			decide_tests[_i].second, decide_tests[_i].patience, 0,
			&waits, &msecs), decide_tests[_i].action);
	ck_assert_int_eq(msecs > 0, decide_tests[_i].action == WAIT);
	ck_assert_uint_eq(waits.msecs, msecs);
}
END_TEST

START_TEST(test_waits)
{
	const struct connection_cap cap = { .counted = TRUE, .max = 1 };
	struct connection_cap_waits waits = { .tries = 0 };
	unsigned int msecs, largest = 0, least = UINT_MAX;
	uint64_t sum = 0;

	while (connection_cap_decide(&cap, NO_SLOT, FALSE, 60*1000,
				     waits.tries * 37, &waits, &msecs) == WAIT) {
		sum += msecs;
		least = I_MIN(least, msecs);
		largest = I_MAX(largest, msecs);
	}
	/* the patience is used, and not more of it */
	ck_assert_uint_eq(sum, waits.msecs);
	ck_assert(sum <= 60*1000 && sum > 58*1000);
	ck_assert(least >= 75 && least <= 100);
	ck_assert(largest > 750 && largest <= 1000);
}
END_TEST

START_TEST(test_names)
{
	char host[300];
	const char *name, *name2;

	ck_assert_str_eq(connection_cap_slot_name("Mail.Example.com:143", 3),
			 "dovecot-migration/mail.example.com:143/3");
	memset(host, 'a', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	name = connection_cap_slot_name(host, UINT_MAX - 1);
	host[sizeof(host) - 2] = 'b';
	name2 = connection_cap_slot_name(host, UINT_MAX - 1);
	ck_assert(strlen(name) <= CONNECTION_CAP_NAME_LEN);
	ck_assert_str_ne(name, name2);
}
END_TEST

int main(void)
{
	Suite *suite;
	TCase *tc = check_suite_begin(&suite, "connection-cap");

	tcase_add_loop_test(tc, test_parse, 0, N_ELEMENTS(parse_tests));
	tcase_add_loop_test(tc, test_decide, 0, N_ELEMENTS(decide_tests));
	tcase_add_test(tc, test_waits);
	tcase_add_test(tc, test_names);
	return check_suite_run(suite);
}
