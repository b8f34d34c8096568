/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_POP3_PLUGIN_H
#define MIGRATION_POP3_PLUGIN_H

struct module;

extern const char *migration_pop3_plugin_version;

void migration_pop3_plugin_init(struct module *module);
void migration_pop3_plugin_deinit(void);

#endif
