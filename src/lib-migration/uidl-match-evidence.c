/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "uidl-match-private.h"

/* Pairing by headers and bodies. Mails fall into classes of one key (header,
   or Message-ID with Date and From). A class is an equivalence: whatever is
   paired within it takes nothing away from another class, so no pair is lost by
   an early choice. Inside a class size decides, then the body; order decides
   only between mails that are the same text. */

/* So many of 100 classes with one mail on each side differ in size: then the
   two servers count sizes in different ways. */
#define SIZES_DIFFER_PERCENT 30
/* ... but not fewer mails than this. */
#define SIZES_DIFFER_MIN 4
/* So many of 100 of them differ by the same: that is how they count. */
#define SIZES_SAME_DIFFERENCE_PERCENT 70
/* Where sizes differ from mail to mail (LF counted as one or two bytes,
   estimates) one mail's two sizes still are about the same. */
#define SIZES_TOLERANCE_PERCENT 25
#define SIZES_TOLERANCE_BYTES 512
/* Mails with one body that are compared each with each. */
#define BODY_CLASS_MAX 64

struct class_mail {
	uint64_t key[2];
	/* second level of the order: size, or size of the body */
	uint64_t sub[2];
	uint32_t idx;
};
ARRAY_DEFINE_TYPE(class_mail, struct class_mail);

enum class_sub {
	CLASS_SUB_NONE,
	CLASS_SUB_SIZE,
	CLASS_SUB_BODY_SIZE,
	CLASS_SUB_BODY,
	CLASS_SUB_BODY_AND_SIZE
};

static int sum_cmp(const uint64_t a[2], const uint64_t b[2])
{
	if (a[0] != b[0])
		return a[0] < b[0] ? -1 : 1;
	if (a[1] != b[1])
		return a[1] < b[1] ? -1 : 1;
	return 0;
}

static int
class_mail_cmp(const struct class_mail *a, const struct class_mail *b)
{
	int ret;

	if ((ret = sum_cmp(a->key, b->key)) != 0 ||
	    (ret = sum_cmp(a->sub, b->sub)) != 0)
		return ret;
	return a->idx < b->idx ? -1 : (a->idx > b->idx ? 1 : 0);
}

static uoff_t mail_body_size(const struct match_mail *mail)
{
	if (mail->size == UOFF_T_MAX || mail->header == NULL ||
	    mail->header->raw_size > mail->size)
		return UOFF_T_MAX;
	return mail->size - mail->header->raw_size;
}

static bool get_key(const struct match_mail *mail,
		    enum uidl_match_evidence evidence, uint64_t key_r[2])
{
	if (mail->header == NULL)
		return FALSE;
	switch (evidence) {
	case UIDL_MATCH_HEADER:
		key_r[0] = mail->header->all[0];
		key_r[1] = mail->header->all[1];
		return TRUE;
	case UIDL_MATCH_FIELDS:
		return header_digest_get_fields(mail->header, key_r);
	case UIDL_MATCH_BODY:
		/* one class of all, the body is the sub key */
		key_r[0] = key_r[1] = 0;
		return TRUE;
	default:
		i_unreached();
	}
}

/* FALSE if the mail has no such sub key, so that it cannot be paired by it. */
static bool get_sub(const struct match_mail *mail, enum class_sub sub,
		    int64_t difference, uint64_t sub_r[2])
{
	uoff_t body_size;

	sub_r[0] = sub_r[1] = 0;
	switch (sub) {
	case CLASS_SUB_NONE:
		return TRUE;
	case CLASS_SUB_SIZE:
		sub_r[0] = mail->size - difference;
		return mail->size != UOFF_T_MAX;
	case CLASS_SUB_BODY_SIZE:
		body_size = mail_body_size(mail);
		sub_r[0] = body_size - difference;
		return body_size != UOFF_T_MAX;
	case CLASS_SUB_BODY:
		if (mail->body == NULL)
			return FALSE;
		sub_r[0] = mail->body->sum[0];
		sub_r[1] = mail->body->sum[1];
		return TRUE;
	case CLASS_SUB_BODY_AND_SIZE:
		if (mail->body == NULL || mail->size == UOFF_T_MAX)
			return FALSE;
		sub_r[0] = mail->body->sum[0];
		sub_r[1] = mail->size - difference;
		return TRUE;
	}
	i_unreached();
}

static void
collect_class_mails(struct uidl_match *match, enum match_side side,
		    enum uidl_match_evidence evidence, enum class_sub sub,
		    int64_t difference, ARRAY_TYPE(class_mail) *dest)
{
	const struct match_mail *mails;
	struct class_mail mail;
	unsigned int i, count;

	i_array_init(dest, 64);
	mails = array_get(&match->mails[side], &count);
	for (i = 0; i < count; i++) {
		if (!match_mail_is_free(&mails[i]) ||
		    !get_key(&mails[i], evidence, mail.key) ||
		    !get_sub(&mails[i], sub, difference, mail.sub))
			continue;
		mail.idx = i;
		array_push_back(dest, &mail);
	}
	array_sort(dest, class_mail_cmp);
}

