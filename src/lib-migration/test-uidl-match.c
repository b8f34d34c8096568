/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "md5.h"
#include "hex-binary.h"
#include "uidl-match.h"
#include "uidl-format.h"

#include <check.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Two servers that show the same mails, each in its own way. The test knows
   which mail is which; the matcher sees only what it asks for. */

#define UIDVALIDITY 1700000000U
#define BODY_LIMIT (1024U*1024*1024)

enum mangling {
	/* both servers show the same */
	MANGLE_NONE,
	/* fields that one view lacks, folding, 8-bit (header-views) */
	MANGLE_KNOWN,
	/* a field of its own in each mail over POP3 */
	MANGLE_ADDED_FIELD,
	/* everything but Message-ID, Date and From is gone */
	MANGLE_REWRITTEN,

	MANGLE_COUNT
};

struct test_mail {
	/* what the header and the body say */
	unsigned int header, body;
	/* without Message-ID */
	bool anonymous;
	uoff_t body_size;
	uint32_t mailbox, uid;
	/* IMAP: UIDL of an earlier run */
	const char *known;
	/* POP3 */
	const char *uidl;
	int size_error;
};
ARRAY_DEFINE_TYPE(test_mail, struct test_mail);

struct test_world {
	ARRAY_TYPE(test_mail) imap, pop3;
	enum mangling mangling;
	struct uidl_match_settings set;
	unsigned int mailboxes;
	/* which of the POP3 mails have no TOP, for testing errors */
	bool top_fails;
	/* costs, as the test counts them */
	unsigned int tops, retrs, rounds;
};

static uint64_t random_seed;

static unsigned int random_below(unsigned int limit)
{
	random_seed = random_seed * 6364136223846793005ULL +
		1442695040888963407ULL;
	return (random_seed >> 33) % limit;
}

static void
append_header(string_t *str, const struct test_mail *mail, bool pop3,
	      enum mangling mangling)
{
	unsigned int n = mail->header;
	bool mangled = pop3 && mangling != MANGLE_NONE;

	if (!mail->anonymous)
		str_printfa(str, "Message-ID: <%u@example.org>\r\n", n);
	str_printfa(str, "Date: Mon, %02u Jan 2024 10:%02u:%02u +0000\r\n",
		    n % 28 + 1, n % 60, n / 60 % 60);
	str_printfa(str, "From: user%u@example.org\r\n", n % 7);
	if (mangled && mangling == MANGLE_REWRITTEN) {
		str_append(str, "Subject: rewritten\r\n\r\n");
		return;
	}
	if (mangled)
		str_printfa(str, "Subject: n?mber\r\n %u\r\n", n);
	else
		str_printfa(str, "Subject: n\xc3\xbcmber %u\r\n", n);
	str_printfa(str, "Received: from %u by example.org; %u\r\n", n, n * 3);
	if (mangling != MANGLE_NONE && !pop3)
		str_append(str, "Return-Path: <a@example.org>\r\nStatus: RO\r\n");
	if (mangled && mangling == MANGLE_ADDED_FIELD)
		str_printfa(str, "X-Scanned: %u\r\n", n * 17);
	str_append(str, "\r\n");
}

static uoff_t mail_size(const struct test_mail *mail)
{
	string_t *str = t_str_new(512);

	append_header(str, mail, FALSE, MANGLE_NONE);
	return str_len(str) + mail->body_size;
}

/* The body's text says which one it is, and is as long as it should be. */
static void append_body(string_t *str, const struct test_mail *mail)
{
	size_t start = str_len(str);

	str_printfa(str, "%u ", mail->body);
	while (str_len(str) - start + 10 < mail->body_size)
		str_append(str, "text text ");
}

static void
get_digests(const struct test_world *world, const struct test_mail *mail,
	    bool pop3, struct header_digest *header_r,
	    struct body_digest *body_r)
{
	struct mail_digest *digest = mail_digest_init();
	string_t *str = t_str_new(1024);

	append_header(str, mail, pop3, world->mangling);
	if (body_r != NULL)
		append_body(str, mail);
	mail_digest_more(digest, str_data(str), str_len(str));
	mail_digest_deinit(&digest, header_r, body_r);
}

static void
answer_headers(struct test_world *world, struct uidl_match *match, bool pop3,
	       const uint32_t *indexes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) T_BEGIN {
		struct header_digest header;

		get_digests(world, array_idx(pop3 ? &world->pop3 : &world->imap,
					     indexes[i]), pop3, &header, NULL);
		if (pop3)
			uidl_match_add_pop3_header(match, indexes[i], &header);
		else
			uidl_match_add_imap_header(match, indexes[i], &header);
	} T_END;
}

static void
answer_bodies(struct test_world *world, struct uidl_match *match, bool pop3,
	      const uint32_t *indexes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) T_BEGIN {
		struct header_digest header;
		struct body_digest body;

		get_digests(world, array_idx(pop3 ? &world->pop3 : &world->imap,
					     indexes[i]), pop3, &header, &body);
		if (pop3) {
			uidl_match_add_pop3_header(match, indexes[i], &header);
			uidl_match_add_pop3_body(match, indexes[i], &body);
		} else {
			uidl_match_add_imap_header(match, indexes[i], &header);
			uidl_match_add_imap_body(match, indexes[i], &body);
		}
	} T_END;
}

static struct uidl_match *world_match(struct test_world *world)
{
	struct uidl_match *match = uidl_match_init(&world->set);
	struct uidl_match_request request;
	const struct test_mail *mail;

	for (unsigned int i = 0; i < I_MAX(world->mailboxes, 1); i++)
		uidl_match_add_mailbox(match, UIDVALIDITY + i);
	array_foreach(&world->imap, mail) T_BEGIN {
		uidl_match_add_imap(match, mail->mailbox, mail->uid,
				    mail_size(mail), 0);
		if (mail->known != NULL)
			uidl_match_set_known(match, mail->known);
	} T_END;
	array_foreach(&world->pop3, mail) T_BEGIN {
		uidl_match_add_pop3(match, mail->uidl,
				    mail_size(mail) + mail->size_error);
	} T_END;
	while (uidl_match_next(match, &request)) {
		world->rounds++;
		world->tops += request.pop3_headers_count;
		world->retrs += request.pop3_bodies_count;
		ck_assert_uint_lt(world->rounds, 20);
		if (!world->top_fails) {
			answer_headers(world, match, TRUE, request.pop3_headers,
				       request.pop3_headers_count);
		}
		answer_headers(world, match, FALSE, request.imap_headers,
			       request.imap_headers_count);
		answer_bodies(world, match, TRUE, request.pop3_bodies,
			      request.pop3_bodies_count);
		answer_bodies(world, match, FALSE, request.imap_bodies,
			      request.imap_bodies_count);
	}
	return match;
}

