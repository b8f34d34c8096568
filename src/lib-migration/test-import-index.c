/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "array.h"
#include <malloc.h>
#include <stdlib.h>
#include "import-index.h"
#include "check-suite.h"

/* A mail is four letters: GUID, key, header, body; '-' is an empty GUID,
   '?' for the body: it cannot be read. */
static void get_identity(const char *mail, enum import_evidence evidence,
			 struct import_identity *id_r)
{
	i_zero(id_r);
	if (mail[3] == '?' && (evidence & IMPORT_EVIDENCE_BODY) != 0) {
		id_r->unreadable = IMPORT_EVIDENCE_BODY;
		evidence &= ENUM_NEGATE(IMPORT_EVIDENCE_BODY);
	}
	id_r->known = evidence;
	if (mail[0] != '-')
		memset(id_r->guid, mail[0], sizeof(id_r->guid));
	id_r->key = mail[1];
	id_r->size = 1000;
	id_r->header[1] = mail[2];
	id_r->body.sum[0] = mail[3];
}

static void identity_merge(struct import_identity *id, const char *mail,
			   enum import_evidence evidence)
{
	enum import_evidence known = id->known, unreadable = id->unreadable;

	get_identity(mail, evidence, id);
	get_identity(mail, known | evidence, id);
	id->unreadable |= unreadable;
}

static void
answer(struct import_index *index, const char *const *dest,
       struct import_identity *src, const char *mail,
       const struct import_question *question, string_t *asked)
{
	struct import_identity id;
	unsigned int i;

	switch (question->need) {
	case IMPORT_NEED_SOURCE:
		ck_assert_int_eq(src->known & question->evidence, 0);
		identity_merge(src, mail, question->evidence);
		str_printfa(asked, "s%x ", question->evidence);
		return;
	case IMPORT_NEED_DEST:
		get_identity(dest[question->dest_uid - 1], question->evidence,
			     &id);
		import_index_set(index, question->dest_uid, &id);
		str_printfa(asked, "d%u:%x ", question->dest_uid,
			    question->evidence);
		return;
	case IMPORT_NEED_ALL_DEST:
		for (i = 0; dest[i] != NULL; i++) {
			get_identity(dest[i], question->evidence, &id);
			import_index_set(index, i + 1, &id);
		}
		import_index_set_finished(index);
		str_printfa(asked, "a%x ", question->evidence);
		return;
	}
	ck_abort_msg("unknown question");
}

static const struct {
	/* the destination's mails have UIDs 1, 2, ... */
	const char *dest, *src;
	/* partners of the source's mails in order, 0: none */
	const char *partners;
	/* all questions in order, evidence in hex */
	const char *asked;
} tests[] = {
	/* an empty mailbox: nothing is read */
	{ "", "aaaa bbbb", "0 0", "" },
	/* GUIDs are enough: no header is read */
	{ "aaaa bbbb", "aaaa bbbb", "1 2", "s1 s1 " },
	{ "aaaa bbbb", "bbbb aaaa", "2 1", "s1 s1 " },
	/* twice in the source, once here: the second one is saved */
	{ "aaaa", "aaaa aaaa", "1 0", "s1 " },
	/* twice in both, as after the first import */
	{ "aaaa aaaa", "aaaa aaaa", "1 2", "s1 s1 " },
	/* twice here, once in the source */
	{ "aaaa aaaa", "aaaa", "1", "s1 " },
	/* a new mail among known ones: only those without partner are asked
	   for their keys, no text is read */
	{ "aaaa bbbb", "aaaa cccc", "1 0", "s1 s1 s6 a6 " },
	/* the same without GUIDs: text is read where the key is the same */
	{ "-aaa -bbb", "-aaa -bbb -ccc", "1 2 0",
	  "s1 s6 a6 s8 d1:8 s10 d1:10 s1 s6 s8 d2:8 s10 d2:10 " },
	/* one Message-ID, another body: both are kept */
	{ "-aaa", "-aab -aaa", "0 1",
	  "s1 s6 a6 s8 d1:8 s10 d1:10 s1 s6 s8 s10 " },
	/* another header: the body is not read */
	{ "-aaa", "-aba", "0", "s1 s6 a6 s8 d1:8 " },
	/* counted without GUIDs too */
	{ "-aaa -aaa", "-aaa -aaa -aaa", "1 2 0",
	  "s1 s6 a6 s8 d1:8 s10 d1:10 s1 s6 s8 d2:8 s10 d2:10 " },
	/* the GUID wins over an equal text */
	{ "xaaa yaaa", "yaaa xaaa", "2 1", "s1 s1 " },
	/* a lost GUID (Maildir after a crash, mbox): the text helps */
	{ "xaaa", "yaaa", "1", "s1 s6 a6 s8 d1:8 s10 d1:10 " },
	/* what cannot be read is not here */
	{ "-aa?", "-aaa", "0", "s1 s6 a6 s8 d1:8 s10 d1:10 " },
	{ "-aaa", "-aa?", "0", "s1 s6 a6 s8 d1:8 s10 " },
};

