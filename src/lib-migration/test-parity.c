/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "parity.h"
#include "check-suite.h"

#include <ctype.h>

static pool_t pool;
static ARRAY_TYPE(parity_difference) diffs;

static void setup(void)
{
	pool = pool_alloconly_create("test", 1024);
	p_array_init(&diffs, pool, 8);
}

static void teardown(void)
{
	pool_unref(&pool);
}

/* a mailbox with mails 1..count, all alike */
static struct parity_mailbox mailbox(unsigned int count)
{
	struct parity_mailbox box = {
		.name = "INBOX", .exists = TRUE, .subscribed = TRUE,
		.uid_validity = 1234567890, .uid_next = count + 1,
	};
	struct parity_mail mail = {
		.flags = MAIL_SEEN, .received_date = 1000000000,
		.size = 100, .keywords = "$Label1 Work",
	};

	p_array_init(&box.mails, pool, count + 1);
	for (mail.uid = 1; mail.uid <= count; mail.uid++)
		array_push_back(&box.mails, &mail);
	return box;
}

static struct parity_mail *mail_idx(struct parity_mailbox *box, unsigned int i)
{
	return array_idx_modifiable(&box->mails, i);
}

static struct parity_digest digest(const char *text)
{
	struct parity_digest_ctx ctx;
	struct parity_digest result;

	parity_digest_init(&ctx);
	parity_digest_more(&ctx, (const unsigned char *)text, strlen(text));
	parity_digest_finish(&ctx, &result);
	return result;
}

static void compare(const struct parity_mailbox *source,
		    const struct parity_mailbox *dest, bool allow_extra)
{
	const struct parity_policy policy = { .allow_extra = allow_extra };

	array_clear(&diffs);
	parity_compare(source, dest, &policy, pool, &diffs);
}

static const struct parity_difference *only_difference(void)
{
	ck_assert_uint_eq(array_count(&diffs), 1);
	return array_front(&diffs);
}

static void assert_only(enum parity_kind kind, enum parity_weight weight,
			uint32_t uid)
{
	const struct parity_difference *diff = only_difference();

	ck_assert_str_eq(parity_kind_name(diff->kind), parity_kind_name(kind));
	ck_assert_int_eq(diff->weight, weight);
	ck_assert_uint_eq(diff->uid, uid);
	ck_assert_str_ne(diff->reason, "");
}

/*
 * Digest
 */

static const struct {
	const char *a, *b;
	bool same;
	/* of a */
	uoff_t size, extra_crs;
} digests[] = {
	{ "", "", TRUE, 0, 0 },
	{ "a\r\nb\r\n", "a\nb\n", TRUE, 6, 0 },
	/* quirk cr-cr-lf */
	{ "a\r\r\nb\r\n", "a\nb\n", TRUE, 6, 1 },
	{ "\r\r\r\n", "\r\n", TRUE, 2, 2 },
	/* a CR alone is text */
	{ "a\rb", "ab", FALSE, 3, 0 },
	/* ... but not at the very end */
	{ "a\r", "a", TRUE, 1, 1 },
	{ "a\r\r", "a\r", TRUE, 1, 2 },
	/* a missing last line end is a difference */
	{ "a\r\n", "a", FALSE, 3, 0 },
	{ "a\n\n", "a\n", FALSE, 5, 0 },
	{ "A", "a", FALSE, 1, 0 },
};

START_TEST(test_digest)
{
	struct parity_digest a = digest(digests[_i].a);
	struct parity_digest b = digest(digests[_i].b);

	ck_assert_int_eq(memcmp(a.hash, b.hash, sizeof(a.hash)) == 0,
			 digests[_i].same);
	ck_assert_uint_eq(a.size, digests[_i].size);
	ck_assert_uint_eq(a.extra_crs, digests[_i].extra_crs);
}
END_TEST

START_TEST(test_digest_pieces)
{
	static const char text[] = "Subject: x\r\n\r\n\r\r\nabc\rdef\r\n\r";
	struct parity_digest whole = digest(text), pieces;
	struct parity_digest_ctx ctx;
	unsigned int i;

	parity_digest_init(&ctx);
	for (i = 0; i < sizeof(text) - 1; i++)
		parity_digest_more(&ctx, (const unsigned char *)text + i, 1);
	parity_digest_finish(&ctx, &pieces);
	ck_assert_mem_eq(&whole, &pieces, sizeof(whole));
}
END_TEST