static void world_init(struct test_world *world)
{
	i_zero(world);
	i_array_init(&world->imap, 64);
	i_array_init(&world->pop3, 64);
	world->set.max_body_bytes = BODY_LIMIT;
}

static void world_deinit(struct test_world *world)
{
	array_free(&world->imap);
	array_free(&world->pop3);
}

/* --- table --- */

/* A mail is a letter (its header), a digit if its body is another one than the
   letter says, "?" if it has no Message-ID, and "/N" for the size of its body.
   Lists are in the servers' orders; IMAP's UIDs count from 1, '|' begins the
   next mailbox. */
static const struct {
	const char *name, *imap, *pop3;
	/* for each POP3 mail the IMAP position, counting from 0, or - */
	const char *pairs;
	enum mangling mangling;
	/* pattern of the UIDLs, else they are random */
	const char *uidl_pattern;
	int size_error;
	unsigned int max_tops, max_retrs;
	bool skip_sizes, no_bodies, no_top, top_fails;
	/* an earlier run had UIDLs 1, 2, 3 ... */
	bool known_numbers;
} rows[] = {
	{ .name = "nothing", .imap = "", .pop3 = "", .pairs = "" },
	{ .name = "no IMAP mail", .imap = "", .pop3 = "a b", .pairs = "- -",
	  .max_tops = 2 },
	{ .name = "no POP3 mail", .imap = "a b", .pop3 = "", .pairs = "" },
	{ .name = "same order", .imap = "a/10 b/20 c/30",
	  .pop3 = "a/10 b/20 c/30", .pairs = "0 1 2", .max_tops = 3 },
	{ .name = "reversed order (Exchange)", .imap = "a/10 b/20 c/30",
	  .pop3 = "c/30 b/20 a/10", .pairs = "2 1 0", .max_tops = 3 },
	{ .name = "all sizes equal, other order (R3)",
	  .imap = "a/10 b/10 c/10 d/10", .pop3 = "d/10 b/10 c/10 a/10",
	  .pairs = "3 1 2 0", .max_tops = 4 },
	{ .name = "all sizes equal but one", .imap = "a/10 b/10 c/11 d/10",
	  .pop3 = "b/10 a/10 c/11 d/10", .pairs = "1 0 2 3", .max_tops = 4 },
	{ .name = "missing on both sides, equal sizes",
	  .imap = "a/10 b/10 d/10", .pop3 = "a/10 c/10 d/10",
	  .pairs = "0 - 2", .max_tops = 3 },
	{ .name = "one POP3 mail more (R2)", .imap = "a b", .pop3 = "a x b",
	  .pairs = "0 - 1", .max_tops = 3 },
	{ .name = "one IMAP mail more", .imap = "a x b", .pop3 = "a b",
	  .pairs = "0 2", .max_tops = 2 },
	{ .name = "true duplicates pair in order", .imap = "a a a",
	  .pop3 = "a a a", .pairs = "0 1 2", .max_tops = 3, .max_retrs = 3 },
	{ .name = "more duplicates over IMAP", .imap = "a a a", .pop3 = "a a",
	  .pairs = "0 1", .max_tops = 2, .max_retrs = 2 },
	{ .name = "more duplicates over POP3", .imap = "a", .pop3 = "a a",
	  .pairs = "0 -", .max_tops = 2, .max_retrs = 2 },
	{ .name = "equal header, other body of other size (R3)",
	  .imap = "a1/10 a2/20", .pop3 = "a2/20 a1/10", .pairs = "1 0",
	  .max_tops = 2 },
	{ .name = "equal header and size, other body",
	  .imap = "a1/30 a2/30", .pop3 = "a2/30 a1/30", .pairs = "1 0",
	  .max_tops = 2, .max_retrs = 2 },
	{ .name = "equal header, other body, one missing on each side (R14)",
	  .imap = "a1/10", .pop3 = "a2/20", .pairs = "-", .max_tops = 1,
	  .max_retrs = 1 },
	{ .name = "equal header and size, bodies forbidden: no guess",
	  .imap = "a1/30 a2/30 b/40", .pop3 = "a2/30 a1/30 b/40",
	  .pairs = "- - 2", .max_tops = 3, .no_bodies = TRUE },
	{ .name = "duplicates whose sizes differ, bodies forbidden",
	  .imap = "a1/30 a2/40 b/40", .pop3 = "a2/40 a1/30 b/40",
	  .pairs = "1 0 2", .max_tops = 3, .no_bodies = TRUE },
	{ .name = "more than on the other side, bodies forbidden: no guess",
	  .imap = "a1/30 a2/30", .pop3 = "a2/30", .pairs = "-",
	  .max_tops = 1, .no_bodies = TRUE },
	{ .name = "no Message-ID, equal header, other body",
	  .imap = "a?1/30 a?2/30", .pop3 = "a?2/30 a?1/30", .pairs = "1 0",
	  .max_tops = 2, .max_retrs = 2 },
	{ .name = "header-views", .imap = "a/10 b/10 c/10",
	  .pop3 = "c/10 a/10 b/10", .pairs = "2 0 1",
	  .mangling = MANGLE_KNOWN, .max_tops = 3 },
	{ .name = "field added over POP3", .imap = "a/10 b/10 c/10",
	  .pop3 = "c/10 a/10 b/10", .pairs = "2 0 1",
	  .mangling = MANGLE_ADDED_FIELD, .max_tops = 3, .max_retrs = 3 },
	{ .name = "list copy and direct copy, header rewritten",
	  .imap = "a1/10 a2/20", .pop3 = "a2/20 a1/10", .pairs = "1 0",
	  .mangling = MANGLE_REWRITTEN, .max_tops = 2, .max_retrs = 2 },
	{ .name = "list copy here, direct copy there, header rewritten",
	  .imap = "a1/10", .pop3 = "a2/20", .pairs = "-",
	  .mangling = MANGLE_REWRITTEN, .max_tops = 1, .max_retrs = 1 },
	{ .name = "sizes mean nothing", .imap = "a b c d e f",
	  .pop3 = "f e d c b a", .pairs = "5 4 3 2 1 0", .size_error = 7,
	  .max_tops = 6 },
	{ .name = "sizes not to be used", .imap = "a b c", .pop3 = "c b a",
	  .pairs = "2 1 0", .size_error = 7, .skip_sizes = TRUE,
	  .max_tops = 3 },
	{ .name = "format V.U", .imap = "a/10 b/10 c/10 d/10 e/10",
	  .pop3 = "e/10 b/10 c/10 d/10 a/10", .pairs = "4 1 2 3 0",
	  .uidl_pattern = "v.u", .max_tops = 5 },
	{ .name = "format UV (Dovecot)", .imap = "a b c d e",
	  .pop3 = "a b c d e", .pairs = "0 1 2 3 4", .uidl_pattern = "UV",
	  .max_tops = 5 },
	{ .name = "format that names other mails: not believed",
	  .imap = "a/10 b/10 c/10 d/10 e/10",
	  .pop3 = "b/10 c/10 d/10 e/10 a/10", .pairs = "1 2 3 4 0",
	  .uidl_pattern = "counter", .max_tops = 5 },
	{ .name = "Message-ID", .imap = "a/10 b/10 c/10 d/10 e/10",
	  .pop3 = "e/10 b/10 c/10 d/10 a/10", .pairs = "4 1 2 3 0",
	  .uidl_pattern = "<id>", .max_tops = 5 },
	{ .name = "Message-ID without brackets, or its MD5 (OpenWave)",
	  .imap = "a/10 b/10 c/10 d/10 e/10",
	  .pop3 = "e/10 b/10 c/10 d/10 a/10", .pairs = "4 1 2 3 0",
	  .uidl_pattern = "id or MD5", .max_tops = 5 },
	{ .name = "Message-ID without TOP: sizes confirm it",
	  .imap = "a/1 b/2 c/3", .pop3 = "c/3 b/2 a/1", .pairs = "2 1 0",
	  .uidl_pattern = "<id>", .no_top = TRUE },
	{ .name = "Message-ID on two mails: other evidence",
	  .imap = "a1/10 a2/20 c/10 d/10 e/10",
	  .pop3 = "e/10 a2/20 c/10 d/10 a1/10", .pairs = "4 1 2 3 0",
	  .uidl_pattern = "<id>", .max_tops = 5 },
	{ .name = "Message-ID of other mails: not believed",
	  .imap = "a/10 b/10 c/10 d/10 e/10",
	  .pop3 = "b/10 c/10 d/10 e/10 a/10", .pairs = "1 2 3 4 0",
	  .uidl_pattern = "other's <id>", .max_tops = 5 },
	{ .name = "format without TOP: sizes confirm it", .imap = "a/1 b/2 c/3",
	  .pop3 = "a/1 b/2 c/3", .pairs = "0 1 2", .uidl_pattern = "v.u",
	  .no_top = TRUE },
	{ .name = "no format and no TOP: nothing is guessed",
	  .imap = "a/1 b/2 c/3", .pop3 = "a/1 b/2 c/3", .pairs = "- - -",
	  .no_top = TRUE },
	{ .name = "TOP fails: nothing is guessed", .imap = "a/1 b/2 c/3",
	  .pop3 = "a/1 b/2 c/3", .pairs = "- - -", .top_fails = TRUE,
	  .max_tops = 3 },
	{ .name = "pairs of an earlier run", .imap = "a b c d",
	  .pop3 = "a b c d", .pairs = "0 1 2 3", .uidl_pattern = "number",
	  .known_numbers = TRUE },
	{ .name = "pairs of an earlier run, sizes mean nothing",
	  .imap = "a b c d", .pop3 = "a b c d", .pairs = "0 1 2 3",
	  .uidl_pattern = "number", .known_numbers = TRUE, .size_error = 7,
	  .max_tops = 4 },
	{ .name = "message-number-uidl, sizes mean nothing",
	  .imap = "a b c d e f", .pop3 = "b c d e f", .pairs = "1 2 3 4 5",
	  .uidl_pattern = "number", .known_numbers = TRUE, .size_error = 7,
	  .max_tops = 5, .max_retrs = 5 },
	{ .name = "message-number-uidl, sizes agree",
	  .imap = "a b c d e f", .pop3 = "b c d e f", .pairs = "1 2 3 4 5",
	  .uidl_pattern = "number", .known_numbers = TRUE, .max_tops = 5 },
	{ .name = "several mailboxes merged (R5)", .imap = "a b | c d | e",
	  .pop3 = "e a c b d", .pairs = "4 0 2 1 3", .max_tops = 5 },
	{ .name = "copy in a second mailbox: the INBOX's gets it (R5)",
	  .imap = "a b | a c", .pop3 = "a b c", .pairs = "0 1 3",
	  .max_tops = 3, .max_retrs = 1 },
	{ .name = "two copies on both sides", .imap = "a b | a c",
	  .pop3 = "a a b c", .pairs = "0 2 1 3", .max_tops = 4,
	  .max_retrs = 2 },
};

