/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What two POP3 servers list. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "parity-private.h"

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
	ARRAY_TYPE(parity_candidate) sample;
	ARRAY_TYPE(seq_range) uids, differing;
	const struct parity_pop3_pair *pair;
	const struct parity_pop3_mail *d;

	i_array_init(&pairs, array_count(source) + 1);
	i_array_init(&sample, array_count(source) + 1);
	i_array_init(&uids, 64);
	i_array_init(&differing, 64);
	pop3_pairs_get(source, dest, &pairs);
	array_foreach(&pairs, pair) {
		d = array_idx(dest, pair->dest_idx);
		parity_sample_add_candidate(&sample, 0, d->uid);
		if (pop3_sizes_differ(array_idx(source, pair->source_idx), d))
			seq_range_array_add(&differing, d->uid);
	}
	parity_sample_choose(&sample, percent, min, &uids);
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
	parity_difference_add(ctx, PARITY_UIDL, PARITY_WEIGHT_DIFFERENT, 0, mail->uidl,
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

	parity_difference_add(ctx, PARITY_UIDL, allowed ? PARITY_WEIGHT_EXPECTED :
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
		parity_difference_add(ctx, PARITY_UIDL_OTHER_MAIL,
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
	parity_difference_add(ctx, PARITY_POP3_ORDER, PARITY_WEIGHT_DIFFERENT, 0,
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
