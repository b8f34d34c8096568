/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hex-binary.h"
#include "str.h"
#include "parity-private.h"

#include <time.h>

static const enum finding_kind kind_findings[] = {
	[PARITY_MAILBOX_MISSING] = FINDING_MAILBOX_MISSING,
	[PARITY_MAILBOX_EXTRA] = FINDING_MAILBOX_EXTRA,
	[PARITY_SUBSCRIPTION] = FINDING_SUBSCRIPTION,
	[PARITY_UIDVALIDITY] = FINDING_UIDVALIDITY,
	[PARITY_UIDNEXT] = FINDING_UIDNEXT,
	[PARITY_MAIL_MISSING] = FINDING_MAIL_MISSING,
	[PARITY_MAIL_EXTRA] = FINDING_MAIL_EXTRA,
	[PARITY_FLAGS] = FINDING_FLAGS,
	[PARITY_KEYWORDS] = FINDING_KEYWORDS,
	[PARITY_DATE] = FINDING_DATE,
	[PARITY_SIZE] = FINDING_SIZE,
	[PARITY_TEXT] = FINDING_TEXT,
	[PARITY_UIDL] = FINDING_UIDL,
	[PARITY_UIDL_OTHER_MAIL] = FINDING_UIDL_OTHER_MAIL,
	[PARITY_POP3_ORDER] = FINDING_POP3_ORDER,
};
_Static_assert(N_ELEMENTS(kind_findings) == PARITY_KIND_COUNT,
	       "each kind of difference is a finding");

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
	"a CR too many at the end of a line or of the text is not stored; "
	"nothing else differs";

enum finding_kind parity_kind_finding(enum parity_kind kind)
{
	i_assert(kind < PARITY_KIND_COUNT);
	return kind_findings[kind];
}

const char *parity_kind_name(enum parity_kind kind)
{
	return finding_name(parity_kind_finding(kind));
}

const char *parity_kind_hint(enum parity_kind kind)
{
	return finding_info(parity_kind_finding(kind))->action;
}

/*
 * The comparison
 */

void parity_difference_add(const struct parity_compare_ctx *ctx,
			   enum parity_kind kind, enum parity_weight weight,
			   uint32_t uid, const char *source, const char *dest,
			   const char *reason)
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

	if (source->size == dest->size ||
	    (ctx->source->sizes_estimated && source->digest == NULL))
		return;
	weight = size_difference_weigh(source, dest, &reason);
	parity_difference_add(ctx, PARITY_SIZE, weight, source->uid,
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
	parity_difference_add(ctx, PARITY_TEXT, PARITY_WEIGHT_DIFFERENT, source->uid,
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
	parity_difference_add(ctx, PARITY_UIDL, PARITY_WEIGHT_DIFFERENT, source->uid,
			      source->uidl, dest->uidl, reason);
}

static enum parity_weight
more_flags_weight(const struct parity_compare_ctx *ctx,
		  const struct parity_mail *source,
		  const struct parity_mail *dest)
{
	enum mail_flags missing = source->flags & MAIL_FLAGS_NONRECENT;

	missing &= ENUM_NEGATE(dest->flags);
	return ctx->policy->allow_more_flags && missing == 0 ?
		PARITY_WEIGHT_EXPECTED : PARITY_WEIGHT_DIFFERENT;
}

static enum parity_weight
more_keywords_weight(const struct parity_compare_ctx *ctx,
		     const struct parity_mail *source,
		     const struct parity_mail *dest)
{
	const char *const *names = t_strsplit_spaces(source->keywords, " ");
	const char *const *have = t_strsplit_spaces(dest->keywords, " ");

	for (; *names != NULL; names++) {
		if (!str_array_icase_find(have, *names))
			return PARITY_WEIGHT_DIFFERENT;
	}
	return ctx->policy->allow_more_flags ? PARITY_WEIGHT_EXPECTED :
		PARITY_WEIGHT_DIFFERENT;
}

static void
compare_mail(const struct parity_compare_ctx *ctx,
	     const struct parity_mail *source, const struct parity_mail *dest)
{
	if (((source->flags ^ dest->flags) & MAIL_FLAGS_NONRECENT) != 0) {
		parity_difference_add(ctx, PARITY_FLAGS,
				      more_flags_weight(ctx, source, dest),
				      source->uid, flags_to_str(source->flags),
				      flags_to_str(dest->flags),
				      "the flags were not carried over or were "
				      "changed later");
	}
	/* IMAP keywords do not differ by case */
	if (strcasecmp(source->keywords, dest->keywords) != 0) {
		parity_difference_add(ctx, PARITY_KEYWORDS,
				      more_keywords_weight(ctx, source, dest),
				      source->uid, source->keywords, dest->keywords,
				      "the keywords were not carried over or were "
				      "changed later");
	}
	if (source->received_date != dest->received_date) {
		parity_difference_add(ctx, PARITY_DATE, PARITY_WEIGHT_DIFFERENT,
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
	parity_difference_add(ctx, PARITY_MAIL_MISSING, PARITY_WEIGHT_DIFFERENT, uid,
			      number_to_str(uid), "", reason);
}

static void mail_extra(const struct parity_compare_ctx *ctx, uint32_t uid)
{
	parity_difference_add(ctx, PARITY_MAIL_EXTRA, ctx->policy->allow_extra ?
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
	parity_difference_add(ctx, PARITY_SUBSCRIPTION,
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
	parity_difference_add(ctx, PARITY_MAILBOX_EXTRA, weight, 0, "",
			      count_to_str(ctx->dest), reason);
}

static void compare_uid_state(const struct parity_compare_ctx *ctx)
{
	const struct parity_mailbox *source = ctx->source, *dest = ctx->dest;

	if (source->uid_validity != dest->uid_validity) {
		parity_difference_add(ctx, PARITY_UIDVALIDITY, PARITY_WEIGHT_DIFFERENT,
				      0, number_to_str(source->uid_validity),
				      number_to_str(dest->uid_validity),
				      "IMAP clients will throw their caches away and "
				      "download all mails again");
	}
	if (dest->uid_next < source->uid_next) {
		/* no client can have seen a wrong mail yet, and the next run
		   raises it */
		parity_difference_add(ctx, PARITY_UIDNEXT, PARITY_WEIGHT_EXPECTED, 0,
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
		parity_difference_add(&ctx, PARITY_MAILBOX_MISSING,
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
 * Proof
 */

const char *parity_mailbox_digest(const struct parity_mailbox *box)
{
	unsigned char result[SHA256_RESULTLEN];
	const struct parity_mail *mail;
	struct sha256_ctx sha;
	string_t *line = t_str_new(32);

	sha256_init(&sha);
	str_printfa(line, "%u\n", box->uid_validity);
	sha256_loop(&sha, str_data(line), str_len(line));
	array_foreach(&box->mails, mail) T_BEGIN {
		/* keywords can make it long */
		line = t_str_new(256);
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
