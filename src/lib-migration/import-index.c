/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "seq-range-array.h"
#include "import-index.h"

/* What had to be read of a mail. Few mails come that far. */
struct import_digests {
	uint64_t header[2];
	struct body_digest body;
};

struct import_entry {
	guid_128_t guid;
	uint64_t key;
	uoff_t size;
	uint64_t keywords;
	uint32_t uid;
	/* 1 + position in digests, 0: none */
	uint32_t digests_pos;
	uint8_t known, unreadable;
	uint8_t flags;
	bool paired;
};

/* How well the flags of two equal mails fit. */
enum import_fit {
	IMPORT_FIT_EQUAL,
	/* joining them changes nothing at the destination */
	IMPORT_FIT_UNCHANGED,
	IMPORT_FIT_OTHER,
};

struct import_index {
	ARRAY(struct import_entry) entries;
	ARRAY(struct import_digests) digests;
	/* positions in entries, sorted by GUID, then UID */
	ARRAY_TYPE(uint32_t) by_guid;
	/* those that had no partner when the keys were asked for, sorted by
	   key, then size, then UID */
	ARRAY_TYPE(uint32_t) by_key;
	/* bit numbers of keywords, see import_index_keywords() */
	ARRAY_TYPE(const_string) keyword_names;
	pool_t keyword_pool;

	unsigned int paired_count;
	bool reusable, guids_sorted, keys_known;
};

struct import_index *import_index_init(bool reusable)
{
	struct import_index *index = i_new(struct import_index, 1);

	index->reusable = reusable;
	i_array_init(&index->entries, 128);
	i_array_init(&index->digests, 8);
	i_array_init(&index->by_guid, 128);
	i_array_init(&index->by_key, 8);
	i_array_init(&index->keyword_names, 8);
	index->keyword_pool = pool_alloconly_create("import keywords", 512);
	return index;
}

void import_index_deinit(struct import_index **_index)
{
	struct import_index *index = *_index;

	*_index = NULL;
	array_free(&index->entries);
	array_free(&index->digests);
	array_free(&index->by_guid);
	array_free(&index->by_key);
	array_free(&index->keyword_names);
	pool_unref(&index->keyword_pool);
	i_free(index);
}

unsigned int import_index_count(const struct import_index *index)
{
	return array_count(&index->entries);
}

static unsigned int
import_index_keyword_number(struct import_index *index, const char *keyword)
{
	const char *const *names;
	unsigned int i, count;

	names = array_get(&index->keyword_names, &count);
	for (i = 0; i < count; i++) {
		if (strcasecmp(names[i], keyword) == 0)
			return i;
	}
	keyword = p_strdup(index->keyword_pool, keyword);
	array_push_back(&index->keyword_names, &keyword);
	return count;
}

uint64_t import_index_keywords(struct import_index *index,
			       const char *const *keywords)
{
	uint64_t set = 0;

	for (; keywords != NULL && *keywords != NULL; keywords++) {
		set |= (uint64_t)1 <<
			(import_index_keyword_number(index, *keywords) % 64);
	}
	return set;
}

static bool entry_needs_digests(const struct import_identity *identity)
{
	return (identity->known & (IMPORT_EVIDENCE_HEADER |
				   IMPORT_EVIDENCE_BODY)) != 0;
}

static void
entry_set_digests(struct import_index *index, struct import_entry *entry,
		  const struct import_identity *identity)
{
	struct import_digests *digests;

	if (entry->digests_pos == 0) {
		(void)array_append_space(&index->digests);
		entry->digests_pos = array_count(&index->digests);
	}
	digests = array_idx_modifiable(&index->digests,
				       entry->digests_pos - 1);
	if ((identity->known & IMPORT_EVIDENCE_HEADER) != 0)
		memcpy(digests->header, identity->header,
		       sizeof(digests->header));
	if ((identity->known & IMPORT_EVIDENCE_BODY) != 0)
		digests->body = identity->body;
}

