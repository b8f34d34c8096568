/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_RESET_H
#define MAILBOX_RESET_H

struct mailbox;

/* maildir-inbox-delete: TRUE if the mailbox cannot be deleted, because it is
   the folder that holds the others: Maildir++'s INBOX. */
bool mailbox_reset_is_needed(struct mailbox *box);

/* Does to such a mailbox what deleting it and making it again would do: it has
   no mails, another UIDVALIDITY, and UIDNEXT is 1. Returns 0, or -1 and the
   storage's error. */
int mailbox_reset(struct mailbox *box);

#endif
