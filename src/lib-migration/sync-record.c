/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hash.h"
#include "str.h"
#include "strescape.h"
#include "sync-record.h"

/* The first line of the file. A file of another version is not read. */
#define SYNC_RECORD_TITLE "dovecot-migration sync record 1"
#define SYNC_RECORD_END "end"

struct sync_record_entry {
	struct sync_side source, dest;
	bool unset;
};

struct sync_record {
	pool_t pool;
	const char *key;
	HASH_TABLE(char *, struct sync_record_entry *) mailboxes;
};

struct sync_record *sync_record_init(const char *key)
{
	pool_t pool = pool_alloconly_create("sync record", 4096);
	struct sync_record *record = p_new(pool, struct sync_record, 1);

	record->pool = pool;
	record->key = p_strdup(pool, key);
	hash_table_create(&record->mailboxes, default_pool, 0, str_hash, strcmp);
	return record;
}

void sync_record_deinit(struct sync_record **_record)
{
	struct sync_record *record = *_record;

	*_record = NULL;
	hash_table_destroy(&record->mailboxes);
	pool_unref(&record->pool);
}

static const struct sync_record_entry *
sync_record_find(const struct sync_record *record, const char *mailbox)
{
	const struct sync_record_entry *entry =
		hash_table_lookup(record->mailboxes, mailbox);

	return entry == NULL || entry->unset ? NULL : entry;
}

void sync_record_set(struct sync_record *record, const char *mailbox,
		     const struct sync_side *source,
		     const struct sync_side *dest)
{
	struct sync_record_entry *entry =
		hash_table_lookup(record->mailboxes, mailbox);

	if (entry == NULL) {
		entry = p_new(record->pool, struct sync_record_entry, 1);
		hash_table_insert(record->mailboxes,
				  p_strdup(record->pool, mailbox), entry);
	}
	entry->source = *source;
	entry->dest = *dest;
	entry->unset = FALSE;
}

void sync_record_unset(struct sync_record *record, const char *mailbox)
{
	struct sync_record_entry *entry =
		hash_table_lookup(record->mailboxes, mailbox);

	if (entry != NULL)
		entry->unset = TRUE;
}

static bool entry_is_set(const struct sync_record_entry *entry)
{
	return !entry->unset;
}

bool sync_record_get(const struct sync_record *record, const char *mailbox,
		     struct sync_side *source_r, struct sync_side *dest_r)
{
	const struct sync_record_entry *entry = sync_record_find(record, mailbox);

	if (entry == NULL)
		return FALSE;
	*source_r = entry->source;
	*dest_r = entry->dest;
	return TRUE;
}

unsigned int sync_record_count(const struct sync_record *record)
{
	struct hash_iterate_context *iter;
	struct sync_record_entry *entry;
	unsigned int count = 0;
	char *name;

	iter = hash_table_iterate_init(record->mailboxes);
	while (hash_table_iterate(iter, record->mailboxes, &name, &entry)) {
		if (entry_is_set(entry))
			count++;
	}
	hash_table_iterate_deinit(&iter);
	return count;
}

/* ---- as text ---- */

static void side_write(const struct sync_side *side, string_t *dest)
{
	str_printfa(dest, "%u\t%u\t%u\t%"PRIu64"\t%u\t", side->uidvalidity,
		    side->uidnext, side->messages, side->highestmodseq,
		    side->first_recent_uid);
}

void sync_record_write(const struct sync_record *record, string_t *dest)
{
	struct hash_iterate_context *iter;
	struct sync_record_entry *entry;
	char *name;

	str_append(dest, SYNC_RECORD_TITLE"\t");
	str_append_tabescaped(dest, record->key);
	str_append_c(dest, '\n');
	iter = hash_table_iterate_init(record->mailboxes);
	while (hash_table_iterate(iter, record->mailboxes, &name, &entry)) {
		if (!entry_is_set(entry))
			continue;
		side_write(&entry->source, dest);
		side_write(&entry->dest, dest);
		str_append_tabescaped(dest, name);
		str_append_c(dest, '\n');
	}
	hash_table_iterate_deinit(&iter);
	str_append(dest, SYNC_RECORD_END"\n");
}

