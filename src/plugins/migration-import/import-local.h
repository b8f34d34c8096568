/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_LOCAL_H
#define IMPORT_LOCAL_H

#include "import-decide.h"

struct mail;
struct mailbox;
struct mail_user;
struct import_local;

/* migration_import_scope = all: the mails in all mailboxes of the destination,
   so that a mail that one mailbox has already need not be fetched from the
   source for another one. A mailbox is read when the first mail is looked for;
   one mail of it takes as much memory as import-index.h says. */

struct import_local *import_local_init(struct mail_user *user);
void import_local_deinit(struct import_local **local);

/* The mailbox gets, or has got, new mails: it is read again before the next
   mail is looked for. Closes all mailboxes. */
void import_local_forget(struct import_local *local, const struct mailbox *box);

/* Finds a mail with the same text as the source's mail in any mailbox but
   `except`. GUIDs are looked at first; without a mail of the same GUID, texts
   are compared as import-decide.h says. identity is what is known of the mail,
   and gets what was found out.
   Returns NULL if there is none. The mail is valid until the next call of any
   function here. *reason_r is always set. */
struct mail *
import_local_find(struct import_local *local, const struct mailbox *except,
		  struct mail *mail, struct import_identity *identity,
		  const char **reason_r);

#endif
