/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SAVE_CHECK_H
#define SAVE_CHECK_H

#include "mail-storage-private.h"

/* Compares the size of each mail that a migration has saved with what its source
   sent. A mail that was cut or changed on the way is the finding
   "saved-size-differs". */

/* A part of struct run_mailbox. */
struct save_check_mailbox {
	/* FALSE: it is none of the user's own */
	bool wanted;
	/* of the mail that is being copied */
	bool copying, saved_known;
	uoff_t saved_size;
};

/* When the module is loaded. */
void save_check_init(void);
/* Puts itself before a mailbox's functions, which has a struct run_mailbox, but
   for this one, which the guard calls in place of the mailbox's own. */
void save_check_mailbox_init(struct mailbox *box,
			     struct save_check_mailbox *smbox,
			     struct mailbox_vfuncs *v);
int save_check_copy(struct mail_save_context *ctx, struct mail *mail);

#endif
