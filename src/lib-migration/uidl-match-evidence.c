/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "uidl-match-private.h"

/* Pairing by headers and bodies. Mails fall into classes of one key (header,
   or Message-ID with Date and From). A class is an equivalence: whatever is
   paired within it takes nothing away from another class, so no pair is lost by
   an early choice. Inside a class size decides, then the body; order decides
   only between mails that are the same text. */

/* So many of 100 mails that must be the same differ in size: then the two
   servers count sizes in different ways ... */
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

ARRAY_DEFINE_TYPE(size_difference, int64_t);

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

/* How the two servers' sizes relate. */
enum size_relation {
	/* too little is known: a size proves nothing by itself */
	SIZE_RELATION_UNKNOWN = 0,
	/* POP3's is larger by the same for all mails, most often by 0 */
	SIZE_RELATION_FIXED,
	/* it differs from mail to mail */
	SIZE_RELATION_VARIES
};

struct size_rule {
	enum size_relation relation;
	int64_t difference;
};

/* The mails of one class, at least one on each side. */
struct class {
	struct uidl_match *match;
	enum uidl_match_evidence evidence;
	const struct class_mail *pop3, *imap;
	unsigned int pop3_count, imap_count;
	/* The whole mail's size, and its body's. */
	struct size_rule sizes, body_sizes;

	/* While these are learned: what POP3's sizes are larger by. */
	ARRAY_TYPE(size_difference) differences, body_differences;
	/* pairs and classes of one mail on each side that have the same size */
	unsigned int equal_count;
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
			    sub, sub == CLASS_SUB_BODY_SIZE ?
			    class->body_sizes.difference :
			    class->sizes.difference, &pop3);
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

/* What was left out of the digests still has a size. But where sizes differ,
   because of fields that one server adds, nobody knows how that is for a mail
   that has none. */
static void pair_same_text_and_size(struct class *class)
{
	if (class->sizes.difference == 0)
		pair_in_order(class);
	else
		pair_same_text(class);
}

/* --- how sizes relate --- */

static void add_difference(ARRAY_TYPE(size_difference) *differences,
			   uoff_t pop3_size, uoff_t imap_size)
{
	int64_t difference = (int64_t)pop3_size - (int64_t)imap_size;

	if (pop3_size != UOFF_T_MAX && imap_size != UOFF_T_MAX)
		array_push_back(differences, &difference);
}

/* Mails of a class that has as many on both sides are most likely the same, and
   then they are so in the order of their sizes. */
static void compare_class(struct class *class)
{
	if (class->pop3_count != class->imap_count)
		return;
	for (unsigned int i = 0; i < class->pop3_count; i++) {
		add_difference(&class->differences, class_pop3(class, i)->size,
			       class_imap(class, i)->size);
	}
}

static void compare_class_bodies(struct class *class)
{
	if (class->pop3_count != class->imap_count)
		return;
	for (unsigned int i = 0; i < class->pop3_count; i++) {
		add_difference(&class->body_differences,
			       mail_body_size(class_pop3(class, i)),
			       mail_body_size(class_imap(class, i)));
	}
}

static void compare_pairs(struct class *class)
{
	const struct match_mail *pmail, *imail;

	array_foreach(&class->match->mails[MATCH_SIDE_POP3], pmail) {
		if (pmail->evidence == UIDL_MATCH_NONE)
			continue;
		imail = match_mail_idx(class->match, MATCH_SIDE_IMAP,
				       pmail->partner);
		add_difference(&class->differences, pmail->size, imail->size);
		add_difference(&class->body_differences, mail_body_size(pmail),
			       mail_body_size(imail));
	}
}

static int int64_cmp(const int64_t *a, const int64_t *b)
{
	return *a < *b ? -1 : (*a > *b ? 1 : 0);
}

static void find_rule(ARRAY_TYPE(size_difference) *differences,
		      struct size_rule *rule_r)
{
	const int64_t *diffs;
	unsigned int i, n, count, differing, equal = 0, most = 0;
	int64_t most_frequent = 0;

