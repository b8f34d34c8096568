/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "sort.h"
#include "uidl-format.h"
#include "uidl-match-private.h"

#include <ctype.h>

/* message-id-uidl: OpenWave (Email Mx) and others make a mail's UIDL of its Message-ID: the
   Message-ID itself, with its angle brackets or without, if it can be a UIDL,
   and the MD5 of it in hex if not. They are found by reading the headers of all
   mails over IMAP, which is done only after a few of them have made UIDLs that
   are there. Mails that share a Message-ID are left to other evidence. */

static const struct uidl_format message_id_format = {
	.name = "Message-ID"
};

/* IMAP headers to find out whether it is worth reading all. */
#define MESSAGE_ID_TRIED_COUNT 8
#define MD5_HEX_LENGTH 32

struct key_idx {
	uint64_t key;
	uint32_t idx;
};
ARRAY_DEFINE_TYPE(key_idx, struct key_idx);

static int key_idx_cmp(const struct key_idx *a, const struct key_idx *b)
{
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return a->idx < b->idx ? -1 : (a->idx > b->idx ? 1 : 0);
}

/* Returns the first half of the MD5. */
static bool parse_md5(const char *uidl, uint64_t *key_r)
{
	unsigned int i;

	*key_r = 0;
	for (i = 0; i_isxdigit(uidl[i]); i++) {
		unsigned char c = i_tolower(uidl[i]);

		if (i < MD5_HEX_LENGTH / 2) {
			*key_r = (*key_r << 4) |
				(c <= '9' ? c - '0' : c - 'a' + 10);
		}
	}
	return i == MD5_HEX_LENGTH && uidl[i] == '\0';
}

static bool uidl_looks_like_it(const char *uidl)
{
	uint64_t key;

	return strchr(uidl, '@') != NULL || parse_md5(uidl, &key);
}

/* A key that the header has, too, if the UIDL was made of its Message-ID. */
static bool get_uidl_key(const char *uidl, uint64_t *key_r)
{
	if (parse_md5(uidl, key_r))
		return TRUE;
	if (strchr(uidl, '@') == NULL)
		return FALSE;
	*key_r = header_digest_of_message_id(*uidl == '<' ? uidl :
					     t_strdup_printf("<%s>", uidl));
	return TRUE;
}

static void get_header_keys(const struct header_digest *header,
			    uint64_t keys_r[3])
{
	keys_r[0] = header->message_id;
	keys_r[1] = header->message_id_md5[0];
	keys_r[2] = header->message_id_md5[1];
}

static bool mail_is_free(struct uidl_match *match, enum match_side side,
			 unsigned int idx)
{
	return match_mail_is_free(match_mail_idx(match, side, idx));
}

static void
collect_free(struct uidl_match *match, enum match_side side,
	     ARRAY_TYPE(uint32_t) *dest)
{
	uint32_t idx, count = array_count(&match->mails[side]);

	for (idx = 0; idx < count; idx++) {
		if (mail_is_free(match, side, idx))
			array_push_back(dest, &idx);
	}
}

void match_message_id_try(struct uidl_match *match)
{
	ARRAY_TYPE(uint32_t) free_mails, picks;
	unsigned int count = 0, free_count;
	uint32_t idx;

	i_array_init(&free_mails, 64);
	collect_free(match, MATCH_SIDE_POP3, &free_mails);
	free_count = array_count(&free_mails);
	array_foreach_elem(&free_mails, idx) {
		if (uidl_looks_like_it(array_idx_elem(&match->uidls, idx)))
			count++;
	}
	array_clear(&match->sample);
	if (match_format_is_worth(count, free_count) &&
	    count * 2 >= free_count) {
		array_clear(&free_mails);
		collect_free(match, MATCH_SIDE_IMAP, &free_mails);
		i_array_init(&picks, MESSAGE_ID_TRIED_COUNT);
		match_sample_evenly(&picks, array_count(&free_mails),
				    MESSAGE_ID_TRIED_COUNT);
		array_foreach_elem(&picks, idx) {
			idx = *array_idx(&free_mails, idx);
			array_push_back(&match->sample, &idx);
			match_want_header(match, MATCH_SIDE_IMAP, idx);
		}
		array_free(&picks);
	}
	array_free(&free_mails);
}

/* The keys of all free POP3 mails, sorted. */
static void
collect_uidl_keys(struct uidl_match *match, ARRAY_TYPE(key_idx) *dest)
{
	uint32_t idx, count = array_count(&match->uidls);
	struct key_idx key;

	for (idx = 0; idx < count; idx++) T_BEGIN {
		key.idx = idx;
		if (mail_is_free(match, MATCH_SIDE_POP3, idx) &&
		    get_uidl_key(array_idx_elem(&match->uidls, idx), &key.key))
			array_push_back(dest, &key);
	} T_END;
	array_sort(dest, key_idx_cmp);
}

