/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_STORE_MDBOX_PRIVATE_H
#define UIDL_STORE_MDBOX_PRIVATE_H

#include "uidl-store.h"

struct mdbox_storage;
struct mdbox_map;
struct mdbox_map_atomic_context;
struct uidl_store_journal;

struct mdbox_target {
	uint32_t file_id, map_uid;
	const struct uidl_store_change *change;
};
ARRAY_DEFINE_TYPE(mdbox_target, struct mdbox_target);

struct mdbox_work {
	struct mailbox *box;
	struct mdbox_storage *storage;
	struct mdbox_map *map;
	struct uidl_store_journal *journal;
	struct uidl_store_result *result;
	/* the file that was busy last, for the error */
	uint32_t busy_file_id;
};

struct mdbox_file_use {
	/* records in the map, and those that some mailbox has */
	unsigned int records, referenced;
};

/* The storage's last error, for *error_r. */
const char *uidl_store_mdbox_error(struct mdbox_work *work);

/* With the map locked: what the map has of a file. */
void uidl_store_mdbox_get_use(struct mdbox_work *work,
			      struct mdbox_map_atomic_context *atomic,
			      uint32_t file_id, struct mdbox_file_use *use_r);
/* With the map locked: deletes a file, and with it the map's records. */
void uidl_store_mdbox_remove_file(struct mdbox_work *work,
				  struct mdbox_map_atomic_context *atomic,
				  uint32_t file_id);

/* Copies a file's mails into new ones, the targets (all of this file, by map
   UID) changed, and deletes it. Mails that no mailbox has are left out, and
   lose their detached attachments if this is asked for.
   Returns 1 if done, 0 if the file is busy (see busy_file_id) or its mails
   have just been moved elsewhere, -1 and *error_r. */
int uidl_store_mdbox_rewrite(struct mdbox_work *work, uint32_t file_id,
			     const struct mdbox_target *targets,
			     unsigned int targets_count,
			     bool delete_attachments, const char **error_r);

#endif
