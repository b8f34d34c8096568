/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "json-walk.h"
#include "parity-proof.h"
#include "check-suite.h"

static pool_t pool;

static void setup(void)
{
	pool = pool_alloconly_create("test", 4096);
}

static void teardown(void)
{
	pool_unref(&pool);
}

/*
 * JSON
 */

static const struct {
	const char *text;
	/* NULL: refused */
	const char *values;
} documents[] = {
	{ "{}", "" },
	{ "{\"a\": 1, \"b\": {\"c\": \"x\", \"d\": null}, \"e\": [true, {\"f\": "
	  "[]}, [\"y\", 2]], \"g\": false}",
	  "a=1 b/c=x e/0=true e/2/0=y e/2/1=2 g=false " },
	{ "{\"l\": [{\"n\": 1}, {\"n\": 2}]}", "l/0/n=1 l/1/n=2 " },
	{ "", NULL },
	{ "[1]", NULL },
	{ "{\"a\": ", NULL },
	{ "{\"a\": {\"b\": 1}", NULL },
	{ "{\"a\": 1} x", NULL },
};

static void append_value(void *context, const char *path, const char *value)
{
	string_t *str = context;

	str_printfa(str, "%s=%s ", path, value);
}

START_TEST(test_json_walk)
{
	string_t *str = str_new(pool, 128);
	const char *error = NULL;
	int ret;

	ret = json_walk(documents[_i].text, strlen(documents[_i].text),
			append_value, str, &error);
	ck_assert_int_eq(ret, documents[_i].values == NULL ? -1 : 0);
	if (ret == 0)
		ck_assert_str_eq(str_c(str), documents[_i].values);
	else
		ck_assert(error != NULL);
}
END_TEST

/*
 * Proofs
 */

static struct parity_mailbox mailbox(unsigned int count)
{
	static const struct parity_digest digest = { .size = 1 };
	struct parity_mailbox box;
	struct parity_mail *mail;
	unsigned int i;

	i_zero(&box);
	box.exists = TRUE;
	box.uid_validity = 1234;
	box.uid_next = count + 1;
	p_array_init(&box.mails, pool, 8);
	for (i = 1; i <= count; i++) {
		mail = array_append_space(&box.mails);
		mail->uid = i;
		mail->keywords = "Work";
		mail->size = 1000 + i;
		mail->received_date = 1551398400 + i;
		if (i % 2 == 1)
			mail->digest = &digest;
	}
	return box;
}

static struct parity_mail *mail_idx(struct parity_mailbox *box, unsigned int idx)
{
	return array_idx_modifiable(&box->mails, idx);
}

static struct parity_proof proof_of(const struct parity_mailbox *source,
				    const struct parity_mailbox *dest)
{
	struct parity_proof proof;
	struct parity_proof_mailbox *box;

	i_zero(&proof);
	proof.version = PARITY_PROOF_VERSION;
	proof.program = "dovecot-migration 1";
	proof.user = "jane \"x\"";
	proof.location = "imapc:";
	proof.source = "host:143";
	proof.started = proof.written = "2026-03-01T10:00:00Z";
	proof.complete = proof.equal = TRUE;
	proof.sample_percent = 5;
	proof.sample_min = 10;
	proof.statement = "all";
	p_array_init(&proof.mailboxes, pool, 2);
	box = array_append_space(&proof.mailboxes);
	box->name = "Entw\xc3\xbcrfe";
	box->equal = TRUE;
	box->texts = 2;
	parity_proof_side_fill(source, pool, &box->source);
	parity_proof_side_fill(dest, pool, &box->dest);
	return proof;
}

static struct parity_proof_mailbox *first_box(struct parity_proof *proof)
{
	return array_idx_modifiable(&proof->mailboxes, 0);
}

static const char *changes_text(const struct parity_proof *before,
				const struct parity_proof *after)
{
	ARRAY_TYPE(parity_proof_change) changes;
	const struct parity_proof_change *change;
	string_t *str = str_new(pool, 128);

	p_array_init(&changes, pool, 8);
	parity_proof_compare(before, after, pool, &changes);
	array_foreach(&changes, change)
		str_printfa(str, "%s/%s ", change->side, change->what);
	return str_c(str);
}