START_TEST(test_pair)
{
	const char *const *dest = t_strsplit_spaces(tests[_i].dest, " ");
	const char *const *src = t_strsplit_spaces(tests[_i].src, " ");
	struct import_index *index = import_index_init(FALSE);
	struct import_question question;
	struct import_identity id;
	string_t *partners = t_str_new(64), *asked = t_str_new(64);
	const char *reason;
	uint32_t uid;
	unsigned int i;
	int ret;

	for (i = 0; dest[i] != NULL; i++) {
		get_identity(dest[i], IMPORT_EVIDENCE_GUID, &id);
		import_index_add(index, i + 1, &id);
	}
	ck_assert_uint_eq(import_index_count(index), i);

	for (i = 0; src[i] != NULL; i++) {
		i_zero(&id);
		uid = 0;
		reason = NULL;
		while ((ret = import_index_pair(index, &id, &uid, &question,
						&reason)) < 0)
			answer(index, dest, &id, src[i], &question, asked);
		ck_assert_ptr_nonnull(reason);
		ck_assert_int_eq(ret, uid != 0 ? 1 : 0);
		str_printfa(partners, "%s%u", i == 0 ? "" : " ", uid);
	}
	ck_assert_str_eq(str_c(partners), tests[_i].partners);
	ck_assert_str_eq(str_c(asked), tests[_i].asked);
	import_index_deinit(&index);
	ck_assert_ptr_null(index);
}
END_TEST

/* Among equal mails those with equal flags are partners, then those whose
   flags would not be changed, then the first one. */
static const struct {
	/* flags of the destination's mails, UIDs 1, 2, ...: S, F, D(eleted) and
	   lower case letters as keywords */
	const char *dest, *src;
	const char *partners;
} twins[] = {
	{ "- S", "S -", "2 1" },
	{ "- S", "- S", "1 2" },
	{ "a b", "b a", "2 1" },
	{ "SF S", "- S", "1 2" },
	{ "F SF", "S F", "2 1" },
	{ "F -", "S", "1" },
	/* \Deleted would be taken away from the first one */
	{ "SD SF", "S", "2" },
	{ "S S", "SD", "1" },
	{ "a Sab", "Sb", "2" },
};

static void set_flags(struct import_index *index, const char *letters,
		      struct import_identity *id)
{
	char keyword[2] = "";
	const char *keywords[2] = { keyword, NULL };

	for (; *letters != '\0'; letters++) {
		switch (*letters) {
		case '-':
			break;
		case 'S':
			id->flags |= MAIL_SEEN;
			break;
		case 'F':
			id->flags |= MAIL_FLAGGED;
			break;
		case 'D':
			id->flags |= MAIL_DELETED;
			break;
		default:
			keyword[0] = *letters;
			id->keywords |= import_index_keywords(index, keywords);
			break;
		}
	}
}

START_TEST(test_twins)
{
	const char *const *dest = t_strsplit(twins[_i].dest, " ");
	const char *const *src = t_strsplit(twins[_i].src, " ");
	struct import_index *index = import_index_init(FALSE);
	struct import_question question;
	struct import_identity id;
	string_t *partners = t_str_new(64);
	const char *reason;
	uint32_t uid;
	unsigned int i;

	for (i = 0; dest[i] != NULL; i++) {
		get_identity("-aaa", IMPORT_EVIDENCE_GUID |
			     IMPORT_EVIDENCE_KEY | IMPORT_EVIDENCE_HEADER |
			     IMPORT_EVIDENCE_BODY, &id);
		set_flags(index, dest[i], &id);
		import_index_add(index, i + 1, &id);
	}
	import_index_set_finished(index);
	for (i = 0; src[i] != NULL; i++) {
		get_identity("-aaa", IMPORT_EVIDENCE_GUID |
			     IMPORT_EVIDENCE_KEY | IMPORT_EVIDENCE_HEADER |
			     IMPORT_EVIDENCE_BODY, &id);
		set_flags(index, src[i], &id);
		ck_assert_int_eq(import_index_pair(index, &id, &uid, &question,
						   &reason), 1);
		str_printfa(partners, "%s%u", i == 0 ? "" : " ", uid);
	}
	ck_assert_str_eq(str_c(partners), twins[_i].partners);
	import_index_deinit(&index);
}
END_TEST

