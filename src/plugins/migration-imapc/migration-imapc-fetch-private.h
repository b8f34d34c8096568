/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_FETCH_PRIVATE_H
#define MIGRATION_IMAPC_FETCH_PRIVATE_H

/* Between the files of what stock imapc fetches ahead for a search:
   migration-imapc-fetch.c. */

#include "seq-range-array.h"
#include "fetch-window.h"
#include "migration-imapc-private.h"

struct migration_imapc_search {
	union mail_search_module_context module_ctx;
	struct mail_search_context *ctx;
	struct migration_imapc_mailbox *mmbox;
	struct fetch_window window;

	/* added to what each mail wants, because it was asked of the first */
	enum mail_fetch_field learned_fields;
	struct mailbox_header_lookup_ctx *learned_headers;
	/* the mail that was returned latest */
	struct mail *returned_mail;

	/* mails whose sizes are still to be asked for */
	ARRAY_TYPE(seq_range) size_seqs;
	/* the last mail whose size was asked for, and how far it was ahead */
	uint32_t sizes_asked_seq, sizes_ahead;
	/* it is dsync's list of all mails */
	bool dsync_list;
	/* a text was not asked for, so none after it is */
	bool over_budget;
	/* what it must not end without, or NULL */
	char *failure;
};

/* Tells the search how many mails it may hold, counting the one that it is
   about to get as one more than held_count says. */
void migration_imapc_search_set_room(struct migration_imapc_search *search,
				     unsigned int held_count);
/* TRUE if something of this was not asked for by the search. */
bool migration_imapc_search_is_new(struct migration_imapc_search *search,
				   enum mail_fetch_field fields,
				   struct mailbox_header_lookup_ctx *headers);
/* What was asked of one mail now will be asked of all. */
void migration_imapc_search_learn(struct migration_imapc_search *search,
				  enum mail_fetch_field fields,
				  struct mailbox_header_lookup_ctx *headers);

/* migration-imapc-sizes.c: sizes of mails ahead of their texts */
void migration_imapc_sizes_init(struct migration_imapc_mailbox *mmbox);
void migration_imapc_sizes_deinit(struct migration_imapc_mailbox *mmbox);
/* Texts of the mails that the search finds may be fetched. */
void migration_imapc_sizes_search(struct migration_imapc_search *search,
				  const struct mail_search_args *args);
/* Asks for the sizes of the mails that follow this one, unless enough of them
   were asked for. */
void migration_imapc_sizes_ask(struct migration_imapc_search *search,
			       uint32_t seq);
/* FETCH_WINDOW_SIZE_UNKNOWN if it is not known. It is forgotten, unless all
   sizes were asked for at once. */
uint64_t migration_imapc_sizes_take(struct migration_imapc_search *search,
				    uint32_t uid);

#endif
