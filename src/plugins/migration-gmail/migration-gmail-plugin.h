/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_GMAIL_PLUGIN_H
#define MIGRATION_GMAIL_PLUGIN_H

struct module;

extern const char *migration_gmail_plugin_version;

void migration_gmail_plugin_init(struct module *module);
void migration_gmail_plugin_deinit(void);

#endif
