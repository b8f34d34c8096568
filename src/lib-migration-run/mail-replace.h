/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAIL_REPLACE_H
#define MAIL_REPLACE_H

struct mailbox;
struct istream;

/* Gives a stored mail another text. What else it has stays: UID, GUID, flags,
   keywords, POP3 UIDL and order. For mails that no client has seen yet: IMAP
   clients may keep what they have read under a UID for ever.

   The text is saved as a mail of a temporary mailbox beside it, and takes the
   other one's place in one step:

   sdbox    its file is renamed over the other one, while the index is locked
   mdbox    the index is pointed at it
   maildir  its file goes into the same folder, and dovecot-uidlist gets its
            name, while it is locked

   Killed before that step the mail is as it was, killed after it as it shall
   be; the temporary mailbox that may be left is deleted by the next call.

   The mailbox is opened and synchronised. Returns 1, 0 if the mail is gone, or
   -1 and *error_r (data stack). */
int mail_replace(struct mailbox *box, uint32_t uid, struct istream *text,
		 time_t received_date, const char **error_r);

/* Deletes the temporary mailbox that a killed process may have left beside this
   one. */
void mail_replace_clean_up(struct mailbox *box);
/* It is such a mailbox. */
bool mail_replace_is_temporary(struct mailbox *box);

/* NULL, or why mails of this mailbox's format can't be replaced. */
const char *mail_replace_why_not(struct mailbox *box);

/* Saves the text as a new mail of the mailbox, with these flags and dates.
   Returns 0, or -1 and *error_r. */
int mail_replace_append(struct mailbox *box, struct istream *text,
			enum mail_flags flags, time_t received_date,
			const char **error_r);

#endif
