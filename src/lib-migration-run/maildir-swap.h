/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILDIR_SWAP_H
#define MAILDIR_SWAP_H

struct mail_user;
struct mailbox;

/* One Maildir file takes another one's place, under the same UID.

   quirk: maildir-two-files: Nobody can do that at once: the file comes into cur/,
   then dovecot-uidlist names it, then the old one is deleted. Until then one of
   the two is a file that the list does not have, and the first who looks takes
   it for a new mail. What is being done is written down before, in the file
   dovecot-migration-swap of the user's home. */

/* Puts the temporary mailbox's only mail in the other one's place. Returns 1, 0
   if the mail is gone, -1 and error_r (data stack). */
int maildir_swap(struct mailbox *box, uint32_t uid, struct mailbox *temp_box,
		 uint32_t temp_uid, const char **error_r);

/* If a run was killed in it: deletes the file that is one too many. To be
   called before anything looks into the user's mailboxes. */
void maildir_swap_recover(struct mail_user *user);

#endif
