/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* doc/settings.md: name, type and default come from the tables that Dovecot
   reads, the rest from the list below. A setting without a line in it, or a
   line without a setting, stops the program, and so the build's tests. */

#include "lib.h"
#include "str.h"
#include "settings-loader.h"
#include "migration-imapc-settings.h"
#include "migration-pop3-settings.h"
#include "migration-gmail-settings.h"
#include "migration-import-settings.h"
#include "migration-settings.h"
#include "oauth2-settings.h"
#include "reference.h"

struct setting_text {
	const char *name;
	/* its type in words; NULL if the table's says enough */
	const char *type;
	/* the version that brought it */
	const char *since;
	/* what it is for, as Markdown */
	const char *purpose;
};

static const struct setting_text setting_texts[] = {
	{ "migration_report_path", "path", "0.1.0",
	  "Keep a record of what each run did and of every mail that "
	  "was not carried over exactly: the file that a run's report "
	  "is written to, as JSON ([report.md](report.md)). "
	  "`%`-variables make it one file a user; `~/` is the user's "
	  "home." },
	{ "migration_status_path", "path", "0.1.0",
	  "See from anywhere how far a run is: the file that it "
	  "writes once a second while it runs, read by `doveadm "
	  "migration status` ([status.md](status.md)). Empty: none." },
	{ "migration_progress", NULL, "0.1.0",
	  "See on the terminal how far a run is: a line on standard "
	  "error that is updated in place. `auto`: if that is a "
	  "terminal, and not with `-D`. `yes`: with `-D`, too, and in "
	  "a log a line each half minute." },
	{ "migration_lock_dict", "dict", "0.1.0",
	  "Run users on several hosts: a Dovecot dict that all of "
	  "them reach, which keeps a user from being migrated by two "
	  "at once. 2.3: its URI; 2.4: its name in the block "
	  "`migration_locks` ([lock.md](lock.md))." },
	{ "migration_lock_lease", NULL, "0.1.0",
	  "How long a host may be silent until its locks in that dict "
	  "are taken over." },
	{ "migration_max_deletes", "`auto`, number, percentage or `unlimited`", "0.1.0",
	  "Delete nothing by surprise: how many mails of a mailbox "
	  "`backup` and `sync` may delete because the source does not "
	  "have them. Above it none of them is deleted, a finding "
	  "says so, and the rest of the run goes on. Deleting a "
	  "mailbox is deleting all its mails ([guard.md](guard.md))." },
	{ "migration_imapc_daily_limit", "size, `auto` or `unlimited`", "0.1.0",
	  "Stop before the source's operator locks the account: how "
	  "many bytes of mails one user's runs may download in any 24 "
	  "hours, counted across runs in "
	  "`~/dovecot-migration-downloads`. Then the run ends with "
	  "exit code 75 and says when to continue. `auto` is 2500 MB "
	  "for Gmail and no limit elsewhere." },
	{ "migration_imapc_headers", NULL, "0.1.0",
	  "Whether a header that is asked for alone is that of the "
	  "whole mail. If not, a mailbox that was renamed is known by "
	  "three whole mails. `auto` is what its provider is known "
	  "for ([providers.md](providers.md))." },
	{ "migration_imapc_localized_names", NULL, "0.1.0",
	  "See by the name what a mailbox is for, where the server "
	  "does not say it: `Gesendet` and `Posta inviata` become the "
	  "destination's mailbox for `\\Sent` "
	  "([names.md](names.md#localised-names))." },
	{ "migration_imapc_map", "rules", "0.1.0",
	  "Which mailboxes are migrated, and what they are called: "
	  "`\\Sent = Sent; Alt/* = Old/*; !Spam` "
	  "([names.md](names.md))." },
	{ "migration_imapc_filter_before", "date", "0.1.0",
	  "Leave mails out that were received on this day or later, "
	  "in UTC: `2025-01-01` ([filters.md](filters.md#mails))." },
	{ "migration_imapc_filter_exclude", "patterns or `auto`", "0.1.0",
	  "Leave mailboxes alone on both sides: they are not brought "
	  "over, and the destination's of that name are not deleted. "
	  "Names with `*` and `?`, separated by commas, with `/` as "
	  "separator. `auto` is what holds no mail at the source's "
	  "provider, such as Exchange's calendars "
	  "([filters.md](filters.md))." },
	{ "migration_imapc_filter_flags", "flags", "0.1.0",
	  "Only mails that have all of these flags and keywords, and "
	  "none of those after a `!`: `!\\Deleted, !$Junk` "
	  "([filters.md](filters.md#mails))." },
	{ "migration_imapc_filter_include", "patterns", "0.1.0",
	  "Only these mailboxes; all others are left alone on both "
	  "sides ([filters.md](filters.md))." },
	{ "migration_imapc_filter_max_size", NULL, "0.1.0",
	  "Leave larger mails out. `0` is no limit "
	  "([filters.md](filters.md#mails))." },
	{ "migration_imapc_filter_since", "date", "0.1.0",
	  "Leave mails out that were received before this day, in "
	  "UTC: `2020-01-01` ([filters.md](filters.md#mails))." },
	{ "migration_imapc_max_connections", "number, `auto` or `unlimited`", "0.1.0",
	  "Run many users side by side against a server that allows "
	  "so many connections from one address: how many all runs on "
	  "this machine may have to the source's host and port "
	  "together. (A run has one, a second one only for mails that "
	  "the server does not give.) A run that finds none free waits within "
	  "`migration_imapc_patience`, then ends with exit code 75 "
	  "([many-users.md](many-users.md#connections)). `auto` is 4 "
	  "for Courier, 20 for Oracle and no limit elsewhere. Sessions with "
	  "a POP3 server have `migration_pop3_max_connections`." },
	{ "migration_imapc_max_rate", NULL, "0.1.0",
	  "Leave room on the line for others: bytes of mails a "
	  "second, by pauses. `0` is no limit." },
	{ "migration_imapc_max_mail_rate", NULL, "0.1.0",
	  "Spare a server that counts requests: mails a second, by "
	  "pauses. `0` is no limit." },
	{ "migration_imapc_message_limit", NULL, "0.1.0",
	  "How many mails one command may ask for. `0` is what the "
	  "server announces (`MESSAGELIMIT`), else what its provider "
	  "is known to take ([providers.md](providers.md))." },
	{ "migration_imapc_prefetch", NULL, "0.1.0",
	  "Fewer waits for a distant server: how many mails are asked "
	  "for ahead of their use, in two halves, one under way while "
	  "the other is saved. At most 500 where mailboxes have to be "
	  "selected one after the other." },
	{ "migration_imapc_prefetch_size", NULL, "0.1.0",
	  "Bounds the memory that this costs: how many bytes of mails "
	  "are asked for ahead at most. What is asked for follows "
	  "what the line is seen to carry, so that a slow one is not "
	  "flooded. A larger mail goes alone." },
	{ "migration_imapc_provider", NULL, "0.1.0",
	  "Who the source is: decides the defaults of other settings "
	  "([providers.md](providers.md)). `auto` is what its name, "
	  "its greeting, its capabilities and its ID say." },
	{ "migration_imapc_record", "path", "0.1.0",
	  "Ask nothing for mailboxes that did not change on either "
	  "side since they were last seen to be the same, and only "
	  "for the changes of those that changed at a source with "
	  "CONDSTORE: the file that remembers it. It is not used if "
	  "it was written for "
	  "another server, account or command, and can be deleted at "
	  "any time. Empty: compare all mailboxes in each run." },
	{ "migration_imapc_sizes", NULL, "0.1.0",
	  "Whether the sizes that the server tells (RFC822.SIZE) are "
	  "those of the mails that it sends. `auto` is what its "
	  "provider is known for ([providers.md](providers.md))." },
	{ "migration_imapc_timeout", NULL, "0.1.0",
	  "Notice a dead server sooner: how long it may be silent "
	  "before its connection counts as lost. `0` leaves imapc's "
	  "limits, 30 seconds while logging in and "
	  "`imapc_cmd_timeout` (5 minutes) for a command." },
	{ "migration_imapc_patience", NULL, "0.1.0",
	  "Go on by itself when the source is down or throttles: how "
	  "long the waits of one row of failures may be in all. "
	  "Anything that is received ends the row. What the server "
	  "asks for is waited in full; if it is more than this, the "
	  "run ends with 75 and says when to continue." },
	{ "migration_imapc_unreadable", NULL, "0.1.0",
	  "What becomes of a mail that the source does not give: a "
	  "placeholder in its place, with all of it that can be read "
	  "([unreadable.md](unreadable.md)), or the end of the run." },
	{ "migration_oauth2_provider", NULL, "0.1.0",
	  "Log in to the source with OAuth2 tokens instead of "
	  "passwords. The provider decides the defaults of the other "
	  "settings." },
	{ "migration_oauth2_client_id", "text", "0.1.0",
	  "The application's ID, as the provider gave it when the "
	  "application was registered. Not for service accounts." },
	{ "migration_oauth2_client_secret_file", "path", "0.1.0",
	  "A file with the application's secret in one line." },
	{ "migration_oauth2_refresh_token_file", "path", "0.1.0",
	  "A file with a user's refresh token in one line; "
	  "`%`-variables make it one file a user. If the provider "
	  "replaces the token, the new one is written to this file, "
	  "so its folder must be writable." },
	{ "migration_oauth2_key_file", "path", "0.1.0",
	  "Google: the service account's key file (JSON) as Google "
	  "issues it. Microsoft: the private key (PEM, PKCS#8 or "
	  "PKCS#1) of the application's certificate." },
	{ "migration_oauth2_certificate_file", "path", "0.1.0",
	  "Microsoft: the certificate (PEM) that was uploaded for the "
	  "application." },
	{ "migration_oauth2_tenant", "text", "0.1.0",
	  "Microsoft: the directory (tenant) ID. Without it a refresh "
	  "token is used with `common`." },
	{ "migration_oauth2_scope", "text", "0.1.0",
	  "Ask for other permissions than the provider's usual ones, "
	  "e.g. `https://www.googleapis.com/auth/gmail.imap_admin`." },
	{ "migration_oauth2_token_url", "URL", "0.1.0",
	  "Ask another token server than the provider's; needed for "
	  "`custom`. Must be `https:`." },
	{ "migration_oauth2_token_file", "path", "0.1.0",
	  "Something else renews the token in this file: it is read "
	  "at each login. The token alone, or with its lifetime in "
	  "seconds, or a token server's JSON." },
	{ "migration_oauth2_token_command", "command", "0.1.0",
	  "A program that prints a token in the same forms. Its "
	  "arguments are separated by blanks; other users of the "
	  "machine can see them. Without a lifetime it is started for "
	  "each login." },
	{ "migration_oauth2_cache_dir", "path", "0.1.0",
	  "Many processes ask once: they share their tokens in this "
	  "folder, which belongs to the account that mail is written "
	  "as (mode 0700)." },
	{ "migration_oauth2_proxy", "URL", "0.1.0",
	  "The HTTP proxy by which the token server is reached." },
	{ "migration_oauth2_timeout", NULL, "0.1.0",
	  "How long may be waited for a token, with all further tries "
	  "and the time that the server asks to wait." },
	{ "migration_pop3_mailbox", "mailbox", "0.1.0",
	  "Keep the UIDLs of POP3 clients: the INBOX of the hidden "
	  "`pop3c:` namespace, as in the README. Without it the "
	  "plugin does nothing." },
	{ "migration_pop3_all_mailboxes", NULL, "0.1.0",
	  "The old server's POP3 shows mails of several folders, not "
	  "of the INBOX only." },
	{ "migration_pop3_ignore_missing_uidls", NULL, "0.1.0",
	  "Migrate the INBOX although some POP3 mails have no IMAP "
	  "mail. Without it such an INBOX is left out of the run, and "
	  "nothing of it is written." },
	{ "migration_pop3_ignore_extra_uidls", NULL, "0.1.0",
	  "The same, only if all IMAP mails have their UIDL and POP3 "
	  "merely lists more." },
	{ "migration_pop3_skip_size_check", NULL, "0.1.0",
	  "The old server's sizes cannot be trusted as evidence." },
	{ "migration_pop3_skip_uidl_cache", NULL, "0.1.0",
	  "Match everything again instead of keeping the pairs that "
	  "an earlier run has found." },
	{ "migration_pop3_body_limit", NULL, "0.1.0",
	  "Where mails cannot be told apart by their headers (true "
	  "duplicates, say), their texts are compared: how many bytes "
	  "of texts may be read for that over POP3. `0` for none. "
	  "Mails that stay doubtful get no UIDL." },
	{ "migration_pop3_timeout", NULL, "0.1.0",
	  "A POP3 server that does not answer for so long is given "
	  "up." },
	{ "migration_pop3_max_connections", "number, `auto` or `unlimited`",
	  "0.1.0",
	  "What `migration_imapc_max_connections` is for IMAP, for sessions "
	  "with the POP3 server: how many all runs on this machine may have "
	  "to its host and port. Who finds none free waits within "
	  "`migration_pop3_patience`, then ends with exit code 75 "
	  "([many-users.md](many-users.md#connections)). With `auto` no number "
	  "is known: a server that refuses one is waited for." },
	{ "migration_pop3_patience", NULL, "0.1.0",
	  "How long to wait for the POP3 server in all when it has no room for "
	  "another connection, throttles, asks to log in later, or when "
	  "another session has the maildrop." },
	{ "migration_gmail_all", NULL, "0.1.0",
	  "What becomes of All Mail: a mailbox like any other, only "
	  "the messages that no other migrated mailbox has, or "
	  "nothing ([gmail.md](gmail.md))." },
	{ "migration_gmail_objectid", NULL, "0.1.0",
	  "Not for Gmail: download and store each message once from "
	  "another server that gives ids (`OBJECTID`, such as Cyrus), "
	  "too ([gmail.md](gmail.md))." },
	{ "migration_gmail_labels", NULL, "0.1.0",
	  "What becomes of Gmail's labels: folders as Gmail's IMAP "
	  "shows them, keywords in All Mail, Inbox, Sent, Drafts, "
	  "Spam and Trash, or folders with keywords on every copy "
	  "([gmail.md](gmail.md))." },
	{ "migration_import_duplicates", NULL, "0.1.0",
	  "What becomes of a mail that the mailbox has already: its "
	  "flags and keywords are joined with the source's "
	  "(`\\Deleted` stays only if both have it), it is left as it "
	  "is, or it is saved once more." },
	{ "migration_import_scope", NULL, "0.1.0",
	  "Fetch a mail that another mailbox of the destination has "
	  "already (Gmail shows one in several folders) from there "
	  "and not from the source ([import.md](import.md))." },
	{ "migration_import_commit_mails", NULL, "0.1.0",
	  "How many mails are committed together. What is committed "
	  "stays if the run is killed, and is not imported again." },
};