/* The first of the sorted keys that is not below this one. */
static unsigned int
find_key(const ARRAY_TYPE(key_idx) *sorted, uint64_t key)
{
	const struct key_idx *keys;
	unsigned int low = 0, high;

	keys = array_get(sorted, &high);
	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (keys[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* How many of the sorted keys are this one; the index of the first. */
static unsigned int
count_key(const ARRAY_TYPE(key_idx) *sorted, uint64_t key, uint32_t *idx_r)
{
	const struct key_idx *keys;
	unsigned int i, n = 0, count;

	if (key == 0)
		return 0;
	keys = array_get(sorted, &count);
	for (i = find_key(sorted, key); i < count && keys[i].key == key; i++) {
		if (n++ == 0)
			*idx_r = keys[i].idx;
	}
	return n;
}

static bool
header_made_uidl(const ARRAY_TYPE(key_idx) *uidl_keys,
		 const struct header_digest *header)
{
	uint64_t keys[3];
	uint32_t idx;

	get_header_keys(header, keys);
	for (unsigned int i = 0; i < N_ELEMENTS(keys); i++) {
		if (count_key(uidl_keys, keys[i], &idx) > 0)
			return TRUE;
	}
	return FALSE;
}

void match_message_id_want(struct uidl_match *match)
{
	ARRAY_TYPE(key_idx) uidl_keys;
	ARRAY_TYPE(uint32_t) free_mails;
	bool found = FALSE;
	uint32_t idx;

	if (array_count(&match->sample) == 0)
		return;
	i_array_init(&uidl_keys, 64);
	collect_uidl_keys(match, &uidl_keys);
	array_foreach_elem(&match->sample, idx) {
		const struct match_mail *mail =
			match_mail_idx(match, MATCH_SIDE_IMAP, idx);

		if (mail->header != NULL &&
		    header_made_uidl(&uidl_keys, mail->header))
			found = TRUE;
	}
	array_free(&uidl_keys);
	if (!found) {
		array_clear(&match->sample);
		return;
	}
	i_array_init(&free_mails, 64);
	collect_free(match, MATCH_SIDE_IMAP, &free_mails);
	array_foreach_elem(&free_mails, idx)
		match_want_header(match, MATCH_SIDE_IMAP, idx);
	array_free(&free_mails);
}

/* The keys of all free IMAP mails, sorted. */
static void
collect_header_keys(struct uidl_match *match, ARRAY_TYPE(key_idx) *dest)
{
	const struct match_mail *mails;
	struct key_idx key;
	uint64_t keys[3];
	uint32_t count;

	mails = array_get(&match->mails[MATCH_SIDE_IMAP], &count);
	for (key.idx = 0; key.idx < count; key.idx++) {
		if (!match_mail_is_free(&mails[key.idx]) ||
		    mails[key.idx].header == NULL)
			continue;
		get_header_keys(mails[key.idx].header, keys);
		for (unsigned int i = 0; i < N_ELEMENTS(keys); i++) {
			key.key = keys[i];
			array_push_back(dest, &key);
		}
	}
	array_sort(dest, key_idx_cmp);
}

/* A UIDL that only one POP3 mail has and a Message-ID that only one IMAP mail
   has. */
static void
add_candidate(struct uidl_match *match, const struct key_idx *uidl_key,
	      const ARRAY_TYPE(key_idx) *uidl_keys,
	      const ARRAY_TYPE(key_idx) *header_keys)
{
	struct match_pair pair = { .pop3 = uidl_key->idx };
	uint32_t idx;

	if (count_key(uidl_keys, uidl_key->key, &idx) == 1 &&
	    count_key(header_keys, uidl_key->key, &pair.imap) == 1)
		array_push_back(&match->candidates, &pair);
}

bool match_message_id_propose(struct uidl_match *match)
{
	ARRAY_TYPE(key_idx) uidl_keys, header_keys;
	const struct key_idx *uidl_key;
	unsigned int count, equal;

	if (array_count(&match->sample) == 0)
		return FALSE;
	array_clear(&match->candidates);
	i_array_init(&uidl_keys, 64);
	i_array_init(&header_keys, 64);
	collect_uidl_keys(match, &uidl_keys);
	collect_header_keys(match, &header_keys);
	array_foreach(&uidl_keys, uidl_key)
		add_candidate(match, uidl_key, &uidl_keys, &header_keys);
	array_free(&uidl_keys);
	array_free(&header_keys);
	count = array_count(&match->candidates);
	if (count == 0)
		return FALSE;
	equal = match->set.skip_sizes ? 0 : match_count_equal_sizes(match);
	match_format_try(match, &message_id_format, equal * 2 > count);
	return TRUE;
}
