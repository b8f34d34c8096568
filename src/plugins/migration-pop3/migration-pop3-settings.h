/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_POP3_SETTINGS_H
#define MIGRATION_POP3_SETTINGS_H

struct migration_pop3_settings {
	pool_t pool;

	/* a mailbox of the namespace that has the pop3c location */
	const char *mailbox;
	/* the maildrop merges several IMAP mailboxes, not only the INBOX */
	bool all_mailboxes;
	/* a POP3 mail without an IMAP mail does not refuse the INBOX */
	bool ignore_missing_uidls;
	/* an IMAP mail without a POP3 mail does not refuse the INBOX */
	bool ignore_extra_uidls;
	/* do not use sizes as evidence */
	bool skip_size_check;
	/* do not use the pairs that an earlier run has found */
	bool skip_uidl_cache;
};

extern const struct setting_parser_info migration_pop3_setting_parser_info;

#endif
