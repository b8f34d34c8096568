/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "buffer.h"
#include "istream.h"
#include "istream-sized.h"
#include "ostream.h"
#include "mbox-quote.h"
#include "check-suite.h"

#define HDR "X-Gmail-Labels: Inbox\n>From the header\n"

/* text, and what it was before it was quoted; NULL: nothing is quoted */
static const struct {
	const char *text, *original;
} tests[] = {
	{ HDR"\nbody\n", NULL },
	{ HDR"\n>From here\n", HDR"\nFrom here\n" },
	{ HDR"\none\n>From here\n>>From there\nFrom nowhere\n>>> From\n",
	  HDR"\none\nFrom here\n>From there\nFrom nowhere\n>>> From\n" },
	{ "x-gmail-labels: a\r\n\r\n>From here\r\n>from\r\n>Fro\r\n> From \r\n",
	  "x-gmail-labels: a\r\n\r\nFrom here\r\n>from\r\n>Fro\r\n> From \r\n" },
	{ HDR"\nsee >From here\n>From", NULL },
	{ HDR"\nsee\n>From ", HDR"\nsee\nFrom " },
	{ HDR"\n>>>>", NULL },
	{ HDR"\n>From a\n>>", HDR"\nFrom a\n>>" },
	{ "Subject: not of Takeout\n\n>From here\n", NULL },
	{ HDR, NULL },
	{ "", NULL },
};

static struct istream *open_text(const char *text, size_t chunk)
{
	struct istream *input = i_stream_create_from_data(text, strlen(text));

	i_stream_set_max_buffer_size(input, chunk);
	return input;
}

/* All at once, and a few characters at a time. */
static const size_t chunks[] = { 8192, 1, 3 };

START_TEST(test_quote)
{
	struct istream *input, *slow;
	struct ostream *output;
	buffer_t *result = t_buffer_create(128);
	unsigned int i;

	input = open_text(tests[_i].text, 8192);
	ck_assert_int_eq(mbox_quote_find(input, "X-Gmail-Labels"),
			 tests[_i].original != NULL);
	i_stream_unref(&input);
	if (tests[_i].original == NULL)
		return;
	for (i = 0; i < N_ELEMENTS(chunks); i++) {
		input = open_text(tests[_i].text, 8192);
		slow = i_stream_create_sized_range(input, 0,
						   strlen(tests[_i].text));
		i_stream_set_max_buffer_size(slow, chunks[i]);
		buffer_set_used_size(result, 0);
		output = o_stream_create_buffer(result);
		ck_assert_int_eq(mbox_quote_undo(slow, output), 0);
		ck_assert_int_eq(o_stream_finish(output), 1);
		o_stream_unref(&output);
		i_stream_unref(&slow);
		i_stream_unref(&input);
		buffer_append_c(result, '\0');
		ck_assert_str_eq((const char *)result->data,
				 tests[_i].original);
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mbox-quote");

	tcase_add_loop_test(tc, test_quote, 0, N_ELEMENTS(tests));
	return check_suite_run(s);
}
