/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_VERIFY_H
#define DOVEADM_VERIFY_H

struct doveadm_cmd_ver2;

/* doveadm migration verify: see doc/verify.md */
extern struct doveadm_cmd_ver2 doveadm_cmd_migration_verify;

#endif
