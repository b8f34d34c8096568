/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is left. Every message that is neither spam nor deleted is in All Mail;
   the other folders show some of them. So if All Mail was left out of a run, or
   a part of it (-x, -O), a message can be in none of the mailboxes that were
   migrated. Nobody would notice: each mailbox by itself is complete. */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "migration-run.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

struct rest_check {
	struct migration_gmail_list *mlist;
	struct migration_gmail_user *dest;
	struct migration_run *run;
	unsigned int seen, missing;
};

static struct mailbox *rest_source_open(struct migration_gmail_list *mlist)
{
	struct mailbox *box = mailbox_alloc(&mlist->list->list, mlist->all_vname,
					    MAILBOX_FLAG_READONLY);

	if (mailbox_sync(box, 0) < 0) {
		e_debug(mlist->muser->event, "mailbox %s: can't be read, so it "
			"is not known whether a message is left out: %s",
			mlist->all_vname, mailbox_get_last_error(box, NULL));
		mailbox_free(&box);
	}
	return box;
}

static void
rest_check_message(const struct migration_gmail_entry *entry, void *context)
{
	struct rest_check *check = context;

	check->seen++;
	if (migration_gmail_local_get_mail(check->dest->local, entry->msgid,
					   "") != NULL)
		return;
	check->missing++;
	/* gmail-left-out */
	migration_run_finding(check->run, MIGRATION_SEVERITY_ERROR,
		check->mlist->all_vname, entry->uid,
		FINDING_GMAIL_MESSAGE_LEFT_OUT,
		"no mailbox of the destination has this message: those that "
		"show it (%s) were left out of the run (-x, -O).",
		entry->mapping->shown_in);
}

/* The usual case: All Mail was migrated whole. */
static bool rest_dest_has_all_mail(struct rest_check *check)
{
	struct migration_gmail_list *mlist = check->mlist;
	struct mail_namespace *ns;
	struct mailbox *box;
	struct mailbox_status status;
	bool has_all;

	if (mlist->all_messages == UINT_MAX)
		return FALSE;
	ns = mail_namespace_find(check->dest->user->namespaces,
				 mlist->all_vname);
	box = mailbox_alloc(ns->list, mlist->all_vname, MAILBOX_FLAG_READONLY);
	has_all = mailbox_get_status(box, STATUS_MESSAGES, &status) == 0 &&
		status.messages >= mlist->all_messages;
	mailbox_free(&box);
	return has_all;
}

static void rest_check_messages(struct rest_check *check)
{
	struct mailbox *box;

	/* the next run goes on, and the exit code says that there must be one */
	if (check->mlist->failed || migration_run_is_cut_short(check->run)) {
		e_debug(check->mlist->muser->event, "The run did not get to its "
			"end, so it is not known yet what is left out of it");
		return;
	}
	if (rest_dest_has_all_mail(check) ||
	    (box = rest_source_open(check->mlist)) == NULL)
		return;
	if (check->mlist->muser->all == MIGRATION_GMAIL_ALL_ARCHIVED) {
		migration_gmail_archive_run(check->mlist, check->dest, box);
		if (check->mlist->failed) {
			mailbox_free(&box);
			return;
		}
	}
	(void)migration_gmail_mailbox_foreach(
		MIGRATION_GMAIL_CONTEXT_REQUIRE(box), rest_check_message, check);
	e_debug(check->mlist->muser->event, "mailbox %s: %u of %u messages are "
		"in no mailbox of the destination", check->mlist->all_vname,
		check->missing, check->seen);
	mailbox_free(&box);
}

void migration_gmail_rest_check(struct migration_gmail_list *mlist)
{
	struct mail_user *user = mlist->list->list.ns->user;
	struct rest_check check = {
		.mlist = mlist,
		.dest = migration_gmail_user_find_dest(user),
		.run = migration_run_find(user),
	};

	/* Nothing was migrated, or not from Gmail. Import brings what its query
	   finds, and does not promise more. */
	if (!user->dsyncing || check.dest == NULL || check.dest->local == NULL ||
	    !mlist->listed_whole || !mlist->read || mlist->all_vname == NULL)
		return;
	T_BEGIN {
		rest_check_messages(&check);
	} T_END;
}
