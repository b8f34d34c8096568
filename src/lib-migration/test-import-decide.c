/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "import-decide.h"
#include "check-suite.h"

#define GUID IMPORT_EVIDENCE_GUID
#define KEY IMPORT_EVIDENCE_KEY
#define SIZE IMPORT_EVIDENCE_SIZE
#define HEADER IMPORT_EVIDENCE_HEADER
#define BODY IMPORT_EVIDENCE_BODY
#define ALL (GUID | KEY | SIZE | HEADER | BODY)

/* A mail in one line: what is known of it and one letter for each member.
   '-' is an empty GUID. */
struct mail {
	enum import_evidence known;
	const char letters[6];	/* GUID, key, size, header, body */
	enum import_evidence unreadable;
};

static void get_identity(const struct mail *mail, struct import_identity *id_r)
{
	i_zero(id_r);
	id_r->known = mail->known;
	id_r->unreadable = mail->unreadable;
	if (mail->letters[0] != '-')
		memset(id_r->guid, mail->letters[0], sizeof(id_r->guid));
	id_r->key = mail->letters[1];
	/* a: 1000 bytes, b: 1096, z: over 100 kB */
	id_r->size = mail->letters[2] == 'z' ? 100000 :
		1000 + 96 * (mail->letters[2] - 'a');
	id_r->header[0] = mail->letters[3];
	id_r->body.sum[1] = mail->letters[4];
}

static const struct {
	struct mail src, dest;
	enum import_match match;
	enum import_evidence need;
} compares[] = {
	/* the GUID is proof, whatever the rest is */
	{ { GUID, "a-a--", 0 }, { GUID, "a-a--", 0 }, IMPORT_MATCH_SAME, 0 },
	{ { ALL, "aaaaa", 0 }, { ALL, "abbbb", 0 }, IMPORT_MATCH_SAME, 0 },
	/* two empty GUIDs are no equal GUIDs */
	{ { GUID, "-aaaa", 0 }, { GUID, "-aaaa", 0 },
	  IMPORT_MATCH_UNDECIDED, KEY },
	/* another GUID is no proof of another mail: mbox and imapc have none,
	   and a mail that came twice has two */
	{ { ALL, "aaaaa", 0 }, { ALL, "baaaa", 0 }, IMPORT_MATCH_SAME, 0 },
	/* one step of evidence after the other */
	{ { GUID | KEY, "aaaaa", 0 }, { GUID, "baaaa", 0 },
	  IMPORT_MATCH_UNDECIDED, KEY },
	{ { GUID | KEY, "aaaaa", 0 }, { GUID | KEY, "bbaaa", 0 },
	  IMPORT_MATCH_DIFFERENT, 0 },
	{ { GUID | KEY, "aaaaa", 0 }, { GUID | KEY, "baaaa", 0 },
	  IMPORT_MATCH_UNDECIDED, HEADER },
	{ { GUID | KEY | HEADER, "aaaaa", 0 }, { GUID | KEY, "baaaa", 0 },
	  IMPORT_MATCH_UNDECIDED, HEADER },
	{ { KEY | HEADER, "aaaaa", 0 }, { KEY | HEADER, "baaaa", 0 },
	  IMPORT_MATCH_UNDECIDED, BODY },
	/* one Message-ID, but two mails */
	{ { KEY | HEADER, "aaaaa", 0 }, { KEY | HEADER, "baaba", 0 },
	  IMPORT_MATCH_DIFFERENT, 0 },
	{ { ALL, "aaaaa", 0 }, { ALL, "baaab", 0 }, IMPORT_MATCH_DIFFERENT, 0 },
	/* a size counts if both know it and it is more than a few lines */
	{ { ALL, "aaaaa", 0 }, { ALL, "babaa", 0 }, IMPORT_MATCH_SAME, 0 },
	{ { ALL, "aaaaa", 0 }, { ALL, "bazaa", 0 }, IMPORT_MATCH_DIFFERENT, 0 },
	{ { ALL, "aazaa", 0 }, { ALL, "baaaa", 0 }, IMPORT_MATCH_DIFFERENT, 0 },
	{ { ALL, "aazaa", 0 }, { ALL & ~SIZE, "baaaa", 0 },
	  IMPORT_MATCH_SAME, 0 },
	/* what cannot be read is not the same */
	{ { KEY | HEADER, "aaaaa", BODY }, { KEY | HEADER, "baaaa", 0 },
	  IMPORT_MATCH_DIFFERENT, 0 },
	{ { KEY | HEADER, "aaaaa", 0 }, { KEY | HEADER, "baaaa", BODY },
	  IMPORT_MATCH_DIFFERENT, 0 },
	{ { GUID, "a----", KEY }, { GUID, "b----", 0 },
	  IMPORT_MATCH_DIFFERENT, 0 },
};

START_TEST(test_compare)
{
	struct import_identity src, dest;
	enum import_evidence need;
	const char *reason = NULL;

	get_identity(&compares[_i].src, &src);
	get_identity(&compares[_i].dest, &dest);
	ck_assert_int_eq(import_compare(&src, &dest, &need, &reason),
			 compares[_i].match);
	ck_assert_int_eq(need, compares[_i].need);
	ck_assert_ptr_nonnull(reason);
	/* it does not matter which is which */
	ck_assert_int_eq(import_compare(&dest, &src, &need, &reason),
			 compares[_i].match);
	ck_assert_int_eq(need, compares[_i].need);
}
END_TEST

#define POLICY_SKIP IMPORT_DUPLICATES_SKIP
#define POLICY_MERGE IMPORT_DUPLICATES_MERGE_FLAGS
#define POLICY_IMPORT IMPORT_DUPLICATES_IMPORT

