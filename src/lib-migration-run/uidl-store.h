/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_STORE_H
#define UIDL_STORE_H

struct mailbox;
struct mail_storage;

/* Puts POP3 UIDLs and order numbers onto mails that are stored already.
   Dovecot itself can do this only while a mail is saved.

   maildir  both are in the mailbox's dovecot-uidlist, which is replaced by a
            new one under its lock
   sdbox    both are in the mail's file, which is replaced by a copy while the
            index is locked
   mdbox    both are in an m.* file with many mails, which is replaced by a
            copy under its lock, as `doveadm purge` does (and purged by it)
   others   have no place for them

   The mails' texts are copied as they are on disk (compressed, encrypted, with
   detached attachments); UID, GUID, flags, dates and sizes stay, and so does
   the identity of copies in other mailboxes.

   Each replacement happens in one step or not at all. For dbox formats POP3
   sees the new UIDLs only after the last step, which opens the index's gates
   and corrects the cache. Killed at any time, the mails are all there, and
   running again finishes the work: what is stored and what is shown are always
   compared separately. */

struct uidl_store_mail {
	uint32_t uid;
	/* What is written with the mail; NULL and 0 if nothing is. */
	const char *stored_uidl;
	uint32_t stored_order;
	/* What the POP3 server is told. */
	const char *served_uidl;
	uint32_t served_order;
	/* The same for mails that are one stored mail, of any mailbox of the
	   storage: they have one place for what is written. 0 if each mail has
	   its own. */
	uint32_t stored_id;
};
ARRAY_DEFINE_TYPE(uidl_store_mail, struct uidl_store_mail);

struct uidl_store_change {
	uint32_t uid;
	/* NULL and 0: remove it */
	const char *uidl;
	uint32_t order;
	/* FALSE: it is stored already and must only be shown */
	bool write;
};
ARRAY_DEFINE_TYPE(uidl_store_change, struct uidl_store_change);

struct uidl_store_result {
	/* mails written anew and mails only shown */
	unsigned int written, shown;
	/* mails that were expunged meanwhile */
	unsigned int vanished;
};

/* Returns NULL, or why mailboxes of this format cannot hold UIDLs: one sentence
   that says what to do (data stack). */
const char *uidl_store_why_not(const struct mail_storage *storage);

/* Reads what the opened and synchronised mailbox has, in UID order, into the
   array, whose strings come from the pool. Writes nothing.
   Returns 0, or -1 and *error_r. */
int uidl_store_read(struct mailbox *box, pool_t pool,
		    ARRAY_TYPE(uidl_store_mail) *mails,
		    const char **error_r);

/* Carries out the changes, which are in UID order, and proves them by reading
   what POP3 is told afterwards. The mailbox is synchronised again. What an
   earlier run left behind when it was killed is put right first, also if there
   are no changes.
   Returns 0, or -1 and *error_r, which says what to do; what was done until
   then is in *result_r and stays. */
int uidl_store_write(struct mailbox *box,
		     const struct uidl_store_change *changes,
		     unsigned int count, struct uidl_store_result *result_r,
		     const char **error_r);

#endif