static const struct {
	const struct setting_parser_info *info;
	const char *title, *intro;
} sections[] = {
	{ &migration_setting_parser_info, "The run", "" },
	{ &migration_imapc_setting_parser_info, "migration_imapc", "" },
	{ &migration_oauth2_setting_parser_info, "OAuth2",
	  "For IMAP and POP3 alike, see the guides for [Google Workspace]"
	  "(oauth2-google-workspace.md),\n[Gmail](oauth2-gmail.md) and "
	  "[Microsoft 365](oauth2-microsoft-365.md), and\n[oauth2.md](oauth2.md) "
	  "for what happens when. Exactly one of `_refresh_token_file`,\n"
	  "`_key_file`, `_token_file` and `_token_command` says where tokens "
	  "come from; none of\nthem and `_client_secret_file` is Microsoft's "
	  "application login. Files with secrets\nmust not be accessible to "
	  "others (`chmod 600`), and belong to the account that mail\nis "
	  "written as.\n\n" },
	{ &migration_pop3_setting_parser_info, "migration_pop3", "" },
	{ &migration_gmail_setting_parser_info, "migration_gmail", "" },
	{ &migration_import_setting_parser_info, "migration_import", "" },
};

static const struct setting_text *setting_text_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(setting_texts); i++) {
		if (strcmp(setting_texts[i].name, name) == 0)
			return &setting_texts[i];
	}
	i_fatal("%s has no line in %s", name, __FILE__);
}

