/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which texts are read, and what is kept of them. */

#include "lib.h"
#include "array.h"
#include "parity-private.h"

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
	/* quirk cr-cr-lf: those at the very end are not stored either */
	ctx->extra_crs += ctx->pending_crs;
	ctx->pending_crs = 0;
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

static int parity_candidate_cmp(const struct parity_candidate *a,
				const struct parity_candidate *b)
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

void parity_sample_add_candidate(ARRAY_TYPE(parity_candidate) *candidates,
				 uint32_t uid_validity, uint32_t uid)
{
	struct parity_candidate *candidate = array_append_space(candidates);

	candidate->uid = uid;
	candidate->rank = sample_rank(uid_validity, uid);
}

void parity_sample_choose(ARRAY_TYPE(parity_candidate) *candidates,
			  unsigned int percent, unsigned int min,
			  ARRAY_TYPE(seq_range) *uids)
{
	const struct parity_candidate *candidate;
	unsigned int i, wanted;

	wanted = ((uint64_t)array_count(candidates) * percent + 99) / 100;
	if (wanted < min)
		wanted = min;
	array_sort(candidates, parity_candidate_cmp);
	for (i = 0; i < array_count(candidates) && i < wanted; i++) {
		candidate = array_idx(candidates, i);
		seq_range_array_add(uids, candidate->uid);
	}
}

unsigned int parity_common_count(const struct parity_mailbox *source,
				 const struct parity_mailbox *dest)
{
	const struct parity_mail *mail;
	unsigned int dest_idx = 0, count = 0;

	array_foreach(&source->mails, mail) {
		if (mail_with_uid(dest, &dest_idx, mail->uid) != NULL)
			count++;
	}
	return count;
}

void parity_sample_texts(uint32_t uid_validity, const ARRAY_TYPE(seq_range) *all,
			 unsigned int percent, unsigned int min,
			 ARRAY_TYPE(seq_range) *uids)
{
	ARRAY_TYPE(parity_candidate) candidates;
	struct seq_range_iter iter;
	unsigned int n = 0;
	uint32_t uid;

	i_array_init(&candidates, 64);
	seq_range_array_iter_init(&iter, all);
	while (seq_range_array_iter_nth(&iter, n++, &uid))
		parity_sample_add_candidate(&candidates, uid_validity, uid);
	parity_sample_choose(&candidates, percent, min, uids);
	array_free(&candidates);
}

void parity_want_texts(const struct parity_mailbox *source,
		       const struct parity_mailbox *dest,
		       unsigned int percent, unsigned int min,
		       ARRAY_TYPE(seq_range) *uids)
{
	ARRAY_TYPE(parity_candidate) common;
	ARRAY_TYPE(seq_range) known;
	const struct parity_mail *mail, *other;
	unsigned int dest_idx = 0;

	i_array_init(&common, array_count(&source->mails) + 1);
	i_array_init(&known, 64);
	array_foreach(&source->mails, mail) {
		other = mail_with_uid(dest, &dest_idx, mail->uid);
		if (other == NULL)
			continue;
		parity_sample_add_candidate(&common, source->uid_validity,
					    mail->uid);
		if (mail->digest != NULL && other->digest != NULL)
			seq_range_array_add(&known, mail->uid);
		if (mail->size != other->size && !source->sizes_estimated)
			seq_range_array_add(uids, mail->uid);
	}
	parity_sample_choose(&common, percent, min, uids);
	seq_range_array_remove_seq_range(uids, &known);
	array_free(&known);
	array_free(&common);
}
