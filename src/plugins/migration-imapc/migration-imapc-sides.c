/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the destination had at the beginning of the run. The destination is
   another user than the source in the same process, and dsync asks both for the
   state of each of their mailboxes before it opens any: what the destination
   answers is noted, by the mailbox's name, for the source to read. */

#include "lib.h"
#include "hash.h"
#include "migration-imapc-private.h"

struct migration_imapc_sides {
	pool_t pool;
	/* plugin users that share this: source and destination */
	unsigned int refcount;
	const char *username;
	HASH_TABLE(char *, struct sync_side *) dest;
};

/* A doveadm process works for one user at a time. */
static struct migration_imapc_sides *present_sides = NULL;

struct migration_imapc_sides *
migration_imapc_sides_ref(const char *username)
{
	struct migration_imapc_sides *sides = present_sides;
	pool_t pool;

	if (sides != NULL && strcmp(sides->username, username) == 0) {
		sides->refcount++;
		return sides;
	}
	pool = pool_alloconly_create("migration imapc sides", 1024);
	sides = p_new(pool, struct migration_imapc_sides, 1);
	sides->pool = pool;
	sides->refcount = 1;
	sides->username = p_strdup(pool, username);
	hash_table_create(&sides->dest, default_pool, 0, str_hash, strcmp);
	present_sides = sides;
	return sides;
}

void migration_imapc_sides_unref(struct migration_imapc_sides **_sides)
{
	struct migration_imapc_sides *sides = *_sides;

	*_sides = NULL;
	if (--sides->refcount > 0)
		return;
	if (present_sides == sides)
		present_sides = NULL;
	hash_table_destroy(&sides->dest);
	pool_unref(&sides->pool);
}

void migration_imapc_sides_set_dest(struct migration_imapc_user *muser,
				    const char *vname,
				    const struct sync_side *side)
{
	struct migration_imapc_sides *sides = muser->sides;
	struct sync_side *known = hash_table_lookup(sides->dest, vname);

	if (known == NULL) {
		known = p_new(sides->pool, struct sync_side, 1);
		hash_table_insert(sides->dest, p_strdup(sides->pool, vname),
				  known);
	}
	*known = *side;
}

bool migration_imapc_sides_get_dest(struct migration_imapc_user *muser,
				    const char *vname,
				    struct sync_side *side_r)
{
	const struct sync_side *known =
		hash_table_lookup(muser->sides->dest, vname);

	i_zero(side_r);
	if (known == NULL)
		return FALSE;
	*side_r = *known;
	return TRUE;
}