/* "`a`, `b` or `c`" of "a:b:c" */
static const char *enum_words(const char *values)
{
	const char *const *word = t_strsplit(values, ":");
	string_t *str = t_str_new(128);

	for (; *word != NULL; word++) {
		if (str_len(str) > 0)
			str_append(str, word[1] == NULL ? " or " : ", ");
		str_printfa(str, "`%s`", *word);
	}
	return str_c(str);
}

/* The largest unit that leaves no rest, as doveconf writes it. */
static const char *
with_unit(uint64_t value, const uint64_t *sizes, const char *const *names)
{
	unsigned int i;

	for (i = 0; value > 0 && names[i] != NULL; i++) {
		if (value % sizes[i] == 0) {
			return t_strdup_printf("%"PRIu64" %s",
					       value / sizes[i], names[i]);
		}
	}
	return dec2str(value);
}

static const char *secs_text(unsigned int secs)
{
	static const uint64_t sizes[] = { 86400, 3600, 60, 1 };
	static const char *const names[] = {
		"days", "hours", "mins", "secs", NULL
	};
	return with_unit(secs, sizes, names);
}

static const char *bytes_text(uoff_t bytes)
{
	static const uint64_t sizes[] = { 1 << 30, 1 << 20, 1 << 10 };
	static const char *const names[] = { "G", "M", "k", NULL };

	return with_unit(bytes, sizes, names);
}

