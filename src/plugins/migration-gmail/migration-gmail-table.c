/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the server says of a mailbox's messages, and which of their texts are to
   come with this mailbox: the first one that shows a message brings it. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "imap-arg.h"
#include "imap-date.h"
#include "gmail-copy.h"
#include "migration-metadata.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

/* The mailbox that brings a message's text. */
struct migration_gmail_claim {
	const char *vname;
	uint32_t uid;
};

/* ---- the table ---- */

struct migration_gmail_table *
migration_gmail_table_init(struct migration_gmail_list *mlist,
			   const char *vname, const char *remote_name,
			   bool objectid)
{
	pool_t pool = pool_alloconly_create("migration gmail mailbox", 1024*16);
	struct migration_gmail_table *table;
	struct migration_gmail_place *place;

	table = p_new(pool, struct migration_gmail_table, 1);
	table->pool = pool;
	table->mlist = mlist;
	table->vname = p_strdup(pool, vname);
	table->objectid = objectid;
	table->next_uid = 1;
	i_array_init(&table->entries, 256);
	hash_table_create(&table->mappings, default_pool, 0, str_hash, strcmp);
	if (objectid)
		return table;
	place = hash_table_lookup(mlist->places, remote_name);
	table->place = place == NULL ? GMAIL_PLACE_OTHER : place->place;
	table->place_name = place == NULL ? table->vname : place->name;
	return table;
}

void migration_gmail_table_deinit(struct migration_gmail_table **_table)
{
	struct migration_gmail_table *table = *_table;

	*_table = NULL;
	if (table == NULL)
		return;
	array_free(&table->entries);
	hash_table_destroy(&table->mappings);
	pool_unref(&table->pool);
}

static int
table_entry_cmp(const struct migration_gmail_entry *e1,
		const struct migration_gmail_entry *e2)
{
	return e1->uid < e2->uid ? -1 : (e1->uid > e2->uid ? 1 : 0);
}

static int
table_entry_uid_cmp(const uint32_t *uid,
		    const struct migration_gmail_entry *entry)
{
	return *uid < entry->uid ? -1 : (*uid > entry->uid ? 1 : 0);
}

const struct migration_gmail_entry *
migration_gmail_table_lookup(struct migration_gmail_table *table,
			     uint32_t uid)
{
	return array_bsearch(&table->entries, &uid, table_entry_uid_cmp);
}

/* ---- replies ---- */

static const char *labels_key(const ARRAY_TYPE(gmail_label) *labels)
{
	const struct gmail_label *label;
	string_t *key = t_str_new(128);

	array_foreach(labels, label) {
		/* no name has a line feed */
		str_append(key, label->imap_name);
		str_append_c(key, '\n');
	}
	return str_c(key);
}

static const struct migration_gmail_mapping *
table_map(struct migration_gmail_table *table, const struct imap_arg *arg)
{
	struct migration_gmail_mapping *mapping;
	ARRAY_TYPE(gmail_label) labels;
	struct gmail_message msg;
	const char *key;

	if (gmail_labels_parse(arg, pool_datastack_create(), &labels) < 0)
		return NULL;
	key = labels_key(&labels);
	mapping = hash_table_lookup(table->mappings, key);
	if (mapping == NULL) {
		i_zero(&msg);
		msg.labels = array_get(&labels, &msg.labels_count);
		msg.place = table->place;
		msg.place_name = table->place_name;
		mapping = migration_gmail_list_map(table->mlist, &msg,
						   table->pool);
		key = p_strdup(table->pool, key);
		hash_table_insert(table->mappings, key, mapping);
	}
	return mapping;
}

/* of a server without labels */
static const char *const no_keywords[] = { NULL };
static const struct migration_gmail_mapping no_mapping = {
	.keywords = no_keywords,
	.labels = no_keywords,
	.shown_in = "",
};

/* What is said of one mail comes together, mostly. */
static struct migration_gmail_entry *
table_entry(struct migration_gmail_table *table, uint32_t uid)
{
	struct migration_gmail_entry *entry;

	if (array_count(&table->entries) > 0) {
		entry = array_back_modifiable(&table->entries);
		if (entry->uid == uid)
			return entry;
	}
	entry = array_append_space(&table->entries);
	entry->uid = uid;
	entry->size = UOFF_T_MAX;
	entry->received_date = (time_t)-1;
	if (table->objectid)
		entry->mapping = &no_mapping;
	return entry;
}