static void
entry_set(struct import_index *index, struct import_entry *entry,
	  const struct import_identity *identity)
{
	if ((identity->known & IMPORT_EVIDENCE_GUID) != 0)
		guid_128_copy(entry->guid, identity->guid);
	if ((identity->known & IMPORT_EVIDENCE_KEY) != 0)
		entry->key = identity->key;
	if ((identity->known & IMPORT_EVIDENCE_SIZE) != 0)
		entry->size = identity->size;
	if ((identity->known & IMPORT_EVIDENCE_KEY) != 0) {
		entry->flags = identity->flags & MAIL_FLAGS_NONRECENT;
		entry->keywords = identity->keywords;
	}
	if (entry_needs_digests(identity))
		entry_set_digests(index, entry, identity);
	entry->known |= identity->known;
	entry->unreadable |= identity->unreadable;
}

static void
entry_get_identity(const struct import_index *index,
		   const struct import_entry *entry,
		   struct import_identity *identity_r)
{
	const struct import_digests *digests;

	i_zero(identity_r);
	identity_r->known = entry->known;
	identity_r->unreadable = entry->unreadable;
	guid_128_copy(identity_r->guid, entry->guid);
	identity_r->key = entry->key;
	identity_r->size = entry->size;
	if (entry->digests_pos != 0) {
		digests = array_idx(&index->digests, entry->digests_pos - 1);
		memcpy(identity_r->header, digests->header,
		       sizeof(identity_r->header));
		identity_r->body = digests->body;
	}
}

void import_index_add(struct import_index *index, uint32_t uid,
		      const struct import_identity *identity)
{
	struct import_entry *entry;

	i_assert(!index->guids_sorted);

	entry = array_append_space(&index->entries);
	entry->uid = uid;
	entry_set(index, entry, identity);
}

static struct import_entry *
import_index_lookup(struct import_index *index, uint32_t uid)
{
	unsigned int left = 0, right = array_count(&index->entries), mid;

	while (left < right) {
		struct import_entry *entry;

		mid = left + (right - left) / 2;
		entry = array_idx_modifiable(&index->entries, mid);
		if (entry->uid == uid)
			return entry;
		if (entry->uid < uid)
			left = mid + 1;
		else
			right = mid;
	}
	i_unreached();
}

void import_index_set(struct import_index *index, uint32_t uid,
		      const struct import_identity *identity)
{
	entry_set(index, import_index_lookup(index, uid), identity);
}

void import_index_get_unpaired(const struct import_index *index,
			       ARRAY_TYPE(seq_range) *uids)
{
	const struct import_entry *entry;

	array_foreach(&index->entries, entry) {
		if (!entry->paired)
			seq_range_array_add(uids, entry->uid);
	}
}

/* Sorting positions needs the entries they stand for. */
static const struct import_entry *sorted_entries;

static int position_cmp(uint32_t pos1, uint32_t pos2)
{
	return pos1 < pos2 ? -1 : (pos1 > pos2 ? 1 : 0);
}

static int guid_position_cmp(const uint32_t *pos1, const uint32_t *pos2)
{
	int ret = memcmp(sorted_entries[*pos1].guid,
			 sorted_entries[*pos2].guid, GUID_128_SIZE);

	return ret != 0 ? ret : position_cmp(*pos1, *pos2);
}

static int key_position_cmp(const uint32_t *pos1, const uint32_t *pos2)
{
	const struct import_entry *e1 = &sorted_entries[*pos1];
	const struct import_entry *e2 = &sorted_entries[*pos2];

	if (e1->key != e2->key)
		return e1->key < e2->key ? -1 : 1;
	if (e1->size != e2->size)
		return e1->size < e2->size ? -1 : 1;
	return position_cmp(*pos1, *pos2);
}

static void import_index_sort_guids(struct import_index *index)
{
	const struct import_entry *entry;
	uint32_t pos;

	array_foreach(&index->entries, entry) {
		if ((entry->known & IMPORT_EVIDENCE_GUID) == 0 ||
		    guid_128_is_empty(entry->guid))
			continue;
		pos = array_foreach_idx(&index->entries, entry);
		array_push_back(&index->by_guid, &pos);
	}
	if (array_count(&index->by_guid) > 0) {
		sorted_entries = array_front(&index->entries);
		array_sort(&index->by_guid, guid_position_cmp);
	}
	index->guids_sorted = TRUE;
}