/* How many from here on have the same key, and the same sub key if asked. */
static unsigned int
class_count(const struct class_mail *mails, unsigned int i, unsigned int count,
	    bool same_sub)
{
	unsigned int n = 1;

	while (i + n < count && sum_cmp(mails[i].key, mails[i+n].key) == 0 &&
	       (!same_sub || sum_cmp(mails[i].sub, mails[i+n].sub) == 0))
		n++;
	return n;
}

/* The mails of one class, at least one on each side. */
struct class {
	struct uidl_match *match;
	enum uidl_match_evidence evidence;
	const struct class_mail *pop3, *imap;
	unsigned int pop3_count, imap_count;
	/* Pairs, and classes with one mail on each side: how often sizes
	   agree, and the differences where they do not (POP3 - IMAP). */
	unsigned int equal_sizes;
	ARRAY(int64_t) differences;
	/* What all POP3 sizes are larger by. */
	int64_t difference;
	/* Sizes agree only roughly. */
	bool sizes_vary;
};

typedef void class_callback_t(struct class *class);

/* Call back for each class that has mails on both sides. Mails of a class agree
   in the key and, with same_sub, in the sub key. */
static void
walk_classes(struct class *class, enum class_sub sub, bool same_sub,
	     class_callback_t *callback)
{
	ARRAY_TYPE(class_mail) pop3, imap;
	const struct class_mail *pmails, *imails;
	unsigned int pi, ii, pcount, icount;
	int cmp;

	collect_class_mails(class->match, MATCH_SIDE_POP3, class->evidence,
			    sub, class->difference, &pop3);
	collect_class_mails(class->match, MATCH_SIDE_IMAP, class->evidence,
			    sub, 0, &imap);
	pmails = array_get(&pop3, &pcount);
	imails = array_get(&imap, &icount);
	for (pi = ii = 0; pi < pcount && ii < icount; ) {
		class->pop3 = &pmails[pi];
		class->imap = &imails[ii];
		class->pop3_count = class_count(pmails, pi, pcount, same_sub);
		class->imap_count = class_count(imails, ii, icount, same_sub);
		cmp = sum_cmp(class->pop3->key, class->imap->key);
		if (cmp == 0 && same_sub)
			cmp = sum_cmp(class->pop3->sub, class->imap->sub);
		if (cmp == 0)
			callback(class);
		if (cmp <= 0)
			pi += class->pop3_count;
		if (cmp >= 0)
			ii += class->imap_count;
	}
	array_free(&pop3);
	array_free(&imap);
}

static struct match_mail *class_pop3(struct class *class, unsigned int i)
{
	return match_mail_idx(class->match, MATCH_SIDE_POP3, class->pop3[i].idx);
}

static struct match_mail *class_imap(struct class *class, unsigned int i)
{
	return match_mail_idx(class->match, MATCH_SIDE_IMAP, class->imap[i].idx);
}

static void class_pair(struct class *class, unsigned int p, unsigned int i)
{
	match_pair_add(class->match, class->pop3[p].idx, class->imap[i].idx,
		       class->evidence);
}

/* One mail on each side. */
static void pair_single(struct class *class)
{
	if (class->pop3_count == 1 && class->imap_count == 1 &&
	    header_digest_is_telling(class_pop3(class, 0)->header))
		class_pair(class, 0, 0);
}

/* Mails that agree in everything that was looked at. */
static void pair_in_order(struct class *class)
{
	for (unsigned int i = 0;
	     i < I_MIN(class->pop3_count, class->imap_count); i++)
		class_pair(class, i, i);
}

/* Mails of one header and one body. Where neither says anything (there are only
   fields that do not count) it may be another mail. */
static void pair_same_text(struct class *class)
{
	if (header_digest_is_telling(class_pop3(class, 0)->header) ||
	    !body_digest_is_empty(class_pop3(class, 0)->body))
		pair_in_order(class);
}

/* The same where the bodies were not to be had: only with as many mails on both
   sides, or one of them would be left out by guessing. */
static void pair_in_order_without_bodies(struct class *class)
{
	if (class->pop3_count != class->imap_count ||
	    !header_digest_is_telling(class_pop3(class, 0)->header))
		return;
	for (unsigned int i = 0; i < class->pop3_count; i++) {
		if (class_pop3(class, i)->body != NULL &&
		    class_imap(class, i)->body != NULL)
			return;
	}
	pair_in_order(class);
}

