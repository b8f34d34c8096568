/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_PLUGIN_H
#define MIGRATION_IMAPC_PLUGIN_H

struct module;

extern const char *migration_imapc_plugin_version;

void migration_imapc_plugin_init(struct module *module);
void migration_imapc_plugin_deinit(void);

#endif