START_TEST(test_kinds)
{
	unsigned int i, j;

	for (i = 0; i < PARITY_KIND_COUNT; i++) {
		ck_assert_ptr_nonnull(parity_kind_name(i));
		ck_assert_ptr_nonnull(parity_kind_hint(i));
		for (j = 0; j < i; j++) {
			ck_assert_str_ne(parity_kind_name(i),
					 parity_kind_name(j));
		}
	}
}
END_TEST

/*
 * Sample
 */

static unsigned int wanted_count(unsigned int mails, unsigned int percent,
				 unsigned int min)
{
	struct parity_mailbox source = mailbox(mails), dest = mailbox(mails);
	ARRAY_TYPE(seq_range) uids;

	p_array_init(&uids, pool, 16);
	parity_want_texts(&source, &dest, percent, min, &uids);
	return seq_range_count(&uids);
}

static const struct {
	unsigned int mails, percent, min, expected;
} samples[] = {
	{ 0, 100, 10, 0 },
	{ 5, 5, 10, 5 },
	{ 1000, 5, 10, 50 },
	{ 1000, 0, 10, 10 },
	{ 1000, 0, 0, 0 },
	{ 101, 1, 0, 2 },
	{ 1000, 100, 10, 1000 },
};

START_TEST(test_sample_size)
{
	ck_assert_uint_eq(wanted_count(samples[_i].mails, samples[_i].percent,
				       samples[_i].min), samples[_i].expected);
}
END_TEST

START_TEST(test_sample_grows)
{
	struct parity_mailbox source = mailbox(500), dest = mailbox(500);
	ARRAY_TYPE(seq_range) small, again, large;

	p_array_init(&small, pool, 16);
	p_array_init(&again, pool, 16);
	p_array_init(&large, pool, 16);
	parity_want_texts(&source, &dest, 5, 0, &small);
	parity_want_texts(&source, &dest, 5, 0, &again);
	parity_want_texts(&source, &dest, 20, 0, &large);
	ck_assert(array_cmp(&small, &again));
	ck_assert_uint_eq(seq_range_count(&small), 25);
	seq_range_array_remove_seq_range(&small, &large);
	ck_assert_uint_eq(seq_range_count(&small), 0);
}
END_TEST

/* who knows only the source can tell what will be asked for */
START_TEST(test_sample_of_one_side)
{
	struct parity_mailbox source = mailbox(500), dest = mailbox(500);
	ARRAY_TYPE(seq_range) all, guessed, wanted;

	p_array_init(&all, pool, 16);
	p_array_init(&guessed, pool, 16);
	p_array_init(&wanted, pool, 16);
	seq_range_array_add_range(&all, 1, 500);
	parity_sample_texts(source.uid_validity, &all, 5, 10, &guessed);
	parity_want_texts(&source, &dest, 5, 10, &wanted);
	ck_assert_uint_eq(seq_range_count(&guessed), 25);
	ck_assert(array_cmp(&guessed, &wanted));
}
END_TEST

START_TEST(test_sample_asks_about_sizes)
{
	struct parity_mailbox source = mailbox(3), dest = mailbox(4);
	struct parity_digest d = digest("x");
	ARRAY_TYPE(seq_range) uids;

	p_array_init(&uids, pool, 16);
	mail_idx(&dest, 1)->size = 99;
	parity_want_texts(&source, &dest, 0, 0, &uids);
	ck_assert_uint_eq(seq_range_count(&uids), 1);
	ck_assert(seq_range_exists(&uids, 2));

	/* a server that only estimates sizes is not asked for all its mails */
	array_clear(&uids);
	source.sizes_estimated = TRUE;
	parity_want_texts(&source, &dest, 0, 0, &uids);
	ck_assert_uint_eq(seq_range_count(&uids), 0);
	source.sizes_estimated = FALSE;

	/* what was read is not asked for again */
	array_clear(&uids);
	mail_idx(&source, 1)->digest = mail_idx(&dest, 1)->digest = &d;
	parity_want_texts(&source, &dest, 100, 0, &uids);
	ck_assert_uint_eq(seq_range_count(&uids), 2);
	ck_assert(!seq_range_exists(&uids, 2));
	ck_assert_uint_eq(parity_common_count(&source, &dest), 3);
	array_delete(&dest.mails, 1, 1);
	ck_assert_uint_eq(parity_common_count(&source, &dest), 2);
}
END_TEST

