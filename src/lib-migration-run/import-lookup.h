/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_LOOKUP_H
#define IMPORT_LOOKUP_H

#include "import-index.h"

struct mail;
struct mailbox;
struct import_lookup;

/* Answers for one mailbox whether it has a mail of another one: the index of
   import-index.h with the storage that it asks. Nothing is written. */

/* Reads the GUIDs of the mailbox. It belongs to the caller, must live as long,
   and is opened when it is needed. With reusable a
   mail is the partner of any number of mails. With uids only those mails of the
   mailbox count.
   Returns NULL if the mailbox cannot be read; its storage has the error. */
struct import_lookup *
import_lookup_init(struct mailbox *box, bool reusable,
		   const ARRAY_TYPE(seq_range) *uids);
void import_lookup_deinit(struct import_lookup **lookup);

/* Finds the mail's partner. identity is what is known of the mail, empty at
   first; what had to be found out is added. With only_guid nothing is read but
   its GUID.
   Returns 1 and *uid_r, 0 if there is none, -1 if the mailbox cannot be read.
   *reason_r is set if the result is not -1. */
int import_lookup_find(struct import_lookup *lookup, struct mail *mail,
		       bool only_guid, struct import_identity *identity,
		       uint32_t *uid_r, const char **reason_r);

/* Finds the partner of a mail that has the number of one that was here when the
   lookup began: same UID, in mailboxes of the same UIDVALIDITY. Reads no text.
   TRUE if that one is its partner. */
bool import_lookup_find_numbered(struct import_lookup *lookup,
				 struct mail *mail);

/* The mailbox's mail, in a transaction in which flags can be changed, or NULL
   if it is gone. Valid until the next call of any function here. */
struct mail *import_lookup_get_mail(struct import_lookup *lookup, uint32_t uid);

/* Between import_lookup_end_reading() and the next call that reads, the mailbox
   may be closed, and even freed, if it is given anew before that call. */
void import_lookup_set_box(struct import_lookup *lookup, struct mailbox *box);

/* Commits the transaction and gives back its locks. It is begun anew when it
   is needed. */
int import_lookup_end_reading(struct import_lookup *lookup);

/* UIDs of the mails that nobody's partner was found in, in ascending order. */
void import_lookup_get_unpaired(struct import_lookup *lookup,
				ARRAY_TYPE(seq_range) *uids);

#endif
