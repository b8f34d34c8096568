/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_NAMES_PRIVATE_H
#define MIGRATION_IMAPC_NAMES_PRIVATE_H

#include "hash.h"
#include "mailbox-map.h"
#include "mailbox-name.h"

/* one line of LIST or LSUB */
struct listed_name {
	const char *remote_name;
	enum mailbox_info_flags flags;
};
ARRAY_DEFINE_TYPE(listed_name, struct listed_name);

struct migration_imapc_names {
	pool_t pool;
	struct migration_imapc_list *mlist;
	struct mailbox_map *map;
	/* imapc_list_prefix as it was written */
	const char *written_prefix;

	struct mailbox_namespaces namespaces;
	ARRAY_TYPE(listed_name) listed, subscribed;

	/* what follows is decided once all mailboxes are known */
	const char *prefix;
	struct mailbox_name_rules rules;
	/* remote name -> name at the destination, "" if it is left out */
	HASH_TABLE(const char *, const char *) names;
	/* the reverse */
	HASH_TABLE(const char *, const char *) remote_names;
	/* why the rules cannot be followed, or NULL */
	const char *error;

	/* the first LIST is imapc's question for the separator */
	bool separator_seen:1;
	bool built:1;
	/* findings were told once */
	bool told:1;
	bool inbox_left_out:1;
	/* asking for mailboxes, which may need names itself */
	bool asking:1;
	/* they could not be listed */
	bool failed:1;
};

/* migration-imapc-names-decide.c: what is called what. Finds the prefix and what
   the destination can hold. */
void migration_imapc_names_init_rules(struct migration_imapc_names *names);
/* Adds a mailbox that was listed, unless it is one that is never shown. */
void migration_imapc_names_add_entry(struct migration_imapc_names *names,
				     const struct listed_name *listed,
				     ARRAY_TYPE(mailbox_map_entry) *entries);
/* Decides for all of them, and tells what a person has to know. Returns -1 and
   names->error if the administrator's rules cannot be followed. */
int migration_imapc_names_decide(struct migration_imapc_names *names,
				 ARRAY_TYPE(mailbox_map_entry) *entries);
/* The mailbox's name without rules (data stack), or NULL if it is outside of the
   prefix that was asked for. *reason_r says why it is not the source's. */
const char *
migration_imapc_names_fit(struct migration_imapc_names *names,
			  const char *remote_name, const char **reason_r);

/* TRUE if -x leaves the mailbox out; special_use is what it has of them, with
   blanks between them. */
bool migration_imapc_names_is_excluded(const struct migration_run *run,
				       const char *vname,
				       const char *special_use);

#endif
