/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-search-build.h"
#include "mailbox-list-private.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"
#include "mailbox-reset.h"

bool mailbox_reset_is_needed(struct mailbox *box)
{
	const char *path, *root;

	if (strcmp(box->storage->name, MAILDIR_STORAGE_NAME) != 0 ||
	    mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_MAILBOX,
				&path) <= 0 ||
	    !mailbox_list_get_root_path(box->list, MAILBOX_LIST_PATH_TYPE_DIR,
					&root))
		return FALSE;
	return strcmp(path, root) == 0;
}

static int expunge_all(struct mailbox *box)
{
	struct mailbox_transaction_context *t;
	struct mail_search_args *args;
	struct mail_search_context *search;
	struct mail *mail;
	int ret = 0;

	t = mailbox_transaction_begin(box, 0, __func__);
	args = mail_search_build_init();
	mail_search_build_add_all(args);
	search = mailbox_search_init(t, args, NULL, 0, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(search, &mail))
		mail_expunge(mail);
	if (mailbox_search_deinit(&search) < 0)
		ret = -1;
	if (mailbox_transaction_commit(&t) < 0)
		ret = -1;
	return ret < 0 ? -1 : mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ);
}

static int renumber(struct mailbox *box)
{
	struct maildir_mailbox *mbox = MAILDIR_MAILBOX(box);
	struct maildir_uidlist *uidlist = mbox->uidlist;
	int ret;

	if (maildir_uidlist_lock(uidlist) <= 0)
		return -1;
	/* the index follows: it is reset when the UIDVALIDITY changes */
	maildir_uidlist_set_uid_validity(uidlist,
		maildir_get_uidvalidity_next(box->list));
	maildir_uidlist_set_next_uid(uidlist, 1, TRUE);
	ret = maildir_uidlist_update(uidlist);
	maildir_uidlist_unlock(uidlist);
	return ret;
}

int mailbox_reset(struct mailbox *box)
{
	if (mailbox_open(box) < 0 || expunge_all(box) < 0 || renumber(box) < 0)
		return -1;
	return mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ);
}
