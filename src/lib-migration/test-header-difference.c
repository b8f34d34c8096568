/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "header-difference.h"
#include "check-suite.h"

#define H "From: a@b\r\nSubject: hello\r\n"

static const struct {
	const char *pop3, *imap, *difference;
} headers[] = {
	{ H "\r\n", H "\r\n", "" },
	{ H "\r\n", "Subject: hello\r\nFrom:  a@b\r\n\r\nX-Body: 1\r\n", "" },
	{ H "\r\n", H "Return-Path: <x@y>\r\n\r\n", "" },
	{ H "no field\r\n\r\n", H "\r\n", "" },
	{ H "\r\n", H "X-Foo: 1\r\n\r\n", "X-Foo only over IMAP" },
	{ H "X-Foo: 1\r\n\r\n", H "\r\n", "X-Foo only over POP3" },
	{ H "X-Foo: 1\r\nX-Foo: 1\r\n\r\n", H "X-Foo: 1\r\n\r\n",
	  "X-Foo only over POP3" },
	{ "Subject: one\r\n\r\n", "Subject: two\r\n\r\n", "Subject differs" },
	{ "Subject: a\r\n b\r\n\r\n", "Subject: a\r\n c\r\n\r\n",
	  "Subject differs" },
	{ "Subject: Aerger\r\n\r\n", "Subject: \xc3\x84rger\r\n\r\n",
	  "Subject with its 8-bit bytes replaced over POP3" },
	{ "Subject: \xc3\x84rger\r\n\r\n", "Subject: Aerger\r\n\r\n",
	  "Subject with its 8-bit bytes replaced over IMAP" },
	{ "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\nF: 1\r\nG: 1\r\n", "",
	  "A only over POP3, B only over POP3, C only over POP3, "
	  "D only over POP3, E only over POP3, and more" },
	{ "A: 1\r\nB: 1\r\n\r\n", "A: 2\r\nC: 1\r\n\r\n",
	  "A differs, C only over IMAP, B only over POP3" },
	{ "", "", "" },
	{ "A", ":\r\n", "" },
};

START_TEST(test_difference)
{
	ck_assert_str_eq(header_difference(
			(const void *)headers[_i].pop3, strlen(headers[_i].pop3),
			(const void *)headers[_i].imap, strlen(headers[_i].imap)),
			headers[_i].difference);
}
END_TEST

static const struct {
	const char *header, *name, *value;
} values[] = {
	{ H "\r\n", "subject", "hello" },
	{ "Subject: one\r\n\ttwo\r\n  three\r\n\r\n", "Subject",
	  "one two  three" },
	{ "Subject: first\r\nSubject: second\r\n\r\n", "Subject", "first" },
	{ "A: 1\r\n\r\nSubject: body\r\n", "Subject", "" },
	{ "Subject:\r\n\r\n", "Subject", "" },
	{ "Subject: a\x01" "b\r\n\r\n", "Subject", "a?b" },
	{ "", "Subject", "" },
};

START_TEST(test_value)
{
	ck_assert_str_eq(header_get_value((const void *)values[_i].header,
					  strlen(values[_i].header),
					  values[_i].name), values[_i].value);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "header-difference");

	tcase_add_loop_test(tc, test_difference, 0, N_ELEMENTS(headers));
	tcase_add_loop_test(tc, test_value, 0, N_ELEMENTS(values));
	return check_suite_run(s);
}
