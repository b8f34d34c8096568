/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_UIDL_H
#define DOVEADM_UIDL_H

/* doveadm migration uidl */
extern struct doveadm_cmd_ver2 doveadm_cmd_migration_uidl;

#endif
