/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PARITY_PROOF_H
#define PARITY_PROOF_H

#include "parity.h"

/* What a comparison found, as a record that can be kept, compared with another
   one, and gone on from. doc/proof.schema.json describes its JSON. Pure. */

#define PARITY_PROOF_VERSION 1

/* SHA-256 over sorted lists of a mailbox's mails, as hex; NULL if there is no
   such mailbox. */
enum parity_proof_list {
	/* UID */
	PARITY_PROOF_UIDS,
	/* UID, flags and keywords */
	PARITY_PROOF_FLAGS,
	/* UID and INTERNALDATE */
	PARITY_PROOF_DATES,
	/* UID and size */
	PARITY_PROOF_SIZES,
	/* UID and text, of the mails whose text was read */
	PARITY_PROOF_TEXTS,
	/* parity_mailbox_digest() */
	PARITY_PROOF_ALL,

	PARITY_PROOF_LIST_COUNT
};

struct parity_proof_side {
	bool exists;
	unsigned int mails;
	uint64_t bytes;
	uint32_t uid_validity, uid_next;
	const char *digests[PARITY_PROOF_LIST_COUNT];
};

struct parity_proof_mailbox {
	const char *name;
	bool equal;
	/* why it could not be compared, or NULL */
	const char *error;
	/* texts compared */
	unsigned int texts;
	struct parity_proof_side source, dest;
};
ARRAY_DEFINE_TYPE(parity_proof_mailbox, struct parity_proof_mailbox);

struct parity_proof {
	unsigned int version;
	const char *program, *user, *location, *source;
	/* UTC, 2026-03-01T10:00:00Z */
	const char *started, *written;
	/* all mailboxes are in it */
	bool complete;
	/* ... and all of them are equal */
	bool equal;
	unsigned int sample_percent, sample_min;
	/* parity_sample_sentence() */
	const char *statement;
	ARRAY_TYPE(parity_proof_mailbox) mailboxes;
};

/* Fills what was read of one side; the digests lie in the pool. */
void parity_proof_side_fill(const struct parity_mailbox *box, pool_t pool,
			    struct parity_proof_side *side_r);

/* As JSON. */
void parity_proof_write(const struct parity_proof *proof, string_t *dest);
/* Returns 0 and *proof_r (pool), or -1 and error_r (data stack) if the text is
   no proof, or one of a version that is not known. */
int parity_proof_read(const char *text, size_t size, pool_t pool,
		      struct parity_proof *proof_r, const char **error_r);

/* NULL if there is none. */
const struct parity_proof_mailbox *
parity_proof_find(const struct parity_proof *proof, const char *name);

/* TRUE if what the mailbox has on both sides, texts aside, is what it had when
   the old proof found it equal with at least this sample: mails of one
   UIDVALIDITY and UID never change, so their texts need not be read again. */
bool parity_proof_still_holds(const struct parity_proof *old_proof,
			      const struct parity_proof_mailbox *old,
			      const struct parity_proof_mailbox *now,
			      unsigned int sample_percent,
			      unsigned int sample_min);

/* One thing that two proofs do not have in common. */
struct parity_proof_change {
	const char *mailbox;
	/* "source", "destination", or "" for both */
	const char *side;
	/* "mailbox", "mails", "uidvalidity", "uids", "flags", "dates", "sizes",
	   "texts", "equal" */
	const char *what;
	const char *before, *after;
};
ARRAY_DEFINE_TYPE(parity_proof_change, struct parity_proof_change);

/* What changed between two proofs. Texts are compared only where both have read
   the same number of them. The strings lie in the pool. */
void parity_proof_compare(const struct parity_proof *before,
			  const struct parity_proof *after, pool_t pool,
			  ARRAY_TYPE(parity_proof_change) *changes);

/* What a sample proves. */
struct parity_sample_sum {
	/* mails whose texts could be compared, compared, and found different */
	uint64_t mails, texts, different;
	/* of all mailboxes that have mails, the smallest share of texts that
	   were compared; 2 before the first one */
	double lowest_rate;
};
void parity_sample_sum_init(struct parity_sample_sum *sum);
void parity_sample_sum_add(struct parity_sample_sum *sum, unsigned int mails,
			   unsigned int texts, unsigned int different);
/* So many texts may differ at most: if there were one more, wherever, the
   sample would have contained one of them with the confidence, in percent
   below 100. mails if nothing is known. Only if none was found different. */
uint64_t parity_sample_bound(const struct parity_sample_sum *sum,
			     unsigned int confidence);
/* "1,000 of 20,000 texts compared, ..." (data stack) */
const char *parity_sample_sentence(const struct parity_sample_sum *sum,
				   unsigned int confidence);

#endif
