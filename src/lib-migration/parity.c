/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "hex-binary.h"
#include "str.h"
#include "parity.h"

#include <time.h>

struct parity_compare_ctx {
	const struct parity_mailbox *source, *dest;
	const struct parity_policy *policy;
	pool_t pool;
	ARRAY_TYPE(parity_difference) *differences;
};

struct sample_candidate {
	uint32_t uid;
	uint32_t rank;
};

static const char *const kind_names[] = {
	[PARITY_MAILBOX_MISSING] = "mailbox-missing",
	[PARITY_MAILBOX_EXTRA] = "mailbox-extra",
	[PARITY_SUBSCRIPTION] = "subscription",
	[PARITY_UIDVALIDITY] = "uidvalidity",
	[PARITY_UIDNEXT] = "uidnext",
	[PARITY_MAIL_MISSING] = "mail-missing",
	[PARITY_MAIL_EXTRA] = "mail-extra",
	[PARITY_FLAGS] = "flags",
	[PARITY_KEYWORDS] = "keywords",
	[PARITY_DATE] = "date",
	[PARITY_SIZE] = "size",
	[PARITY_TEXT] = "text",
	[PARITY_UIDL] = "uidl",
	[PARITY_UIDL_OTHER_MAIL] = "uidl-other-mail",
	[PARITY_POP3_ORDER] = "pop3-order",
};
_Static_assert(N_ELEMENTS(kind_names) == PARITY_KIND_COUNT,
	       "each kind of difference has a name");

static const char *const kind_hints[] = {
	[PARITY_MAILBOX_MISSING] =
		"run the migration again, without leaving mailboxes out",
	[PARITY_MAILBOX_EXTRA] =
		"made by users or by the configuration at the destination; "
		"--allow-extra expects it",
	[PARITY_SUBSCRIPTION] =
		"changed after the migration, or the source lists them below "
		"another prefix (imapc_list_prefix)",
	[PARITY_UIDVALIDITY] =
		"the mailbox existed before the migration, or was filled by "
		"import: only backup and sync into a new mailbox keep it",
	[PARITY_UIDNEXT] =
		"run the migration again",
	[PARITY_MAIL_MISSING] =
		"new at the source, or deleted at the destination: run the "
		"migration again",
	[PARITY_MAIL_EXTRA] =
		"new at the destination, or deleted at the source: "
		"--allow-extra expects it, backup would delete it",
	[PARITY_FLAGS] =
		"users read mail after the last run: run it again before they "
		"move, with sync -1R if they have moved",
	[PARITY_KEYWORDS] =
		"users set them after the last run, or the destination's "
		"format has no room (maildir: 26 names)",
	[PARITY_DATE] =
		"the mails did not come by this migration: other tools and "
		"copied files lose INTERNALDATE",
	[PARITY_SIZE] =
		"see the texts; if they are the same, doveadm force-resync "
		"corrects the destination's index",
	[PARITY_TEXT] =
		"something changed the mail on its way or at the destination: "
		"compare it by hand before the source is switched off",
	[PARITY_UIDL] =
		"enable migration_pop3; for mail that is here already run "
		"doveadm migration uidl",
	[PARITY_UIDL_OTHER_MAIL] =
		"the UIDLs were given by order or size alone: run "
		"doveadm migration uidl",
	[PARITY_POP3_ORDER] =
		"run doveadm migration uidl",
};
_Static_assert(N_ELEMENTS(kind_hints) == PARITY_KIND_COUNT,
	       "each kind of difference has a hint");

static const struct {
	enum mail_flags flag;
	const char *name;
} flag_names[] = {
	{ MAIL_ANSWERED, "\\Answered" },
	{ MAIL_FLAGGED, "\\Flagged" },
	{ MAIL_DELETED, "\\Deleted" },
	{ MAIL_SEEN, "\\Seen" },
	{ MAIL_DRAFT, "\\Draft" },
};

