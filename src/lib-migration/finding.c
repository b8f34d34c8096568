/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "finding.h"

static const struct finding_info findings[] = {
	[FINDING_INTERRUPTED] = {
		FINDING_GROUP_RUN, "interrupted", "warning",
		"The run was ended by SIGINT or SIGTERM. What was committed "
		"stays.",
		"Run it again: it goes on from there.",
		"report.md",
	},
	[FINDING_SAVED_SIZE_DIFFERS] = {
		FINDING_GROUP_RUN, "saved-size-differs", "error",
		"A mail has another size after it was saved than the source "
		"sent, line ends aside.",
		"Compare the mail on both sides by hand, and look for a plugin "
		"or filter at the destination that changes mails (mail_filter, "
		"zlib, mail_crypt).",
		"verify.md",
	},
	[FINDING_MBOX_OWN_FIELDS] = {
		FINDING_GROUP_RUN, "mbox-own-fields", "warning",
		"The destination is an mbox, which has flags and UIDs in header "
		"fields (Status, X-Status, X-Keywords, X-UID, X-IMAP, "
		"Content-Length). The source's mail has some of these in its "
		"text; they are not saved, the rest is.",
		"Nothing, or migrate to Maildir, sdbox or mdbox, which keep "
		"every byte.",
		"import.md",
	},
	[FINDING_FEATURE_IGNORED] = {
		FINDING_GROUP_RUN, "feature-ignored", "info",
		"`guid-forced` or `zimbra-workarounds` stands in "
		"`imapc_features` and is not used, because it can give a mail "
		"another one's text.",
		"Nothing; take it out of the configuration.",
		"limits.md",
	},
	[FINDING_MAIL_UNREADABLE] = {
		FINDING_GROUP_SOURCE, "mail-unreadable", "error",
		"The source does not give the mail. A placeholder is in its "
		"place, or, with `migration_imapc_unreadable = fail`, the run "
		"ended.",
		"Open the mail in the source's webmail, or ask its operator. A "
		"later run puts it into its place as soon as it can be read.",
		"unreadable.md",
	},
	[FINDING_PLACEHOLDER_REPLACED] = {
		FINDING_GROUP_SOURCE, "placeholder-replaced", "info",
		"A mail that was unreadable before can be read by now, and is "
		"in its placeholder's place.",
		"Nothing.",
		"unreadable.md",
	},
	[FINDING_PLACEHOLDER_KEPT] = {
		FINDING_GROUP_SOURCE, "placeholder-kept", "warning",
		"A mail that was unreadable before can be read by now. A "
		"client has seen its placeholder, so the mail was appended to "
		"the mailbox.",
		"Tell the user that the placeholder can be deleted.",
		"unreadable.md",
	},
	[FINDING_MAILBOX_UNAVAILABLE] = {
		FINDING_GROUP_SOURCE, "mailbox-unavailable", "error",
		"The source does not open the mailbox. It was left out, all "
		"others were migrated.",
		"Run again if the run ended with 75. Otherwise ask the "
		"source's operator, or leave the mailbox out with `-x` or "
		"`migration_imapc_filter_exclude`.",
		"unreadable.md",
	},
	[FINDING_MAILBOX_GONE] = {
		FINDING_GROUP_SOURCE, "mailbox-gone", "warning",
		"The source deleted or renamed the mailbox during the run.",
		"Run it again.",
		"report.md",
	},
	[FINDING_SOURCE_UNAVAILABLE] = {
		FINDING_GROUP_SOURCE, "source-unavailable", "warning",
		"The server throttled or refused for longer than "
		"`migration_imapc_patience` (a POP3 server: "
		"`migration_pop3_patience`), so the run ended with 75.",
		"Run it again later; the report's `continue_after` says when, "
		"if the server did.",
		"providers.md",
	},
	[FINDING_SOURCE_SELECTED] = {
		FINDING_GROUP_SOURCE, "source-selected", "info",
		"The source's mailboxes were selected, because it tells "
		"another UIDVALIDITY each time for those that nobody has "
		"selected (Courier).",
		"Nothing.",
		"compatibility.md",
	},
	[FINDING_DAILY_LIMIT] = {
		FINDING_GROUP_SOURCE, "daily-limit", "warning",
		"The run stopped so as not to go above "
		"`migration_imapc_daily_limit`, above which the source's "
		"operator locks the account.",
		"Run it again at the time that it names.",
		"settings.md",
	},
	[FINDING_CONNECTIONS_IN_USE] = {
		FINDING_GROUP_SOURCE, "connections-in-use", "warning",
		"Other runs on this machine had all connections that "
		"`migration_imapc_max_connections` or "
		"`migration_pop3_max_connections` allows, for longer than "
		"`migration_imapc_patience` or `migration_pop3_patience`, so the run "
		"ended with 75.",
		"Run it again; start no more runs side by side than that, or "
		"raise one of the two.",
		"many-users.md#connections",
	},
	[FINDING_MAILBOX_RENAMED] = {
		FINDING_GROUP_NAMES, "mailbox-renamed", "info",
		"The mailbox has another name at the destination, because of a "
		"rule, its special-use or what the destination takes as a "
		"name.",
		"Nothing, or give it another name with `migration_imapc_map`.",
		"names.md",
	},
	[FINDING_MAILBOX_NAME_TAKEN] = {
		FINDING_GROUP_NAMES, "mailbox-name-taken", "warning",
		"The mailbox has another name at the destination, because "
		"another mailbox has its own.",
		"Give one of the two a name with `migration_imapc_map`, if "
		"users would not find it.",
		"names.md",
	},
	[FINDING_MAILBOX_LEFT_OUT] = {
		FINDING_GROUP_NAMES, "mailbox-left-out", "info",
		"`migration_imapc_map` leaves the mailbox out.",
		"Nothing.",
		"names.md",
	},
	[FINDING_MAILBOX_OUTSIDE_PREFIX] = {
		FINDING_GROUP_NAMES, "mailbox-outside-prefix", "info",
		"The mailbox is not below `imapc_list_prefix`, and is left "
		"out.",
		"Nothing if it is another user's; otherwise leave "
		"`imapc_list_prefix` out.",
		"names.md",
	},
	[FINDING_SPECIAL_USE_NOT_MAPPED] = {
		FINDING_GROUP_NAMES, "special-use-not-mapped", "info",
		"The mailbox keeps its name, although the destination has "
		"another one for its special-use.",
		"Nothing, or map it with `migration_imapc_map`, or give it "
		"`special_use` in the destination's configuration.",
		"names.md",
	},
	[FINDING_MAILBOX_MOVED] = {
		FINDING_GROUP_NAMES, "mailbox-moved", "info",
		"The mailbox was renamed at the source since the last run, and "
		"was renamed here, too.",
		"Nothing.",
		"renames.md",
	},
	[FINDING_MAILBOX_EXCLUDED] = {
		FINDING_GROUP_NAMES, "mailbox-excluded", "info",
		"A filter leaves the mailbox alone on both sides.",
		"Nothing.",
		"filters.md",
	},
	[FINDING_MAILS_FILTERED] = {
		FINDING_GROUP_NAMES, "mails-filtered", "info",
		"A filter by size, date or flags leaves mails of the mailbox "
		"out. The finding says how many, and why.",
		"Nothing.",
		"filters.md",
	},
	[FINDING_FILTERED_MAIL_WANTED] = {
		FINDING_GROUP_NAMES, "filtered-mail-wanted", "error",
		"Mails that an earlier run left out would not be any more: the "
		"filter is wider now, or their flags have changed. Their UIDs "
		"are below those of later mails, where nothing can be put.",
		"When all runs of `backup` are done, bring them over with "
		"`doveadm import`, which gives them new UIDs.",
		"filters.md",
	},
	[FINDING_DELETION_REFUSED] = {
		FINDING_GROUP_DELETIONS, "deletion-refused", "error",
		"More would have been deleted than `migration_max_deletes` "
		"allows, so none of it was.",
		"Look with `doveadm migration plan` what it would be. If users "
		"work here already, keep it and bring what is new with "
		"`doveadm sync -1R`. If it may go, raise "
		"`migration_max_deletes` for one run.",
		"guard.md",
	},
	[FINDING_MAILS_DELETED] = {
		FINDING_GROUP_DELETIONS, "mails-deleted", "info",
		"Mails that the source does not have were deleted at the "
		"destination.",
		"Nothing.",
		"guard.md",
	},
	[FINDING_MAILBOX_DELETED] = {
		FINDING_GROUP_DELETIONS, "mailbox-deleted", "info",
		"A mailbox was deleted at the destination, or made again "
		"because its UIDs did not fit.",
		"Nothing.",
		"guard.md",
	},
	[FINDING_UIDVALIDITY_CHANGED] = {
		FINDING_GROUP_DELETIONS, "uidvalidity-changed", "info",
		"The source's mailbox has another UIDVALIDITY than at the last "
		"run, and is made again at the destination. The finding says "
		"how many of its mails were here and were not fetched, and how "
		"many that were here are deleted.",
		"Nothing.",
		"renames.md",
	},
	[FINDING_MAILBOX_MADE_AGAIN] = {
		FINDING_GROUP_DELETIONS, "mailbox-made-again", "info",
		"The same of a mailbox whose UIDs did not fit.",
		"Nothing.",
		"renames.md",
	},
	[FINDING_UIDL_UNMATCHED] = {
		FINDING_GROUP_POP3, "uidl-unmatched",
		"error, or warning with `migration_pop3_ignore_missing_uidls`",
		"A POP3 mail has no IMAP mail. The finding has its number, "
		"UIDL, size, Message-ID and Date, the reason, and the nearest "
		"mail. The others have their UIDLs.",
		"Look for the mail in the source's other mailboxes "
		"(`migration_pop3_all_mailboxes`). If there are few, accept "
		"them with `migration_pop3_ignore_missing_uidls`: POP3 clients "
		"do not see them any more.",
		"pop3.md",
	},
	[FINDING_UIDL_NONE] = {
		FINDING_GROUP_POP3, "uidl-none", "info",
		"An IMAP mail that POP3 does not list. The finding has its "
		"size, Message-ID and Date, the reason, and the nearest mail.",
		"Nothing: POP3 clients never saw it, and download it once.",
		"pop3.md",
	},
	[FINDING_UIDL_LATE] = {
		FINDING_GROUP_POP3, "uidl-late", "info",
		"A POP3 mail was delivered during the run.",
		"Nothing: the next run brings it.",
		"pop3.md",
	},
	[FINDING_UIDL_REPEATED] = {
		FINDING_GROUP_POP3, "uidl-repeated", "warning",
		"The old server gives one UIDL to several mails. They stay so.",
		"Nothing: clients saw the same at the old server.",
		"pop3.md",
	},
	[FINDING_UIDL_ODD] = {
		FINDING_GROUP_POP3, "uidl-odd", "warning",
		"UIDLs are longer than 70 characters or have characters that "
		"RFC 1939 does not allow. They stay so.",
		"Nothing: clients saw the same at the old server.",
		"pop3.md",
	},
	[FINDING_UIDL_NO_ROOM] = {
		FINDING_GROUP_POP3, "uidl-no-room",
		"error, or warning before the run and if a `pop3_uidl_format` "
		"makes the same",
		"The destination's format (mbox) has no place for UIDLs and "
		"POP3 order.",
		"Migrate to sdbox, mdbox or maildir, or use the "
		"`pop3_uidl_format` that `uidl-format` names.",
		"pop3.md",
	},
	[FINDING_UIDL_REFUSED] = {
		FINDING_GROUP_POP3, "uidl-refused", "error",
		"The destination's format has no place for this UIDL, such as "
		"one with blanks in maildir. The mail is there without it.",
		"Migrate to sdbox or mdbox if POP3 users would mind: they "
		"download the mail once more.",
		"pop3.md",
	},
	[FINDING_UIDL_FORMAT] = {
		FINDING_GROUP_POP3, "uidl-format", "info",
		"Dovecot can make these UIDLs itself. The finding has the line "
		"for the configuration.",
		"Set `pop3_uidl_format` for mail that comes later, if it shall "
		"look alike.",
		"pop3.md",
	},
	[FINDING_UIDL_SHOWN] = {
		FINDING_GROUP_POP3, "uidl-shown", "info",
		"UIDLs that an earlier run of Dovecot alone had stored in "
		"sdbox, and that POP3 did not show, are shown now.",
		"Nothing.",
		"pop3.md",
	},
	[FINDING_UIDL_NOT_STORED] = {
		FINDING_GROUP_POP3, "uidl-not-stored", "warning",
		"Mails were migrated before without their UIDL, and this "
		"command cannot add it.",
		"Run `doveadm migration uidl`.",
		"uidl.md",
	},
	[FINDING_UIDL_FAILED] = {
		FINDING_GROUP_POP3, "uidl-failed", "error",
		"`doveadm migration uidl` could not begin or go on; the "
		"finding says why.",
		"Mend what it names, and run it again.",
		"uidl.md",
	},
	[FINDING_UIDL_SHARED] = {
		FINDING_GROUP_POP3, "uidl-shared", "warning",
		"Two mails that are one stored mail in mdbox have two UIDLs. "
		"One is shown only as long as `dovecot.index.cache` is there.",
		"Delete one of the two mails, or run `doveadm migration uidl` "
		"again after the cache was lost.",
		"uidl.md",
	},
	[FINDING_GMAIL_ALL_MAIL_HIDDEN] = {
		FINDING_GROUP_GMAIL, "gmail-all-mail-hidden", "warning",
		"Gmail shows no All Mail, so archived messages cannot be "
		"reached.",
		"Switch on *Show in IMAP* for All Mail in Gmail's settings, "
		"tab Labels, and run it again.",
		"gmail.md",
	},
	[FINDING_GMAIL_MESSAGE_LEFT_OUT] = {
		FINDING_GROUP_GMAIL, "gmail-message-left-out", "error",
		"A message is in none of the mailboxes that were migrated.",
		"Run it again without `-x`, `-O` or `migration_gmail_all = "
		"none` that leave it out, or with `migration_gmail_all = "
		"archived`.",
		"gmail.md",
	},
	[FINDING_GMAIL_ARCHIVE_INCOMPLETE] = {
		FINDING_GROUP_GMAIL, "gmail-archive-incomplete", "error",
		"With `migration_gmail_all = archived`, archived messages "
		"could not be brought over.",
		"Run it again.",
		"gmail.md",
	},
	[FINDING_GMAIL_LABEL_HIDDEN] = {
		FINDING_GROUP_GMAIL, "gmail-label-hidden", "warning",
		"Messages have a label that has no folder.",
		"Switch on *Show in IMAP* for the label in Gmail's settings, "
		"or keep it as a keyword with `migration_gmail_labels = both`.",
		"gmail.md",
	},
	[FINDING_GMAIL_FOLDER_LIMIT] = {
		FINDING_GROUP_GMAIL, "gmail-folder-limit", "warning",
		"A folder has exactly as many messages as one of the limits "
		"that a user can set, and All Mail has more with its label or "
		"cannot say.",
		"Lift the limit in Gmail's settings, tab Forwarding and "
		"POP/IMAP, and run it again.",
		"gmail.md",
	},
	[FINDING_GMAIL_FOLDER_COUNT] = {
		FINDING_GROUP_GMAIL, "gmail-folder-count", "info",
		"A folder has fewer messages than have its label, or All Mail "
		"fewer than a folder. No limit has this number, so labels may "
		"have changed during the run.",
		"Run it again. If it stays, look at the limit of messages in "
		"Gmail's settings.",
		"gmail.md",
	},
	[FINDING_GMAIL_POP3_SEARCH_REFUSED] = {
		FINDING_GROUP_GMAIL, "gmail-pop3-search-refused", "info",
		"The server did not say which messages POP3 does not show, so "
		"none gets `pop3_deleted_flag`.",
		"Nothing if there are no POP3 users.",
		"gmail.md",
	},
	[FINDING_GMAIL_MSGID_INVALID] = {
		FINDING_GROUP_GMAIL, "gmail-msgid-invalid", "error",
		"The server's X-GM-MSGID is no number, so there is no UIDL.",
		"Run it again; if it stays, the mail's POP3 client downloads "
		"it once more.",
		"gmail.md",
	},
	[FINDING_MAILDIR_KEYWORDS] = {
		FINDING_GROUP_GMAIL, "maildir-keywords", "warning",
		"A Maildir has room for 26 keywords, and there are more "
		"labels. The others are folders only, or in Dovecot's index "
		"only.",
		"Migrate to sdbox or mdbox, or use `migration_gmail_labels = "
		"folders`.",
		"gmail.md",
	},
	[FINDING_MAIL_NOT_IMPORTED] = {
		FINDING_GROUP_IMPORT, "mail-not-imported", "error",
		"A mail could not be read from the source or saved. The others "
		"were imported.",
		"Mend what the finding names, and run the import again: it "
		"brings only what is missing.",
		"import.md",
	},
	[FINDING_UID_CHANGED] = {
		FINDING_GROUP_IMPORT, "uid-changed", "warning",
		"Mails have other UIDs than in the source, because the mailbox "
		"had given theirs to other mails; one finding for a mailbox.",
		"Nothing: clients download these mails once more.",
		"import.md",
	},
	[FINDING_NAMES_COLLIDE] = {
		FINDING_GROUP_IMPORT, "names-collide", "warning",
		"Two mailboxes of the source would have one name, because its "
		"separator differs (`x.y` and `x_y`). One of them gets "
		"another, `x_y_` and eight digits, the same in each run.",
		"Nothing, or rename one of them at the source.",
		"import.md",
	},
	[FINDING_MBOX_CHANGED] = {
		FINDING_GROUP_IMPORT, "mbox-changed", "warning",
		"An import into an mbox was killed, and the mbox was changed "
		"since, so that what the import has left cannot be told from "
		"what others have appended.",
		"Look in the mbox, behind the byte that is named, for a mail "
		"that is cut off, and for one that begins in its last line.",
		"import.md",
	},
	[FINDING_SOURCE_EMPTY] = {
		FINDING_GROUP_IMPORT, "source-empty",
		"warning, or error if the source's folder cannot be opened",
		"No mailbox was found in the source. Stock ends with 0 and "
		"says nothing.",
		"Look at the location of the import: the path, the format, the "
		"user who may read it.",
		"import.md",
	},
	[FINDING_NAME_NOT_TEXT] = {
		FINDING_GROUP_IMPORT, "name-not-text", "warning",
		"A mailbox has a name that no client could use: bytes that are "
		"no UTF-8, control characters, or another way to write INBOX. "
		"It is imported under a name in which these are hex digits.",
		"Nothing, or rename its folder at the source and run the "
		"import again.",
		"import.md",
	},
	[FINDING_INBOX_HIDDEN] = {
		FINDING_GROUP_IMPORT, "inbox-hidden", "error",
		"The source is a Maildir with a folder `.INBOX` in it. Dovecot "
		"takes the Maildir itself for the INBOX, and has no name for "
		"the folder: its mails are not imported.",
		"Rename the folder at the source, such as to `.INBOX-old`, and "
		"run the import again. If it is the INBOX, name it in the "
		"location: `maildir:PATH:INBOX=PATH/.INBOX`, on 2.4 "
		"`mail_inbox_path`.",
		"import.md",
	},
	[FINDING_PARENT_LEFT_OUT] = {
		FINDING_GROUP_IMPORT, "parent-left-out", "info",
		"The user's own mail is imported below one of his mailboxes. "
		"What is below that one already is left out, so that it does "
		"not nest.",
		"Nothing.",
		"import.md",
	},
	[FINDING_NOT_PLANNED] = {
		FINDING_GROUP_PLAN, "not-planned", "error",
		"A mailbox could not be read, so it is not known what a run "
		"would do with it.",
		"Mend what the finding names, and plan again.",
		"plan.md",
	},
	[FINDING_NAME_INVALID] = {
		FINDING_GROUP_PLAN, "name-invalid", "warning",
		"The destination does not take a mailbox of this name, so "
		"dsync will change it.",
		"Give it another name with `migration_imapc_map`.",
		"plan.md",
	},
	[FINDING_MAIL_TOO_LARGE] = {
		FINDING_GROUP_PLAN, "mail-too-large", "warning",
		"The destination's quota plugin takes no mail of this size "
		"(`quota_max_mail_size`, 2.4: `quota_mail_size`).",
		"Raise the limit for an import. backup and sync bring the mail "
		"all the same, because dsync asks no quota.",
		"plan.md",
	},
	[FINDING_QUOTA_EXCEEDED] = {
		FINDING_GROUP_PLAN, "quota-exceeded", "warning",
		"What would come has no room in the quota. backup and sync "
		"bring it all the same, and new mail is refused then.",
		"Raise the user's quota before the switch.",
		"plan.md",
	},
	[FINDING_QUOTA_UNKNOWN] = {
		FINDING_GROUP_PLAN, "quota-unknown", "warning",
		"The quota could not be read.",
		"Look at the destination's quota with `doveadm quota get`.",
		"plan.md",
	},
	[FINDING_UID_UNSAFE] = {
		FINDING_GROUP_PLAN, "uid-unsafe", "warning",
		"UIDs mean other mails on the two sides, under one "
		"UIDVALIDITY.",
		"Do not put the recovered storage back into its place: import "
		"it into the new one.",
		"merging.md",
	},
	[FINDING_NOT_COMPARED] = {
		FINDING_GROUP_VERIFY, "not-compared", "error",
		"A mailbox could not be read, so it was not compared.",
		"Mend what the finding names, and verify again.",
		"verify.md",
	},
	[FINDING_TEXT_UNREADABLE] = {
		FINDING_GROUP_VERIFY, "text-unreadable", "error",
		"A mail's text could not be read on one side.",
		"Read the mail on that side with `doveadm fetch text`; a mail "
		"that the destination cannot read is damaged there.",
		"verify.md",
	},
	[FINDING_MAILBOX_MISSING] = {
		FINDING_GROUP_VERIFY, "mailbox-missing",
		"error, or info if it is expected",
		"Only the source has the mailbox.",
		"Run the migration again, without leaving mailboxes out.",
		"verify.md",
	},
	[FINDING_MAILBOX_EXTRA] = {
		FINDING_GROUP_VERIFY, "mailbox-extra",
		"error, or info if it is expected",
		"Only the destination has the mailbox.",
		"Made by users or by the configuration at the destination: "
		"`--allow-extra` expects it.",
		"verify.md",
	},
	[FINDING_SUBSCRIPTION] = {
		FINDING_GROUP_VERIFY, "subscription",
		"error, or info if it is expected",
		"The mailbox is subscribed to on one side only.",
		"Changed after the migration, or the source lists them below "
		"another prefix (`imapc_list_prefix`).",
		"verify.md",
	},
	[FINDING_UIDVALIDITY] = {
		FINDING_GROUP_VERIFY, "uidvalidity",
		"error, or info if it is expected",
		"The mailbox has another UIDVALIDITY, so that clients download "
		"it again.",
		"The mailbox existed before the migration, or was filled by "
		"import: only backup and sync into a new mailbox keep it.",
		"verify.md",
	},
	[FINDING_UIDNEXT] = {
		FINDING_GROUP_VERIFY, "uidnext",
		"error, or info if it is expected",
		"The next UID is another one.",
		"Run the migration again.",
		"verify.md",
	},
	[FINDING_MAIL_MISSING] = {
		FINDING_GROUP_VERIFY, "mail-missing",
		"error, or info if it is expected",
		"Only the source has the mail.",
		"New at the source, or deleted at the destination: run the "
		"migration again.",
		"verify.md",
	},
	[FINDING_MAIL_EXTRA] = {
		FINDING_GROUP_VERIFY, "mail-extra",
		"error, or info if it is expected",
		"Only the destination has the mail.",
		"New at the destination, or deleted at the source: "
		"`--allow-extra` expects it, backup would delete it.",
		"verify.md",
	},
	[FINDING_FLAGS] = {
		FINDING_GROUP_VERIFY, "flags",
		"error, or info if it is expected",
		"The flags differ.",
		"Users read mail after the last run: run it again before they "
		"move, with `sync -1R` if they have moved.",
		"verify.md",
	},
	[FINDING_KEYWORDS] = {
		FINDING_GROUP_VERIFY, "keywords",
		"error, or info if it is expected",
		"The keywords differ.",
		"Users set them after the last run, or the destination's "
		"format has no room (maildir: 26 names).",
		"verify.md",
	},
	[FINDING_DATE] = {
		FINDING_GROUP_VERIFY, "date",
		"error, or info if it is expected",
		"The date of arrival (INTERNALDATE) differs.",
		"The mails did not come by this migration: other tools and "
		"copied files lose it.",
		"verify.md",
	},
	[FINDING_SIZE] = {
		FINDING_GROUP_VERIFY, "size",
		"error, or info if it is expected",
		"The size (RFC822.SIZE) differs.",
		"See the texts; if they are the same, `doveadm force-resync` "
		"corrects the destination's index.",
		"verify.md",
	},
	[FINDING_TEXT] = {
		FINDING_GROUP_VERIFY, "text",
		"error, or info if it is expected",
		"The text differs.",
		"Something changed the mail on its way or at the destination: "
		"compare it by hand before the source is switched off.",
		"verify.md",
	},
	[FINDING_UIDL] = {
		FINDING_GROUP_VERIFY, "uidl",
		"error, or info if it is expected",
		"The POP3 UIDL differs or is missing.",
		"Enable migration_pop3; for mail that is here already run "
		"`doveadm migration uidl`.",
		"verify.md",
	},
	[FINDING_UIDL_OTHER_MAIL] = {
		FINDING_GROUP_VERIFY, "uidl-other-mail",
		"error, or info if it is expected",
		"The POP3 UIDL is on another mail than at the source.",
		"The UIDLs were given by order or size alone: run `doveadm "
		"migration uidl`.",
		"verify.md",
	},
	[FINDING_POP3_ORDER] = {
		FINDING_GROUP_VERIFY, "pop3-order",
		"error, or info if it is expected; of a run: warning",
		"The order of POP3 differs. Of a run: mails cannot stand where "
		"the old server had them, because their neighbours were "
		"migrated earlier without POP3 order.",
		"Run `doveadm migration uidl`.",
		"verify.md",
	},
};
_Static_assert(N_ELEMENTS(findings) == FINDING_KIND_COUNT,
	       "each kind of finding is explained");

const struct finding_info *finding_info(enum finding_kind kind)
{
	i_assert(kind < FINDING_KIND_COUNT);
	return &findings[kind];
}

const char *finding_name(enum finding_kind kind)
{
	return finding_info(kind)->name;
}
