/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_COMPARE_PROOF_H
#define DOVEADM_COMPARE_PROOF_H

struct doveadm_cmd_ver2;

/* doveadm migration compare-proof */
extern struct doveadm_cmd_ver2 doveadm_cmd_migration_compare_proof;

#endif