/* quirk cr-cr-lf: see QUIRKS.md */
static const char *const reason_cr_cr_lf =
	"CR CR LF at a line's end is stored as CR LF; nothing else differs";

const char *parity_kind_name(enum parity_kind kind)
{
	i_assert(kind < PARITY_KIND_COUNT);
	return kind_names[kind];
}

const char *parity_kind_hint(enum parity_kind kind)
{
	i_assert(kind < PARITY_KIND_COUNT);
	return kind_hints[kind];
}

/*
 * Digest of a text
 */

void parity_digest_init(struct parity_digest_ctx *ctx)
{
	i_zero(ctx);
	sha256_init(&ctx->sha);
}

static void digest_flush_crs(struct parity_digest_ctx *ctx)
{
	/* no line end followed: they are text */
	for (; ctx->pending_crs > 0; ctx->pending_crs--) {
		sha256_loop(&ctx->sha, "\r", 1);
		ctx->size++;
	}
}

static void digest_line_end(struct parity_digest_ctx *ctx)
{
	if (ctx->pending_crs > 1)
		ctx->extra_crs += ctx->pending_crs - 1;
	ctx->pending_crs = 0;
	sha256_loop(&ctx->sha, "\n", 1);
	ctx->size += 2;
}

void parity_digest_more(struct parity_digest_ctx *ctx,
			const unsigned char *data, size_t size)
{
	size_t i, start = 0;

	for (i = 0; i < size; i++) {
		if (data[i] != '\r' && data[i] != '\n') {
			if (ctx->pending_crs > 0)
				digest_flush_crs(ctx);
			continue;
		}
		sha256_loop(&ctx->sha, data + start, i - start);
		ctx->size += i - start;
		start = i + 1;
		if (data[i] == '\r')
			ctx->pending_crs++;
		else
			digest_line_end(ctx);
	}
	sha256_loop(&ctx->sha, data + start, size - start);
	ctx->size += size - start;
}

void parity_digest_finish(struct parity_digest_ctx *ctx,
			  struct parity_digest *digest_r)
{
	digest_flush_crs(ctx);
	i_zero(digest_r);
	sha256_result(&ctx->sha, digest_r->hash);
	digest_r->size = ctx->size;
	digest_r->extra_crs = ctx->extra_crs;
}

/*
 * Which texts
 */

/* Spreads the sample over the mailbox, the same way each time. */
static uint32_t sample_rank(uint32_t uid_validity, uint32_t uid)
{
	uint32_t h = uid_validity ^ (uid * 0x9e3779b1U);

	h ^= h >> 16;
	h *= 0x85ebca6bU;
	h ^= h >> 13;
	h *= 0xc2b2ae35U;
	h ^= h >> 16;
	return h;
}

static int sample_candidate_cmp(const struct sample_candidate *a,
				const struct sample_candidate *b)
{
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->uid < b->uid ? -1 : (a->uid > b->uid ? 1 : 0);
}

static const struct parity_mail *
mail_with_uid(const struct parity_mailbox *box, unsigned int *idx, uint32_t uid)
{
	const struct parity_mail *mails;
	unsigned int count;

	mails = array_get(&box->mails, &count);
	while (*idx < count && mails[*idx].uid < uid)
		*idx += 1;
	return *idx < count && mails[*idx].uid == uid ? &mails[*idx] : NULL;
}

static void
sample_add(ARRAY_TYPE(seq_range) *uids, const struct sample_candidate *all,
	   unsigned int count, unsigned int percent, unsigned int min)
{
	unsigned int i, wanted;

	wanted = ((uint64_t)count * percent + 99) / 100;
	if (wanted < min)
		wanted = min;
	for (i = 0; i < count && i < wanted; i++)
		seq_range_array_add(uids, all[i].uid);
}

