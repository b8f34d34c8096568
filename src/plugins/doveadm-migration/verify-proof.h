/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VERIFY_PROOF_H
#define VERIFY_PROOF_H

#include "parity-proof.h"

struct verify_context;
struct verify_result;

/* The file that `doveadm migration verify --proof` writes, and goes on from with
   --resume: it is written while the comparison goes on, always whole. Without
   --proof nothing of it is done. */

/* Reads a proof. Returns 1 and *proof_r (pool), 0 if there is no such file, or -1
   and error_r (data stack). */
int verify_proof_load(const char *path, pool_t pool,
		      struct parity_proof *proof_r, const char **error_r);

/* Returns 0, or -1 if there can be no such file, or the one to go on from cannot
   be read: it is logged then, and the exit code is set. */
int verify_proof_init(struct verify_context *vctx, pool_t pool);

/* The mailbox of the earlier proof, if what was read of both sides is what it
   was then, so that no sample of the texts needs to be read; else NULL. */
const struct parity_proof_mailbox *
verify_proof_held(struct verify_context *vctx,
		  const struct parity_mailbox *source,
		  const struct parity_mailbox *dest, pool_t pool);

/* A mailbox was compared. held is what verify_proof_held() said. source and
   dest are NULL for what has no list of mails. */
void verify_proof_add(struct verify_context *vctx,
		      const struct verify_result *result,
		      const struct parity_mailbox *source,
		      const struct parity_mailbox *dest,
		      const struct parity_proof_mailbox *held);

/* The comparison has ended. */
void verify_proof_finish(struct verify_context *vctx, bool complete, bool equal);

#endif
