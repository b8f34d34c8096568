/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_MAIL_FILTER_PRIVATE_H
#define MIGRATION_IMAPC_MAIL_FILTER_PRIVATE_H

#include "mail-filter.h"
#include "migration-imapc-private.h"

struct migration_imapc_mail_filter {
	struct migration_imapc_list *mlist;
	struct mail_filter *filter;
	/* of the user's pool; why the filter cannot be used, or NULL */
	const char *refusal;
	/* NULL if nothing is remembered: an import finds by itself what is
	   there */
	struct filter_memory *memory;
	char *path;
	/* the file has no outdated lines */
	bool compact;
	/* nothing is left out, and nothing was */
	bool idle;
};

/* The decisions about one mailbox */
struct filter_box {
	pool_t pool;
	struct migration_imapc_mail_filter *mfilter;
	const char *vname;
	struct mail_filter_past past;
	ARRAY_TYPE(seq_range) dest_uids;
	/* what will be remembered */
	struct filter_memory_mailbox next;
	ARRAY_TYPE(seq_range) *hidden, late;
	unsigned int counts[MAIL_FILTER_CAUSE_COUNT];
	/* mails that are to be looked at more closely */
	ARRAY_TYPE(seq_range) undecided;
};

/* NULL if mails are as they are, for this user. */
struct migration_imapc_mail_filter *
migration_imapc_mail_filter_get(struct migration_imapc_list *mlist);

/* migration-imapc-mail-filter-memory.c: what is remembered and told. Reads what
   earlier runs have decided, or sets the refusal. */
void migration_imapc_mail_filter_init_memory(
	struct migration_imapc_mail_filter *mfilter);
/* Keeps the decisions before dsync sees the mails. Returns -1 and error_r if that
   fails. */
int migration_imapc_mail_filter_keep(struct filter_box *fbox,
				     const char **error_r);
/* Nothing was asked of the mailbox: tells what is remembered of it. */
void migration_imapc_mail_filter_tell_again(
	struct migration_imapc_mail_filter *mfilter, const char *vname,
	const struct filter_memory_mailbox *memory);

#endif
