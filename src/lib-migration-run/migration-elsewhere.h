/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_ELSEWHERE_H
#define MIGRATION_ELSEWHERE_H

#include "seq-range-array.h"

struct mailbox;

/* Where a server shows one message in several mailboxes, a mail that goes from
   one of them need not be lost: it is in another mailbox as well. A plugin
   knows which. */

/* Returns how many of these mails of a mailbox of the destination are in another
   one, too; uids is NULL for all mails of the mailbox. It is called before they
   are deleted, so the plugin may bring them to another mailbox first. */
typedef unsigned int
migration_elsewhere_func(struct mailbox *box,
			 const ARRAY_TYPE(seq_range) *uids);

/* There is one such plugin at most. */
void migration_elsewhere_register(migration_elsewhere_func *func);
void migration_elsewhere_unregister(void);

/* As migration_elsewhere_func, of the plugin; 0 without one. */
unsigned int migration_elsewhere_count(struct mailbox *box,
				       const ARRAY_TYPE(seq_range) *uids);

#endif