void import_index_set_finished(struct import_index *index)
{
	const struct import_entry *entry;
	uint32_t pos;

	i_assert(!index->keys_known);

	array_foreach(&index->entries, entry) {
		if (entry->paired || (entry->known & IMPORT_EVIDENCE_KEY) == 0)
			continue;
		pos = array_foreach_idx(&index->entries, entry);
		array_push_back(&index->by_key, &pos);
	}
	if (array_count(&index->by_key) > 0) {
		sorted_entries = array_front(&index->entries);
		array_sort(&index->by_key, key_position_cmp);
	}
	index->keys_known = TRUE;
}

/* First position in by_guid whose GUID is not less. */
static unsigned int
guid_lower_bound(struct import_index *index, const guid_128_t guid)
{
	const uint32_t *pos;
	unsigned int left = 0, right, mid;

	pos = array_get(&index->by_guid, &right);
	while (left < right) {
		const struct import_entry *entry;

		mid = left + (right - left) / 2;
		entry = array_idx(&index->entries, pos[mid]);
		if (memcmp(entry->guid, guid, GUID_128_SIZE) < 0)
			left = mid + 1;
		else
			right = mid;
	}
	return left;
}

static unsigned int
key_lower_bound(struct import_index *index, uint64_t key)
{
	const uint32_t *pos;
	unsigned int left = 0, right, mid;

	pos = array_get(&index->by_key, &right);
	while (left < right) {
		const struct import_entry *entry;

		mid = left + (right - left) / 2;
		entry = array_idx(&index->entries, pos[mid]);
		if (entry->key < key)
			left = mid + 1;
		else
			right = mid;
	}
	return left;
}

static int
import_index_take(struct import_index *index, struct import_entry *entry,
		  uint32_t *uid_r)
{
	i_assert(!entry->paired);
	if (!index->reusable) {
		entry->paired = TRUE;
		index->paired_count++;
	}
	*uid_r = entry->uid;
	return 1;
}

bool import_index_take_uid(struct import_index *index, uint32_t uid)
{
	struct import_entry *entry = import_index_lookup(index, uid);

	return !entry->paired && import_index_take(index, entry, &uid) > 0;
}

static struct import_entry *
import_index_find_guid(struct import_index *index,
		       const struct import_identity *src)
{
	const uint32_t *pos;
	unsigned int i, count;

	if ((src->known & IMPORT_EVIDENCE_GUID) == 0 ||
	    guid_128_is_empty(src->guid))
		return NULL;

	pos = array_get(&index->by_guid, &count);
	for (i = guid_lower_bound(index, src->guid); i < count; i++) {
		struct import_entry *entry =
			array_idx_modifiable(&index->entries, pos[i]);

		if (!guid_128_equals(entry->guid, src->guid))
			break;
		if (!entry->paired)
			return entry;
	}
	return NULL;
}

static void
import_ask(struct import_question *question_r, enum import_need need,
	   enum import_evidence evidence, uint32_t dest_uid)
{
	question_r->need = need;
	question_r->evidence = evidence;
	question_r->dest_uid = dest_uid;
}

/* Compares with one candidate: 1 same, 0 different, -1 a question. */
static int
import_index_try(struct import_index *index, const struct import_identity *src,
		 const struct import_entry *entry,
		 struct import_question *question_r, const char **reason_r)
{
	struct import_identity dest;
	enum import_evidence need;

	entry_get_identity(index, entry, &dest);
	switch (import_compare(src, &dest, &need, reason_r)) {
	case IMPORT_MATCH_SAME:
		return 1;
	case IMPORT_MATCH_DIFFERENT:
		return 0;
	case IMPORT_MATCH_UNDECIDED:
		break;
	}
	if ((src->known & need) == 0)
		import_ask(question_r, IMPORT_NEED_SOURCE, need, 0);
	else
		import_ask(question_r, IMPORT_NEED_DEST, need, entry->uid);
	return -1;
}

