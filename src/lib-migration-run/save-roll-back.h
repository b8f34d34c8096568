/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SAVE_ROLL_BACK_H
#define SAVE_ROLL_BACK_H

struct mailbox;

/* The formats' parts of save_journal_roll_back(). */

struct save_roll_back {
	struct mailbox *box;
	/* the lines of the journal, each its own value; not of mbox's */
	HASH_TABLE(const char *, const char *) lines;
	/* mbox's journal */
	const char *text;
	size_t text_size;
	pool_t pool;
	unsigned int deleted_count;
};

bool mailbox_is_maildir(const struct mailbox *box);

/* How the journal names a GUID (data stack). */
const char *save_roll_back_guid_line(const char *guid);
/* How the journal names a Maildir's file: without sizes and flags behind a comma
   or colon (data stack). */
const char *save_roll_back_maildir_line(const char *filename);

bool save_roll_back_has(const struct save_roll_back *roll_back,
			const char *line);
/* Sets the mailbox's error from errno, returns -1. */
int save_roll_back_error(struct mailbox *box, const char *function,
			 const char *path);

/* All of these return 0, or -1 with the error in the storage. The mailbox is
   open, except for mdbox, whose journal belongs to all mailboxes. */
int save_roll_back_sdbox(struct save_roll_back *roll_back);
int save_roll_back_maildir(struct save_roll_back *roll_back);
int save_roll_back_mdbox(struct save_roll_back *roll_back);

#endif
