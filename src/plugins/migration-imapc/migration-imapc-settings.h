/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_SETTINGS_H
#define MIGRATION_IMAPC_SETTINGS_H

struct connection_cap;
struct mail_filter_words;

struct migration_imapc_settings {
	pool_t pool;

	/* bytes in 24 hours: a size, "unlimited", or "auto" for what the
	   source's operator is known to allow */
	const char *daily_limit;
	/* mailboxes that are left alone: patterns, or "auto" for those that
	   hold no mail at the source's provider; the only ones that are not, ""
	   for all */
	const char *filter_exclude, *filter_include;
	/* mails that are left alone: mail-filter.h */
	uoff_t filter_max_size;
	const char *filter_since, *filter_before, *filter_flags;
	/* whether a header that is asked for alone is to be believed */
	const char *headers;
	/* bytes a second; 0 = no limit */
	uoff_t max_rate;
	/* what mailboxes are for is seen by their names: mailbox-use.h */
	bool localized_names;
	/* which mailboxes are migrated, and under which names: mailbox-map.h */
	const char *map;
	/* connections that all runs on this machine may have to the server: a
	   number, "unlimited", or "auto" for what it is known to allow */
	const char *max_connections;
	/* mails a second; 0 = no limit */
	unsigned int max_mail_rate;
	/* how many mails one command may ask for; 0 = what the source is known
	   to take */
	unsigned int message_limit;
	/* how many mails are asked for ahead of their use */
	unsigned int prefetch;
	/* how many bytes of mails are asked for ahead of their use; a larger
	   mail goes alone */
	uoff_t prefetch_size;
	/* who the source is */
	const char *provider;
	/* the file that says what did not change; "" for none */
	const char *record;
	/* whether RFC822.SIZE is to be believed */
	const char *sizes;
	/* how long the server may be silent before the connection counts as
	   dead; 0 leaves the limits that imapc has: 30 s for connecting and
	   logging in, imapc_cmd_timeout for a command */
	unsigned int timeout;
	/* how long one row of failures may be waited for, in seconds */
	unsigned int patience;
	/* what becomes of a mail that the server does not give */
	const char *unreadable;
};

/* The number of bytes, or 0 if the value names none. Returns FALSE and error_r
   if it is wrong. */
bool migration_imapc_daily_limit_parse(const char *value, uoff_t *bytes_r,
				       const char **error_r);

/* migration_imapc_max_connections. Returns FALSE and error_r if it is wrong. */
bool
migration_imapc_max_connections_parse(const struct migration_imapc_settings *set,
				      struct connection_cap *cap_r,
				      const char **error_r);

/* The settings of the filter for mails, as it is parsed from. */
void migration_imapc_filter_words(const struct migration_imapc_settings *set,
				  struct mail_filter_words *words_r);

extern const struct setting_parser_info migration_imapc_setting_parser_info;

#endif
