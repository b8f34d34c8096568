/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_SETTINGS_H
#define MIGRATION_IMAPC_SETTINGS_H

struct migration_imapc_settings {
	pool_t pool;

	/* how many mails are asked for ahead of their use */
	unsigned int prefetch;
	/* how many bytes of mails are asked for ahead of their use; a larger
	   mail goes alone */
	uoff_t prefetch_size;
	/* how long the server may be silent before the connection counts as
	   dead; 0 leaves the limits that imapc has: 30 s for connecting and
	   logging in, imapc_cmd_timeout for a command */
	unsigned int timeout;
};

extern const struct setting_parser_info migration_imapc_setting_parser_info;

#endif
