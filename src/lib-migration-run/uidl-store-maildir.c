/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"
#include "uidl-store-private.h"

static int
uidl_store_maildir_read(struct mail *mail, pool_t pool,
			struct uidl_store_mail *mail_r,
			const char **error_r ATTR_UNUSED)
{
	struct maildir_mailbox *mbox = MAILDIR_MAILBOX(mail->box);
	const char *uidl, *order;

	uidl = maildir_uidlist_lookup_ext(mbox->uidlist, mail->uid,
					  MAILDIR_UIDLIST_REC_EXT_POP3_UIDL);
	if (uidl != NULL && *uidl == '\0') {
		/* Dovecot's short form of "the file's name" */
		if (mail_get_special(mail, MAIL_FETCH_STORAGE_ID, &uidl) < 0)
			return 0;
	}
	order = maildir_uidlist_lookup_ext(mbox->uidlist, mail->uid,
					   MAILDIR_UIDLIST_REC_EXT_POP3_ORDER);
	mail_r->stored_uidl = p_strdup(pool, uidl);
	mail_r->stored_order = uidl_store_parse_order(order);
	return 1;
}

static void
maildir_change(struct maildir_uidlist *uidlist,
	       const struct uidl_store_change *change)
{
	if (change->uidl != NULL) {
		maildir_uidlist_set_ext(uidlist, change->uid,
					MAILDIR_UIDLIST_REC_EXT_POP3_UIDL,
					change->uidl);
	} else {
		maildir_uidlist_unset_ext(uidlist, change->uid,
					  MAILDIR_UIDLIST_REC_EXT_POP3_UIDL);
	}
	if (change->order != 0) {
		maildir_uidlist_set_ext(uidlist, change->uid,
					MAILDIR_UIDLIST_REC_EXT_POP3_ORDER,
					t_strdup_printf("%u", change->order));
	} else {
		maildir_uidlist_unset_ext(uidlist, change->uid,
					  MAILDIR_UIDLIST_REC_EXT_POP3_ORDER);
	}
}

/* All changes of the mailbox in one new dovecot-uidlist. The lock is taken
   first: a list that was changed by somebody else is read again while it is
   taken, and that would undo what was set before. */
static int
uidl_store_maildir_write(struct mailbox *box,
			 const struct uidl_store_change *changes,
			 unsigned int count, struct uidl_store_result *result,
			 const char **error_r)
{
	struct maildir_mailbox *mbox = MAILDIR_MAILBOX(box);
	struct maildir_uidlist *uidlist = mbox->uidlist;
	enum maildir_uidlist_rec_flag flags;
	const char *fname;
	unsigned int i, written = 0;
	int ret = 0;

	if (maildir_uidlist_lock(uidlist) <= 0) {
		*error_r = t_strdup_printf("dovecot-uidlist can't be locked: %s",
			mailbox_get_last_internal_error(box, NULL));
		return -1;
	}
	for (i = 0; i < count; i++) {
		if (!changes[i].write)
			continue;
		if (maildir_uidlist_lookup(uidlist, changes[i].uid,
					   &flags, &fname) <= 0) {
			result->vanished++;
			continue;
		}
		T_BEGIN {
			maildir_change(uidlist, &changes[i]);
		} T_END;
		written++;
	}
	if (written > 0)
		ret = maildir_uidlist_update(uidlist);
	maildir_uidlist_unlock(uidlist);
	if (ret < 0) {
		*error_r = t_strdup_printf("dovecot-uidlist can't be written: "
			"%s", mailbox_get_last_internal_error(box, NULL));
		return -1;
	}
	result->written += written;
	return 0;
}

const struct uidl_store_vfuncs uidl_store_maildir = {
	.name = MAILDIR_STORAGE_NAME,
	.read = uidl_store_maildir_read,
	.write = uidl_store_maildir_write,
};
