/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "text-size.h"
#include "check-suite.h"

#include <stdlib.h>

static const struct {
	const char *text;
	/* sizes of the saved mail that are right */
	uoff_t least, most;
} tests[] = {
	{ "", 0, 0 },
	{ "a\r\n", 3, 3 },
	{ "a\r\n\r\nb\r\n", 8, 8 },
	{ "no end", 6, 6 },
	/* bare LF is CR LF later */
	{ "a\nb\n", 6, 6 },
	{ "\n", 2, 2 },
	/* quirk cr-cr-lf */
	{ "a\r\r\n", 3, 4 },
	{ "a\r\r\r\n", 4, 5 },
	{ "a\r\r\nb\r\r\nc\n", 9, 11 },
	/* a CR alone is text */
	{ "a\rb\r\n", 5, 5 },
	{ "\r", 0, 1 },
	{ "\r\r", 1, 2 },
	{ "one\r", 3, 4 },
};

START_TEST(test_sizes)
{
	const unsigned char *data = (const unsigned char *)tests[_i].text;
	size_t len = strlen(tests[_i].text), first;
	struct text_size size;

	/* wherever it is cut in two */
	for (first = 0; first <= len; first++) {
		i_zero(&size);
		text_size_more(&size, data, first);
		text_size_more(&size, data + first, len - first);
		ck_assert_uint_eq(size.bytes, len);
		ck_assert(text_size_is_saved(&size, tests[_i].least));
		ck_assert(text_size_is_saved(&size, tests[_i].most));
		ck_assert(!text_size_is_saved(&size, tests[_i].most + 1));
		if (tests[_i].least > 0)
			ck_assert(!text_size_is_saved(&size,
						      tests[_i].least - 1));
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "text-size");

	tcase_add_loop_test(tc, test_sizes, 0, N_ELEMENTS(tests));
	return check_suite_run(s);
}