	i_zero(rule_r);
	array_sort(differences, int64_cmp);
	diffs = array_get(differences, &count);
	for (i = 0; i < count; i += n) {
		for (n = 1; i + n < count && diffs[i] == diffs[i + n]; n++) ;
		if (diffs[i] == 0)
			equal = n;
		if (n > most) {
			most = n;
			most_frequent = diffs[i];
		}
	}
	differing = count - equal;
	if (differing < SIZES_DIFFER_MIN ||
	    differing * 100 <= count * SIZES_DIFFER_PERCENT) {
		if (equal * 2 > count)
			rule_r->relation = SIZE_RELATION_FIXED;
	} else if (most * 100 >= count * SIZES_SAME_DIFFERENCE_PERCENT) {
		rule_r->relation = SIZE_RELATION_FIXED;
		rule_r->difference = most_frequent;
	} else {
		rule_r->relation = SIZE_RELATION_VARIES;
	}
}

static void learn_sizes(struct class *class)
{
	i_zero(&class->sizes);
	i_zero(&class->body_sizes);
	if (class->match->set.skip_sizes) {
		class->sizes.relation = class->body_sizes.relation =
			SIZE_RELATION_VARIES;
		return;
	}
	i_array_init(&class->differences, 64);
	i_array_init(&class->body_differences, 64);
	compare_pairs(class);
	walk_classes(class, CLASS_SUB_SIZE, FALSE, compare_class);
	walk_classes(class, CLASS_SUB_BODY_SIZE, FALSE, compare_class_bodies);
	find_rule(&class->differences, &class->sizes);
	find_rule(&class->body_differences, &class->body_sizes);
	array_free(&class->differences);
	array_free(&class->body_differences);
}

static void count_single(struct class *class)
{
	if (class->pop3_count == 1 && class->imap_count == 1)
		class->equal_count++;
}

/* TRUE if most mails of the maildrop have, or can have, a partner of their
   size. */
static bool sizes_are_equal(struct class *class)
{
	const struct match_mail *mail;
	unsigned int compared = 0;

	class->equal_count = 0;
	array_foreach(&class->match->mails[MATCH_SIDE_POP3], mail) {
		if (mail->evidence == UIDL_MATCH_NONE && mail->header == NULL)
			continue;
		compared++;
		if (mail->evidence != UIDL_MATCH_NONE &&
		    mail->size == match_mail_idx(class->match, MATCH_SIDE_IMAP,
						 mail->partner)->size)
			class->equal_count++;
	}
	walk_classes(class, CLASS_SUB_SIZE, TRUE, count_single);
	return class->equal_count * 2 > compared;
}

/* --- pairing by headers --- */

/* One mail on each side, and the same size. */
static void pair_single_of_equal_size(struct class *class)
{
	if (class->pop3_count == 1 && class->imap_count == 1 &&
	    class_pop3(class, 0)->size == class_imap(class, 0)->size)
		pair_single(class);
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

	/* Not all headers are known yet. Where servers count sizes in different
	   ways a size of one can be that of a twin on the other by accident. */
	if (sizes_are_equal(&class))
		walk_classes(&class, CLASS_SUB_SIZE, TRUE, pair_single);
}

void match_by_header(struct uidl_match *match,
		     enum uidl_match_evidence evidence)
{
	struct class class = { .match = match, .evidence = evidence };

	learn_sizes(&class);
	if (!match->set.skip_sizes) {
		walk_classes(&class, CLASS_SUB_NONE, FALSE,
			     pair_single_of_equal_size);
	}
	if (class.sizes.relation == SIZE_RELATION_FIXED)
		walk_classes(&class, CLASS_SUB_SIZE, TRUE, pair_single);
	if (class.body_sizes.relation == SIZE_RELATION_FIXED)
		walk_classes(&class, CLASS_SUB_BODY_SIZE, TRUE, pair_single);
	/* Message-ID, Date and From are the same in the copy that a mailing
	   list sends, so they are not enough alone */
	if (class.sizes.relation == SIZE_RELATION_VARIES &&
	    evidence == UIDL_MATCH_HEADER) {
		walk_classes(&class, CLASS_SUB_NONE, FALSE,
			     pair_single_of_similar_size);
	}
	walk_classes(&class, CLASS_SUB_NONE, FALSE, want_bodies);
}

void match_by_header_and_body(struct uidl_match *match,
			      enum uidl_match_evidence evidence)
{
	struct class class = { .match = match, .evidence = evidence };

	learn_sizes(&class);
	if (class.sizes.relation == SIZE_RELATION_FIXED) {
		walk_classes(&class, CLASS_SUB_BODY_AND_SIZE, TRUE,
			     pair_same_text_and_size);
	}
	walk_classes(&class, CLASS_SUB_BODY, TRUE, pair_same_text);
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
