/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "istream.h"
#include "message-parser.h"
#include "placeholder.h"
#include "check-suite.h"

static const char header_text[] =
	"Received: from a by b;\r\n\tThu, 1 Jan 2026 00:00:00 +0000\r\n"
	"From: =?utf-8?q?J=C3=B6rg?= <j@example.com>\r\n"
	"Message-ID: <1@example.com>\r\n"
	"content-type: multipart/mixed;\r\n boundary=\"x\"\r\n"
	"MIME-Version: 1.0\r\n"
	"Subject: Hello\r\n"
	"\r\n";

static const struct placeholder whole = {
	.mailbox = "Entw\xc3\xbcrfe",
	.uidvalidity = 99,
	.uid = 17,
	.internaldate = 1767225600,
	.size = 1234,
	.words = "[SERVERBUG] No text\r\nBcc: \x80 evil",
	.header = header_text,
};

static string_t *
write_all(const struct placeholder *mail, const struct placeholder_part *parts,
	  const char *const *data, unsigned int count)
{
	string_t *str = str_new(default_pool, 1024);
	unsigned int i;

	placeholder_write_begin(str, mail, parts, count);
	for (i = 0; i < count; i++) {
		placeholder_write_part(str, mail, &parts[i]);
		str_append(str, data[i]);
	}
	placeholder_write_end(str, mail);
	return str;
}

/* Parses it as a mail client does. Returns the number of parts at the top. */
static unsigned int parse_parts(const string_t *str)
{
	pool_t pool = pool_alloconly_create("parts", 4096);
	struct istream *input =
		i_stream_create_from_data(str_data(str), str_len(str));
	const struct message_parser_settings set = { .flags = 0 };
	struct message_parser_ctx *parser =
		message_parser_init(pool, input, &set);
	struct message_part *root, *part;
	struct message_block block;
	unsigned int count = 0;
	int ret;

	while ((ret = message_parser_parse_next_block(parser, &block)) > 0) ;
	ck_assert_int_eq(ret, -1);
	message_parser_deinit(&parser, &root);
	ck_assert_int_ne(root->flags & MESSAGE_PART_FLAG_MULTIPART, 0);
	for (part = root->children; part != NULL; part = part->next)
		count++;
	i_stream_unref(&input);
	pool_unref(&pool);
	return count;
}

static void check_lines(const string_t *_str)
{
	string_t *str = t_str_new(1024);
	const char *p;

	str_append_str(str, _str);
	for (p = strchr(str_c(str), '\n'); p != NULL; p = strchr(p + 1, '\n'))
		ck_assert_int_eq(p[-1], '\r');
}