START_TEST(test_write_and_read)
{
	struct parity_mailbox box = mailbox(3), none = { .exists = FALSE };
	struct parity_proof proof = proof_of(&box, &none), again;
	string_t *first = str_new(pool, 1024), *second = str_new(pool, 1024);
	const char *error = NULL;

	parity_proof_write(&proof, first);
	ck_assert_int_eq(parity_proof_read(str_c(first), str_len(first),
					   pool, &again, &error), 0);
	parity_proof_write(&again, second);
	ck_assert_str_eq(str_c(first), str_c(second));
	ck_assert(!first_box(&again)->dest.exists);
	ck_assert_str_eq(changes_text(&proof, &again), "");
}
END_TEST

static const struct {
	const char *text, *error;
} bad_proofs[] = {
	{ "", "" },
	{ "{}", "no proof_version" },
	{ "{\"proof_version\": 2}", "newer" },
	{ "{\"proof_version\": -1}", "proof_version is no number" },
	{ "{\"proof_version\": 1, \"mailboxes\": [1]}", "no list of objects" },
	{ "{\"proof_version\": 1, \"mailboxes\": [{\"texts\": 1}]}",
	  "a mailbox has no name" },
	{ "{\"proof_version\": 1, \"mailboxes\": [{\"mailbox\": \"a\", "
	  "\"source\": {\"mails\": \"many\"}}]}",
	  "mailboxes/0/source/mails is no number" },
};

START_TEST(test_bad_proofs)
{
	struct parity_proof proof;
	const char *error = NULL;

	ck_assert_int_eq(parity_proof_read(bad_proofs[_i].text,
					   strlen(bad_proofs[_i].text), pool,
					   &proof, &error), -1);
	ck_assert_msg(strstr(error, bad_proofs[_i].error) != NULL, "%s", error);
}
END_TEST

static void no_change(struct parity_mailbox *box ATTR_UNUSED) { }
static void other_flags(struct parity_mailbox *box)
{
	mail_idx(box, 1)->flags = MAIL_SEEN;
}
static void recent(struct parity_mailbox *box)
{
	mail_idx(box, 1)->flags = MAIL_RECENT;
}
static void other_keyword(struct parity_mailbox *box)
{
	mail_idx(box, 1)->keywords = "Home";
}
static void other_date(struct parity_mailbox *box)
{
	mail_idx(box, 1)->received_date++;
}
static void other_size(struct parity_mailbox *box)
{
	mail_idx(box, 1)->size++;
}
static void other_text(struct parity_mailbox *box)
{
	static const struct parity_digest other = { .hash = { 1 } };

	mail_idx(box, 0)->digest = &other;
}
static void other_validity(struct parity_mailbox *box)
{
	box->uid_validity++;
}
static void one_less(struct parity_mailbox *box)
{
	array_delete(&box->mails, 1, 1);
}
static void gone(struct parity_mailbox *box)
{
	box->exists = FALSE;
}

static const struct {
	void (*change)(struct parity_mailbox *box);
	const char *changes;
	bool holds;
} changed[] = {
	{ no_change, "", TRUE },
	{ recent, "", TRUE },
	{ other_flags, "destination/flags ", FALSE },
	{ other_keyword, "destination/flags ", FALSE },
	{ other_date, "destination/dates ", FALSE },
	{ other_size, "destination/sizes ", FALSE },
	/* only reading it again can tell, and texts do not change */
	{ other_text, "destination/texts ", TRUE },
	{ other_validity, "destination/uidvalidity ", FALSE },
	{ one_less, "destination/mails destination/uids destination/flags "
	  "destination/dates destination/sizes ", FALSE },
	{ gone, "destination/mailbox ", FALSE },
};

START_TEST(test_changes)
{
	struct parity_mailbox box = mailbox(3), now = mailbox(3);
	struct parity_proof before = proof_of(&box, &box), after;
	const struct parity_proof_mailbox *old, *new;

	changed[_i].change(&now);
	after = proof_of(&box, &now);
	ck_assert_str_eq(changes_text(&before, &after), changed[_i].changes);
	old = array_front(&before.mailboxes);
	new = array_front(&after.mailboxes);
	ck_assert_int_eq(parity_proof_still_holds(&before, old, new, 5, 10),
			 changed[_i].holds);
}
END_TEST

START_TEST(test_mailboxes_that_come_and_go)
{
	struct parity_mailbox box = mailbox(3);
	struct parity_proof before = proof_of(&box, &box);
	struct parity_proof after = proof_of(&box, &box);

	first_box(&after)->name = "Other";
	ck_assert_str_eq(changes_text(&before, &after),
			 "source/mailbox destination/mailbox "
			 "source/mailbox destination/mailbox ");
	first_box(&after)->name =
		first_box(&before)->name;
	first_box(&after)->equal = FALSE;
	ck_assert_str_eq(changes_text(&before, &after), "/equal ");
}
END_TEST

