/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_JOURNAL_H
#define IMPORT_JOURNAL_H

struct mail;
struct mailbox;
struct mailbox_transaction_context;
struct import_journal;

/* sdbox and Maildir commit by moving mails' files to their place first, and
   write the index or the list of UIDs then. Who is killed between the two leaves
   files without UIDs, flags and keywords: Maildir gives them new UIDs, sdbox
   fails when it comes to their UIDs (QUIRKS.md, "sdbox-killed-commit"). mdbox
   appends mails to files, and brings those back that no mailbox has (QUIRKS.md,
   "mdbox-killed-commit").

   So what tells such mails is written down: before each commit, and for mdbox and
   mbox (import-journal-mbox.h) before each mail. The next import takes back what was begun and not committed,
   and imports those mails anew, with everything that belongs to them. Mails of
   others are never touched. */

/* For formats that need none, all of this does nothing. */
struct import_journal *import_journal_init(struct mailbox *box);
void import_journal_deinit(struct import_journal **journal);

/* Nothing was saved in the transaction yet. mbox is locked until it ends.
   Returns -1 if that fails; the storage has the error. */
int import_journal_begin_transaction(struct import_journal *journal,
				     struct mailbox_transaction_context *t);
/* Before a save is begun: a mail is going to be saved with the text of another mail
   (or its own). Returns -1 if that cannot be read; the text's storage has the
   error. */
int import_journal_begin_mail(struct import_journal *journal,
			      struct mail *mail, struct mail *text);
/* It is going to be saved with this GUID. */
void import_journal_begin_save(struct import_journal *journal,
			       const char *guid);
/* The mail was saved, with this GUID, in the transaction that is committed
   next. */
void import_journal_note(struct import_journal *journal,
			 struct mail *saved_mail, const char *guid);
/* Around the commit, the second one also after a transaction that was rolled
   back. A journal that cannot be written costs what it is for, and not the
   import. */
void import_journal_begin_commit(struct import_journal *journal);
void import_journal_end_commit(struct import_journal *journal);

/* Takes back what a killed import has left in the mailbox; with mdbox in all
   mailboxes. To be called before a mailbox is synchronised by this process,
   whether it exists or not, with a handle that is not open. Returns -1 if that
   fails; the storage has the error. */
int import_journal_roll_back(struct mailbox *box);
/* The same for a mailbox beside one for which this was done, and which is being
   written to now. */
int import_journal_roll_back_further(struct mailbox *box);

#endif
