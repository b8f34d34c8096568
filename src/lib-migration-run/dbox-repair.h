/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DBOX_REPAIR_H
#define DBOX_REPAIR_H

#include "seq-range-array.h"

struct mail_private;
struct mail_save_context;
struct mailbox;
struct mail_index_view;
struct mail_index_transaction;
struct mailbox_transaction_context;

/* Faults of stock's sdbox and mdbox that would cost a migration mails, flags or
   UIDLs, or end it by a panic. All of them do nothing for other formats. */

bool mailbox_is_sdbox(const struct mailbox *box);
bool mailbox_is_mdbox(const struct mailbox *box);

/* sdbox-failed-save: if the last save of a transaction failed, its commit
   deletes the files of all mails in it. To be called before the commit. */
void dbox_repair_failed_save(struct mailbox_transaction_context *t);

/* sdbox-uidl-max: raises the UID up to which POP3 looks for stored UIDLs in
   the transaction, never lowers it. view shows the header's present value. A
   missing header means that any mail may have a UIDL, and stays missing. mdbox
   has the header too: too high a value costs a look into the mails.
   Returns TRUE if there was something to raise. */
bool dbox_repair_uidl_max(struct mailbox *box, struct mail_index_view *view,
			  struct mail_index_transaction *trans, uint32_t uid);

/* sdbox-killed-commit: adds the UIDs of mail files that the opened mailbox's
   index should have and has not, because a commit was killed. The next mail
   with such a UID could not be saved. They come into the index, without their
   flags, by a sync with MAILBOX_SYNC_FLAG_FORCE_RESYNC and
   MAILBOX_SYNC_FLAG_FIX_INCONSISTENT. */
void dbox_repair_find_killed_commit(struct mailbox *box,
				    ARRAY_TYPE(seq_range) *uids);

/* mdbox-born-without-room: opens the map of the mailbox's mdbox, creating it if
   there is none. To be called before the mailbox is created or opened for
   writing: stock panics if it creates a map and the disk is full before the
   map has its UIDVALIDITY. Returns -1 if it cannot be opened; the storage's
   error is set, and nothing is left open. */
int dbox_repair_open_map(struct mailbox *box);

/* dbox-sync-without-mail: to be called before the storage's own
   transaction_save_commit_post(). If the mailbox's folder can't be synced to the
   disk after a commit, stock tells it as an error of the mail that is being
   saved, and there is none any more: it crashes. mail is the one that it gets
   instead; it must live until that function returns. */
void dbox_repair_commit_post(struct mail_save_context *ctx,
			     struct mail_private *mail);

/* mdbox-rebuilds-again: 2.3 begins each rebuild of the storage with a check of
   the map, and takes that check, when it looks at the map the next time, for a
   sign of damage: it rebuilds the storage again and again, and each time all
   mails are read. So around whatever may rebuild: how often the storage was
   rebuilt before (0 if there is no open map), and what ends it if it was rebuilt
   now. */
uint32_t dbox_repair_rebuild_count(struct mailbox *box);
void dbox_repair_end_rebuild(struct mailbox *box, uint32_t count);

/* mdbox-failed-rebuild: rebuilds the storage if its map was not finished. Stock
   does so when it comes to expunge mails, as a part of that, which has failed
   then: what the rebuild did to mailboxes stays, and what it did to the map does
   not. To be called before mailboxes are synchronised, with any mailbox of the
   storage. Returns -1 if that fails; the storage has the error. */
int dbox_repair_unfinished_map(struct mailbox *box);

#endif