static void parse_mails(ARRAY_TYPE(test_mail) *mails, const char *list)
{
	const char *const *words = t_strsplit_spaces(list, " ");
	uint32_t mailbox = 0, uid = 1;

	for (; *words != NULL; words++) {
		const char *p = *words;
		struct test_mail *mail;

		if (*p == '|') {
			mailbox++;
			uid = 1;
			continue;
		}
		mail = array_append_space(mails);
		mail->header = *p - 'a' + 1;
		mail->body = mail->header * 100;
		mail->body_size = 100 + mail->header * 10;
		mail->mailbox = mailbox;
		mail->uid = uid++;
		if (*++p == '?') {
			mail->anonymous = TRUE;
			p++;
		}
		if (*p >= '0' && *p <= '9')
			mail->body += *p++ - '0';
		if (*p == '/')
			mail->body_size = 100 + atoi(p + 1);
	}
}

/* What a server makes of the Message-ID. */
static const char *
message_id_uidl(const struct test_mail *mail, const char *pattern)
{
	unsigned int n = mail->header;
	unsigned char digest[MD5_RESULTLEN];
	const char *id;

	if (strcmp(pattern, "other's <id>") == 0)
		n = n % 5 + 1;
	id = t_strdup_printf("<%u@example.org>", n);
	if (strcmp(pattern, "id or MD5") != 0)
		return id;
	/* one without brackets, MD5 with them and without */
	if (n % 3 != 0)
		id = t_strdup_until(id + 1, id + strlen(id) - 1);
	if (n % 3 == 1)
		return id;
	md5_get_digest(id, strlen(id), digest);
	return n % 2 == 0 ? binary_to_hex(digest, sizeof(digest)) :
		binary_to_hex_ucase(digest, sizeof(digest));
}

