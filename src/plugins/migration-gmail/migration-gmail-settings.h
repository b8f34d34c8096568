/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_GMAIL_SETTINGS_H
#define MIGRATION_GMAIL_SETTINGS_H

struct migration_gmail_settings {
	pool_t pool;

	/* what becomes of All Mail: whole, archived or none */
	const char *all;
	/* how labels are kept: folders, keywords or both */
	const char *labels;
	/* other servers with ids of messages (OBJECTID) are treated alike */
	bool objectid;
};

extern const struct setting_parser_info migration_gmail_setting_parser_info;

#endif