START_TEST(test_keywords)
{
	static const char *const many[] = { "a", "B", NULL };
	static const char *const same[] = { "b", "A", NULL };
	static const char *const one[] = { "c", NULL };
	struct import_index *index = import_index_init(FALSE);
	uint64_t set = import_index_keywords(index, many);

	ck_assert_uint_eq(import_index_keywords(index, NULL), 0);
	ck_assert_uint_eq(import_index_keywords(index, same), set);
	ck_assert_uint_eq(import_index_keywords(index, one) & set, 0);
	import_index_deinit(&index);
}
END_TEST

START_TEST(test_unpaired)
{
	struct import_index *index = import_index_init(FALSE);
	struct import_question question;
	ARRAY_TYPE(seq_range) uids;
	struct import_identity id;
	const char *reason;
	uint32_t uid;

	for (uid = 10; uid < 14; uid++) {
		get_identity(t_strdup_printf("%caaa", (char)('a' + uid)),
			     IMPORT_EVIDENCE_GUID, &id);
		import_index_add(index, uid, &id);
	}
	get_identity(t_strdup_printf("%caaa", 'a' + 12), IMPORT_EVIDENCE_GUID,
		     &id);
	ck_assert_int_eq(import_index_pair(index, &id, &uid, &question,
					   &reason), 1);
	ck_assert_uint_eq(uid, 12);

	t_array_init(&uids, 4);
	import_index_get_unpaired(index, &uids);
	ck_assert_uint_eq(seq_range_count(&uids), 3);
	ck_assert(!seq_range_exists(&uids, 12));
	import_index_deinit(&index);
}
END_TEST

/* Many mails, each found by its GUID whatever the order. */
START_TEST(test_many)
{
	const unsigned int count = 20000;
	struct import_index *index = import_index_init(FALSE);
	struct import_question question;
	struct import_identity id;
	const char *reason;
	uint32_t uid, i, wanted;

	i_zero(&id);
	id.known = IMPORT_EVIDENCE_GUID;
	for (i = 1; i <= count; i++) {
		uint32_t n = i * 2654435761U;

		memcpy(id.guid, &n, sizeof(n));
		import_index_add(index, i, &id);
	}
	for (i = 0; i < count; i++) {
		wanted = 1 + (i * 7919) % count;
		uint32_t n = wanted * 2654435761U;

		memcpy(id.guid, &n, sizeof(n));
		ck_assert_int_eq(import_index_pair(index, &id, &uid, &question,
						   &reason), 1);
		ck_assert_uint_eq(uid, wanted);
	}
	ck_assert_int_eq(import_index_pair(index, &id, &uid, &question,
					   &reason), 0);
	import_index_deinit(&index);
}
END_TEST

/* A million mails at the destination: import-index.h promises about 60 bytes
   for each. Arrays grow by doubling, so that they may take twice of it. */
START_TEST(test_memory)
{
	const unsigned int count = 1000000;
	struct import_index *index;
	struct import_question question;
	struct import_identity id;
	struct mallinfo2 before = mallinfo2(), after;
	const char *reason;
	uint32_t uid, i;

	index = import_index_init(FALSE);
	i_zero(&id);
	id.known = IMPORT_EVIDENCE_GUID;
	for (i = 1; i <= count; i++) {
		uint32_t n = i * 2654435761U;

		memcpy(id.guid, &n, sizeof(n));
		import_index_add(index, i, &id);
	}
	/* sorts */
	ck_assert_int_eq(import_index_pair(index, &id, &uid, &question,
					   &reason), 1);
	ck_assert_uint_eq(uid, count);
	after = mallinfo2();
	ck_assert_uint_le(after.uordblks + after.hblkhd,
			  before.uordblks + before.hblkhd +
			  (size_t)count * 2 * 64);
	import_index_deinit(&index);
}
END_TEST

/* With reusable a mail is nobody's alone. */
START_TEST(test_reusable)
{
	struct import_index *index = import_index_init(TRUE);
	struct import_question question;
	struct import_identity id;
	const char *reason;
	uint32_t uid;
	unsigned int i;

	get_identity("aaaa", IMPORT_EVIDENCE_GUID, &id);
	import_index_add(index, 5, &id);
	for (i = 0; i < 3; i++) {
		uid = 0;
		ck_assert_int_eq(import_index_pair(index, &id, &uid, &question,
						   &reason), 1);
		ck_assert_uint_eq(uid, 5);
	}
	import_index_deinit(&index);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "import-index");

	tcase_add_loop_test(tc, test_pair, 0, N_ELEMENTS(tests));
	tcase_add_loop_test(tc, test_twins, 0, N_ELEMENTS(twins));
	tcase_add_test(tc, test_keywords);
	tcase_add_test(tc, test_unpaired);
	tcase_add_test(tc, test_many);
	/* valgrind's malloc() does not count */
	if (getenv("TEST_VALGRIND") == NULL)
		tcase_add_test(tc, test_memory);
	tcase_add_test(tc, test_reusable);
	tcase_set_timeout(tc, 300);
	return check_suite_run(s);
}