/* "counter" looks like V.U but counts messages. */
static void set_uidls(struct test_world *world, const char *pattern)
{
	struct uidl_format_value value = { .uidvalidity = UIDVALIDITY };
	struct uidl_format format = { .pattern = pattern };
	struct test_mail *mails;
	unsigned int i, count;

	mails = array_get_modifiable(&world->pop3, &count);
	for (i = 0; i < count; i++) {
		if (pattern == NULL) {
			mails[i].uidl = t_strdup_printf("x%u", i * 7919 % 1009);
			continue;
		}
		if (strcmp(pattern, "number") == 0) {
			mails[i].uidl = t_strdup_printf("%u", i + 1);
			continue;
		}
		if (strstr(pattern, "id") != NULL) {
			mails[i].uidl = message_id_uidl(&mails[i], pattern);
			continue;
		}
		value.uid = i + 1;
		if (strcmp(pattern, "counter") == 0) {
			format.pattern = "v.u";
		} else {
			const struct test_mail *mail;

			array_foreach(&world->imap, mail) {
				if (mail->header == mails[i].header)
					value.uid = mail->uid;
			}
		}
		mails[i].uidl = uidl_format_write(&format, &value);
	}
}

START_TEST(test_rows)
{
	struct test_world world;
	struct uidl_match *match;
	string_t *pairs = t_str_new(64);
	unsigned int i, partner, count;
	struct test_mail *mail;

	world_init(&world);
	parse_mails(&world.imap, rows[_i].imap);
	parse_mails(&world.pop3, rows[_i].pop3);
	world.mailboxes = 3;
	world.mangling = rows[_i].mangling;
	world.set.skip_sizes = rows[_i].skip_sizes;
	world.set.no_top = rows[_i].no_top;
	world.top_fails = rows[_i].top_fails;
	if (rows[_i].no_bodies)
		world.set.max_body_bytes = 0;
	array_foreach_modifiable(&world.pop3, mail) {
		mail->size_error = rows[_i].size_error *
			(1 + (int)mail->header % 5);
	}
	set_uidls(&world, rows[_i].uidl_pattern);
	array_foreach_modifiable(&world.imap, mail) {
		if (rows[_i].known_numbers)
			mail->known = t_strdup_printf("%u", mail->uid);
	}
	match = world_match(&world);

	count = array_count(&world.pop3);
	for (i = 0; i < count; i++) {
		if (i > 0)
			str_append_c(pairs, ' ');
		if (uidl_match_get_pop3(match, i, &partner) == UIDL_MATCH_NONE) {
			unsigned int nearest;
			const char *reason =
				uidl_match_leftover_pop3(match, i, &nearest);

			ck_assert(*reason != '\0');
			str_append_c(pairs, '-');
		} else {
			str_printfa(pairs, "%u", partner);
		}
	}
	ck_assert_msg(strcmp(str_c(pairs), rows[_i].pairs) == 0,
		      "%s: %s instead of %s", rows[_i].name, str_c(pairs),
		      rows[_i].pairs);
	ck_assert_msg(world.tops <= rows[_i].max_tops, "%s: %u TOPs",
		      rows[_i].name, world.tops);
	ck_assert_msg(world.retrs <= rows[_i].max_retrs, "%s: %u bodies",
		      rows[_i].name, world.retrs);
	uidl_match_deinit(&match);
	world_deinit(&world);
}
END_TEST

/* --- texts as they are --- */

/* Mails that are not what the worlds above are made of. One letter for each
   POP3 mail: its place in the IMAP list, or - if it may not be guessed. */
static const struct {
	const char *name, *imap[4], *pop3[4], *pairs;
	/* IMAP counts that much less than POP3, for each mail another number */
	unsigned int size_error;
} texts[] = {
	{ .name = "no header fields",
	  .imap = { "x", "only text, no header\r\n", "\r\n", "y" },
	  .pop3 = { "y", "x", "\r\n", "only text, no header\r\n" },
	  .pairs = "dacb" },
	{ .name = "no header fields, and sizes mean nothing",
	  .imap = { "x", "only text, no header\r\n", "z", "y" },
	  .pop3 = { "y", "x", "z", "only text, no header\r\n" },
	  .pairs = "dacb", .size_error = 7 },
	{ .name = "no header fields, and POP3 ends all texts the same way",
	  .imap = { "x", "only text, no header", "z\r\n", "y" },
	  .pop3 = { "y\r\n\r\n", "x\r\n\r\n", "z\r\n\r\n\r\n",
		    "only text, no header\r\n\r\n" },
	  .pairs = "dacb" },
	{ .name = "nothing at all: only the size is left",
	  .imap = { "Status: RO\r\n", "X-UID: 12\r\n\r\n" },
	  .pop3 = { "X-UID: 12\r\n\r\n", "Status: RO\r\n" },
	  .pairs = "ba" },
	{ .name = "nothing at all, and sizes mean nothing",
	  .imap = { "Status: RO\r\n", "X-UID: 12\r\n\r\n" },
	  .pop3 = { "X-UID: 12\r\n\r\n", "Status: RO\r\n" },
	  .pairs = "--", .size_error = 7 },
	{ .name = "no header, but bodies",
	  .imap = { "\r\none\r\n", "\r\ntwo\r\n", "\r\nsix\r\n" },
	  .pop3 = { "\r\nsix\r\n", "\r\none\r\n", "\r\ntwo\r\n" },
	  .pairs = "cab" },
	{ .name = "domino-message-id",
	  .imap = { "Message-ID: <1@a>\r\nFrom: a@b\r\nDate: 1 Jan 2024\r\n"
		    "Subject: one\r\n\r\nfirst text\r\n",
		    "Message-ID: <2@a>\r\nFrom: a@b\r\nDate: 2 Jan 2024\r\n"
		    "Subject: one\r\n\r\nother text\r\n" },
	  .pop3 = { "Message-ID: <2@domino>\r\nFrom: a@b\r\nDate: 2 Jan 2024\r\n"
		    "Subject: one\r\n\r\nother text\r\n",
		    "Message-ID: <1@domino>\r\nFrom: a@b\r\nDate: 1 Jan 2024\r\n"
		    "Subject: one\r\n\r\nfirst text\r\n" },
	  .pairs = "ba" },
	{ .name = "other Message-ID and other subject: another mail",
	  .imap = { "Message-ID: <1@a>\r\nFrom: a@b\r\nDate: 1 Jan 2024\r\n"
		    "Subject: one\r\n\r\nsame text\r\n" },
	  .pop3 = { "Message-ID: <2@a>\r\nFrom: a@b\r\nDate: 1 Jan 2024\r\n"
		    "Subject: two\r\n\r\nsame text\r\n" },
	  .pairs = "-" },
};

