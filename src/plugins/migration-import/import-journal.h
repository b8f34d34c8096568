/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_JOURNAL_H
#define IMPORT_JOURNAL_H

struct mail;
struct mailbox;
struct import_journal;

/* sdbox and Maildir commit by moving mails' files to their place first, and
   write the index or the list of UIDs then. Who is killed between the two leaves
   files without UIDs, flags and keywords: Maildir gives them new UIDs, sdbox
   fails when it comes to their UIDs (QUIRKS.md, "sdbox-killed-commit").

   So the names of the files are written down before each commit. The next
   import takes back what was begun and not committed: it deletes the files of
   the list that the index does not have, and imports those mails anew, with
   everything that belongs to them. Files of others are never deleted. */

/* For formats that need none, all of this does nothing. */
struct import_journal *import_journal_init(struct mailbox *box);
void import_journal_deinit(struct import_journal **journal);

/* The mail was saved, with this GUID, in the transaction that is committed
   next. */
void import_journal_note(struct import_journal *journal,
			 struct mail *saved_mail, const char *guid);
/* Around the commit. A journal that cannot be written costs what it is for,
   and not the import. */
void import_journal_begin_commit(struct import_journal *journal);
void import_journal_end_commit(struct import_journal *journal);

/* Takes back what a killed import has left in the mailbox. To be called before
   the mailbox is synchronised by this process. Returns -1 if that fails; the
   storage has the error. */
int import_journal_roll_back(struct mailbox *box);

#endif
