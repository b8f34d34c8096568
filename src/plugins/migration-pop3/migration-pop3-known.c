/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What earlier runs have brought to the destination. It is stored there, with
   the mails: no other record can be lost or be wrong. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "seq-range-array.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "index-mail.h"
#include "imapc-storage.h"
#include "migration-run.h"
#include "uidl-store.h"
#include "migration-pop3-private.h"

/* The destination's name of a mailbox: dsync keeps the name and translates the
   separator. */
static const char *
get_dest_vname(struct mail_namespace *dest_ns, struct mailbox *source_box)
{
	struct mail_namespace *source_ns = mailbox_get_namespace(source_box);
	const char *name = source_box->vname;
	string_t *dest_name;

	if (source_box->inbox_user)
		return "INBOX";
	if (strncmp(name, source_ns->prefix, source_ns->prefix_len) == 0)
		name += source_ns->prefix_len;
	dest_name = t_str_new(64);
	str_append(dest_name, dest_ns->prefix);
	for (; *name != '\0'; name++) {
		str_append_c(dest_name,
			     *name == mail_namespace_get_sep(source_ns) ?
			     mail_namespace_get_sep(dest_ns) : *name);
	}
	return str_c(dest_name);
}

/* Open the destination's mailbox, if there is one and it has the source's
   UIDs. */
static struct mailbox *
open_dest_mailbox(struct migration_pop3_user *muser,
		  struct mailbox *source_box, uint32_t uidvalidity)
{
	struct mail_user *dest = migration_pop3_other_user(muser);
	struct mail_namespace *ns = dest == NULL ? NULL :
		mail_namespace_find_inbox(dest->namespaces);
	struct mailbox_status status;
	struct mailbox *box;

	if (ns == NULL)
		return NULL;
	box = mailbox_alloc(ns->list, get_dest_vname(ns, source_box),
			    MAILBOX_FLAG_READONLY);
	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) != 0 &&
	    mailbox_open(box) == 0 && mailbox_sync(box, 0) == 0) {
		mailbox_get_open_status(box, STATUS_UIDVALIDITY, &status);
		if (status.uidvalidity == uidvalidity)
			return box;
	}
	mailbox_free(&box);
	return NULL;
}

/* The newest of the source's mails that the destination has, if it has any. A
   run that was killed within a commit leaves such mails without what came with
   them, and stock brings them back so. */
static bool newest_has_uidl(struct mailbox *box, uint32_t last_uid)
{
	struct mailbox_transaction_context *trans;
	struct mail *mail;
	const char *uidl;
	uint32_t seq1, seq2;
	bool ret;

	if (uidl_store_why_not(box->storage) != NULL ||
	    !mail_index_lookup_seq_range(box->view, 1, last_uid, &seq1, &seq2))
		return TRUE;
	trans = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(trans, 0, NULL);
	mail_set_seq(mail, seq2);
	ret = mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) == 0 &&
		*uidl != '\0';
	mail_free(&mail);
	(void)mailbox_transaction_commit(&trans);
	return ret;
}

bool migration_pop3_dest_has_all(struct migration_pop3_user *muser,
				 struct mailbox *source_box, uint32_t last_uid)
{
	struct mailbox_status status, source_status;
	struct mailbox *box;
	bool has_all;

	mailbox_get_open_status(source_box, STATUS_UIDVALIDITY, &source_status);
	box = open_dest_mailbox(muser, source_box, source_status.uidvalidity);
	if (box == NULL)
		return FALSE;
	mailbox_get_open_status(box, STATUS_UIDNEXT, &status);
	has_all = status.uidnext > last_uid && newest_has_uidl(box, last_uid);
	mailbox_free(&box);
	return has_all;
}

static void
add_known_mail(struct migration_pop3_user *muser, struct mail *mail)
{
	const char *uidl, *order_str;
	uint32_t order;

	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0)
		return;
	if (*uidl == '\0') {
		if (mail->box->inbox_user &&
		    uidl_store_why_not(mail->box->storage) == NULL) {
			seq_range_array_add(&muser->dest_uids_without_uidl,
					    mail->uid);
		}
		return;
	}
	if (mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &order_str) < 0 ||
	    str_to_uint32(order_str, &order) < 0)
		order = 0;
	uidl_gather_add_known(muser->gather, mail->uid, uidl, order);
}