static void
text_digests(const char *text, struct header_digest *header_r,
	     struct body_digest *body_r)
{
	struct mail_digest *digest = mail_digest_init();

	mail_digest_more(digest, (const unsigned char *)text, strlen(text));
	mail_digest_deinit(&digest, header_r, body_r);
}

static void
text_answer(struct uidl_match *match, const struct uidl_match_request *request,
	    const char *const *imap, const char *const *pop3)
{
	struct header_digest header;
	struct body_digest body;
	unsigned int i;

	for (i = 0; i < request->pop3_headers_count; i++) {
		text_digests(pop3[request->pop3_headers[i]], &header, NULL);
		uidl_match_add_pop3_header(match, request->pop3_headers[i],
					   &header);
	}
	for (i = 0; i < request->imap_headers_count; i++) {
		text_digests(imap[request->imap_headers[i]], &header, NULL);
		uidl_match_add_imap_header(match, request->imap_headers[i],
					   &header);
	}
	for (i = 0; i < request->pop3_bodies_count; i++) {
		text_digests(pop3[request->pop3_bodies[i]], &header, &body);
		uidl_match_add_pop3_header(match, request->pop3_bodies[i],
					   &header);
		uidl_match_add_pop3_body(match, request->pop3_bodies[i], &body);
	}
	for (i = 0; i < request->imap_bodies_count; i++) {
		text_digests(imap[request->imap_bodies[i]], &header, &body);
		uidl_match_add_imap_header(match, request->imap_bodies[i],
					   &header);
		uidl_match_add_imap_body(match, request->imap_bodies[i], &body);
	}
}

START_TEST(test_texts)
{
	const struct uidl_match_settings set = { .max_body_bytes = BODY_LIMIT };
	struct uidl_match *match = uidl_match_init(&set);
	struct uidl_match_request request;
	unsigned int i, partner;
	char pairs[5] = "";

	uidl_match_add_mailbox(match, UIDVALIDITY);
	for (i = 0; i < 4 && texts[_i].imap[i] != NULL; i++) {
		uidl_match_add_imap(match, 0, i + 1,
				    strlen(texts[_i].imap[i]), 0);
	}
	for (i = 0; i < 4 && texts[_i].pop3[i] != NULL; i++) T_BEGIN {
		uidl_match_add_pop3(match, t_strdup_printf("uidl%u", i),
				    strlen(texts[_i].pop3[i]) +
				    texts[_i].size_error * (i + 1));
	} T_END;
	while (uidl_match_next(match, &request))
		text_answer(match, &request, texts[_i].imap, texts[_i].pop3);
	for (i = 0; i < strlen(texts[_i].pairs); i++) {
		pairs[i] = uidl_match_get_pop3(match, i, &partner) ==
			UIDL_MATCH_NONE ? '-' : 'a' + partner;
	}
	ck_assert_msg(strcmp(pairs, texts[_i].pairs) == 0, "%s: %s, not %s",
		      texts[_i].name, pairs, texts[_i].pairs);
	uidl_match_deinit(&match);
}
END_TEST

/* --- reasons --- */

static const struct {
	const char *name, *imap, *pop3, *reason;
	enum mangling mangling;
	bool no_top, top_fails, no_uidl;
} reasons[] = {
	{ "nothing like it", "b/20", "a/10", "no IMAP mail is like it",
	  MANGLE_NONE, FALSE, FALSE, FALSE },
	{ "other body", "a1/10", "a2/20",
	  "an IMAP mail has the same header, but another body",
	  MANGLE_NONE, FALSE, FALSE, FALSE },
	{ "other body, beside one that is taken", "a1/10 a3/30", "a1/10 a2/20",
	  "an IMAP mail has the same header, but another body",
	  MANGLE_NONE, FALSE, FALSE, FALSE },
	{ "duplicate", "a", "a a",
	  "the only IMAP mail with the same header belongs to another one",
	  MANGLE_NONE, FALSE, FALSE, FALSE },
	{ "no TOP", "a", "a",
	  "the POP3 server has no TOP, so its header is not known",
	  MANGLE_NONE, TRUE, FALSE, FALSE },
	{ "TOP fails", "a", "a", "its header could not be read",
	  MANGLE_NONE, FALSE, TRUE, FALSE },
	{ "no UIDL", "a", "a", "the POP3 server gave it no UIDL",
	  MANGLE_NONE, FALSE, FALSE, TRUE },
};

START_TEST(test_reasons)
{
	struct test_world world;
	struct uidl_match *match;
	struct uidl_match_result result;
	unsigned int last, nearest;
	struct test_mail *mail;
	const char *reason;

	world_init(&world);
	parse_mails(&world.imap, reasons[_i].imap);
	parse_mails(&world.pop3, reasons[_i].pop3);
	set_uidls(&world, NULL);
	last = array_count(&world.pop3) - 1;
	if (reasons[_i].no_uidl) {
		mail = array_idx_modifiable(&world.pop3, last);
		mail->uidl = "";
	}
	world.set.no_top = reasons[_i].no_top;
	world.top_fails = reasons[_i].top_fails;
	world.mangling = reasons[_i].mangling;
	/* bodies give the header too */
	if (world.top_fails)
		world.set.max_body_bytes = 0;
	match = world_match(&world);
	reason = uidl_match_leftover_pop3(match, last, &nearest);
	ck_assert_msg(strcmp(reason, reasons[_i].reason) == 0, "%s: %s",
		      reasons[_i].name, reason);
	uidl_match_get_result(match, &result);
	ck_assert_uint_eq(result.pairs[UIDL_MATCH_NONE], 1);
	ck_assert_uint_eq(result.empty_uidls, reasons[_i].no_uidl ? 1 : 0);
	uidl_match_deinit(&match);
	world_deinit(&world);
}
END_TEST

/* --- earlier runs --- */

