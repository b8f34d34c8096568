/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_PLACEHOLDERS_H
#define MIGRATION_IMAPC_PLACEHOLDERS_H

/* Which mails of the destination are placeholders, over all runs of a user,
   and what becomes of them at the end of a run: a mail that can be read by now
   takes its placeholder's place; the stand-in of a mail that was expunged at the
   source during the run is expunged. */

struct migration_imapc_user;
struct migration_imapc_mailbox;

/* This run puts a placeholder in the mail's place. gone: the mail does not
   exist any more. */
void migration_imapc_placeholders_add(struct migration_imapc_mailbox *mmbox,
				      uint32_t uid, uint32_t uidvalidity,
				      bool gone);

/* TRUE if an earlier run has put a placeholder in the place of the mail of the
   source. */
bool migration_imapc_placeholders_have(struct migration_imapc_mailbox *mmbox,
				       uint32_t uid, uint32_t uidvalidity);
/* The mailbox's first one that waits for its mail, or 0. */
uint32_t
migration_imapc_placeholders_first_uid(struct migration_imapc_mailbox *mmbox,
				       uint32_t uidvalidity);

/* The first one that this run has made in a mailbox of the destination, or 0. */
uint32_t migration_imapc_placeholders_made(struct migration_imapc_user *source,
					   struct mailbox *box);

/* The header fields that the destination's mail of the same UID has, as dsync
   reads them; data stack. NULL if there is no such mail. */
const char *
migration_imapc_placeholders_dest_header(struct migration_imapc_mailbox *mmbox,
					 uint32_t uid, uint32_t uidvalidity,
					 const char *const *names);

/* The source's mailboxes are known, and dsync has not begun with them: deletes
   the stand-ins that a killed run has left. */
void migration_imapc_placeholders_begin(struct migration_imapc_user *muser);
/* The source's user ends. Does the rest and frees the list. */
void migration_imapc_placeholders_finish(struct migration_imapc_user *muser);

#endif
