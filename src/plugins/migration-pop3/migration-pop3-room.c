/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the destination's format has no room for is said before anything is
   written, and as a finding with the numbers: some formats (mbox) have no place
   for UIDLs and order at all, Maildir none for UIDLs with blanks. */

#include "lib.h"
#include "str-sanitize.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "imapc-storage.h"
#include "uidl-format.h"
#include "uidl-store.h"
#include "migration-run.h"
#include "migration-pop3-private.h"

static struct mail_storage *inbox_storage(struct mail_user *user)
{
	struct mail_namespace *ns = user == NULL ? NULL :
		mail_namespace_find_inbox(user->namespaces);

	return ns == NULL ? NULL : mail_namespace_get_default_storage(ns);
}

void migration_pop3_room_warn(struct migration_pop3_user *muser)
{
	struct mail_storage *storage = inbox_storage(muser->user);
	const char *why_not;

	if (storage == NULL ||
	    strcmp(storage->name, IMAPC_STORAGE_NAME) == 0 ||
	    (why_not = uidl_store_why_not(storage)) == NULL)
		return;
	e_warning(muser->event, "UIDLs and POP3 order will be lost, and POP3 "
		  "clients that leave mail on the server will download it all "
		  "again: %s", why_not);
}

/* maildir-uidl-blank: Maildir keeps them in a file whose words are separated by blanks. */
static bool fits_in_maildir(const char *uidl)
{
	for (; *uidl != '\0'; uidl++) {
		if ((unsigned char)*uidl <= ' ')
			return FALSE;
	}
	return TRUE;
}

bool migration_pop3_room_fits(struct migration_pop3_user *muser,
			      const char *uidl)
{
	const struct mail_storage *storage =
		inbox_storage(migration_pop3_other_user(muser));

	return storage == NULL || strcmp(storage->name, "maildir") != 0 ||
		fits_in_maildir(uidl);
}

/* Nothing is lost if Dovecot makes the same UIDLs and lists in the same order
   by itself. */
static void
report_no_room(struct migration_pop3_user *muser, struct mailbox *inbox,
	       const char *why_not)
{
	struct migration_run *run = migration_run_find(muser->user);
	const struct uidl_gather_mail *mail;
	struct uidl_match_result result;
	unsigned int i, mailbox, matched = 0, ordered = 0;
	const char *uidl;
	uint32_t uid;

	uidl_gather_get_result(muser->gather, &result);
	for (i = 0; i < result.pop3_count; i++) {
		if (!uidl_gather_pop3_mail(muser->gather, i, &uidl, &mailbox,
					   &uid))
			continue;
		matched++;
		mail = uidl_gather_find(muser->gather, mailbox, uid);
		if (mail != NULL && mail->order != 0)
			ordered++;
	}
	if (matched == 0)
		return;
	if (result.format != NULL && result.format->dovecot_23 != NULL &&
	    result.pairs[UIDL_MATCH_FORMAT] == matched && ordered == 0) {
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING,
			inbox->vname, 0, FINDING_UIDL_NO_ROOM,
			"%s has no place for the UIDLs of %u mails, so they "
			"stay only with the pop3_uidl_format that uidl-format "
			"names", inbox_storage(
				migration_pop3_other_user(muser))->name,
			matched);
		return;
	}
	migration_run_finding(run, MIGRATION_SEVERITY_ERROR, inbox->vname, 0,
		FINDING_UIDL_NO_ROOM,
		"The UIDLs of %u mails%s are lost: %s", matched,
		ordered == 0 ? "" : " and their POP3 order", why_not);
}

static void
report_refused(struct migration_pop3_user *muser, struct mailbox *inbox)
{
	struct migration_run *run = migration_run_find(muser->user);
	unsigned int i, mailbox, count = uidl_gather_pop3_count(muser->gather);
	const char *uidl;
	uint32_t uid;

	for (i = 0; i < count; i++) T_BEGIN {
		if (uidl_gather_pop3_mail(muser->gather, i, &uidl, &mailbox,
					  &uid) && !fits_in_maildir(uidl)) {
			migration_run_finding(run, MIGRATION_SEVERITY_ERROR,
				inbox->vname, uid, FINDING_UIDL_REFUSED,
				"The UIDL \"%s\" has blanks, for which maildir "
				"has no place: the mail is migrated without "
				"it. sdbox and mdbox can store it",
				str_sanitize(uidl, 80));
		}
	} T_END;
}

void migration_pop3_room_report(struct migration_pop3_user *muser,
				struct mailbox *inbox)
{
	const struct mail_storage *storage =
		inbox_storage(migration_pop3_other_user(muser));
	const char *why_not;

	if (storage == NULL || strcmp(storage->name, IMAPC_STORAGE_NAME) == 0)
		return;
	why_not = uidl_store_why_not(storage);
	if (why_not != NULL)
		report_no_room(muser, inbox, why_not);
	else if (strcmp(storage->name, "maildir") == 0)
		report_refused(muser, inbox);
}
