/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_SETTINGS_H
#define MIGRATION_IMAPC_SETTINGS_H

struct migration_imapc_settings {
	pool_t pool;

	/* how many mails one batch asks of the server at once */
	unsigned int prefetch;
};

extern const struct setting_parser_info migration_imapc_setting_parser_info;

#endif
