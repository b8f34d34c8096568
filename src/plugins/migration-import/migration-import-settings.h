/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMPORT_SETTINGS_H
#define MIGRATION_IMPORT_SETTINGS_H

struct migration_import_settings {
	pool_t pool;

	/* a mail that the destination has already is imported again */
	bool duplicates;
};

extern const struct setting_parser_info migration_import_setting_parser_info;

#endif