static bool side_read(const char *const *words, struct sync_side *side_r)
{
	return str_to_uint32(words[0], &side_r->uidvalidity) == 0 &&
		str_to_uint32(words[1], &side_r->uidnext) == 0 &&
		str_to_uint32(words[2], &side_r->messages) == 0 &&
		str_to_uint64(words[3], &side_r->highestmodseq) == 0 &&
		str_to_uint32(words[4], &side_r->first_recent_uid) == 0;
}

static bool
sync_record_read_mailbox(struct sync_record *record, const char *line)
{
	const char *const *words = t_strsplit_tabescaped(line);
	struct sync_side source, dest;

	if (str_array_length(words) != 11 || !side_read(words, &source) ||
	    !side_read(words + 5, &dest))
		return FALSE;
	sync_record_set(record, words[10], &source, &dest);
	return TRUE;
}

static bool
sync_record_read_title(const struct sync_record *record, const char *line,
		       const char **reason_r)
{
	const char *const *words = t_strsplit_tabescaped(line);

	if (str_array_length(words) != 2 ||
	    strcmp(words[0], SYNC_RECORD_TITLE) != 0) {
		*reason_r = "it is no record, or one of another version";
		return FALSE;
	}
	if (strcmp(words[1], record->key) != 0) {
		*reason_r = "it was written for another server, account or "
			"command";
		return FALSE;
	}
	return TRUE;
}

bool sync_record_read(struct sync_record *record, const char *text,
		      const char **reason_r)
{
	const char *const *line;
	bool end = FALSE, damaged = FALSE;

	i_assert(hash_table_count(record->mailboxes) == 0);

	line = t_strsplit(text, "\n");
	/* an empty text has no first line */
	if (!sync_record_read_title(record, *line == NULL ? "" : *line,
				    reason_r))
		return FALSE;
	i_assert(*line != NULL);
	for (line++; *line != NULL && !end && !damaged; line++) T_BEGIN {
		if (strcmp(*line, SYNC_RECORD_END) == 0)
			end = TRUE;
		else
			damaged = !sync_record_read_mailbox(record, *line);
	} T_END;
	if (!end || damaged) {
		hash_table_clear(record->mailboxes, TRUE);
		*reason_r = "it is damaged";
		return FALSE;
	}
	return TRUE;
}

/* ---- comparing ---- */

bool sync_side_is_same(const struct sync_side *then,
		       const struct sync_side *now, const char **reason_r)
{
	if (now->highestmodseq == 0)
		*reason_r = "without HIGHESTMODSEQ changed flags do not show";
	else if (then->uidvalidity != now->uidvalidity)
		*reason_r = "UIDVALIDITY is another one";
	else if (then->uidnext != now->uidnext)
		*reason_r = "there are new mails";
	else if (then->messages != now->messages)
		*reason_r = "the number of mails is another one";
	else if (then->highestmodseq != now->highestmodseq)
		*reason_r = "HIGHESTMODSEQ is another one";
	else if (then->first_recent_uid != now->first_recent_uid)
		*reason_r = "other mails are recent";
	else {
		*reason_r = "it is as it was";
		return TRUE;
	}
	return FALSE;
}

bool sync_record_source_is_same(const struct sync_record *record,
				const char *mailbox,
				const struct sync_side *source,
				const char **reason_r)
{
	const struct sync_record_entry *entry = sync_record_find(record, mailbox);

	if (entry == NULL) {
		*reason_r = "nothing is known of it";
		return FALSE;
	}
	return sync_side_is_same(&entry->source, source, reason_r);
}

bool sync_record_dest_is_same(const struct sync_record *record,
			      const char *mailbox,
			      const struct sync_side *dest,
			      const char **reason_r)
{
	const struct sync_record_entry *entry = sync_record_find(record, mailbox);

	if (entry == NULL) {
		*reason_r = "nothing is known of it";
		return FALSE;
	}
	return sync_side_is_same(&entry->dest, dest, reason_r);
}