static enum import_fit
flags_fit(const struct import_identity *src, const struct import_entry *entry)
{
	enum mail_flags flags = src->flags & MAIL_FLAGS_NONRECENT;

	if (flags == entry->flags && src->keywords == entry->keywords)
		return IMPORT_FIT_EQUAL;
	if ((flags & ~entry->flags & ENUM_NEGATE(MAIL_DELETED)) == 0 &&
	    (entry->flags & ~flags & MAIL_DELETED) == 0 &&
	    (src->keywords & ~entry->keywords) == 0)
		return IMPORT_FIT_UNCHANGED;
	return IMPORT_FIT_OTHER;
}

/* Candidates have the source mail's key. */
static int
import_index_try_candidates(struct import_index *index,
			    const struct import_identity *src,
			    bool same_size, enum import_fit fit,
			    uint32_t *uid_r,
			    struct import_question *question_r,
			    const char **reason_r)
{
	const char *reason;
	const uint32_t *pos;
	unsigned int i, count;
	int ret;

	pos = array_get(&index->by_key, &count);
	for (i = key_lower_bound(index, src->key); i < count; i++) {
		struct import_entry *entry =
			array_idx_modifiable(&index->entries, pos[i]);

		if (entry->key != src->key)
			break;
		if (entry->paired || (entry->size == src->size) != same_size ||
		    flags_fit(src, entry) != fit)
			continue;
		ret = import_index_try(index, src, entry, question_r, &reason);
		if (ret < 0)
			return -1;
		*reason_r = reason;
		if (ret > 0)
			return import_index_take(index, entry, uid_r);
	}
	return 0;
}

/* Candidates of the very same size come first, because the others need not be
   read if one of them is the mail. */
static int
import_index_find_text(struct import_index *index,
		       const struct import_identity *src, uint32_t *uid_r,
		       struct import_question *question_r,
		       const char **reason_r)
{
	static const struct {
		bool same_size;
		enum import_fit fit;
	} passes[] = {
		{ TRUE, IMPORT_FIT_EQUAL },
		{ TRUE, IMPORT_FIT_UNCHANGED },
		{ TRUE, IMPORT_FIT_OTHER },
		{ FALSE, IMPORT_FIT_EQUAL },
		{ FALSE, IMPORT_FIT_UNCHANGED },
		{ FALSE, IMPORT_FIT_OTHER },
	};
	unsigned int i;
	int ret;

	for (i = 0; i < N_ELEMENTS(passes); i++) {
		ret = import_index_try_candidates(index, src,
			passes[i].same_size, passes[i].fit, uid_r,
			question_r, reason_r);
		if (ret != 0)
			return ret;
	}
	return 0;
}

int import_index_pair(struct import_index *index,
		      const struct import_identity *src, uint32_t *uid_r,
		      struct import_question *question_r,
		      const char **reason_r)
{
	const enum import_evidence cheap =
		IMPORT_EVIDENCE_KEY | IMPORT_EVIDENCE_SIZE;
	struct import_entry *entry;

	*reason_r = "no mail with this GUID, Message-ID, Date and From";
	if (index->paired_count == array_count(&index->entries)) {
		*reason_r = "every mail of the destination has its partner";
		return 0;
	}
	if (((src->known | src->unreadable) & IMPORT_EVIDENCE_GUID) == 0) {
		import_ask(question_r, IMPORT_NEED_SOURCE,
			   IMPORT_EVIDENCE_GUID, 0);
		return -1;
	}
	if (!index->guids_sorted)
		import_index_sort_guids(index);
	entry = import_index_find_guid(index, src);
	if (entry != NULL) {
		*reason_r = "same GUID";
		return import_index_take(index, entry, uid_r);
	}
	if ((src->unreadable & IMPORT_EVIDENCE_KEY) != 0) {
		*reason_r = "the mail cannot be read";
		return 0;
	}
	if ((src->known & IMPORT_EVIDENCE_KEY) == 0) {
		import_ask(question_r, IMPORT_NEED_SOURCE, cheap, 0);
		return -1;
	}
	if (!index->keys_known) {
		import_ask(question_r, IMPORT_NEED_ALL_DEST, cheap, 0);
		return -1;
	}
	return import_index_find_text(index, src, uid_r, question_r, reason_r);
}
