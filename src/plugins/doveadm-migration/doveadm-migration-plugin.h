/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_MIGRATION_PLUGIN_H
#define DOVEADM_MIGRATION_PLUGIN_H

struct module;

extern const char *doveadm_migration_plugin_version;

void doveadm_migration_plugin_init(struct module *module);
void doveadm_migration_plugin_deinit(void);

#endif