void parity_want_texts(const struct parity_mailbox *source,
		       const struct parity_mailbox *dest,
		       unsigned int percent, unsigned int min,
		       ARRAY_TYPE(seq_range) *uids)
{
	ARRAY(struct sample_candidate) common;
	ARRAY_TYPE(seq_range) known;
	struct sample_candidate *candidate;
	const struct parity_mail *mail, *other;
	unsigned int dest_idx = 0;

	i_array_init(&common, array_count(&source->mails) + 1);
	i_array_init(&known, 64);
	array_foreach(&source->mails, mail) {
		other = mail_with_uid(dest, &dest_idx, mail->uid);
		if (other == NULL)
			continue;
		candidate = array_append_space(&common);
		candidate->uid = mail->uid;
		candidate->rank = sample_rank(source->uid_validity, mail->uid);
		if (mail->digest != NULL && other->digest != NULL)
			seq_range_array_add(&known, mail->uid);
		if (mail->size != other->size)
			seq_range_array_add(uids, mail->uid);
	}
	array_sort(&common, sample_candidate_cmp);
	if (array_count(&common) > 0) {
		sample_add(uids, array_front(&common), array_count(&common),
			   percent, min);
	}
	seq_range_array_remove_seq_range(uids, &known);
	array_free(&known);
	array_free(&common);
}

/*
 * The comparison
 */

static void
difference_add(const struct parity_compare_ctx *ctx, enum parity_kind kind,
	       enum parity_weight weight, uint32_t uid, const char *source,
	       const char *dest, const char *reason)
{
	struct parity_difference *diff;

	diff = array_append_space(ctx->differences);
	diff->kind = kind;
	diff->weight = weight;
	diff->uid = uid;
	diff->source = p_strdup(ctx->pool, source);
	diff->dest = p_strdup(ctx->pool, dest);
	diff->reason = p_strdup(ctx->pool, reason);
}

static const char *flags_to_str(enum mail_flags flags)
{
	string_t *str = t_str_new(64);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(flag_names); i++) {
		if ((flags & flag_names[i].flag) == 0)
			continue;
		if (str_len(str) > 0)
			str_append_c(str, ' ');
		str_append(str, flag_names[i].name);
	}
	return str_c(str);
}

