/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "doveadm-mail.h"
#include "doveadm-migration-plugin.h"

const char *doveadm_migration_plugin_version = DOVECOT_ABI_VERSION;

void doveadm_migration_plugin_init(struct module *module ATTR_UNUSED)
{
}

void doveadm_migration_plugin_deinit(void)
{
}