void migration_gmail_table_add(struct migration_gmail_table *table,
			       uint32_t uid, const char *item,
			       const struct imap_arg *arg)
{
	struct migration_gmail_entry *entry = table_entry(table, uid);
	const char *value = NULL;
	int tz;

	if (strcasecmp(item, "X-GM-MSGID") == 0) {
		if (imap_arg_get_astring(arg, &value))
			entry->msgid = p_strdup(table->pool, value);
	} else if (strcasecmp(item, "EMAILID") == 0) {
		value = migration_gmail_objectid_parse(arg);
		entry->msgid = p_strdup(table->pool, value);
	} else if (strcasecmp(item, "RFC822.SIZE") == 0) {
		if (!imap_arg_get_atom(arg, &value) ||
		    str_to_uoff(value, &entry->size) < 0)
			entry->size = UOFF_T_MAX;
	} else if (strcasecmp(item, "INTERNALDATE") == 0) {
		if (!imap_arg_get_astring(arg, &value) ||
		    !imap_parse_datetime(value, &entry->received_date, &tz))
			entry->received_date = (time_t)-1;
	} else if (strcasecmp(item, "X-GM-LABELS") == 0)
		entry->mapping = table_map(table, arg);
}

/* Adds what later says of the same mail. */
static void
table_entry_merge(struct migration_gmail_entry *entry,
		  const struct migration_gmail_entry *later)
{
	if (later->msgid != NULL)
		entry->msgid = later->msgid;
	if (later->mapping != NULL)
		entry->mapping = later->mapping;
	if (later->size != UOFF_T_MAX)
		entry->size = later->size;
	if (later->received_date != (time_t)-1)
		entry->received_date = later->received_date;
}

/* A mail has several entries if the server said several things of it one after
   the other, or after a reconnection everything once more. Other FETCH replies
   come by here, too: without an id it is none of ours. */
void migration_gmail_table_finish(struct migration_gmail_table *table)
{
	struct migration_gmail_entry *entries;
	unsigned int i, j, count, kept = 0;

	array_sort(&table->entries, table_entry_cmp);
	count = array_count(&table->entries);
	entries = count == 0 ? NULL : array_front_modifiable(&table->entries);
	for (i = 0; i < count; i = j) {
		for (j = i + 1; j < count && entries[j].uid == entries[i].uid; j++)
			table_entry_merge(&entries[i], &entries[j]);
		if (entries[i].msgid != NULL && entries[i].mapping != NULL)
			entries[kept++] = entries[i];
	}
	array_delete(&table->entries, kept, count - kept);
	if (kept > 0) {
		table->next_uid = I_MAX(table->next_uid,
					entries[kept - 1].uid + 1);
	}
}

/* ---- where a message's text comes from ---- */

struct mail *
migration_gmail_find_local(struct mail_user *source, const char *vname,
			   const struct migration_gmail_entry *entry)
{
	struct migration_gmail_user *dest =
		migration_gmail_user_find_dest(source);
	struct gmail_copy_mail source_mail, local;
	struct mail *local_mail;
	const char *reason;

	if (entry == NULL || dest == NULL || dest->local == NULL)
		return NULL;
	local_mail = migration_gmail_local_get_mail(dest->local, entry->msgid,
				migration_gmail_not_from(source, vname));
	if (local_mail == NULL ||
	    migration_gmail_local_mail_read(local_mail, &local) < 0)
		return NULL;
	source_mail = local;
	source_mail.size = entry->size;
	return gmail_copy_decide(&source_mail, &local, FALSE, &reason) ==
		GMAIL_COPY_FETCH ? NULL : local_mail;
}

/* TRUE if another mailbox brings the message's text. */
static bool
table_is_claimed(struct migration_gmail_table *table,
		 const struct migration_gmail_entry *entry)
{
	struct migration_gmail_list *mlist = table->mlist;
	struct migration_gmail_claim *claim;
	const char *msgid;

	if (mlist->claims_pool == NULL) {
		mlist->claims_pool =
			pool_alloconly_create("migration gmail claims", 1024*16);
		hash_table_create(&mlist->claims, default_pool, 0,
				  str_hash, strcmp);
	}
	claim = hash_table_lookup(mlist->claims, entry->msgid);
	if (claim == NULL) {
		claim = p_new(mlist->claims_pool,
			      struct migration_gmail_claim, 1);
		claim->vname = p_strdup(mlist->claims_pool, table->vname);
		claim->uid = entry->uid;
		msgid = p_strdup(mlist->claims_pool, entry->msgid);
		hash_table_insert(mlist->claims, msgid, claim);
	}
	return claim->uid != entry->uid ||
		strcmp(claim->vname, table->vname) != 0;
}