START_TEST(test_known)
{
	struct uidl_match_settings set = { .max_body_bytes = 0 };
	struct uidl_match *match = uidl_match_init(&set);
	struct uidl_match_request request;
	struct uidl_match_result result;
	unsigned int partner;

	uidl_match_add_mailbox(match, UIDVALIDITY);
	uidl_match_add_imap(match, 0, 1, 100, 0);
	uidl_match_set_known(match, "twice");
	uidl_match_add_imap(match, 0, 2, 100, 0);
	uidl_match_set_known(match, "twice");
	uidl_match_add_imap(match, 0, 3, 300, 0);
	uidl_match_set_known(match, "gone");
	uidl_match_add_imap(match, 0, 4, 400, 0);
	uidl_match_set_known(match, "once");
	/* the order of the server, deletions, one UIDL on two mails (R17) */
	uidl_match_add_pop3(match, "once", 400);
	uidl_match_add_pop3(match, "twice", 100);
	uidl_match_add_pop3(match, "twice", 100);
	ck_assert(!uidl_match_next(match, &request));
	ck_assert_int_eq(uidl_match_get_pop3(match, 0, &partner),
			 UIDL_MATCH_KNOWN);
	ck_assert_uint_eq(partner, 3);
	ck_assert_int_eq(uidl_match_get_pop3(match, 1, &partner),
			 UIDL_MATCH_KNOWN);
	ck_assert_uint_eq(partner, 0);
	ck_assert_int_eq(uidl_match_get_pop3(match, 2, &partner),
			 UIDL_MATCH_KNOWN);
	ck_assert_uint_eq(partner, 1);
	ck_assert_int_eq(uidl_match_get_imap(match, 2, &partner),
			 UIDL_MATCH_NONE);
	uidl_match_get_result(match, &result);
	ck_assert_uint_eq(result.pairs[UIDL_MATCH_KNOWN], 3);
	ck_assert_uint_eq(result.repeated_uidls, 1);
	uidl_match_deinit(&match);
}
END_TEST

START_TEST(test_gmail)
{
	struct uidl_match_settings set = { .no_top = TRUE };
	struct uidl_match *match = uidl_match_init(&set);
	struct uidl_match_request request;
	unsigned int partner;

	uidl_match_add_mailbox(match, UIDVALIDITY);
	for (unsigned int i = 0; i < 5; i++)
		uidl_match_add_imap(match, 0, i + 1, 1000 + i, 0x1234500 + i);
	for (unsigned int i = 0; i < 5; i++) T_BEGIN {
		uidl_match_add_pop3(match, t_strdup_printf("GmailId%x",
						0x1234504 - i), 1004 - i);
	} T_END;
	ck_assert(!uidl_match_next(match, &request));
	for (unsigned int i = 0; i < 5; i++) {
		ck_assert_int_eq(uidl_match_get_pop3(match, i, &partner),
				 UIDL_MATCH_FORMAT);
		ck_assert_uint_eq(partner, 4 - i);
	}
	uidl_match_deinit(&match);
}
END_TEST

/* --- cost of unchanged maildrops --- */

static const struct {
	unsigned int count, pop3_missing;
	bool reversed;
	unsigned int max_tops;
} costs[] = {
	{ 2000, 0, FALSE, 20 },
	{ 10000, 0, FALSE, 20 },
	{ 10000, 0, TRUE, 20 },
	/* the newest are not listed yet, the oldest not any more */
	{ 10000, 3, FALSE, 20 },
	/* ./dev test --long, or CK_RUN_CASE=large */
	{ 200000, 0, FALSE, 2000 },
	{ 200000, 3, TRUE, 200000 },
};
/* so many of them are not large */
#define COSTS_COUNT 4
/* all that the process may have while it matches the large ones */
#define LARGE_MAX_MEMORY (200*1024*1024)

START_TEST(test_costs)
{
	struct test_world world;
	struct uidl_match *match;
	struct uidl_match_result result;
	const struct test_mail *imap, *pop3;
	unsigned int count = costs[_i].count, missing = costs[_i].pop3_missing;
	unsigned int i, partner;

	if (_i >= COSTS_COUNT) {
		const struct rlimit limit = {
			LARGE_MAX_MEMORY, LARGE_MAX_MEMORY
		};

		ck_assert_int_eq(setrlimit(RLIMIT_DATA, &limit), 0);
	}
	world_init(&world);
	random_seed = 42;
	for (i = 0; i < count; i++) {
		struct test_mail *mail = array_append_space(&world.imap);

		mail->header = mail->body = i + 1;
		/* many small mails, few large ones */
		mail->body_size = random_below(500) +
			random_below(100) * random_below(100) * 5;
		mail->uid = i + 1;
	}
	for (i = missing; i < count - missing; i++) {
		unsigned int from = costs[_i].reversed ? count - 1 - i : i;
		struct test_mail mail = *array_idx(&world.imap, from);

		mail.uidl = t_strdup_printf("%u-random", from * 31 + 7);
		array_push_back(&world.pop3, &mail);
	}
	match = world_match(&world);
	uidl_match_get_result(match, &result);
	ck_assert_uint_eq(result.pairs[UIDL_MATCH_NONE], 0);
	for (i = 0; i < count - 2 * missing; i++) {
		ck_assert_int_ne(uidl_match_get_pop3(match, i, &partner),
				 UIDL_MATCH_NONE);
		imap = array_idx(&world.imap, partner);
		pop3 = array_idx(&world.pop3, i);
		ck_assert_uint_eq(imap->header, pop3->header);
	}
	ck_assert_uint_le(world.tops, costs[_i].max_tops);
	ck_assert_uint_eq(world.retrs, 0);
	uidl_match_deinit(&match);
	world_deinit(&world);
}
END_TEST

/* --- adversarial size patterns in long lists --- */

enum pattern {
	/* few sizes, each often */
	PATTERN_PERIODIC,
	PATTERN_ALL_EQUAL,
	PATTERN_ALL_EQUAL_BUT_ONE,
	/* one size 60 times among unique ones */
	PATTERN_REPORTS,
	/* the second half has the sizes of the first */
	PATTERN_HALVES,

	PATTERN_COUNT
};

enum disorder {
	DISORDER_NONE,
	DISORDER_REVERSED,
	/* mails of one size are mixed among each other: no size is out of
	   place */
	DISORDER_WITHIN_SIZES,
	/* the first is missing here, the last there */
	DISORDER_SHIFTED,

	DISORDER_COUNT
};

#define PATTERN_MAILS 1000

static unsigned int pattern_size(enum pattern pattern, unsigned int i)
{
	switch (pattern) {
	case PATTERN_PERIODIC:
		return 100 + i % 7;
	case PATTERN_ALL_EQUAL:
		return 100;
	case PATTERN_ALL_EQUAL_BUT_ONE:
		return i == PATTERN_MAILS / 3 ? 117 : 100;
	case PATTERN_REPORTS:
		return i % 17 == 5 ? 50 : 1000 + i * 3;
	case PATTERN_HALVES:
		return 1000 + i % (PATTERN_MAILS / 2) * 3;
	case PATTERN_COUNT:
		break;
	}
	i_unreached();
}

