/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PLAN_POP3_H
#define PLAN_POP3_H

#include "verify-storage.h"

struct plan_context;

/* Which mails of the source's POP3 server have no IMAP mail. migration_pop3 is
   made to match them as in the run that is planned, with everything that it says
   then; nothing is written. */

/* A mailbox of the source was planned, and so many of its mails are to be
   copied. Matches, if the run does it for this mailbox and it was not done
   before. Returns 1, 0 if the run leaves the mailbox out because mails have no
   partner, or -1 and error_r (data stack) if the POP3 server or the source cannot
   be read. */
int plan_pop3_mailbox(struct plan_context *pctx,
		      const struct verify_name *source, unsigned int mails,
		      unsigned int copied, struct verify_error *error_r);

/* Columns of a mailbox's row. The numbers are in the INBOX's row, and 0 in
   others. */
void plan_pop3_print_headers(void);
void plan_pop3_print(const struct plan_context *pctx, const char *mailbox);

/* Tells the numbers, if there are any. */
void plan_pop3_finish(struct plan_context *pctx);
/* Appends the member "pop3". */
void plan_pop3_append_json(const struct plan_context *pctx, string_t *dest);

#endif