void migration_gmail_claims_deinit(struct migration_gmail_list *mlist)
{
	hash_table_destroy(&mlist->claims);
	pool_unref(&mlist->claims_pool);
}

/* ---- for migration_imapc: migration-metadata.h ---- */

static const char *
metadata_items(struct mailbox_list *list, bool *unsteady_r)
{
	struct migration_gmail_list *mlist = MIGRATION_GMAIL_LIST_CONTEXT(list);

	if (mlist == NULL)
		return NULL;
	if (migration_gmail_list_load(mlist)) {
		/* gmail-modseq-labels */
		*unsteady_r = TRUE;
		mlist->items = "X-GM-MSGID X-GM-LABELS";
	} else if (migration_gmail_objectid_is_used(mlist))
		mlist->items = "EMAILID";
	return mlist->items;
}

/* The folder of all mail is read at the end if only a part of it is wanted; and
   the search for what POP3 does not show needs a mailbox that is selected. */
static enum migration_metadata_when
metadata_when(struct mailbox_list *list, const char *vname,
	      const char *remote_name)
{
	struct migration_gmail_list *mlist = MIGRATION_GMAIL_LIST_CONTEXT(list);
	const struct migration_gmail_place *place;

	/* what dsync is not shown is not opened */
	if (mlist != NULL && mlist->pool != NULL &&
	    !migration_gmail_list_shows(mlist, vname))
		return MIGRATION_METADATA_LAST;
	if (mlist == NULL || mlist->pool == NULL)
		return MIGRATION_METADATA_AHEAD;
	if (mlist->muser->all != MIGRATION_GMAIL_ALL_WHOLE &&
	    mlist->all_vname != NULL && strcmp(vname, mlist->all_vname) == 0)
		return MIGRATION_METADATA_LAST;
	place = hash_table_lookup(mlist->places, remote_name);
	return place != NULL && place->place == GMAIL_PLACE_INBOX &&
		mlist->list->set->pop3_deleted_flag[0] != '\0' ?
		MIGRATION_METADATA_IN_TURN : MIGRATION_METADATA_AHEAD;
}

static void *
metadata_begin(struct mailbox_list *list, const char *vname,
	       const char *remote_name)
{
	struct migration_gmail_list *mlist = MIGRATION_GMAIL_LIST_CONTEXT(list);

	return mlist == NULL || mlist->items == NULL ? NULL :
		migration_gmail_table_init(mlist, vname, remote_name,
					   mlist->pool == NULL);
}

static void
metadata_add(void *table, uint32_t uid, const char *item,
	     const struct imap_arg *value)
{
	migration_gmail_table_add(table, uid, item, value);
}

static const struct migration_gmail_entry *
metadata_find(struct migration_gmail_table *table, uint32_t uid)
{
	if (!table->finished) {
		migration_gmail_table_finish(table);
		table->finished = TRUE;
	}
	return migration_gmail_table_lookup(table, uid);
}

/* Nothing is opened for it: should the text be missing when it is needed, it is
   asked for then. */
static bool metadata_has_text(void *_table, uint32_t uid)
{
	struct migration_gmail_table *table = _table;
	const struct migration_gmail_entry *entry = metadata_find(table, uid);
	struct mail_user *user = table->mlist->list->list.ns->user;
	struct migration_gmail_user *dest = migration_gmail_user_find_dest(user);

	if (entry == NULL || dest == NULL || dest->local == NULL)
		return FALSE;
	return migration_gmail_local_has(dest->local, entry->msgid,
			migration_gmail_not_from(user, table->vname)) ||
		table_is_claimed(table, entry);
}

static void metadata_text_unwanted(void *_table, uint32_t uid)
{
	struct migration_gmail_table *table = _table;
	const struct migration_gmail_entry *entry = metadata_find(table, uid);

	if (entry != NULL && table->mlist->claims_pool != NULL &&
	    !table_is_claimed(table, entry))
		hash_table_remove(table->mlist->claims, entry->msgid);
}

static void
metadata_opened(void *table, struct mailbox *box, uint32_t uidnext)
{
	migration_gmail_mailbox_take(box, table, uidnext);
}

static void metadata_end(void *_table)
{
	struct migration_gmail_table *table = _table;

	migration_gmail_table_deinit(&table);
}

const struct migration_metadata migration_gmail_metadata = {
	.items = metadata_items,
	.when = metadata_when,
	.begin = metadata_begin,
	.add = metadata_add,
	.has_text = metadata_has_text,
	.text_unwanted = metadata_text_unwanted,
	.opened = metadata_opened,
	.end = metadata_end,
};
