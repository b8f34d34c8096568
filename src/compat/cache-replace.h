/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CACHE_REPLACE_H
#define CACHE_REPLACE_H

struct mailbox_transaction_context;

/* Puts a field's value into the mailbox's cache, also where it has another
   value. Later lookups find the new one. (mail_cache_add() of 2.4 leaves a
   field alone that is already there.) Does nothing if the administrator has
   forbidden to cache the field. */
void migration_cache_replace(struct mailbox_transaction_context *t,
			     uint32_t seq, unsigned int field_idx,
			     const void *data, size_t size);

/* Forgets all that is cached of a mail, and what sums over sizes say of its
   mailbox: its text is another one now. */
void migration_cache_forget(struct mailbox_transaction_context *t,
			    uint32_t seq);

#endif
