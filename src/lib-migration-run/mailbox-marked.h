/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_MARKED_H
#define MAILBOX_MARKED_H

struct mailbox;

/* quirk: killed-delete. Dovecot expunges a mailbox's mails, marks it as deleted in
   its index and removes its folder. Killed before the last of these, the mailbox
   is there and can't be opened. */

/* Deletes the mailbox with what is in it, also one that is marked. Returns 0, or
   -1 and the storage's error. */
int mailbox_delete_marked(struct mailbox *box);

/* Ends the deletion of a marked mailbox that has no mails. If there are some,
   which came after the mark, the mark is taken away and they stay. Other mailboxes
   are left alone. For a mailbox about to be created: the lock on the list of
   mailboxes that mailbox_create() holds, and each deletion does, proves that
   nobody is deleting it now. The given one is not used but for its name. */
void mailbox_finish_deletion(struct mailbox *box);

/* The same for a mailbox that could not be opened because it is marked, and was
   closed again: takes that lock. Returns TRUE if there is such a mailbox now that
   is not marked. */
bool mailbox_finish_deletion_found(struct mailbox *box);

#endif
