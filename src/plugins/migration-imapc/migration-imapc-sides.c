/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the destination had at the beginning of the run. The destination is
   another user than the source in the same process, and dsync asks both for the
   state of each of their mailboxes before it opens any: what the destination
   answers is noted, by the mailbox's name, for the source to read. */

#include "lib.h"
#include "hash.h"
#include "sha1.h"
#include "migration-imapc-private.h"

/* What is known of one mailbox */
struct migration_imapc_side {
	struct sync_side dest, source, synced;
	guid_128_t dest_guid;
	struct mailbox_list *dest_list;
	const char *dest_vname;
	unsigned char source_digest[SHA1_RESULTLEN];
	bool have_dest, have_source, have_synced;
};

struct migration_imapc_sides {
	pool_t pool;
	/* plugin users that share this: source and destination */
	unsigned int refcount;
	const char *username;
	HASH_TABLE(char *, struct migration_imapc_side *) mailboxes;
	struct migration_imapc_changes_reader *reader;
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
	hash_table_create(&sides->mailboxes, default_pool, 0, str_hash, strcmp);
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
	hash_table_destroy(&sides->mailboxes);
	pool_unref(&sides->pool);
}

static struct migration_imapc_side *
side_get(struct migration_imapc_user *muser, const char *vname)
{
	struct migration_imapc_sides *sides = muser->sides;
	struct migration_imapc_side *side;

	side = hash_table_lookup(sides->mailboxes, vname);
	if (side == NULL) {
		side = p_new(sides->pool, struct migration_imapc_side, 1);
		hash_table_insert(sides->mailboxes,
				  p_strdup(sides->pool, vname), side);
	}
	return side;
}

void migration_imapc_sides_set_dest(struct migration_imapc_user *muser,
				    const char *vname,
				    const struct sync_side *dest)
{
	struct migration_imapc_side *side = side_get(muser, vname);

	side->dest = *dest;
	side->have_dest = TRUE;
}

void migration_imapc_sides_set_dest_name(struct migration_imapc_user *muser,
					 const char *vname,
					 const struct mailbox *dest)
{
	struct migration_imapc_side *side = side_get(muser, vname);

	if (side->dest_list == dest->list &&
	    strcmp(side->dest_vname, dest->vname) == 0)
		return;
	side->dest_list = dest->list;
	side->dest_vname = p_strdup(muser->sides->pool, dest->vname);
}

struct mailbox *migration_imapc_sides_alloc(struct mail_user *dest_user,
					    const char *vname)
{
	struct mail_namespace *ns =
		mail_namespace_find(dest_user->namespaces, vname);

	return mailbox_alloc(ns->list, vname, MAILBOX_FLAG_READONLY |
			     MAILBOX_FLAG_IGNORE_ACLS);
}

struct mailbox *
migration_imapc_sides_alloc_dest(struct migration_imapc_user *muser,
				 const char *vname)
{
	const struct migration_imapc_side *side = side_get(muser, vname);

	return side->dest_list == NULL ? NULL :
		mailbox_alloc(side->dest_list, side->dest_vname,
			      MAILBOX_FLAG_READONLY);
}

void migration_imapc_sides_set_guid(struct migration_imapc_user *muser,
				    const char *vname, const guid_128_t guid)
{
	guid_128_copy(side_get(muser, vname)->dest_guid, guid);
}

void migration_imapc_sides_foreach_dest(struct migration_imapc_user *muser,
					migration_imapc_sides_dest_t *callback,
					void *context)
{
	struct hash_iterate_context *iter;
	struct migration_imapc_side *side;
	char *vname;

	iter = hash_table_iterate_init(muser->sides->mailboxes);
	while (hash_table_iterate(iter, muser->sides->mailboxes, &vname, &side)) {
		if (side->have_dest && !guid_128_is_empty(side->dest_guid))
			callback(context, vname, side->dest_guid, &side->dest);
	}
	hash_table_iterate_deinit(&iter);
}

void migration_imapc_sides_forget(struct migration_imapc_user *muser)
{
	hash_table_clear(muser->sides->mailboxes, TRUE);
}

bool migration_imapc_sides_get_dest(struct migration_imapc_user *muser,
				    const char *vname,
				    struct sync_side *dest_r)
{
	const struct migration_imapc_side *side = side_get(muser, vname);

	*dest_r = side->dest;
	return side->have_dest;
}

void migration_imapc_sides_set_source(struct migration_imapc_user *muser,
				      const char *vname,
				      const struct sync_side *source,
				      const unsigned char *digest)
{
	struct migration_imapc_side *side = side_get(muser, vname);

	side->source = *source;
	memcpy(side->source_digest, digest, sizeof(side->source_digest));
	side->have_source = TRUE;
	side->have_synced = FALSE;
}

void migration_imapc_sides_forget_source(struct migration_imapc_user *muser,
					 const char *vname)
{
	struct migration_imapc_side *side = side_get(muser, vname);

	side->have_source = side->have_synced = FALSE;
}

bool migration_imapc_sides_get_source(struct migration_imapc_user *muser,
				      const char *vname,
				      struct sync_side *source_r,
				      const unsigned char **digest_r)
{
	const struct migration_imapc_side *side = side_get(muser, vname);

	*source_r = side->source;
	*digest_r = side->source_digest;
	return side->have_source;
}

void migration_imapc_sides_set_synced(struct migration_imapc_user *muser,
				      const char *vname,
				      const struct sync_side *dest)
{
	struct migration_imapc_side *side = side_get(muser, vname);

	side->synced = *dest;
	side->have_synced = TRUE;
}

bool migration_imapc_sides_get_synced(struct migration_imapc_user *muser,
				      const char *vname,
				      struct sync_side *dest_r)
{
	const struct migration_imapc_side *side = side_get(muser, vname);

	*dest_r = side->synced;
	return side->have_synced;
}

void migration_imapc_sides_set_reader(struct migration_imapc_user *muser,
				      struct migration_imapc_changes_reader *reader)
{
	muser->sides->reader = reader;
}

struct migration_imapc_changes_reader *
migration_imapc_sides_get_reader(struct migration_imapc_user *muser)
{
	return muser->sides->reader;
}
