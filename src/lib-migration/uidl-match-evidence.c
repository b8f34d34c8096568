/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "uidl-match-private.h"

/* Pairing by headers and bodies. Mails fall into classes of one key (header,
   or Message-ID with Date and From). A class is an equivalence: whatever is
   paired within it takes nothing away from another class, so no pair is lost by
   an early choice. Inside a class size decides, then the body; order decides
   only between mails that are the same text. */

/* So many of 100 classes with one mail on each side differ in size: then sizes
   of these two servers mean nothing. */
#define SIZES_MEANINGLESS_PERCENT 30
/* ... but not fewer mails than this. */
#define SIZES_MEANINGLESS_MIN 4
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
	CLASS_SUB_BODY
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
		    uint64_t sub_r[2])
{
	sub_r[0] = sub_r[1] = 0;
	switch (sub) {
	case CLASS_SUB_NONE:
		return TRUE;
	case CLASS_SUB_SIZE:
		sub_r[0] = mail->size;
		return mail->size != UOFF_T_MAX;
	case CLASS_SUB_BODY_SIZE:
		sub_r[0] = mail_body_size(mail);
		return sub_r[0] != UOFF_T_MAX;
	case CLASS_SUB_BODY:
		if (mail->body == NULL)
			return FALSE;
		sub_r[0] = mail->body->sum[0];
		sub_r[1] = mail->body->sum[1];
		return TRUE;
	}
	i_unreached();
}

static void
collect_class_mails(struct uidl_match *match, enum match_side side,
		    enum uidl_match_evidence evidence, enum class_sub sub,
		    ARRAY_TYPE(class_mail) *dest)
{
	const struct match_mail *mails;
	struct class_mail mail;
	unsigned int i, count;

	i_array_init(dest, 64);
	mails = array_get(&match->mails[side], &count);
	for (i = 0; i < count; i++) {
		if (!match_mail_is_free(&mails[i]) ||
		    !get_key(&mails[i], evidence, mail.key) ||
		    !get_sub(&mails[i], sub, mail.sub))
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
	/* How often a class has one mail on each side, by whether their sizes
	   can be those of one mail. */
	unsigned int equal_sizes, other_sizes;
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
			    sub, &pop3);
	collect_class_mails(class->match, MATCH_SIDE_IMAP, class->evidence,
			    sub, &imap);
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

/* The same where the bodies were not to be had: only with as many mails on both
   sides, or one of them would be left out by guessing. */
static void pair_in_order_without_bodies(struct class *class)
{
	if (class->pop3_count != class->imap_count)
		return;
	for (unsigned int i = 0; i < class->pop3_count; i++) {
		if (class_pop3(class, i)->body != NULL &&
		    class_imap(class, i)->body != NULL)
			return;
	}
	pair_in_order(class);
}

static void count_single(struct class *class)
{
	const struct match_mail *pmail = class_pop3(class, 0);
	const struct match_mail *imail = class_imap(class, 0);

	if (class->pop3_count != 1 || class->imap_count != 1)
		return;
	if (pmail->size == imail->size ||
	    mail_body_size(pmail) == mail_body_size(imail))
		class->equal_sizes++;
	else
		class->other_sizes++;
}

static bool sizes_are_meaningless(const struct class *class)
{
	unsigned int total = class->equal_sizes + class->other_sizes;

	return class->match->set.skip_sizes ||
		(class->other_sizes >= SIZES_MEANINGLESS_MIN &&
		 class->other_sizes * 100 > total * SIZES_MEANINGLESS_PERCENT);
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

	walk_classes(&class, CLASS_SUB_NONE, FALSE, count_single);
	if (!sizes_are_meaningless(&class)) {
		walk_classes(&class, CLASS_SUB_SIZE, TRUE, pair_single);
		walk_classes(&class, CLASS_SUB_BODY_SIZE, TRUE, pair_single);
	} else if (evidence == UIDL_MATCH_HEADER) {
		walk_classes(&class, CLASS_SUB_NONE, FALSE, pair_single);
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

	walk_classes(&class, CLASS_SUB_BODY, TRUE, pair_in_order);
	if (evidence == UIDL_MATCH_HEADER) {
		walk_classes(&class, CLASS_SUB_SIZE, TRUE,
			     pair_in_order_without_bodies);
	}
}

/* Equal bodies alone prove nothing: many mails say just "ok". */
static bool headers_agree(const struct header_digest *a,
			  const struct header_digest *b)
{
	if (a->message_id != 0 && b->message_id != 0)
		return a->message_id == b->message_id;
	return a->date != 0 && a->date == b->date &&
		((a->subject != 0 && a->subject == b->subject) ||
		 (a->from != 0 && a->from == b->from));
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