/*
 * Mailboxes
 */

START_TEST(test_equal)
{
	struct parity_mailbox source = mailbox(3), dest = mailbox(3);

	mail_idx(&source, 0)->flags |= MAIL_RECENT;
	mail_idx(&source, 1)->keywords = "$label1 WORK";
	compare(&source, &dest, FALSE);
	ck_assert_uint_eq(array_count(&diffs), 0);
	ck_assert_str_eq(parity_mailbox_digest(&source),
			 parity_mailbox_digest(&dest));
}
END_TEST

static const struct {
	enum mail_flags source, dest;
	const char *source_keywords, *dest_keywords;
	enum parity_weight weight;
} more_flags[] = {
	{ MAIL_SEEN, MAIL_SEEN | MAIL_DRAFT, "", "", PARITY_WEIGHT_EXPECTED },
	{ MAIL_SEEN, MAIL_DRAFT, "", "", PARITY_WEIGHT_DIFFERENT },
	{ 0, 0, "work", "Home Work", PARITY_WEIGHT_EXPECTED },
	{ 0, 0, "home work", "Home", PARITY_WEIGHT_DIFFERENT },
};

START_TEST(test_more_flags)
{
	struct parity_policy policy = { .allow_more_flags = TRUE };
	struct parity_mailbox source = mailbox(1), dest = mailbox(1);

	mail_idx(&source, 0)->flags = more_flags[_i].source;
	mail_idx(&source, 0)->keywords = more_flags[_i].source_keywords;
	mail_idx(&dest, 0)->flags = more_flags[_i].dest;
	mail_idx(&dest, 0)->keywords = more_flags[_i].dest_keywords;
	parity_compare(&source, &dest, &policy, pool, &diffs);
	ck_assert_uint_eq(array_count(&diffs), 1);
	ck_assert_int_eq(only_difference()->weight, more_flags[_i].weight);
	array_clear(&diffs);
	policy.allow_more_flags = FALSE;
	parity_compare(&source, &dest, &policy, pool, &diffs);
	ck_assert_int_eq(only_difference()->weight, PARITY_WEIGHT_DIFFERENT);
}
END_TEST

/* more than fits in the first piece of a string */
START_TEST(test_many_keywords)
{
	struct parity_mailbox source = mailbox(3), dest = mailbox(3);
	string_t *keywords = t_str_new(16);
	unsigned int i;

	for (i = 0; i < 200; i++)
		str_printfa(keywords, "%skeyword%03u", i == 0 ? "" : " ", i);
	mail_idx(&source, 1)->keywords = str_c(keywords);
	mail_idx(&dest, 1)->keywords = str_c(keywords);
	ck_assert_str_eq(parity_mailbox_digest(&source),
			 parity_mailbox_digest(&dest));
	mail_idx(&dest, 1)->keywords = str_c(keywords) + 1;
	ck_assert_str_ne(parity_mailbox_digest(&source),
			 parity_mailbox_digest(&dest));
}
END_TEST

START_TEST(test_both_empty)
{
	struct parity_mailbox source = mailbox(0), dest = mailbox(0);

	compare(&source, &dest, FALSE);
	ck_assert_uint_eq(array_count(&diffs), 0);
}
END_TEST

static void change_flags(struct parity_mail *mail) { mail->flags = 0; }
static void change_keywords(struct parity_mail *mail) { mail->keywords = ""; }
static void change_date(struct parity_mail *mail) { mail->received_date++; }
static void change_size(struct parity_mail *mail) { mail->size--; }

static const struct {
	enum parity_kind kind;
	void (*change)(struct parity_mail *mail);
	const char *source, *dest;
} changes[] = {
	{ PARITY_FLAGS, change_flags, "\\Seen", "" },
	{ PARITY_KEYWORDS, change_keywords, "$Label1 Work", "" },
	{ PARITY_DATE, change_date, "2001-09-09 01:46:40",
	  "2001-09-09 01:46:41" },
	{ PARITY_SIZE, change_size, "100", "99" },
};

