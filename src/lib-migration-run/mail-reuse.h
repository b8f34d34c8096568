/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAIL_REUSE_H
#define MAIL_REUSE_H

#include "mailbox-reuse.h"

struct mail;
struct mail_user;
struct mailbox;
struct mailbox_list;

/* Mails of a mailbox that dsync is about to delete and to make again, kept
   meanwhile in mailboxes beside it: copies that share the text (hard links, or
   references in mdbox). In these mailboxes the mails have the UIDs, and the
   mailboxes the UIDVALIDITY, that they have at the source. So they are what the
   source would send, and whoever reads the source's mail takes its text from
   there.

   A run that is killed leaves them, and the next one uses them. They are deleted
   by the run that has come to its end. */

/* Somebody reads kept mails: without that there is no use in keeping any. */
void mail_reuse_set_served(bool served);
bool mail_reuse_is_served(void);

/* TRUE if this is the name of such a mailbox, which no run may take for one of
   the user's. */
bool mail_reuse_hides(struct mailbox_list *list, const char *vname);
/* ... or such a mailbox. */
bool mail_reuse_is_kept(struct mailbox *box);

/* Keeps mails of the user's mailbox under the UIDs that they have there; pairs are
   by ascending there_uid. name is the mailbox's name with nothing in it escaped.
   Of those that a killed run has kept already nothing is done. Returns 0, or -1
   and error_r (data stack): then less is kept than could be. */
int mail_reuse_keep(struct mail_user *user, const char *name,
		    uint32_t uid_validity, const ARRAY_TYPE(reuse_pair) *pairs,
		    const char **error_r);

/* Deletes all that was kept. */
void mail_reuse_clean_up(struct mail_user *user);

/* What is kept of the user's mail, or NULL if nothing is. */
struct mail_reuse *mail_reuse_init(struct mail_user *user);
void mail_reuse_deinit(struct mail_reuse **reuse);

/* What is kept of one of the source's mailboxes, or NULL. */
const struct mail_reuse_mailbox *
mail_reuse_find(struct mail_reuse *reuse, const char *name,
		uint32_t uid_validity);
bool mail_reuse_has(const struct mail_reuse_mailbox *mailbox, uint32_t uid);
/* Valid until the next call. NULL if it is not there any more. */
struct mail *
mail_reuse_get(const struct mail_reuse_mailbox *mailbox, uint32_t uid);

#endif
