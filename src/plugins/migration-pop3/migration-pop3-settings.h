/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_POP3_SETTINGS_H
#define MIGRATION_POP3_SETTINGS_H

struct pop3_source_limits;

struct migration_pop3_settings {
	pool_t pool;

	/* a mailbox of the namespace that has the pop3c location */
	const char *mailbox;
	/* the maildrop merges several IMAP mailboxes, not only the INBOX */
	bool all_mailboxes;
	/* POP3 mails without an IMAP mail do not keep the INBOX out */
	bool ignore_missing_uidls;
	/* the same, only if all IMAP mails have their POP3 mail */
	bool ignore_extra_uidls;
	/* do not use sizes as evidence */
	bool skip_size_check;
	/* do not use the pairs that an earlier run has found */
	bool skip_uidl_cache;
	/* bytes of texts that may be read where headers leave doubt, 0 = none */
	uoff_t body_limit;
	/* seconds that the POP3 server may be silent */
	unsigned int timeout;
	/* sessions of all runs on this machine with the POP3 server: a number,
	   auto or unlimited */
	const char *max_connections;
	/* seconds to wait for a session, or for a server that asks for it */
	unsigned int patience;
};

/* The settings must have been checked. */
void migration_pop3_settings_limits(const struct migration_pop3_settings *set,
				    struct pop3_source_limits *limits_r);

extern const struct setting_parser_info migration_pop3_setting_parser_info;

#endif
