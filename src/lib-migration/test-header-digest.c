/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "header-digest.h"
#include "check-suite.h"

#define H "From: a@example.org\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n" \
	"Message-ID: <1@example.org>\r\nSubject: hello world\r\n"
#define H_EMPTY_LINE H "\r\n"

/* names of QUIRKS.md in front */
static const struct {
	const char *name, *imap, *pop3;
	enum header_likeness likeness;
} headers[] = {
	{ "same", H_EMPTY_LINE, H_EMPTY_LINE, HEADER_LIKENESS_EQUAL },
	{ "no empty line", H, H_EMPTY_LINE, HEADER_LIKENESS_EQUAL },
	{ "body follows", H_EMPTY_LINE "X-Body: 1\r\n", H_EMPTY_LINE,
	  HEADER_LIKENESS_EQUAL },
	{ "LF line ends", "A: 1\nB: 2\n\n", "A: 1\r\nB: 2\r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: Return-Path only over IMAP (Yahoo)",
	  "Return-Path: <a@b>\r\nX-Yahoo-Newman-Property: x\r\n" H_EMPTY_LINE,
	  H_EMPTY_LINE, HEADER_LIKENESS_EQUAL },
	{ "header-views: mbox fields",
	  H "Status: RO\r\nX-UID: 17\r\nX-IMAPbase: 1 2\r\n"
	  "X-Delivery-ID: kVdy\r\n\r\n", H_EMPTY_LINE,
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: X-Message-Flag (Exchange)",
	  H "X-Message-Flag: Flag\r\n\r\n", H_EMPTY_LINE,
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: refolded", H "X-A: one\r\n two\r\n\tthree\r\n\r\n",
	  H "X-A: one two three\r\n\r\n", HEADER_LIKENESS_EQUAL },
	{ "header-views: trailing blanks trimmed (Zimbra)",
	  H "X-A: one\r\n\r\n", H "X-A: one \t \r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: line without colon dropped (Zimbra, Oracle)",
	  H_EMPTY_LINE, H "this is no field\r\n\r\n", HEADER_LIKENESS_EQUAL },
	{ "header-views: blank continuation dropped (Oracle)",
	  H "X-A: one\r\n two\r\n\r\n", H "X-A: one\r\n  \t\r\n two\r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: invalid name dropped (Yahoo)",
	  H_EMPTY_LINE, H "X Y: one\r\n\r\n", HEADER_LIKENESS_EQUAL },
	{ "header-views: mbox From line", H_EMPTY_LINE,
	  "From a@b Mon Jan  1 10:00:00 2024\r\n" H_EMPTY_LINE,
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: 8-bit as one ? per byte (Zimbra)",
	  H "X-A: \xc3\xa4rger\r\n\r\n", H "X-A: ??rger\r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: 8-bit as one ? per sequence (Yahoo)",
	  H "X-A: \xc3\xa4rger\r\n\r\n", H "X-A: ?rger\r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: NUL as 0x80 (Dovecot)",
	  H "X-A: a\x80" "b\r\n\r\n", H "X-A: a?b\r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "header-views: CR CR LF ends the header (Courier)",
	  H "\r\r\n", H "\r\r\nX-B: 1\r\n\r\n", HEADER_LIKENESS_EQUAL },
	{ "other order", "A: 1\r\nB: 2\r\n\r\n", "B: 2\r\nA: 1\r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "names in other case", "SUBJECT: x\r\n\r\n", "Subject: x\r\n\r\n",
	  HEADER_LIKENESS_EQUAL },
	{ "field added", H "X-Scan: ok\r\n\r\n", H_EMPTY_LINE,
	  HEADER_LIKENESS_FIELDS },
	{ "repeated field", H "X-A: 1\r\nX-A: 1\r\n\r\n", H "X-A: 1\r\n\r\n",
	  HEADER_LIKENESS_FIELDS },
	{ "other Message-ID",
	  "Message-ID: <1@x>\r\nFrom: a\r\nDate: b\r\n\r\n",
	  "Message-ID: <2@x>\r\nFrom: a\r\nDate: b\r\n\r\n",
	  HEADER_LIKENESS_OTHER },
	{ "other field, no Message-ID", "From: a\r\nDate: b\r\nX: 1\r\n\r\n",
	  "From: a\r\nDate: b\r\nX: 2\r\n\r\n", HEADER_LIKENESS_OTHER },
	{ "field border", "A: bc\r\n\r\n", "Ab: c\r\n\r\n",
	  HEADER_LIKENESS_OTHER },
	{ "no header", "\r\n", "", HEADER_LIKENESS_EQUAL },
};