START_TEST(test_changed_mail)
{
	struct parity_mailbox source = mailbox(3), dest = mailbox(3);

	changes[_i].change(mail_idx(&dest, 1));
	compare(&source, &dest, TRUE);
	assert_only(changes[_i].kind, PARITY_WEIGHT_DIFFERENT, 2);
	ck_assert_str_eq(only_difference()->source, changes[_i].source);
	ck_assert_str_eq(only_difference()->dest, changes[_i].dest);
	ck_assert_str_ne(parity_mailbox_digest(&source),
			 parity_mailbox_digest(&dest));
}
END_TEST

START_TEST(test_missing_and_extra)
{
	struct parity_mailbox source = mailbox(3), dest = mailbox(3);

	array_delete(&dest.mails, 1, 1);
	compare(&source, &dest, FALSE);
	assert_only(PARITY_MAIL_MISSING, PARITY_WEIGHT_DIFFERENT, 2);

	compare(&dest, &source, FALSE);
	assert_only(PARITY_MAIL_EXTRA, PARITY_WEIGHT_DIFFERENT, 2);
	compare(&dest, &source, TRUE);
	assert_only(PARITY_MAIL_EXTRA, PARITY_WEIGHT_EXPECTED, 2);

	/* all of them */
	array_clear(&source.mails);
	dest = mailbox(3);
	compare(&source, &dest, FALSE);
	ck_assert_uint_eq(array_count(&diffs), 3);
}
END_TEST

START_TEST(test_mailbox_state)
{
	struct parity_mailbox source = mailbox(1), dest = mailbox(1);

	dest.uid_validity++;
	compare(&source, &dest, FALSE);
	assert_only(PARITY_UIDVALIDITY, PARITY_WEIGHT_DIFFERENT, 0);

	dest = mailbox(1);
	dest.subscribed = FALSE;
	compare(&source, &dest, TRUE);
	assert_only(PARITY_SUBSCRIPTION, PARITY_WEIGHT_DIFFERENT, 0);
	compare(&dest, &source, FALSE);
	assert_only(PARITY_SUBSCRIPTION, PARITY_WEIGHT_DIFFERENT, 0);
	compare(&dest, &source, TRUE);
	assert_only(PARITY_SUBSCRIPTION, PARITY_WEIGHT_EXPECTED, 0);

	dest = mailbox(1);
	source.uid_next = 10;
	compare(&source, &dest, FALSE);
	assert_only(PARITY_UIDNEXT, PARITY_WEIGHT_EXPECTED, 0);
	compare(&dest, &source, FALSE);
	ck_assert_uint_eq(array_count(&diffs), 0);
}
END_TEST

START_TEST(test_mailbox_missing_and_extra)
{
	struct parity_mailbox full = mailbox(3), empty = mailbox(0);
	struct parity_mailbox none = mailbox(0);

	none.exists = FALSE;
	compare(&full, &none, TRUE);
	assert_only(PARITY_MAILBOX_MISSING, PARITY_WEIGHT_DIFFERENT, 0);
	compare(&none, &full, FALSE);
	assert_only(PARITY_MAILBOX_EXTRA, PARITY_WEIGHT_DIFFERENT, 0);
	compare(&none, &full, TRUE);
	assert_only(PARITY_MAILBOX_EXTRA, PARITY_WEIGHT_EXPECTED, 0);

	/* a parent that can't be selected, made selectable by Maildir++ */
	none.noselect = TRUE;
	compare(&none, &empty, FALSE);
	assert_only(PARITY_MAILBOX_EXTRA, PARITY_WEIGHT_EXPECTED, 0);
	compare(&none, &full, FALSE);
	assert_only(PARITY_MAILBOX_EXTRA, PARITY_WEIGHT_DIFFERENT, 0);
	/* the other way round nothing is there to compare */
	compare(&none, &none, FALSE);
	ck_assert_uint_eq(array_count(&diffs), 0);
}
END_TEST

/*
 * Sizes and texts
 */