static void swap_mails(ARRAY_TYPE(test_mail) *mails, unsigned int a,
		       unsigned int b)
{
	struct test_mail *m = array_front_modifiable(mails);
	struct test_mail tmp = m[a];

	m[a] = m[b];
	m[b] = tmp;
}

/* Each size's mails change places in a circle. */
static void mix_within_sizes(struct test_world *world)
{
	struct test_mail *mails, first;
	unsigned int i, j, count, last;
	bool *done;

	mails = array_get_modifiable(&world->pop3, &count);
	done = t_new(bool, count);
	for (i = 0; i < count; i++) {
		if (done[i])
			continue;
		first = mails[i];
		last = i;
		for (j = i + 1; j < count; j++) {
			if (!done[j] && mails[j].body_size == first.body_size) {
				mails[last] = mails[j];
				last = j;
				done[j] = TRUE;
			}
		}
		mails[last] = first;
	}
}

START_TEST(test_patterns)
{
	enum pattern pattern = _i % PATTERN_COUNT;
	enum disorder disorder = _i / PATTERN_COUNT;
	struct test_world world;
	struct uidl_match *match;
	struct test_mail *mail;
	unsigned int i, partner, count;

	world_init(&world);
	for (i = 0; i < PATTERN_MAILS; i++) {
		mail = array_append_space(&world.imap);
		/* headers of one length */
		mail->header = mail->body = 1000 + i;
		mail->body_size = pattern_size(pattern, i);
		mail->uid = i + 1;
	}
	array_append_array(&world.pop3, &world.imap);
	switch (disorder) {
	case DISORDER_REVERSED:
		for (i = 0; i < PATTERN_MAILS / 2; i++)
			swap_mails(&world.pop3, i, PATTERN_MAILS - 1 - i);
		break;
	case DISORDER_WITHIN_SIZES:
		mix_within_sizes(&world);
		break;
	case DISORDER_SHIFTED:
		array_delete(&world.pop3, 0, 1);
		array_delete(&world.imap, PATTERN_MAILS - 1, 1);
		break;
	default:
		break;
	}
	set_uidls(&world, NULL);
	match = world_match(&world);
	count = array_count(&world.pop3);
	for (i = 0; i < count; i++) {
		const struct test_mail *pop3 = array_idx(&world.pop3, i);
		const struct test_mail *imap;

		if (uidl_match_get_pop3(match, i, &partner) == UIDL_MATCH_NONE) {
			ck_assert_int_eq(disorder, DISORDER_SHIFTED);
			ck_assert_uint_eq(pop3->header, 1000 + PATTERN_MAILS - 1);
			continue;
		}
		imap = array_idx(&world.imap, partner);
		ck_assert_msg(imap->header == pop3->header, "pattern %d, disorder %d: mail %u "
			      "by %s", pattern, disorder, i,
			      uidl_match_evidence_name(
				uidl_match_get_pop3(match, i, &partner)));
	}
	uidl_match_deinit(&match);
	world_deinit(&world);
}
END_TEST

/* --- property: no UIDL is ever given to a wrong mail --- */

enum twin {
	/* equal headers have equal bodies */
	TWIN_SAME,
	/* ... or bodies of another size */
	TWIN_OTHER_SIZE,
	/* ... or other bodies of the same size */
	TWIN_OTHER_BODY
};

static void
make_imap(struct test_world *world, unsigned int count, enum twin twin)
{
	static const unsigned int diversities[] = { 1, 3, 40, 100000 };
	unsigned int diversity = diversities[random_below(4)];
	unsigned int i, last_mailbox = 0;
	uint32_t uid = 0;

	world->mailboxes = random_below(4) == 0 ? 3 : 1;
	for (i = 0; i < count; i++) {
		struct test_mail *mail = array_append_space(&world->imap);

		mail->header = i + 1;
		mail->body = i + 1;
		mail->body_size = 20 + random_below(diversity);
		mail->anonymous = random_below(30) == 0;
		mail->mailbox = (uint64_t)i * world->mailboxes / count;
		if (mail->mailbox != last_mailbox)
			uid = 0;
		last_mailbox = mail->mailbox;
		uid += 1 + (random_below(5) == 0 ? random_below(5) : 0);
		mail->uid = uid;
		if (i > 0 && random_below(15) == 0) {
			const struct test_mail *other =
				array_idx(&world->imap, random_below(i));

			/* a true duplicate, or only the same header */
			mail->header = other->header;
			mail->anonymous = other->anonymous;
			if (random_below(2) == 0 || twin == TWIN_SAME) {
				mail->body = other->body;
				mail->body_size = other->body_size;
			} else if (twin == TWIN_OTHER_BODY) {
				mail->body_size = other->body_size;
			} else {
				mail->body_size = 1000 + i * 7;
			}
		}
	}
}

static void change_order(ARRAY_TYPE(test_mail) *mails)
{
	unsigned int i, count = array_count(mails);

	if (count < 2)
		return;
	switch (random_below(7)) {
	case 0:
	case 1:
		/* as it is */
		break;
	case 2:
		for (i = 0; i < count / 2; i++)
			swap_mails(mails, i, count - 1 - i);
		break;
	case 3:
		for (i = count - 1; i > 0; i--)
			swap_mails(mails, i, random_below(i + 1));
		break;
	case 4:
		/* delivered within one second: neighbours change places */
		for (i = 0; i + 1 < count; i++) {
			if (random_below(6) == 0)
				swap_mails(mails, i, i + 1);
		}
		break;
	case 5:
		/* two mails changed places */
		swap_mails(mails, random_below(count), random_below(count));
		break;
	case 6:
		/* the newer half comes first */
		for (i = 0; i < count / 2; i++)
			swap_mails(mails, i, i + count / 2);
		break;
	}
}

static void delete_some(ARRAY_TYPE(test_mail) *mails)
{
	static const unsigned int rates[] = { 0, 0, 100, 10, 2 };
	unsigned int i, rate = rates[random_below(5)];

	for (i = array_count(mails); i > 0 && rate > 0; i--) {
		if (random_below(rate) == 0)
			array_delete(mails, i - 1, 1);
	}
}