START_TEST(test_headers)
{
	struct header_digest imap, pop3;

	header_digest_get((const void *)headers[_i].imap,
			  strlen(headers[_i].imap), &imap);
	header_digest_get((const void *)headers[_i].pop3,
			  strlen(headers[_i].pop3), &pop3);
	ck_assert_msg(header_digest_compare(&imap, &pop3) ==
		      headers[_i].likeness, "%s", headers[_i].name);
}
END_TEST

static const struct {
	const char *header;
	uint32_t raw_size;
} sizes[] = {
	{ "A: 1\r\n\r\nbody", 8 },
	{ "A: 1\n\nbody", 8 },
	{ "A: 1\r\n", 6 },
	{ "A: 1", 4 },
	{ "", 0 },
	{ "\r\r\nA", 3 },
};

START_TEST(test_raw_size)
{
	struct header_digest digest;

	header_digest_get((const void *)sizes[_i].header,
			  strlen(sizes[_i].header), &digest);
	ck_assert_uint_eq(digest.raw_size, sizes[_i].raw_size);
}
END_TEST

static const struct {
	const char *imap, *pop3;
	bool equal;
} bodies[] = {
	{ "A: 1\r\n\r\nbody\r\n", "A: 1\r\n\r\nbody\r\n", TRUE },
	/* missing final newline: POP3 always ends with one */
	{ "A: 1\r\n\r\nbody", "A: 1\r\n\r\nbody\r\n", TRUE },
	{ "A: 1\n\none\ntwo", "A: 1\r\n\r\none\r\ntwo\r\n", TRUE },
	{ "A: 1\r\n\r\none\r\r\ntwo", "A: 1\r\n\r\none\r\ntwo\r\n", TRUE },
	/* an empty mail: IMAP says CR LF, POP3 nothing */
	{ "\r\n", "", TRUE },
	{ "A: 1\r\n\r\none\r\n\r\ntwo", "A: 1\r\n\r\none\r\ntwo", FALSE },
	{ "A: 1\r\n\r\nbody1", "A: 1\r\n\r\nbody2", FALSE },
	{ "A: 1\r\n\r\n", "A: 1\r\n\r\nx", FALSE },
};

START_TEST(test_bodies)
{
	struct header_digest header[2], whole;
	struct body_digest body[2];
	const char *texts[2] = { bodies[_i].imap, bodies[_i].pop3 };

	for (unsigned int i = 0; i < 2; i++) {
		struct mail_digest *digest = mail_digest_init();
		size_t len = strlen(texts[i]);

		/* in pieces of every size */
		for (size_t n = 0; n < len; n += i + 1) {
			mail_digest_more(digest, (const void *)(texts[i] + n),
					 I_MIN(i + 1, len - n));
		}
		mail_digest_deinit(&digest, &header[i], &body[i]);
		header_digest_get((const void *)texts[i], len, &whole);
		ck_assert_int_eq(memcmp(&whole, &header[i], sizeof(whole)), 0);
	}
	ck_assert_int_eq(memcmp(&body[0], &body[1], sizeof(body[0])) == 0,
			 bodies[_i].equal);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "header-digest");

	tcase_add_loop_test(tc, test_headers, 0, N_ELEMENTS(headers));
	tcase_add_loop_test(tc, test_raw_size, 0, N_ELEMENTS(sizes));
	tcase_add_loop_test(tc, test_bodies, 0, N_ELEMENTS(bodies));
	return check_suite_run(s);
}
