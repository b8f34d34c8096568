/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_PLAN_H
#define DOVEADM_PLAN_H

struct doveadm_cmd_ver2;

/* doveadm migration plan: see doc/plan.md */
extern struct doveadm_cmd_ver2 doveadm_cmd_migration_plan;

#endif