static void name_pop3(struct test_world *world)
{
	static const char *const patterns[] = { "v.u", "UV", "u" };
	struct uidl_format format;
	unsigned int pattern = random_below(8), i, count;
	struct test_mail *mails =
		array_get_modifiable(&world->pop3, &count);

	i_zero(&format);
	for (i = 0; i < count; i++) {
		struct uidl_format_value value = {
			.uidvalidity = UIDVALIDITY + mails[i].mailbox,
			.uid = mails[i].uid,
		};

		if (pattern < N_ELEMENTS(patterns)) {
			/* true, here and there with one from another time */
			format.pattern = patterns[pattern];
			mails[i].uidl = random_below(20) == 0 ?
				t_strdup_printf("old%u", i) :
				uidl_format_write(&format, &value);
		} else if (pattern == 3) {
			/* looks like UIDs, but counts messages backwards */
			mails[i].uidl = t_strdup_printf("%u", count - i);
		} else {
			mails[i].uidl = t_strdup_printf("%u.x", i * 31 + 7);
		}
	}
}

enum size_change { SIZE_EXACT, SIZE_LF, SIZE_ESTIMATE };

static void change_sizes(struct test_world *world, enum size_change change)
{
	struct test_mail *mail;

	array_foreach_modifiable(&world->pop3, mail) {
		switch (change) {
		case SIZE_EXACT:
			break;
		case SIZE_LF:
			mail->size_error = -5;
			break;
		case SIZE_ESTIMATE:
			mail->size_error = random_below(20);
			break;
		}
	}
}

static bool is_same_text(const struct test_mail *a, const struct test_mail *b)
{
	return a->header == b->header && a->body == b->body;
}

/* As many pairs as there can be: for each text the smaller of both counts. */
static unsigned int best_pairs(const struct test_world *world)
{
	const struct test_mail *imap, *pop3;
	unsigned int i, j, pcount, icount, best = 0;
	bool *taken;

	pop3 = array_get(&world->pop3, &pcount);
	imap = array_get(&world->imap, &icount);
	taken = t_new(bool, I_MAX(icount, 1));
	for (i = 0; i < pcount; i++) {
		for (j = 0; j < icount; j++) {
			if (!taken[j] && is_same_text(&pop3[i], &imap[j])) {
				taken[j] = TRUE;
				best++;
				break;
			}
		}
	}
	return best;
}

static void check_pairs(const struct test_world *world,
			struct uidl_match *match, int seed)
{
	unsigned int i, partner, back, pairs = 0;
	unsigned int count = array_count(&world->pop3);

	for (i = 0; i < count; i++) {
		const struct test_mail *pop3 = array_idx(&world->pop3, i);

		if (uidl_match_get_pop3(match, i, &partner) == UIDL_MATCH_NONE)
			continue;
		pairs++;
		ck_assert_msg(is_same_text(pop3, array_idx(&world->imap,
							   partner)),
			      "seed %d: wrong mail by %s", seed,
			      uidl_match_evidence_name(
				uidl_match_get_pop3(match, i, &partner)));
		ck_assert_int_ne(uidl_match_get_imap(match, partner, &back),
				 UIDL_MATCH_NONE);
		ck_assert_uint_eq(back, i);
	}
	/* with all evidence at hand no pair may be missing */
	if (world->mangling <= MANGLE_KNOWN &&
	    world->set.max_body_bytes > 0) {
		ck_assert_msg(pairs == best_pairs(world),
			      "seed %d: %u pairs of %u", seed, pairs,
			      best_pairs(world));
	}
}

static void test_seed(int seed)
{
	struct test_world world;
	struct uidl_match *match;
	enum size_change size_change;
	enum twin twin;

	random_seed = seed;
	world_init(&world);
	size_change = random_below(4) != 0 ? SIZE_EXACT :
		1 + random_below(2);
	world.set.skip_sizes = random_below(8) == 0;
	/* equal headers with other bodies, one missing on each side,
	   can only be told apart where sizes mean something, and where
	   they differ */
	if (random_below(4) == 0)
		twin = TWIN_OTHER_BODY;
	else if (size_change != SIZE_ESTIMATE && !world.set.skip_sizes)
		twin = TWIN_OTHER_SIZE;
	else
		twin = TWIN_SAME;
	make_imap(&world, 1 + random_below(random_below(3) == 0 ?
					   300 : 40), twin);
	array_append_array(&world.pop3, &world.imap);
	change_order(&world.pop3);
	if (twin != TWIN_OTHER_BODY) {
		delete_some(&world.pop3);
		delete_some(&world.imap);
	}
	change_sizes(&world, size_change);
	name_pop3(&world);
	world.mangling = random_below(MANGLE_COUNT);
	if (random_below(4) == 0)
		world.set.max_body_bytes = 0;

	match = world_match(&world);
	check_pairs(&world, match, seed);
	uidl_match_deinit(&match);
	world_deinit(&world);
}

/* DM_SEED=n begins with seed n, as a failure names it. */
START_TEST(test_property)
{
	const char *first_seed = getenv("DM_SEED");
	int seed, first = _i * 50 +
		(first_seed == NULL ? 0 : atoi(first_seed));

	for (seed = first; seed < first + 50; seed++) T_BEGIN {
		test_seed(seed);
	} T_END;
}
END_TEST

/* 50 mailboxes each; valgrind is some thirty times slower */
static int property_rounds(void)
{
	if (getenv("DM_LONG") != NULL)
		return 800;
	return getenv("TEST_VALGRIND") != NULL ? 2 : 10;
}

int main(void)
{
	Suite *s = suite_create("uidl-match");
	TCase *tc = tcase_create("all");
	SRunner *sr;
	int failed;

	lib_init();
	tcase_set_timeout(tc, 0);
	tcase_add_loop_test(tc, test_rows, 0, N_ELEMENTS(rows));
	tcase_add_loop_test(tc, test_texts, 0, N_ELEMENTS(texts));
	tcase_add_loop_test(tc, test_reasons, 0, N_ELEMENTS(reasons));
	tcase_add_test(tc, test_known);
	tcase_add_test(tc, test_gmail);
	tcase_add_loop_test(tc, test_costs, 0, COSTS_COUNT);
	tcase_add_loop_test(tc, test_patterns, 0,
			    PATTERN_COUNT * DISORDER_COUNT);
	tcase_add_loop_test(tc, test_property, 0, property_rounds());
	suite_add_tcase(s, tc);
	if (getenv("DM_LONG") != NULL ||
	    null_strcmp(getenv("CK_RUN_CASE"), "large") == 0) {
		tc = tcase_create("large");
		tcase_set_timeout(tc, 0);
		tcase_add_loop_test(tc, test_costs, COSTS_COUNT,
				    N_ELEMENTS(costs));
		suite_add_tcase(s, tc);
	}
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	lib_deinit();
	return failed == 0 ? 0 : 1;
}