typedef void mail_callback_t(struct migration_pop3_user *muser,
			     struct mail *mail);

static void
foreach_mail(struct migration_pop3_user *muser, struct mailbox *box,
	     mail_callback_t *callback)
{
	struct mailbox_transaction_context *trans;
	struct mail_search_context *ctx;
	struct mail_search_args *args;
	struct mail *mail;

	args = mail_search_build_init();
	mail_search_build_add_all(args);
	trans = mailbox_transaction_begin(box, 0, __func__);
	ctx = mailbox_search_init(trans, args, NULL, MAIL_FETCH_UIDL_BACKEND |
				  MAIL_FETCH_POP3_ORDER, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(ctx, &mail)) T_BEGIN {
		callback(muser, mail);
	} T_END;
	(void)mailbox_search_deinit(&ctx);
	(void)mailbox_transaction_commit(&trans);
}

void migration_pop3_known_add(struct migration_pop3_user *muser,
			      struct mailbox *source_box)
{
	struct mailbox *box;

	if (muser->set->skip_uidl_cache)
		return;
	box = open_dest_mailbox(muser, source_box,
				uidl_gather_last_uidvalidity(muser->gather));
	if (box == NULL)
		return;
	foreach_mail(muser, box, add_known_mail);
	mailbox_free(&box);
}

/* Mails that are there without a UIDL, but should have one. */
static unsigned int
count_lost(struct migration_pop3_user *muser, unsigned int mailbox)
{
	const struct seq_range *range;
	unsigned int lost = 0;
	uint32_t uid;

	array_foreach(&muser->dest_uids_without_uidl, range) {
		for (uid = range->seq1; uid <= range->seq2; uid++) {
			if (uidl_gather_find(muser->gather, mailbox,
					     uid) != NULL)
				lost++;
		}
	}
	return lost;
}

static void
drop_if_has_uidl(struct migration_pop3_user *muser, struct mail *mail)
{
	const char *uidl;

	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) == 0 &&
	    *uidl != '\0') {
		(void)seq_range_array_remove(&muser->dest_uids_without_uidl,
					     mail->uid);
	}
}

/* UIDLs that stock Dovecot saved, but does not show. Returns how many are seen
   now. */
static unsigned int
show_hidden(struct migration_pop3_user *muser, struct mailbox *source_box,
	    unsigned int mailbox, unsigned int lost)
{
	struct mailbox_status status;
	struct mailbox *box;

	mailbox_get_open_status(source_box, STATUS_UIDVALIDITY, &status);
	box = open_dest_mailbox(muser, source_box, status.uidvalidity);
	if (box == NULL)
		return 0;
	if (migration_pop3_dest_show_uidls(box) &&
	    mailbox_sync(box, 0) == 0)
		foreach_mail(muser, box, drop_if_has_uidl);
	mailbox_free(&box);
	return lost - count_lost(muser, mailbox);
}

void migration_pop3_known_check(struct migration_pop3_user *muser,
				struct mailbox *inbox, unsigned int mailbox)
{
	struct migration_run *run = migration_run_find(muser->user);
	unsigned int lost = count_lost(muser, mailbox), shown;

	/* a plan must not show them */
	if (lost == 0 || run->planning)
		return;
	shown = show_hidden(muser, inbox, mailbox, lost);
	if (shown > 0) {
		migration_run_finding(run, MIGRATION_SEVERITY_INFO,
			inbox->vname, 0, FINDING_UIDL_SHOWN,
			"%u mails of earlier runs had their UIDL stored, but "
			"POP3 did not show it (sdbox-uidl-max); now it does",
			shown);
	}
	if (lost > shown) {
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING,
			inbox->vname, 0, FINDING_UIDL_NOT_STORED,
			"%u mails were migrated earlier without their UIDL, "
			"and this command cannot add it to them: "
			"doveadm migration uidl can", lost - shown);
	}
}
