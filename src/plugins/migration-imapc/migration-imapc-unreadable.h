/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_UNREADABLE_H
#define MIGRATION_IMAPC_UNREADABLE_H

#include "placeholder.h"

/* One mail that the source did not give when it was asked for as usual, while it
   is asked for in other ways. */

enum unreadable_result {
	/* the whole mail */
	UNREADABLE_TEXT,
	/* not to be had */
	UNREADABLE_REFUSED,
	/* it was expunged */
	UNREADABLE_GONE,
	/* the run has to end, the storage's error is set */
	UNREADABLE_STOP,
};

struct unreadable_part {
	struct placeholder_part part;
	struct istream *text;
};

struct unreadable {
	struct migration_imapc_mailbox *mmbox;
	struct migration_imapc_list *mlist;
	struct mail *mail;
	pool_t pool;

	/* what is known by now; UOFF_T_MAX and -1 if not */
	uoff_t size;
	time_t internaldate, save_date;
	/* the words that are worth telling */
	const char *words;
	unsigned int tries, losses;
	struct istream *text;
	ARRAY(struct unreadable_part) parts;
	/* no further command makes sense */
	bool stop;
};

/* Asks for the whole mail, and puts it together if that does not help. The text
   is in u->text if the answer is UNREADABLE_TEXT. header_r is what of the header
   could be read (u->pool), or NULL. */
enum unreadable_result
migration_imapc_unreadable_ask(struct unreadable *u, const char **header_r);
/* The parts that can be read go to u->parts. */
void migration_imapc_unreadable_ask_parts(struct unreadable *u,
					  const char *header);
/* BODY.PEEK[section]. Returns NULL if it could not be read; the caller frees
   it. */
struct istream *
migration_imapc_unreadable_ask_section(struct unreadable *u, const char *section);
/* What the mail needs besides its text, if it did not come with it. */
void migration_imapc_unreadable_ask_details(struct unreadable *u);

#endif