static const struct {
	enum import_duplicates policy;
	enum mail_flags src;
	const char *src_keywords;
	/* -1: not there */
	int dest;
	const char *dest_keywords;

	enum import_action action;
	enum mail_flags add, remove;
	const char *add_keywords;
} decisions[] = {
	{ POLICY_SKIP, 0, "", -1, "", IMPORT_ACTION_SAVE, 0, 0, "" },
	{ POLICY_MERGE, 0, "", -1, "", IMPORT_ACTION_SAVE, 0, 0, "" },
	{ POLICY_IMPORT, 0, "", -1, "", IMPORT_ACTION_SAVE, 0, 0, "" },
	{ POLICY_IMPORT, 0, "", 0, "", IMPORT_ACTION_SAVE, 0, 0, "" },
	{ POLICY_SKIP, MAIL_SEEN, "", 0, "", IMPORT_ACTION_SKIP, 0, 0, "" },
	{ POLICY_MERGE, 0, "", 0, "", IMPORT_ACTION_SKIP, 0, 0, "" },
	{ POLICY_MERGE, MAIL_SEEN, "a", MAIL_SEEN, "A",
	  IMPORT_ACTION_SKIP, 0, 0, "" },
	{ POLICY_MERGE, MAIL_SEEN | MAIL_ANSWERED, "", MAIL_FLAGGED, "",
	  IMPORT_ACTION_MERGE_FLAGS, MAIL_SEEN | MAIL_ANSWERED, 0, "" },
	{ POLICY_MERGE, MAIL_DRAFT | MAIL_FLAGGED, "", MAIL_SEEN, "",
	  IMPORT_ACTION_MERGE_FLAGS, MAIL_DRAFT | MAIL_FLAGGED, 0, "" },
	/* nothing is taken away from the destination ... */
	{ POLICY_MERGE, 0, "", MAIL_SEEN | MAIL_FLAGGED, "x",
	  IMPORT_ACTION_SKIP, 0, 0, "" },
	/* ... but a \Deleted that the other one does not have */
	{ POLICY_MERGE, 0, "", MAIL_DELETED | MAIL_SEEN, "",
	  IMPORT_ACTION_MERGE_FLAGS, 0, MAIL_DELETED, "" },
	{ POLICY_MERGE, MAIL_DELETED, "", 0, "", IMPORT_ACTION_SKIP, 0, 0, "" },
	{ POLICY_MERGE, MAIL_DELETED, "", MAIL_DELETED, "",
	  IMPORT_ACTION_SKIP, 0, 0, "" },
	/* \Recent is nobody's */
	{ POLICY_MERGE, MAIL_RECENT, "", 0, "", IMPORT_ACTION_SKIP, 0, 0, "" },
	{ POLICY_MERGE, 0, "one two", 0, "TWO three",
	  IMPORT_ACTION_MERGE_FLAGS, 0, 0, "one" },
	{ POLICY_MERGE, 0, "one two", 0, "",
	  IMPORT_ACTION_MERGE_FLAGS, 0, 0, "one two" },
};

START_TEST(test_decide)
{
	struct import_flags src, dest;
	struct import_flags_change change;
	const char *reason = NULL;
	enum import_action action;

	src.flags = decisions[_i].src;
	src.keywords = t_strsplit_spaces(decisions[_i].src_keywords, " ");
	dest.flags = decisions[_i].dest;
	dest.keywords = t_strsplit_spaces(decisions[_i].dest_keywords, " ");
	action = import_decide(decisions[_i].policy, &src,
			       decisions[_i].dest < 0 ? NULL : &dest,
			       &change, &reason);
	ck_assert_int_eq(action, decisions[_i].action);
	ck_assert_ptr_nonnull(reason);
	ck_assert_int_eq(change.add, decisions[_i].add);
	ck_assert_int_eq(change.remove, decisions[_i].remove);
	ck_assert_str_eq(change.add_keywords == NULL ? "" :
			 t_strarray_join(change.add_keywords, " "),
			 decisions[_i].add_keywords);
}
END_TEST

START_TEST(test_numbered)
{
	const struct import_numbered src = { 1, 2, 3, TRUE };
	const struct import_numbered bare = { 1, 2, 3, FALSE };
	static const struct import_numbered others[] = {
		{ 2, 2, 3, TRUE }, { 1, 1, 3, TRUE }, { 1, 2, 4, TRUE },
	};
	unsigned int i;

	ck_assert(import_numbered_is_same(&src, &src));
	ck_assert(!import_numbered_is_same(&bare, &bare));
	for (i = 0; i < N_ELEMENTS(others); i++)
		ck_assert(!import_numbered_is_same(&src, &others[i]));
}
END_TEST

START_TEST(test_decide_without_keywords)
{
	struct import_flags src = { .flags = MAIL_SEEN };
	struct import_flags dest = { .flags = 0 };
	struct import_flags_change change;
	const char *reason;

	ck_assert_int_eq(import_decide(POLICY_MERGE, &src, &dest, &change,
				       &reason), IMPORT_ACTION_MERGE_FLAGS);
	ck_assert_int_eq(change.add, MAIL_SEEN);
	ck_assert_ptr_null(change.add_keywords);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "import-decide");

	tcase_add_loop_test(tc, test_compare, 0, N_ELEMENTS(compares));
	tcase_add_loop_test(tc, test_decide, 0, N_ELEMENTS(decisions));
	tcase_add_test(tc, test_numbered);
	tcase_add_test(tc, test_decide_without_keywords);
	return check_suite_run(s);
}