static void count_sizes(struct class *class, const struct match_mail *pmail,
			const struct match_mail *imail)
{
	if (pmail->size == UOFF_T_MAX || imail->size == UOFF_T_MAX)
		return;
	if (pmail->size == imail->size ||
	    mail_body_size(pmail) == mail_body_size(imail)) {
		class->equal_sizes++;
	} else {
		int64_t difference = (int64_t)pmail->size - (int64_t)imail->size;

		array_push_back(&class->differences, &difference);
	}
}

static void count_single(struct class *class)
{
	if (class->pop3_count == 1 && class->imap_count == 1)
		count_sizes(class, class_pop3(class, 0), class_imap(class, 0));
}

static void count_pairs(struct class *class)
{
	const struct match_mail *mail;

	array_foreach(&class->match->mails[MATCH_SIDE_POP3], mail) {
		if (mail->evidence != UIDL_MATCH_NONE) {
			count_sizes(class, mail,
				    match_mail_idx(class->match,
						   MATCH_SIDE_IMAP,
						   mail->partner));
		}
	}
}

static int int64_cmp(const int64_t *a, const int64_t *b)
{
	return *a < *b ? -1 : (*a > *b ? 1 : 0);
}

/* Find out how the two servers' sizes relate. */
static void learn_sizes(struct class *class)
{
	const int64_t *differences;
	unsigned int i, n, count, most = 0;

	i_array_init(&class->differences, 64);
	class->equal_sizes = 0;
	class->difference = 0;
	class->sizes_vary = class->match->set.skip_sizes;
	count_pairs(class);
	walk_classes(class, CLASS_SUB_NONE, FALSE, count_single);

	array_sort(&class->differences, int64_cmp);
	differences = array_get(&class->differences, &count);
	if (count >= SIZES_DIFFER_MIN &&
	    count * 100 > (class->equal_sizes + count) * SIZES_DIFFER_PERCENT) {
		for (i = 0; i < count; i += n) {
			for (n = 1; i + n < count &&
			     differences[i] == differences[i + n]; n++) ;
			if (n > most) {
				most = n;
				class->difference = differences[i];
			}
		}
		if (most * 100 < (class->equal_sizes + count) *
		    SIZES_SAME_DIFFERENCE_PERCENT) {
			class->difference = 0;
			class->sizes_vary = TRUE;
		}
	}
	array_free(&class->differences);
}

/* One mail on each side, whose sizes may be two counts of the same. */
static void pair_single_of_similar_size(struct class *class)
{
	uoff_t psize, isize;

	if (class->pop3_count != 1 || class->imap_count != 1)
		return;
	psize = class_pop3(class, 0)->size;
	isize = class_imap(class, 0)->size;
	if (class->match->set.skip_sizes ||
	    psize == UOFF_T_MAX || isize == UOFF_T_MAX ||
	    I_MAX(psize, isize) - I_MIN(psize, isize) <=
	    SIZES_TOLERANCE_BYTES +
	    isize / 100 * SIZES_TOLERANCE_PERCENT)
		pair_single(class);
}

static void want_bodies(struct class *class)
{
	unsigned int i, got = 0;

	for (i = 0; i < class->pop3_count; i++) {
		if (match_want_body(class->match, MATCH_SIDE_POP3,
				    class->pop3[i].idx))
			got++;
	}
	for (i = 0; i < class->imap_count && got > 0; i++) {
		(void)match_want_body(class->match, MATCH_SIDE_IMAP,
				      class->imap[i].idx);
	}
}

void match_by_header_and_size(struct uidl_match *match)
{
	struct class class = { .match = match, .evidence = UIDL_MATCH_HEADER };

	walk_classes(&class, CLASS_SUB_SIZE, TRUE, pair_single);
}

void match_by_header(struct uidl_match *match,
		     enum uidl_match_evidence evidence)
{
	struct class class = { .match = match, .evidence = evidence };

	learn_sizes(&class);
	if (!class.sizes_vary) {
		walk_classes(&class, CLASS_SUB_SIZE, TRUE, pair_single);
		walk_classes(&class, CLASS_SUB_BODY_SIZE, TRUE, pair_single);
	} else if (evidence == UIDL_MATCH_HEADER) {
		walk_classes(&class, CLASS_SUB_NONE, FALSE,
			     pair_single_of_similar_size);
	} else {
		/* Message-ID, Date and From are the same in the copy that a
		   mailing list sends, so they are not enough alone */
	}
	walk_classes(&class, CLASS_SUB_NONE, FALSE, want_bodies);
}

void match_by_header_and_body(struct uidl_match *match,
			      enum uidl_match_evidence evidence)
{
	struct class class = { .match = match, .evidence = evidence };