static const struct {
	const char *source_text, *dest_text;
	uoff_t source_size, dest_size;
	int size_weight, text_weight; /* -1: no such difference */
} texts[] = {
	{ "ab\r\n", "ab\n", 4, 4, -1, -1 },
	/* quirk cr-cr-lf: stored with one CR less */
	{ "ab\r\r\n", "ab\r\n", 5, 4, PARITY_WEIGHT_EXPECTED, -1 },
	{ "a\r\r\r\nb", "a\r\r\nb", 6, 5, PARITY_WEIGHT_EXPECTED, -1 },
	{ "a\nb\r", "a\nb", 5, 4, PARITY_WEIGHT_EXPECTED, -1 },
	/* ... and never with one more */
	{ "ab\r\n", "ab\r\r\n", 4, 5, PARITY_WEIGHT_DIFFERENT,
	  PARITY_WEIGHT_DIFFERENT },
	/* one byte changed, the size is the same */
	{ "ab\r\n", "aB\n", 4, 4, -1, PARITY_WEIGHT_DIFFERENT },
	/* cut */
	{ "ab\r\ncd\r\n", "ab\r\n", 8, 4, PARITY_WEIGHT_DIFFERENT,
	  PARITY_WEIGHT_DIFFERENT },
	/* quirk wrong-rfc822-size: the source tells another size than it
	   sends */
	{ "ab\r\n", "ab\n", 44, 4, PARITY_WEIGHT_EXPECTED, -1 },
	/* the destination's index has a wrong size */
	{ "ab\r\n", "ab\n", 4, 44, PARITY_WEIGHT_DIFFERENT, -1 },
	{ "ab\r\n", "ab\n", 33, 44, PARITY_WEIGHT_DIFFERENT, -1 },
};

static int weight_of(enum parity_kind kind)
{
	const struct parity_difference *diff;
	int weight = -1;

	array_foreach(&diffs, diff) {
		ck_assert(diff->kind == PARITY_SIZE ||
			  diff->kind == PARITY_TEXT);
		if (diff->kind == kind)
			weight = diff->weight;
	}
	return weight;
}

START_TEST(test_texts)
{
	struct parity_mailbox source = mailbox(1), dest = mailbox(1);
	struct parity_digest source_digest = digest(texts[_i].source_text);
	struct parity_digest dest_digest = digest(texts[_i].dest_text);

	mail_idx(&source, 0)->size = texts[_i].source_size;
	mail_idx(&source, 0)->digest = &source_digest;
	mail_idx(&dest, 0)->size = texts[_i].dest_size;
	mail_idx(&dest, 0)->digest = &dest_digest;
	compare(&source, &dest, FALSE);
	ck_assert_int_eq(weight_of(PARITY_SIZE), texts[_i].size_weight);
	ck_assert_int_eq(weight_of(PARITY_TEXT), texts[_i].text_weight);
}
END_TEST

/*
 * UIDLs
 */

static const struct {
	const char *source, *dest;
	bool different;
} uidls[] = {
	{ NULL, NULL, FALSE },
	{ NULL, "a", FALSE },
	{ "a", "a", FALSE },
	{ "", "", FALSE },
	{ "a", "b", TRUE },
	{ "a", "A", TRUE },
	{ "a", "", TRUE },
	{ "", "a", TRUE },
};

START_TEST(test_uidl)
{
	struct parity_mailbox source = mailbox(1), dest = mailbox(1);

	mail_idx(&source, 0)->uidl = uidls[_i].source;
	mail_idx(&dest, 0)->uidl = uidls[_i].dest;
	compare(&source, &dest, FALSE);
	if (uidls[_i].different)
		assert_only(PARITY_UIDL, PARITY_WEIGHT_DIFFERENT, 1);
	else
		ck_assert_uint_eq(array_count(&diffs), 0);
}
END_TEST

static const struct {
	/* UIDLs of one character each, digits are made up */
	const char *source, *dest;
	const char *missing, *extra;
	/* number of mails at another place, and the first of them */
	unsigned int moved, first;
} lists[] = {
	{ "", "", "", "", 0, 0 },
	{ "abc", "abc", "", "", 0, 0 },
	{ "abc", "", "abc", "", 0, 0 },
	{ "", "abc", "", "123", 0, 0 },
	{ "abc", "ac", "b", "", 0, 0 },
	{ "ac", "abc", "", "2", 0, 0 },
	{ "abc", "acb", "", "", 2, 2 },
	{ "abcd", "dbca", "", "", 2, 1 },
	{ "abcd", "xdbc", "a", "1", 3, 1 },
	/* no UIDL is stored for the destination's mail 2 */
	{ "abc", "a9c", "b", "2", 0, 0 },
	/* ... but both servers make up the same */
	{ "a9", "a9", "", "", 0, 0 },
	/* quirk repeated-uidl */
	{ "aab", "aab", "", "", 0, 0 },
	{ "aab", "ab", "a", "", 0, 0 },
	{ "aab", "aba", "", "", 2, 2 },
};

