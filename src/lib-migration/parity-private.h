/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PARITY_PRIVATE_H
#define PARITY_PRIVATE_H

#include "parity.h"

struct parity_compare_ctx {
	const struct parity_mailbox *source, *dest;
	const struct parity_policy *policy;
	pool_t pool;
	ARRAY_TYPE(parity_difference) *differences;
};

/* A mail that can be in the sample. */
struct parity_candidate {
	uint32_t uid;
	uint32_t rank;
};
ARRAY_DEFINE_TYPE(parity_candidate, struct parity_candidate);

/* The texts are copied. */
void parity_difference_add(const struct parity_compare_ctx *ctx,
			   enum parity_kind kind, enum parity_weight weight,
			   uint32_t uid, const char *source, const char *dest,
			   const char *reason);

void parity_sample_add_candidate(ARRAY_TYPE(parity_candidate) *candidates,
				 uint32_t uid_validity, uint32_t uid);
/* Adds percent of the candidates, but at least min of them. */
void parity_sample_choose(ARRAY_TYPE(parity_candidate) *candidates,
			  unsigned int percent, unsigned int min,
			  ARRAY_TYPE(seq_range) *uids);

#endif