static const char *date_to_str(time_t date)
{
	char buf[64];
	struct tm *tm = gmtime(&date);

	if (tm == NULL ||
	    strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S", tm) == 0)
		return t_strdup_printf("%lld", (long long)date);
	return t_strdup(buf);
}

static const char *size_to_str(uoff_t size)
{
	return t_strdup_printf("%"PRIuUOFF_T, size);
}

static const char *number_to_str(uint32_t number)
{
	return t_strdup_printf("%u", number);
}

static const char *count_to_str(const struct parity_mailbox *box)
{
	return t_strdup_printf("%u mails", array_count(&box->mails));
}

static bool
digests_equal(const struct parity_digest *a, const struct parity_digest *b)
{
	return memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

static uoff_t digest_true_size(const struct parity_digest *digest)
{
	return digest->size + digest->extra_crs;
}

/* reason_r is set on every path. */
static enum parity_weight
size_difference_weigh(const struct parity_mail *source,
		      const struct parity_mail *dest, const char **reason_r)
{
	const struct parity_digest *sd = source->digest, *dd = dest->digest;

	if (sd == NULL || dd == NULL) {
		*reason_r = "the sizes differ, and the text was not read";
		return PARITY_WEIGHT_DIFFERENT;
	}
	if (!digests_equal(sd, dd)) {
		*reason_r = "the texts differ";
		return PARITY_WEIGHT_DIFFERENT;
	}
	if (digest_true_size(sd) != source->size) {
		/* quirk wrong-rfc822-size: see QUIRKS.md */
		*reason_r = t_strdup_printf("the source's server tells a size "
			"of %s and sends a text of %s bytes, which is the same "
			"at the destination", size_to_str(source->size),
			size_to_str(digest_true_size(sd)));
		return digest_true_size(dd) == dest->size ?
			PARITY_WEIGHT_EXPECTED : PARITY_WEIGHT_DIFFERENT;
	}
	if (sd->extra_crs > dd->extra_crs) {
		*reason_r = reason_cr_cr_lf;
		return PARITY_WEIGHT_EXPECTED;
	}
	*reason_r = t_strdup_printf("the texts are the same, but the "
		"destination's size is wrong: the text has %s bytes",
		size_to_str(digest_true_size(dd)));
	return PARITY_WEIGHT_DIFFERENT;
}

static void
compare_size(const struct parity_compare_ctx *ctx,
	     const struct parity_mail *source, const struct parity_mail *dest)
{
	enum parity_weight weight;
	const char *reason;

	if (source->size == dest->size)
		return;
	weight = size_difference_weigh(source, dest, &reason);
	difference_add(ctx, PARITY_SIZE, weight, source->uid,
		       size_to_str(source->size), size_to_str(dest->size),
		       reason);
}

static void
compare_text(const struct parity_compare_ctx *ctx,
	     const struct parity_mail *source, const struct parity_mail *dest)
{
	const struct parity_digest *sd = source->digest, *dd = dest->digest;

	if (sd == NULL || dd == NULL)
		return;
	if (digests_equal(sd, dd) && sd->extra_crs >= dd->extra_crs) {
		/* fewer CRs show as a difference of size already */
		return;
	}
	difference_add(ctx, PARITY_TEXT, PARITY_WEIGHT_DIFFERENT, source->uid,
		       t_strdup_printf("%.16s", binary_to_hex(sd->hash,
						sizeof(sd->hash))),
		       t_strdup_printf("%.16s", binary_to_hex(dd->hash,
						sizeof(dd->hash))),
		       digests_equal(sd, dd) ?
		       "the destination has more CRs at the ends of lines" :
		       "the text is another one");
}

static void
compare_uidl(const struct parity_compare_ctx *ctx,
	     const struct parity_mail *source, const struct parity_mail *dest)
{
	const char *reason;

	if (source->uidl == NULL || dest->uidl == NULL ||
	    strcmp(source->uidl, dest->uidl) == 0)
		return;
	if (dest->uidl[0] == '\0')
		reason = "POP3 clients will download this mail again";
	else if (source->uidl[0] == '\0')
		reason = "the source has no UIDL for this mail";
	else
		reason = "this is another mail's UIDL, or none of the source's";
	difference_add(ctx, PARITY_UIDL, PARITY_WEIGHT_DIFFERENT, source->uid,
		       source->uidl, dest->uidl, reason);
}

static void
compare_mail(const struct parity_compare_ctx *ctx,
	     const struct parity_mail *source, const struct parity_mail *dest)
{
	if (((source->flags ^ dest->flags) & MAIL_FLAGS_NONRECENT) != 0) {
		difference_add(ctx, PARITY_FLAGS, PARITY_WEIGHT_DIFFERENT,
			       source->uid, flags_to_str(source->flags),
			       flags_to_str(dest->flags),
			       "the flags were not carried over or were "
			       "changed later");
	}
	/* IMAP keywords do not differ by case */
	if (strcasecmp(source->keywords, dest->keywords) != 0) {
		difference_add(ctx, PARITY_KEYWORDS, PARITY_WEIGHT_DIFFERENT,
			       source->uid, source->keywords, dest->keywords,
			       "the keywords were not carried over or were "
			       "changed later");
	}
	if (source->received_date != dest->received_date) {
		difference_add(ctx, PARITY_DATE, PARITY_WEIGHT_DIFFERENT,
			       source->uid,
			       date_to_str(source->received_date),
			       date_to_str(dest->received_date),
			       "INTERNALDATE differs");
	}
	compare_size(ctx, source, dest);
	compare_text(ctx, source, dest);
	compare_uidl(ctx, source, dest);
}

static void mail_missing(const struct parity_compare_ctx *ctx, uint32_t uid)
{
	const char *reason = "not at the destination";

	if (uid < ctx->dest->uid_next) {
		reason = "not at the destination, where later UIDs are taken: "
			"it was deleted there, or never arrived";
	}
	difference_add(ctx, PARITY_MAIL_MISSING, PARITY_WEIGHT_DIFFERENT, uid,
		       number_to_str(uid), "", reason);
}

static void mail_extra(const struct parity_compare_ctx *ctx, uint32_t uid)
{
	difference_add(ctx, PARITY_MAIL_EXTRA, ctx->policy->allow_extra ?
		       PARITY_WEIGHT_EXPECTED : PARITY_WEIGHT_DIFFERENT, uid,
		       "", number_to_str(uid),
		       uid >= ctx->source->uid_next ?
		       "only at the destination: it came there directly" :
		       "only at the destination: it was deleted at the source");
}

static void compare_mails(const struct parity_compare_ctx *ctx)
{
	const struct parity_mail *source, *dest;
	unsigned int s = 0, d = 0, source_count, dest_count;

	source = array_get(&ctx->source->mails, &source_count);
	dest = array_get(&ctx->dest->mails, &dest_count);
	while (s < source_count || d < dest_count) T_BEGIN {
		if (d == dest_count ||
		    (s < source_count && source[s].uid < dest[d].uid))
			mail_missing(ctx, source[s++].uid);
		else if (s == source_count || dest[d].uid < source[s].uid)
			mail_extra(ctx, dest[d++].uid);
		else
			compare_mail(ctx, &source[s++], &dest[d++]);
	} T_END;
}

static void compare_subscription(const struct parity_compare_ctx *ctx)
{
	const bool at_source = ctx->source->subscribed;

	if (at_source == ctx->dest->subscribed)
		return;
	difference_add(ctx, PARITY_SUBSCRIPTION,
		       !at_source && ctx->policy->allow_extra ?
		       PARITY_WEIGHT_EXPECTED : PARITY_WEIGHT_DIFFERENT, 0,
		       at_source ? "subscribed" : "not subscribed",
		       at_source ? "not subscribed" : "subscribed",
		       at_source ? "clients that show subscribed mailboxes "
		       "only will not show it" :
		       "subscribed at the destination only");
}

static void mailbox_extra(const struct parity_compare_ctx *ctx)
{
	enum parity_weight weight = PARITY_WEIGHT_DIFFERENT;
	const char *reason = "only at the destination";

	if (ctx->source->noselect && array_count(&ctx->dest->mails) == 0) {
		weight = PARITY_WEIGHT_EXPECTED;
		reason = "at the source only the parent of other mailboxes, "
			"here an empty mailbox: this storage format cannot "
			"have the one without the other";
	} else if (ctx->policy->allow_extra) {
		weight = PARITY_WEIGHT_EXPECTED;
	}
	difference_add(ctx, PARITY_MAILBOX_EXTRA, weight, 0, "",
		       count_to_str(ctx->dest), reason);
}

static void compare_uid_state(const struct parity_compare_ctx *ctx)
{
	const struct parity_mailbox *source = ctx->source, *dest = ctx->dest;

	if (source->uid_validity != dest->uid_validity) {
		difference_add(ctx, PARITY_UIDVALIDITY, PARITY_WEIGHT_DIFFERENT,
			       0, number_to_str(source->uid_validity),
			       number_to_str(dest->uid_validity),
			       "IMAP clients will throw their caches away and "
			       "download all mails again");
	}
	if (dest->uid_next < source->uid_next) {
		/* no client can have seen a wrong mail yet, and the next run
		   raises it */
		difference_add(ctx, PARITY_UIDNEXT, PARITY_WEIGHT_EXPECTED, 0,
			       number_to_str(source->uid_next),
			       number_to_str(dest->uid_next),
			       "UIDs of mails that were deleted at the source "
			       "can be given to new mails at the destination");
	}
}

void parity_compare(const struct parity_mailbox *source,
		    const struct parity_mailbox *dest,
		    const struct parity_policy *policy, pool_t pool,
		    ARRAY_TYPE(parity_difference) *differences)
{
	const struct parity_compare_ctx ctx = {
		.source = source, .dest = dest, .policy = policy,
		.pool = pool, .differences = differences,
	};

	compare_subscription(&ctx);
	if (source->exists && !dest->exists) {
		difference_add(&ctx, PARITY_MAILBOX_MISSING,
			       PARITY_WEIGHT_DIFFERENT, 0, count_to_str(source),
			       "", "not at the destination");
	} else if (!source->exists && dest->exists) {
		mailbox_extra(&ctx);
	} else if (source->exists && dest->exists) {
		compare_uid_state(&ctx);
		compare_mails(&ctx);
	}
}

/*
 * POP3 lists
 */

/* Servers exist that give one UIDL to several mails (quirk repeated-uidl), so
   for each UIDL there is a list of places: that of the next mail in the value,
   those of the others chained. Places count from 1, 0 ends the chain. */
HASH_TABLE_DEFINE_TYPE(uidl_places, const char *, void *);

struct uidl_places {
	HASH_TABLE_TYPE(uidl_places) first;
	unsigned int *next;
};

static void uidl_places_init(struct uidl_places *places,
			     const ARRAY_TYPE(parity_pop3_mail) *list)
{
	const struct parity_pop3_mail *mails;
	unsigned int i, count;

	mails = array_get(list, &count);
	hash_table_create(&places->first, default_pool, count, str_hash,
			  strcmp);
	places->next = i_new(unsigned int, count + 1);
	for (i = count; i > 0; i--) {
		places->next[i] = POINTER_CAST_TO(
			hash_table_lookup(places->first, mails[i-1].uidl),
			unsigned int);
		hash_table_update(places->first, mails[i-1].uidl,
				  POINTER_CAST(i));
	}
}

static void uidl_places_deinit(struct uidl_places *places)
{
	hash_table_destroy(&places->first);
	i_free(places->next);
}

/* Takes the UIDL's next place. Returns 0 if there is none (any more). */
static unsigned int
uidl_places_take(struct uidl_places *places, const char *uidl)
{
	unsigned int place = POINTER_CAST_TO(
		hash_table_lookup(places->first, uidl), unsigned int);

	if (place > 0) {
		hash_table_update(places->first, uidl,
				  POINTER_CAST(places->next[place]));
	}
	return place;
}

/* Pairs in the source's order; what has no partner is left out. */
static void
pop3_pairs_get(const ARRAY_TYPE(parity_pop3_mail) *source,
	       const ARRAY_TYPE(parity_pop3_mail) *dest,
	       ARRAY_TYPE(parity_pop3_pair) *pairs)
{
	const struct parity_pop3_mail *mails;
	struct parity_pop3_pair pair;
	struct uidl_places places;
	unsigned int i, count, place;

	uidl_places_init(&places, dest);
	mails = array_get(source, &count);
	for (i = 0; i < count; i++) {
		place = uidl_places_take(&places, mails[i].uidl);
		if (place == 0)
			continue;
		pair.source_idx = i;
		pair.dest_idx = place - 1;
		array_push_back(pairs, &pair);
	}
	uidl_places_deinit(&places);
}

static bool pop3_sizes_differ(const struct parity_pop3_mail *source,
			      const struct parity_pop3_mail *dest)
{
	return source->size != UOFF_T_MAX && dest->size != UOFF_T_MAX &&
		source->size != dest->size;
}

void parity_want_pop3_headers(const ARRAY_TYPE(parity_pop3_mail) *source,
			      const ARRAY_TYPE(parity_pop3_mail) *dest,
			      unsigned int percent, unsigned int min,
			      ARRAY_TYPE(parity_pop3_pair) *wanted)
{
	ARRAY_TYPE(parity_pop3_pair) pairs;
	ARRAY(struct sample_candidate) sample;
	ARRAY_TYPE(seq_range) uids, differing;
	struct sample_candidate *candidate;
	const struct parity_pop3_pair *pair;
	const struct parity_pop3_mail *d;

	i_array_init(&pairs, array_count(source) + 1);
	i_array_init(&sample, array_count(source) + 1);
	i_array_init(&uids, 64);
	i_array_init(&differing, 64);
	pop3_pairs_get(source, dest, &pairs);
	array_foreach(&pairs, pair) {
		d = array_idx(dest, pair->dest_idx);
		candidate = array_append_space(&sample);
		candidate->uid = d->uid;
		candidate->rank = sample_rank(0, d->uid);
		if (pop3_sizes_differ(array_idx(source, pair->source_idx), d))
			seq_range_array_add(&differing, d->uid);
	}
	array_sort(&sample, sample_candidate_cmp);
	if (array_count(&sample) > 0) {
		sample_add(&uids, array_front(&sample), array_count(&sample),
			   percent, min);
	}
	if (seq_range_count(&differing) <= array_count(&pairs) / 2)
		seq_range_array_merge(&uids, &differing);
	array_foreach(&pairs, pair) {
		d = array_idx(dest, pair->dest_idx);
		if (seq_range_exists(&uids, d->uid))
			array_push_back(wanted, pair);
	}
	array_free(&pairs);
	array_free(&sample);
	array_free(&uids);
	array_free(&differing);
}

static void
pop3_missing(const struct parity_compare_ctx *ctx,
	     const struct parity_pop3_mail *mail)
{
	difference_add(ctx, PARITY_UIDL, PARITY_WEIGHT_DIFFERENT, 0, mail->uidl,
		       "", "the destination's POP3 server does not list this UIDL: "
		       "clients that leave mail on the server will download "
		       "that mail again");
}

static void
pop3_extra(const struct parity_compare_ctx *ctx,
	   const struct parity_pop3_mail *mail)
{
	bool allowed = ctx->policy->allow_extra ||
		ctx->policy->allow_extra_uidls;

	difference_add(ctx, PARITY_UIDL, allowed ? PARITY_WEIGHT_EXPECTED :
		       PARITY_WEIGHT_DIFFERENT, mail->uid, "", mail->uidl,
		       mail->made_up ?
		       "no UIDL is stored for this mail, and the one that the "
		       "destination's POP3 server makes up (pop3_uidl_format) "
		       "is none of the source's: POP3 clients will take it for "
		       "a new mail" :
		       "the source's POP3 server does not list this UIDL");
}

static bool
pop3_is_other_mail(const struct parity_pop3_mail *source,
		   const struct parity_pop3_mail *dest)
{
	if (source->header == NULL || dest->header == NULL)
		return FALSE;
	/* two mails without any telling field are no proof of anything */
	if (!header_digest_is_telling(source->header) ||
	    !header_digest_is_telling(dest->header))
		return FALSE;
	return header_digest_compare(source->header, dest->header) ==
		HEADER_LIKENESS_OTHER;
}

static void
compare_pop3_pairs(const struct parity_compare_ctx *ctx,
		   const ARRAY_TYPE(parity_pop3_pair) *pairs,
		   const ARRAY_TYPE(parity_pop3_mail) *source,
		   const ARRAY_TYPE(parity_pop3_mail) *dest)
{
	const struct parity_pop3_pair *pair;
	const struct parity_pop3_mail *s, *d;

	array_foreach(pairs, pair) {
		s = array_idx(source, pair->source_idx);
		d = array_idx(dest, pair->dest_idx);
		if (!pop3_is_other_mail(s, d))
			continue;
		difference_add(ctx, PARITY_UIDL_OTHER_MAIL,
			       PARITY_WEIGHT_DIFFERENT, d->uid, s->uidl,
			       d->uidl, "the mail that has this UIDL at the "
			       "source has another header: a POP3 client that "
			       "had the one will never fetch the other");
	}
}

/* Pairs in the source's order that are at another place in the destination's
   order of the same mails. */
static void
compare_pop3_order(const struct parity_compare_ctx *ctx,
		   const ARRAY_TYPE(parity_pop3_pair) *pairs,
		   const ARRAY_TYPE(parity_pop3_mail) *source,
		   const ARRAY_TYPE(parity_pop3_mail) *dest)
{
	const struct parity_pop3_pair *pair;
	ARRAY_TYPE(seq_range) dest_places;
	struct seq_range_iter iter;
	const char *source_uidl = "", *dest_uidl = "";
	unsigned int i, first = 0, moved = 0;
	uint32_t place;

	i_array_init(&dest_places, 8);
	array_foreach(pairs, pair)
		seq_range_array_add(&dest_places, pair->dest_idx);
	seq_range_array_iter_init(&iter, &dest_places);
	for (i = 0; seq_range_array_iter_nth(&iter, i, &place); i++) {
		const struct parity_pop3_mail *s, *d;

		pair = array_idx(pairs, i);
		s = array_idx(source, pair->source_idx);
		d = array_idx(dest, place);
		if (strcmp(s->uidl, d->uidl) == 0)
			continue;
		if (moved++ == 0) {
			first = i;
			source_uidl = s->uidl;
			dest_uidl = d->uidl;
		}
	}
	array_free(&dest_places);
	if (moved == 0)
		return;
	difference_add(ctx, PARITY_POP3_ORDER, PARITY_WEIGHT_DIFFERENT, 0,
		       source_uidl, dest_uidl,
		       t_strdup_printf("%u of %u mails are at another place of "
			"the POP3 list, the first is number %u", moved,
			array_count(pairs), first + 1));
}

void parity_compare_pop3(const ARRAY_TYPE(parity_pop3_mail) *source,
			 const ARRAY_TYPE(parity_pop3_mail) *dest,
			 const struct parity_policy *policy, pool_t pool,
			 ARRAY_TYPE(parity_difference) *differences)
{
	const struct parity_compare_ctx ctx = {
		.policy = policy, .pool = pool, .differences = differences,
	};
	ARRAY_TYPE(parity_pop3_pair) pairs;
	ARRAY_TYPE(seq_range) source_paired, dest_paired;
	const struct parity_pop3_pair *pair;
	unsigned int i;

	i_array_init(&pairs, array_count(source) + 1);
	i_array_init(&source_paired, 8);
	i_array_init(&dest_paired, 8);
	pop3_pairs_get(source, dest, &pairs);
	array_foreach(&pairs, pair) {
		seq_range_array_add(&source_paired, pair->source_idx);
		seq_range_array_add(&dest_paired, pair->dest_idx);
	}

	for (i = 0; i < array_count(source); i++) {
		if (!seq_range_exists(&source_paired, i))
			pop3_missing(&ctx, array_idx(source, i));
	}
	for (i = 0; i < array_count(dest); i++) {
		if (!seq_range_exists(&dest_paired, i))
			pop3_extra(&ctx, array_idx(dest, i));
	}
	compare_pop3_pairs(&ctx, &pairs, source, dest);
	compare_pop3_order(&ctx, &pairs, source, dest);

	array_free(&pairs);
	array_free(&source_paired);
	array_free(&dest_paired);
}

/*
 * Proof
 */

const char *parity_mailbox_digest(const struct parity_mailbox *box)
{
	unsigned char result[SHA256_RESULTLEN];
	const struct parity_mail *mail;
	struct sha256_ctx sha;
	string_t *line = t_str_new(256);

	sha256_init(&sha);
	str_printfa(line, "%u\n", box->uid_validity);
	sha256_loop(&sha, str_data(line), str_len(line));
	array_foreach(&box->mails, mail) T_BEGIN {
		str_truncate(line, 0);
		str_printfa(line, "%u %u %lld %"PRIuUOFF_T" %s %s\n", mail->uid,
			    mail->flags & MAIL_FLAGS_NONRECENT,
			    (long long)mail->received_date, mail->size,
			    mail->digest == NULL ? "-" :
			    binary_to_hex(mail->digest->hash,
					  sizeof(mail->digest->hash)),
			    t_str_lcase(mail->keywords));
		sha256_loop(&sha, str_data(line), str_len(line));
	} T_END;
	sha256_result(&sha, result);
	return binary_to_hex(result, sizeof(result));
}