static void
list_init(ARRAY_TYPE(parity_pop3_mail) *list, const char *chars, bool uids)
{
	struct parity_pop3_mail mail;
	unsigned int i;

	p_array_init(list, pool, 8);
	for (i = 0; chars[i] != '\0'; i++) {
		i_zero(&mail);
		mail.size = 100;
		mail.uidl = p_strdup_printf(pool, "%c", chars[i]);
		mail.made_up = i_isdigit(chars[i]);
		mail.uid = uids ? i + 1 : 0;
		array_push_back(list, &mail);
	}
}

static struct parity_pop3_mail *
list_idx(ARRAY_TYPE(parity_pop3_mail) *list, unsigned int idx)
{
	return array_idx_modifiable(list, idx);
}

static void
compare_lists(const char *source_chars, const char *dest_chars,
	      const struct parity_policy *policy)
{
	ARRAY_TYPE(parity_pop3_mail) source, dest;

	list_init(&source, source_chars, FALSE);
	list_init(&dest, dest_chars, TRUE);
	parity_compare_pop3(&source, &dest, policy, pool, &diffs);
}

static void assert_moved(const struct parity_difference *diff,
			 unsigned int moved, unsigned int first)
{
	const char *where = t_strdup_printf("%u of ", moved);

	ck_assert_int_eq(strncmp(diff->reason, where, strlen(where)), 0);
	where = t_strdup_printf(" number %u", first);
	ck_assert_ptr_nonnull(strstr(diff->reason, where));
}

START_TEST(test_pop3_lists)
{
	const struct parity_policy policy = { .allow_extra = FALSE };
	const struct parity_difference *diff;
	string_t *missing = t_str_new(8), *extra = t_str_new(8);
	unsigned int orders = 0;

	compare_lists(lists[_i].source, lists[_i].dest, &policy);
	array_foreach(&diffs, diff) {
		ck_assert_int_eq(diff->weight, PARITY_WEIGHT_DIFFERENT);
		if (diff->kind == PARITY_POP3_ORDER) {
			orders++;
			assert_moved(diff, lists[_i].moved, lists[_i].first);
		} else if (diff->uid != 0) {
			str_printfa(extra, "%u", diff->uid);
		} else {
			str_append(missing, diff->source);
		}
	}
	ck_assert_str_eq(str_c(missing), lists[_i].missing);
	ck_assert_str_eq(str_c(extra), lists[_i].extra);
	ck_assert_uint_eq(orders, lists[_i].moved > 0 ? 1 : 0);
}
END_TEST

START_TEST(test_pop3_extra_allowed)
{
	const struct parity_policy hidden = { .allow_extra_uidls = TRUE };
	const struct parity_policy in_use = { .allow_extra = TRUE };

	compare_lists("ac", "a9c", &hidden);
	assert_only(PARITY_UIDL, PARITY_WEIGHT_EXPECTED, 2);
	array_clear(&diffs);
	compare_lists("ac", "abc", &in_use);
	assert_only(PARITY_UIDL, PARITY_WEIGHT_EXPECTED, 2);
	array_clear(&diffs);
	compare_lists("abc", "ac", &in_use);
	assert_only(PARITY_UIDL, PARITY_WEIGHT_DIFFERENT, 0);
}
END_TEST

static const struct {
	/* UIDLs; for each mail of the destination its size's last digit */
	const char *source, *dest, *dest_sizes;
	unsigned int percent, min;
	/* UIDLs of the wanted pairs */
	const char *wanted;
} header_samples[] = {
	{ "abc", "abc", "000", 0, 0, "" },
	{ "abc", "abc", "000", 100, 0, "abc" },
	{ "abc", "cb", "00", 100, 0, "bc" },
	{ "abc", "abc", "000", 0, 10, "abc" },
	/* a size that differs is a reason to look */
	{ "abc", "abc", "010", 0, 0, "b" },
	/* ... unless most differ */
	{ "abc", "abc", "110", 0, 0, "" },
	{ "", "", "", 100, 10, "" },
};

