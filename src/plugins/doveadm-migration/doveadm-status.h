/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_STATUS_H
#define DOVEADM_STATUS_H

/* doveadm migration status */
extern struct doveadm_cmd_ver2 doveadm_cmd_migration_status;

#endif
