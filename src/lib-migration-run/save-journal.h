/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SAVE_JOURNAL_H
#define SAVE_JOURNAL_H

struct mail;
struct mailbox;
struct mailbox_transaction_context;
struct mail_user;
struct save_journal;

/* sdbox and Maildir commit by moving mails' files to their place first, and
   write the index or the list of UIDs then. Who is killed between the two leaves
   files without UIDs, flags and keywords: Maildir gives them new UIDs, sdbox
   fails when it comes to their UIDs (QUIRKS.md, "sdbox-killed-commit"). mdbox
   appends mails to files, and brings those back that no mailbox has (QUIRKS.md,
   "mdbox-killed-commit").

   So what tells such mails is written down: before each commit, and for mdbox and
   mbox (save-journal-mbox.h) before each mail. The next run takes back what was
   begun and not committed, and saves those mails anew, with everything that
   belongs to them. Mails of others are never touched. `import` does so for all
   formats; in runs of `backup` and `sync`, which give each mail its UID, mdbox
   alone needs it. */

/* For formats that need none, all of this does nothing. */
struct save_journal *save_journal_init(struct mailbox *box);
void save_journal_deinit(struct save_journal **journal);

/* Nothing was saved in the transaction yet. mbox is locked until it ends.
   Returns -1 if that fails; the storage has the error. */
int save_journal_begin_transaction(struct save_journal *journal,
				   struct mailbox_transaction_context *t);
/* Before a save is begun: a mail is going to be saved with the text of another mail
   (or its own). Returns -1 if that cannot be read; the text's storage has the
   error. */
int save_journal_begin_mail(struct save_journal *journal,
			    struct mail *mail, struct mail *text);
/* It is going to be saved with this GUID. */
void save_journal_begin_save(struct save_journal *journal,
			     const char *guid);
/* The mail was saved, with this GUID, in the transaction that is committed
   next. */
void save_journal_note(struct save_journal *journal,
		       struct mail *saved_mail, const char *guid);
/* Around the commit, the second one also after a transaction that was rolled
   back. A journal that cannot be written costs what it is for, and not the
   run. */
void save_journal_begin_commit(struct save_journal *journal);
/* committed: without an error. A commit that failed in the middle, because there
   was no room any more, can leave the same with mdbox as one that was killed. */
void save_journal_end_commit(struct save_journal *journal, bool committed);

/* Takes back what a killed run has left in the mailbox; with mdbox in all
   mailboxes. To be called before a mailbox is synchronised by this process,
   whether it exists or not, with a handle that is not open. Returns -1 if that
   fails; the storage has the error. */
int save_journal_roll_back(struct mailbox *box);
/* The same for a mailbox beside one for which this was done, and which is being
   written to now. */
int save_journal_roll_back_further(struct mailbox *box);
/* The same for all of the user's mdboxes, and the damage of other killed
   processes (dbox_repair_unfinished_map()). To be called before anything looks into
   his mailboxes. */
int save_journal_roll_back_mdboxes(struct mail_user *user);

#endif