START_TEST(test_pop3_header_sample)
{
	ARRAY_TYPE(parity_pop3_mail) source, dest;
	ARRAY_TYPE(parity_pop3_pair) wanted;
	const struct parity_pop3_pair *pair;
	string_t *str = t_str_new(8);
	unsigned int i;

	list_init(&source, header_samples[_i].source, FALSE);
	list_init(&dest, header_samples[_i].dest, TRUE);
	for (i = 0; i < array_count(&dest); i++) {
		list_idx(&dest, i)->size +=
			header_samples[_i].dest_sizes[i] - '0';
	}
	p_array_init(&wanted, pool, 8);
	parity_want_pop3_headers(&source, &dest, header_samples[_i].percent,
				 header_samples[_i].min, &wanted);
	array_foreach(&wanted, pair) {
		const struct parity_pop3_mail *s, *d;

		s = array_idx(&source, pair->source_idx);
		d = array_idx(&dest, pair->dest_idx);
		ck_assert_str_eq(s->uidl, d->uidl);
		str_append(str, s->uidl);
	}
	ck_assert_str_eq(str_c(str), header_samples[_i].wanted);
}
END_TEST

static const char header_1[] =
	"From: a@example.com\r\nDate: Fri, 1 Mar 2019 10:00:00 +0000\r\n"
	"Message-ID: <1@example.com>\r\nSubject: one\r\n\r\n";
static const char header_2[] =
	"From: b@example.com\r\nDate: Sat, 2 Mar 2019 10:00:00 +0000\r\n"
	"Message-ID: <2@example.com>\r\nSubject: two\r\n\r\n";
static const char header_none[] = "\r\n";

static const struct {
	const char *source, *dest;
	bool other;
} headers[] = {
	{ header_1, header_1, FALSE },
	{ header_1, header_2, TRUE },
	{ header_none, header_none, FALSE },
	/* nothing is proved by a header without fields */
	{ header_1, header_none, FALSE },
	{ NULL, header_2, FALSE },
	{ header_1, NULL, FALSE },
};

static const struct header_digest *header(const char *text)
{
	struct header_digest *hdr;

	if (text == NULL)
		return NULL;
	hdr = p_new(pool, struct header_digest, 1);
	header_digest_get((const unsigned char *)text, strlen(text), hdr);
	return hdr;
}

START_TEST(test_pop3_other_mail)
{
	const struct parity_policy policy = { .allow_extra = TRUE };
	ARRAY_TYPE(parity_pop3_mail) source, dest;

	list_init(&source, "ab", FALSE);
	list_init(&dest, "ab", TRUE);
	list_idx(&source, 1)->header = header(headers[_i].source);
	list_idx(&dest, 1)->header = header(headers[_i].dest);
	parity_compare_pop3(&source, &dest, &policy, pool, &diffs);
	if (headers[_i].other) {
		assert_only(PARITY_UIDL_OTHER_MAIL, PARITY_WEIGHT_DIFFERENT, 2);
		ck_assert_str_eq(only_difference()->source, "b");
	} else {
		ck_assert_uint_eq(array_count(&diffs), 0);
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "parity");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, test_digest, 0, N_ELEMENTS(digests));
	tcase_add_test(tc, test_digest_pieces);
	tcase_add_test(tc, test_kinds);
	tcase_add_loop_test(tc, test_sample_size, 0, N_ELEMENTS(samples));
	tcase_add_test(tc, test_sample_grows);
	tcase_add_test(tc, test_sample_of_one_side);
	tcase_add_test(tc, test_sample_asks_about_sizes);
	tcase_add_test(tc, test_equal);
	tcase_add_loop_test(tc, test_more_flags, 0, N_ELEMENTS(more_flags));
	tcase_add_test(tc, test_many_keywords);
	tcase_add_test(tc, test_both_empty);
	tcase_add_loop_test(tc, test_changed_mail, 0, N_ELEMENTS(changes));
	tcase_add_test(tc, test_missing_and_extra);
	tcase_add_test(tc, test_mailbox_state);
	tcase_add_test(tc, test_mailbox_missing_and_extra);
	tcase_add_loop_test(tc, test_texts, 0, N_ELEMENTS(texts));
	tcase_add_loop_test(tc, test_uidl, 0, N_ELEMENTS(uidls));
	tcase_add_loop_test(tc, test_pop3_lists, 0, N_ELEMENTS(lists));
	tcase_add_test(tc, test_pop3_extra_allowed);
	tcase_add_loop_test(tc, test_pop3_header_sample, 0,
			    N_ELEMENTS(header_samples));
	tcase_add_loop_test(tc, test_pop3_other_mail, 0, N_ELEMENTS(headers));
	return check_suite_run(s);
}
