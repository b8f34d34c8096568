/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SAVE_JOURNAL_MBOX_H
#define SAVE_JOURNAL_MBOX_H

struct mail;
struct mailbox_transaction_context;
struct save_roll_back;

/* mbox's part of the journal: where in the file the transaction's mails begin,
   and their trace (mbox-trace.h).

   Killed in the middle, it leaves mails at the end of the file whose UIDs Dovecot
   does not believe, because X-IMAPbase does not know them yet, and the last of
   them cut off (QUIRKS.md, "mbox-killed-append"). They are cut away again, unless
   somebody else has written to the mbox since or has shown it to a client. Then
   only the one that may be cut off is expunged. */

bool mailbox_is_mbox(const struct mailbox *box);

/* Locks the mbox until the transaction ends, and begins the journal: nobody but
   this transaction appends to the file. Returns -1 with the error in the
   storage. */
int save_journal_mbox_begin(struct mailbox_transaction_context *t,
			    string_t *journal);
/* Adds a mail that is going to be saved into the mailbox, with the text of another
   mail (or its own). Returns -1 if that cannot be read; the text's storage has the
   error. */
int save_journal_mbox_add(struct mailbox *box, struct mail *mail,
			  struct mail *text, string_t *journal);
/* All mails of the transaction are in the file. */
void save_journal_mbox_add_end(string_t *journal);

/* With the mailbox open and not synchronised yet. Returns 0, or -1 with the error
   in the storage. */
int save_roll_back_mbox(struct save_roll_back *roll_back);

#endif