static void
setting_describe(const struct setting_define *def, const void *defaults,
		 const char **type_r, const char **default_r)
{
	const void *value = CONST_PTR_OFFSET(defaults, def->offset);

	switch (def->type) {
	case SET_BOOL:
		*type_r = "boolean";
		*default_r = *(const bool *)value ? "yes" : "no";
		break;
	case SET_UINT:
		*type_r = "number";
		*default_r = dec2str(*(const unsigned int *)value);
		break;
	case SET_TIME:
		*type_r = "time";
		*default_r = secs_text(*(const unsigned int *)value);
		break;
	case SET_SIZE:
		*type_r = "size";
		*default_r = bytes_text(*(const uoff_t *)value);
		break;
	case SET_ENUM:
		*type_r = enum_words(*(const char *const *)value);
		*default_r = t_strcut(*(const char *const *)value, ':');
		break;
	case SET_STR:
		*type_r = "text";
		*default_r = *(const char *const *)value;
		break;
	default:
		i_fatal("%s: unknown type %d", def->key, def->type);
	}
}

static void
append_setting(string_t *dest, const struct setting_define *def,
	       const void *defaults)
{
	const struct setting_text *text = setting_text_find(def->key);
	const char *type, *value;

	setting_describe(def, defaults, &type, &value);
	str_printfa(dest, "| `%s` | %s | ", def->key,
		    text->type != NULL ? text->type : type);
	if (*value == '\0')
		str_append(dest, "none");
	else
		str_printfa(dest, "`%s`", value);
	str_printfa(dest, " | %s | %s |\n", text->since, text->purpose);
}