	learn_sizes(&class);
	if (!class.sizes_vary) {
		/* what was left out of the digests still has a size */
		walk_classes(&class, CLASS_SUB_BODY_AND_SIZE, TRUE,
			     pair_in_order);
	}
	walk_classes(&class, CLASS_SUB_BODY, TRUE, pair_same_text);
	if (evidence == UIDL_MATCH_HEADER) {
		learn_sizes(&class);
		walk_classes(&class, CLASS_SUB_SIZE, TRUE,
			     pair_in_order_without_bodies);
	}
}

/* Equal bodies alone prove nothing: many mails say just "ok".
   domino-message-id: another domain in the Message-ID over POP3, so it may
   differ where all the rest agrees. */
static bool headers_agree(const struct header_digest *a,
			  const struct header_digest *b)
{
	bool subject = a->subject != 0 && a->subject == b->subject;
	bool from = a->from != 0 && a->from == b->from;

	if (a->message_id != 0 && a->message_id == b->message_id)
		return TRUE;
	if (a->date == 0 || a->date != b->date)
		return FALSE;
	if (a->message_id != 0 && b->message_id != 0)
		return subject && from;
	return subject || from;
}

static bool class_has_agreeing(struct class *class)
{
	unsigned int p, i;

	for (p = 0; p < class->pop3_count; p++) {
		for (i = 0; i < class->imap_count; i++) {
			if (headers_agree(class_pop3(class, p)->header,
					  class_imap(class, i)->header))
				return TRUE;
		}
	}
	return FALSE;
}

static void want_agreeing_bodies(struct class *class)
{
	if (I_MIN(class->pop3_count, class->imap_count) <= BODY_CLASS_MAX &&
	    class_has_agreeing(class))
		want_bodies(class);
}

void match_want_leftover_bodies(struct uidl_match *match)
{
	struct class class = { .match = match, .evidence = UIDL_MATCH_BODY };

	walk_classes(&class, CLASS_SUB_SIZE, TRUE, want_agreeing_bodies);
	walk_classes(&class, CLASS_SUB_BODY_SIZE, TRUE, want_agreeing_bodies);
}

static void pair_agreeing(struct class *class)
{
	unsigned int p, i;

	if (I_MIN(class->pop3_count, class->imap_count) > BODY_CLASS_MAX)
		return;
	for (p = 0; p < class->pop3_count; p++) {
		for (i = 0; i < class->imap_count; i++) {
			if (match_mail_is_free(class_imap(class, i)) &&
			    headers_agree(class_pop3(class, p)->header,
					  class_imap(class, i)->header)) {
				class_pair(class, p, i);
				break;
			}
		}
	}
}

void match_by_body(struct uidl_match *match)
{
	struct class class = { .match = match, .evidence = UIDL_MATCH_BODY };

	walk_classes(&class, CLASS_SUB_BODY, TRUE, pair_agreeing);
}

/* --- asking for headers --- */

static int uoff_cmp(const uoff_t *a, const uoff_t *b)
{
	return *a < *b ? -1 : (*a > *b ? 1 : 0);
}

static bool has_size(const uoff_t *sizes, unsigned int count, uoff_t size)
{
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (sizes[mid] < size)
			low = mid + 1;
		else
			high = mid;
	}
	return low < count && sizes[low] == size;
}

void match_want_sized_headers(struct uidl_match *match)
{
	const struct match_mail *mails;
	ARRAY(uoff_t) sizes;
	const uoff_t *wanted;
	unsigned int i, count, wanted_count;

	i_array_init(&sizes, 64);
	mails = array_get(&match->mails[MATCH_SIDE_POP3], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i])) {
			array_push_back(&sizes, &mails[i].size);
			match_want_header(match, MATCH_SIDE_POP3, i);
		}
	}
	array_sort(&sizes, uoff_cmp);
	wanted = array_get(&sizes, &wanted_count);
	mails = array_get(&match->mails[MATCH_SIDE_IMAP], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i]) &&
		    has_size(wanted, wanted_count, mails[i].size))
			match_want_header(match, MATCH_SIDE_IMAP, i);
	}
	array_free(&sizes);
}

/* As long as a POP3 mail is free any IMAP mail may be its partner. */
void match_want_all_headers(struct uidl_match *match)
{
	const struct match_mail *mails;
	unsigned int i, count, wanting = 0;

	mails = array_get(&match->mails[MATCH_SIDE_POP3], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i]) && mails[i].header != NULL)
			wanting++;
	}
	if (wanting == 0)
		return;
	mails = array_get(&match->mails[MATCH_SIDE_IMAP], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i]))
			match_want_header(match, MATCH_SIDE_IMAP, i);
	}
}
