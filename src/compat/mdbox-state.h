/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MDBOX_STATE_H
#define MDBOX_STATE_H

#include "mdbox-storage.h"

/* TRUE if Dovecot has noticed damage and will rebuild the storage's indexes
   when a mailbox is synchronised next. */
static inline bool
migration_mdbox_is_corrupted(const struct mdbox_storage *storage)
{
#if DOVECOT_PREREQ(2, 4, 0)
	return storage->corrupted_reason != NULL;
#else
	return storage->corrupted;
#endif
}

#endif