void reference_append_settings(string_t *dest)
{
	const struct setting_define *def;
	unsigned int i, count = 0;

	str_append(dest,
		"# Settings\n\n"
		"No setting is needed for the common case. On 2.3 they stand in "
		"`plugin { }`, on\n2.4 at the top level, with the same names and "
		"values; from the userdb they come as\nextra fields of the same "
		"name. The source's own settings (`imapc_*`, `pop3c_*`) are\n"
		"Dovecot's.\n\n"
		"A wrong value ends the migration before anything is read or "
		"written, with the\nsetting's name. 2.4 refuses it already when "
		"the configuration is read.\n\n"
		"This page is written by the program from the tables that "
		"Dovecot reads.\n");
	for (i = 0; i < N_ELEMENTS(sections); i++) {
		str_printfa(dest, "\n## %s\n\n%s"
			    "| setting | type | default | since | what it is for "
			    "|\n| --- | --- | --- | --- | --- |\n",
			    sections[i].title, sections[i].intro);
		for (def = sections[i].info->defines; def->key != NULL; def++) {
			if (migration_setting_is_block(def))
				continue;
			append_setting(dest, def, sections[i].info->defaults);
			count++;
		}
	}
	if (count != N_ELEMENTS(setting_texts))
		i_fatal("%s has a line for a setting that is none", __FILE__);
}
