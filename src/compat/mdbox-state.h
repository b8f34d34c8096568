/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MDBOX_STATE_H
#define MDBOX_STATE_H

#include "mdbox-storage.h"
#include "mdbox-storage-rebuild.h"

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

/* Rebuilds the indexes because of damage that was noticed. Returns 0, or -1 with
   the error in the storage. */
static inline int migration_mdbox_rebuild(struct mdbox_storage *storage)
{
#if DOVECOT_PREREQ(2, 4, 0)
	return mdbox_storage_rebuild(storage, NULL,
				     MDBOX_REBUILD_REASON_CORRUPTED);
#else
	return mdbox_storage_rebuild(storage);
#endif
}

#endif
