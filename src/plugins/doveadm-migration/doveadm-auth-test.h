/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_AUTH_TEST_H
#define DOVEADM_AUTH_TEST_H

/* doveadm migration auth-test: can we log in to the old servers? */
extern struct doveadm_cmd_ver2 doveadm_cmd_migration_auth_test;

#endif
