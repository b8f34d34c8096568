/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_CREATE_H
#define IMPORT_CREATE_H

struct mailbox;
struct mailbox_update;

/* What the storage does to create a mailbox. */
typedef int import_create_callback_t(struct mailbox *box,
				     const struct mailbox_update *update,
				     bool directory);

/* Makes a mailbox ready to be imported into: what a killed run has left in it is
   taken back, and it is created with the source's UIDVALIDITY, or gets that if it
   has never had a mail. source_box is open. Returns 0 if the mailbox was created,
   otherwise -1 with the error in box: MAIL_ERROR_EXISTS if it was there and can
   be used, as stock's import expects it. */
int import_create_box(struct mailbox *box, struct mailbox *source_box,
		      import_create_callback_t *create);

#endif