START_TEST(test_with_header)
{
	string_t *str = write_all(&whole, NULL, NULL, 0);
	const char *text = str_c(str);

	ck_assert_uint_eq(parse_parts(str), 1);
	check_lines(str);
	ck_assert_int_eq(strncmp(text, "X-Migration-Placeholder: uid=17; "
				 "uidvalidity=99\r\n", 49), 0);
	/* the mail's own fields, in their order, folded as they were */
	ck_assert_ptr_nonnull(strstr(text, "\r\nReceived: from a by b;\r\n\tThu, "
		"1 Jan 2026 00:00:00 +0000\r\nFrom: =?utf-8?q?J=C3=B6rg?= "
		"<j@example.com>\r\nMessage-ID: <1@example.com>\r\n"
		"X-Migration-Original-content-type: multipart/mixed;\r\n "
		"boundary=\"x\"\r\nX-Migration-Original-MIME-Version: 1.0\r\n"
		"Subject: Hello\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "Entw\xc3\xbcrfe"));
	ck_assert_ptr_nonnull(strstr(text, "1234 bytes"));
	/* words stay words */
	ck_assert_ptr_nonnull(strstr(text,
		"answer: [SERVERBUG] No text??Bcc: ? evil\r\n"));
	str_free(&str);
}
END_TEST

START_TEST(test_without_header)
{
	struct placeholder mail = whole;
	string_t *str;

	mail.header = NULL;
	mail.size = UOFF_T_MAX;
	str = write_all(&mail, NULL, NULL, 0);
	ck_assert_uint_eq(parse_parts(str), 1);
	check_lines(str);
	ck_assert_ptr_nonnull(strstr(str_c(str),
		"\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n"));
	ck_assert_ptr_nonnull(strstr(str_c(str),
		"\r\nMessage-ID: <migration-placeholder.99.17@localhost>\r\n"));
	ck_assert_ptr_null(strstr(str_c(str), "Size:"));
	str_free(&str);
}
END_TEST

START_TEST(test_parts)
{
	static const struct placeholder_part parts[] = {
		{ "1", "Content-Type: text/plain\r\nX-Odd: x\r\n\r\n", 5, TRUE },
		{ "2", NULL, 3, FALSE },
		{ "TEXT", NULL, 4, FALSE },
	};
	static const char *const data[] = { "first", "sec", "text" };
	string_t *str = write_all(&whole, parts, data, N_ELEMENTS(parts));
	const char *text = str_c(str);

	ck_assert_uint_eq(parse_parts(str), 4);
	check_lines(str);
	ck_assert_ptr_nonnull(strstr(text,
		"=\r\nContent-Type: text/plain\r\n\r\nfirst\r\n--"));
	ck_assert_ptr_nonnull(strstr(text,
		"Content-Type: application/octet-stream\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\nsec\r\n--"));
	/* the whole body is described by the mail's header */
	ck_assert_ptr_nonnull(strstr(text, "=\r\ncontent-type: multipart/mixed;"
		"\r\n boundary=\"x\"\r\n\r\ntext\r\n--"));
	ck_assert_ptr_nonnull(strstr(text, "Part 1 could be read: 5 bytes."));
	ck_assert_ptr_nonnull(strstr(text,
		"Part 2 could be read: the first 3 bytes of it."));
	str_free(&str);
}
END_TEST

/* headers of all kinds: nothing gets lost, nothing is added */
static const struct {
	const char *header, *expected;
} headers[] = {
	{ "", "" },
	{ "\r\n", "" },
	{ "A: 1", "A: 1\r\n" },
	{ "A: 1\nB: 2\n\n", "A: 1\r\nB: 2\r\n" },
	{ "A: 1\r\n\r\nBody: no\r\n", "A: 1\r\n" },
	{ "no field\r\nA: 1\r\n", "no field\r\nA: 1\r\n" },
	{ " starts folded\r\nA: 1\r\n", " starts folded\r\nA: 1\r\n" },
	/* a placeholder of an earlier migration */
	{ "X-Migration-Placeholder: uid=1; uidvalidity=2\r\nA: 1\r\n",
	  "A: 1\r\n" },
	{ "Content-Type\r\n", "Content-Type\r\n" },
};

START_TEST(test_headers)
{
	struct placeholder mail = whole;
	string_t *str;
	const char *text, *end;

	mail.header = headers[_i].header;
	str = write_all(&mail, NULL, NULL, 0);
	text = strstr(str_c(str), "\r\n") + 2;
	end = strstr(text, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;");
	ck_assert_ptr_nonnull(end);
	if (strcmp(headers[_i].header, "Content-Type\r\n") == 0)
		ck_assert_str_eq(t_strdup_until(text, end),
				 "X-Migration-Original-Content-Type\r\n");
	else
		ck_assert_str_eq(t_strdup_until(text, end),
				 headers[_i].expected);
	str_free(&str);
}
END_TEST

static const struct {
	const char *header;
	bool multipart;
} multiparts[] = {
	{ NULL, FALSE },
	{ "", FALSE },
	{ header_text, TRUE },
	{ "Content-Type: text/plain\r\n", FALSE },
	{ "Content-Type:\r\n Multipart/mixed\r\n", TRUE },
	{ "Content-Type: multi", FALSE },
	{ "X-Content-Type: multipart/mixed\r\n", FALSE },
	{ "A: 1\r\n\r\nContent-Type: multipart/mixed\r\n", FALSE },
};

START_TEST(test_is_multipart)
{
	ck_assert_int_eq(placeholder_header_is_multipart(multiparts[_i].header),
			 multiparts[_i].multipart);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "placeholder");

	setenv("TZ", "UTC", 1);
	tcase_add_test(tc, test_with_header);
	tcase_add_test(tc, test_without_header);
	tcase_add_test(tc, test_parts);
	tcase_add_loop_test(tc, test_headers, 0, N_ELEMENTS(headers));
	tcase_add_loop_test(tc, test_is_multipart, 0, N_ELEMENTS(multiparts));
	return check_suite_run(s);
}
