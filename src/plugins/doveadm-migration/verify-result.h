/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VERIFY_RESULT_H
#define VERIFY_RESULT_H

#include "parity.h"

struct migration_run;

/* What the comparison of one mailbox (or of the POP3 lists) came to. */
struct verify_result {
	const char *name;
	/* mails on each side, texts compared */
	unsigned int source_count, dest_count, text_count;
	/* UIDVALIDITY and digest of each side, 0 and NULL for the POP3 lists
	   and where a side has no such mailbox */
	uint32_t source_uid_validity, dest_uid_validity;
	const char *source_digest, *dest_digest;
	/* by kind, [PARITY_WEIGHT_..] */
	unsigned int counts[PARITY_WEIGHT_COUNT][PARITY_KIND_COUNT];
	/* it could not be compared, and why; NULL if it was */
	const char *error;
};

/* Counts the differences and records each as a finding. */
void verify_result_add(struct verify_result *result, struct migration_run *run,
		       const ARRAY_TYPE(parity_difference) *differences);

bool verify_result_is_equal(const struct verify_result *result);

/* "equal", "different: 2 flags, 1 mail-missing", "not compared: why". */
const char *verify_result_text(const struct verify_result *result);

/* Appends the result as one JSON object. */
void verify_result_append_json(string_t *dest,
			       const struct verify_result *result);

#endif
