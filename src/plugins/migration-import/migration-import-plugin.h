/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMPORT_PLUGIN_H
#define MIGRATION_IMPORT_PLUGIN_H

struct module;

extern const char *migration_import_plugin_version;

void migration_import_plugin_init(struct module *module);
void migration_import_plugin_deinit(void);

#endif
