/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_VERIFY_PRIVATE_H
#define DOVEADM_VERIFY_PRIVATE_H

#include "doveadm-mail.h"
#include "migration-pairing.h"
#include "migration-run.h"
#include "parity-proof.h"
#include "verify-result.h"
#include "verify-storage.h"

struct verify_cmd_context {
	struct doveadm_mail_cmd_context ctx;

	const char *location;
	const char *const *options;
	struct verify_filter filter;
	struct parity_policy policy;
	unsigned int sample_percent, sample_min;
	/* in percent, of what the sample is said to prove */
	unsigned int confidence;
	/* NULL: none is written */
	const char *proof_path;
	/* an import is compared: --parent, and -U or NULL */
	const char *parent, *source_username;
	bool details, resume, import;
};

/* One user's comparison. */
struct verify_context {
	struct verify_cmd_context *cmd;
	struct migration_run *run;
	struct mail_user *source_user, *dest_user;

	ARRAY_TYPE(verify_name) source_names, dest_names;
	string_t *results_json;
	unsigned int equal_count, different_count;
	/* what the texts that were compared prove */
	struct parity_sample_sum sample;
	/* NULL without --proof */
	struct verify_proof *proof;
	/* differences of all mailboxes */
	unsigned int kind_counts[PARITY_KIND_COUNT];
};

/* Records the result of a row, prints it, and adds it to the report. */
void verify_finish_result(struct verify_context *vctx,
			  struct verify_result *result,
			  const ARRAY_TYPE(parity_difference) *differences);

/* One side could not be read: logs and records it, and sets the exit code.
   mailbox may be NULL. */
void verify_failed(struct verify_context *vctx, const char *mailbox,
		   const char *side, const struct verify_error *error);

/* One side of a mailbox that is compared. */
struct verify_side {
	/* "Source" or "Destination" */
	const char *what;
	/* of paired mailboxes only */
	const struct verify_name *name;
	struct mailbox *box;
	struct parity_mailbox data;
};

struct verify_text_context {
	struct verify_context *vctx;
	const char *side;
};

/* A verify_text_failed_t, the context is a struct verify_text_context: logs and
   records the mail, and sets the exit code. */
void verify_text_failed(struct mailbox *box, uint32_t uid, const char *error,
			void *context);

/* Compares the mailbox whose mails a plugin pairs, if there is one. */
void verify_pairing(struct verify_context *vctx);

/* Compares two mailboxes whose mails are paired. dest_name may be NULL if there
   are no pairs. */
void verify_pairing_run(struct verify_context *vctx,
			const struct migration_pairing *pairing,
			const struct verify_name *source_name,
			const struct verify_name *dest_name, pool_t pool);

/* Compares what the source has with what an import has made of it. Returns -1
   if the mailboxes could not be listed. */
int verify_import(struct verify_context *vctx, pool_t pool);

/* Compares what the POP3 servers list, if there is one to compare with. */
void verify_pop3(struct verify_context *vctx);

#endif
