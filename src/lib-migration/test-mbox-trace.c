/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "mbox-trace.h"
#include "check-suite.h"

static const struct {
	const char *text, *trace;
} traces[] = {
	{ "From a@b Fri\nTo: c\n\nbody\n", "a@b Fri\n" },
	{ "From a@b Fri\r\nFrom: x\r\n\r\nsee From here\r\nFrom ",
	  "a@b Fri\nhere\n" },
	{ "From a@b Fri", "a@b Fri" },
	{ "FrFrom a From b\nFro\nm c", "a From b\n" },
	{ "FFrom a\nFrom\n b", "a\n" },
	{ "from a\n", "" },
	{ "", "" },
};

static const size_t chunks[] = { 8192, 1, 3 };

START_TEST(test_trace)
{
	const char *text = traces[_i].text;
	struct mbox_trace trace;
	string_t *lines = t_str_new(64);
	size_t i, pos;

	for (i = 0; i < N_ELEMENTS(chunks); i++) {
		str_truncate(lines, 0);
		mbox_trace_begin(&trace, lines);
		for (pos = 0; pos < strlen(text); pos += chunks[i]) {
			mbox_trace_add(&trace, text + pos,
				I_MIN(chunks[i], strlen(text) - pos));
		}
		ck_assert_str_eq(str_c(lines), traces[_i].trace);
	}
}
END_TEST

/* These two mails were to be appended. */
#define FIRST "From me@here Fri\nSubject: a\n\nFrom then\nand From there on\n\n"
#define SECOND "From me@here Sat\nSubject: b\n\nlast"

static const struct {
	const char *name, *tail;
	bool ours;
} tails[] = {
	{ "nothing was written", "", TRUE },
	{ "all", FIRST SECOND, TRUE },
	{ "cut in the words", "From me@here Fri\nSubject: a\n\nFro", TRUE },
	{ "cut behind the words", "From me@here Fri\nSubject: a\n\nFrom t", TRUE },
	{ "cut in the second mail", FIRST"From me@here Sat\nSub", TRUE },
	{ "somebody else's only", "From you@here Sun\n\nhello\n", FALSE },
	{ "another one's after ours",
	  FIRST"From me@here Sat\nSubject\nFrom you@here Sun\n\nhello\n", FALSE },
	{ "in the middle of a line",
	  FIRST"From me@here Sat\nSubFrom you@here Sun\n\nhello\n", FALSE },
	{ "behind words that were cut off",
	  "From me@here FriFrom you@here Sun\n\nhello\n", FALSE },
	{ "in a line of its own, behind words that were cut off",
	  "From me@here Fri\n\nFrom the\nFrom you@here Sun\n\nhello\n", FALSE },
	{ "after all of ours", FIRST SECOND"\n\nFrom you@here Sun\n\n", FALSE },
};

static void
add_trace(string_t *lines, const char *text, bool end)
{
	struct mbox_trace trace;

	mbox_trace_begin(&trace, lines);
	mbox_trace_add(&trace, text, strlen(text));
	if (end)
		mbox_trace_end(&trace);
}

START_TEST(test_part)
{
	string_t *expected = t_str_new(64), *found = t_str_new(64);

	add_trace(expected, FIRST, TRUE);
	add_trace(expected, SECOND, TRUE);
	add_trace(found, tails[_i].tail, FALSE);
	ck_assert_msg(mbox_trace_is_part_of(found, str_c(expected),
					    str_len(expected)) ==
		      tails[_i].ours, "%s", tails[_i].name);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mbox-trace");

	tcase_add_loop_test(tc, test_trace, 0, N_ELEMENTS(traces));
	tcase_add_loop_test(tc, test_part, 0, N_ELEMENTS(tails));
	return check_suite_run(s);
}
