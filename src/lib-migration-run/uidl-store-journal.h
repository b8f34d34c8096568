/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_STORE_JOURNAL_H
#define UIDL_STORE_JOURNAL_H

struct uidl_store_journal;

/* What is being replaced in an mdbox storage, so that a run that was killed
   between two steps can be put right by the next one: the file that is copied,
   and the files that its copies get. A line is written (to the disk) before
   anything can be seen of the change, and deleted after its last step. One run
   has the journal at a time. */

struct uidl_store_journal_entry {
	uint32_t old_file_id;
	uint32_t first_new_file_id;
	uint32_t new_files_count;
};
ARRAY_DEFINE_TYPE(uidl_store_journal_entry, struct uidl_store_journal_entry);

/* Opens and locks the journal of the folder. Returns 1, 0 if there is none and
   create is FALSE, -1 and *error_r, also if another run has it. */
int uidl_store_journal_open(const char *dir, bool create,
			    struct uidl_store_journal **journal_r,
			    const char **error_r);
/* Unlocks it, and deletes it if it has no entries. */
void uidl_store_journal_close(struct uidl_store_journal **journal);

/* What an earlier run left, and what was added. */
const ARRAY_TYPE(uidl_store_journal_entry) *
uidl_store_journal_get(struct uidl_store_journal *journal);
/* Returns 0 when the entry is on the disk, or -1 and *error_r. */
int uidl_store_journal_add(struct uidl_store_journal *journal,
			   const struct uidl_store_journal_entry *entry,
			   const char **error_r);
/* The entry that was added last is done. */
int uidl_store_journal_remove_last(struct uidl_store_journal *journal,
				   const char **error_r);
/* All are done. */
int uidl_store_journal_clear(struct uidl_store_journal *journal,
			     const char **error_r);

#endif
