/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A message that lost a label goes from one mailbox of the destination and is
   still in others. With migration_gmail_all = archived a message that is about
   to go from its last mailbox is brought to All Mail first: the end of the run
   takes it out if the source does not have it there, and otherwise nothing has
   to be downloaded again. */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "migration-elsewhere.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

struct elsewhere {
	struct migration_gmail_user *muser;
	struct mailbox *box;
	/* the destination's All Mail, opened when it is needed */
	struct mailbox *all;
	struct mailbox_transaction_context *trans;
	pool_t pool;
	ARRAY_TYPE(const_string) brought;
	unsigned int count;
};

static bool elsewhere_open_all(struct elsewhere *elsewhere)
{
	struct migration_gmail_list *source = migration_gmail_source_list;
	struct mail_namespace *ns;

	if (elsewhere->trans != NULL)
		return TRUE;
	if (elsewhere->muser->all != MIGRATION_GMAIL_ALL_ARCHIVED ||
	    source->all_vname == NULL ||
	    strcmp(elsewhere->box->vname, source->all_vname) == 0)
		return FALSE;
	ns = mail_namespace_find(elsewhere->muser->user->namespaces,
				 source->all_vname);
	elsewhere->all = mailbox_alloc(ns->list, source->all_vname, 0);
	if (mailbox_open(elsewhere->all) < 0) {
		mailbox_free(&elsewhere->all);
		return FALSE;
	}
	elsewhere->trans = mailbox_transaction_begin(elsewhere->all,
			MAILBOX_TRANSACTION_FLAG_EXTERNAL, "Gmail archived mail");
	return TRUE;
}

static void elsewhere_bring(struct elsewhere *elsewhere, struct mail *mail,
			    const char *guid)
{
	struct mail_save_context *save_ctx;
	int ret;

	if (!elsewhere_open_all(elsewhere))
		return;
	/* All Mail is kept from dsync, not from us */
	migration_gmail_source_list->archiving = TRUE;
	save_ctx = mailbox_save_alloc(elsewhere->trans);
	mailbox_save_copy_flags(save_ctx, mail);
	if (migration_gmail_storage_is_dbox(elsewhere->all->storage))
		save_ctx->data.guid = NULL;
	ret = mailbox_copy(&save_ctx, mail);
	migration_gmail_source_list->archiving = FALSE;
	if (ret < 0)
		return;
	guid = p_strdup(elsewhere->pool, guid);
	array_push_back(&elsewhere->brought, &guid);
}

static void elsewhere_check_mail(struct elsewhere *elsewhere, uint32_t uid)
{
	struct migration_gmail_local *local = elsewhere->muser->local;
	struct mail *mail;
	const char *guid;

	mail = migration_gmail_local_open_mail(local, elsewhere->box, uid);
	if (mail == NULL ||
	    mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0 || *guid == '\0')
		return;
	guid = t_strdup(guid);
	if (migration_gmail_local_get_mail(local, guid,
					   elsewhere->box->vname) != NULL)
		elsewhere->count++;
	else {
		mail = migration_gmail_local_open_mail(local, elsewhere->box,
						       uid);
		if (mail != NULL)
			elsewhere_bring(elsewhere, mail, guid);
	}
}

static void elsewhere_commit(struct elsewhere *elsewhere)
{
	struct mail_transaction_commit_changes changes;
	struct seq_range_iter iter;
	const char *guid;
	unsigned int n = 0;
	uint32_t uid;

	if (elsewhere->trans == NULL)
		return;
	if (mailbox_transaction_commit_get_changes(&elsewhere->trans,
						   &changes) == 0) {
		seq_range_array_iter_init(&iter, &changes.saved_uids);
		array_foreach_elem(&elsewhere->brought, guid) {
			if (!seq_range_array_iter_nth(&iter, n++, &uid))
				break;
			migration_gmail_local_learn(elsewhere->muser->local,
						    elsewhere->all, uid, guid);
			elsewhere->count++;
		}
		pool_unref(&changes.pool);
	}
	mailbox_free(&elsewhere->all);
}

static void
elsewhere_check_mails(struct elsewhere *elsewhere,
		      const ARRAY_TYPE(seq_range) *uids)
{
	struct seq_range_iter iter;
	unsigned int n = 0;
	uint32_t uid;

	seq_range_array_iter_init(&iter, uids);
	while (seq_range_array_iter_nth(&iter, n++, &uid)) T_BEGIN {
		elsewhere_check_mail(elsewhere, uid);
	} T_END;
}

unsigned int
migration_gmail_elsewhere_count(struct mailbox *box,
				const ARRAY_TYPE(seq_range) *uids)
{
	struct migration_gmail_list *source = migration_gmail_source_list;
	struct elsewhere elsewhere = {
		.muser = MIGRATION_GMAIL_USER_CONTEXT(box->storage->user),
		.box = box,
	};
	ARRAY_TYPE(seq_range) all_uids;

	/* only for Gmail's mail: the messages of other servers have no id */
	if (elsewhere.muser == NULL || elsewhere.muser->local == NULL ||
	    source == NULL || !migration_gmail_list_load(source))
		return 0;
	elsewhere.pool = pool_alloconly_create("gmail elsewhere", 1024);
	p_array_init(&elsewhere.brought, elsewhere.pool, 16);
	if (uids == NULL) {
		p_array_init(&all_uids, elsewhere.pool, 16);
		migration_gmail_local_get_uids(elsewhere.muser->local, box,
					       &all_uids);
		uids = &all_uids;
	}
	elsewhere_check_mails(&elsewhere, uids);
	elsewhere_commit(&elsewhere);
	migration_gmail_local_close(elsewhere.muser->local);
	e_debug(elsewhere.muser->event, "mailbox %s: %u of %u mails that are to "
		"be deleted are in other mailboxes as well, %u of them brought to "
		"All Mail", box->vname, elsewhere.count, seq_range_count(uids),
		array_count(&elsewhere.brought));
	pool_unref(&elsewhere.pool);
	return elsewhere.count;
}