START_TEST(test_what_does_not_hold)
{
	struct parity_mailbox box = mailbox(3);
	struct parity_proof proof = proof_of(&box, &box);
	struct parity_proof_mailbox old = *array_front(&proof.mailboxes);
	const struct parity_proof_mailbox *now = array_front(&proof.mailboxes);

	ck_assert(parity_proof_still_holds(&proof, &old, now, 5, 10));
	ck_assert(parity_proof_still_holds(&proof, &old, now, 0, 0));
	ck_assert(!parity_proof_still_holds(&proof, &old, now, 6, 10));
	ck_assert(!parity_proof_still_holds(&proof, &old, now, 5, 11));
	old.equal = FALSE;
	ck_assert(!parity_proof_still_holds(&proof, &old, now, 5, 10));
	old.equal = TRUE;
	old.error = "unreadable";
	ck_assert(!parity_proof_still_holds(&proof, &old, now, 5, 10));
}
END_TEST

/*
 * Samples
 */

static const struct {
	/* mails, texts, different */
	unsigned int boxes[3][3];
	unsigned int confidence;
	uint64_t bound;
	const char *sentence;
} samples[] = {
	{ { { 0, 0, 0 } }, 95, 0, "0 of 0 texts compared, none differs" },
	{ { { 10, 10, 0 } }, 95, 0, "10 of 10 texts compared, none differs" },
	/* 0.95^58 = 0.051, 0.95^59 = 0.048 */
	{ { { 20000, 1000, 0 } }, 95, 58, "1,000 of 20,000 texts compared, "
	  "none of them differs: with 95 % confidence fewer than 59 mails "
	  "differ (0.29 %)" },
	{ { { 20000, 1000, 0 } }, 99, 89, "1,000 of 20,000 texts compared, "
	  "none of them differs: with 99 % confidence fewer than 90 mails "
	  "differ (0.45 %)" },
	{ { { 1234567, 617284, 0 } }, 95, 4, "617,284 of 1,234,567 texts "
	  "compared, none of them differs: with 95 % confidence fewer than 5 "
	  "mails differ (0.00 %)" },
	/* all that differ may be where the least was read */
	{ { { 10, 10, 0 }, { 1000, 50, 0 }, { 1000, 500, 0 } }, 95, 58,
	  "560 of 2,010 texts compared, none of them differs: with 95 % "
	  "confidence fewer than 59 mails differ (2.94 %)" },
	{ { { 10, 5, 0 } }, 99, 5, "5 of 10 texts compared, none of them "
	  "differs: nothing is known of the others" },
	{ { { 1000, 100, 0 }, { 7, 0, 0 } }, 95, 907, "100 of 1,007 texts "
	  "compared, none of them differs: nothing is known of the others" },
	{ { { 1000, 100, 2 } }, 95, 28, "100 of 1,000 texts compared, 2 of "
	  "them differ: compare all of them (--full) to know which others do" },
	{ { { 10, 10, 1 } }, 95, 0, "10 of 10 texts compared, 1 of them "
	  "differ" },
};

START_TEST(test_samples)
{
	struct parity_sample_sum sum;
	unsigned int i;

	parity_sample_sum_init(&sum);
	for (i = 0; i < 3; i++) {
		parity_sample_sum_add(&sum, samples[_i].boxes[i][0],
				      samples[_i].boxes[i][1],
				      samples[_i].boxes[i][2]);
	}
	ck_assert_uint_eq(parity_sample_bound(&sum, samples[_i].confidence),
			  samples[_i].bound);
	ck_assert_str_eq(parity_sample_sentence(&sum, samples[_i].confidence),
			 samples[_i].sentence);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "parity-proof");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_json_walk, 0, N_ELEMENTS(documents));
	tcase_add_test(tc, test_write_and_read);
	tcase_add_loop_test(tc, test_bad_proofs, 0, N_ELEMENTS(bad_proofs));
	tcase_add_loop_test(tc, test_changes, 0, N_ELEMENTS(changed));
	tcase_add_test(tc, test_mailboxes_that_come_and_go);
	tcase_add_test(tc, test_what_does_not_hold);
	tcase_add_loop_test(tc, test_samples, 0, N_ELEMENTS(samples));
	return check_suite_run(s);
}
