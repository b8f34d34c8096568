/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "fetch-chunk.h"

/* ",4294967295:4294967295" */
#define FETCH_CHUNK_MAX_RANGE_LENGTH 22

void fetch_chunk_init(struct fetch_chunk *chunk,
		      const struct fetch_chunk_limits *limits, string_t *uids)
{
	i_assert(limits->mails > 0);

	i_zero(chunk);
	chunk->limits = *limits;
	chunk->uids = uids;
	str_truncate(uids, 0);
}

static void fetch_chunk_write_range(struct fetch_chunk *chunk)
{
	if (str_len(chunk->uids) > 0)
		str_append_c(chunk->uids, ',');
	str_printfa(chunk->uids, "%u", chunk->range_uid1);
	if (chunk->range_uid2 > chunk->range_uid1)
		str_printfa(chunk->uids, ":%u", chunk->range_uid2);
}

static bool
fetch_chunk_has_room(const struct fetch_chunk *chunk, uint32_t uid,
		     uint64_t size)
{
	if (chunk->mails == 0)
		return TRUE;
	if (chunk->mails >= chunk->limits.mails ||
	    chunk->bytes + size > chunk->limits.bytes)
		return FALSE;
	/* the range that is open now and the one that this mail may begin */
	return uid == chunk->range_uid2 + 1 ||
		str_len(chunk->uids) + 2 * FETCH_CHUNK_MAX_RANGE_LENGTH <=
		chunk->limits.line;
}

bool fetch_chunk_add(struct fetch_chunk *chunk, uint32_t uid, uint64_t size)
{
	i_assert(chunk->mails == 0 || uid > chunk->range_uid2);

	if (!fetch_chunk_has_room(chunk, uid, size))
		return FALSE;
	if (chunk->mails == 0)
		chunk->range_uid1 = uid;
	else if (uid != chunk->range_uid2 + 1) {
		fetch_chunk_write_range(chunk);
		chunk->range_uid1 = uid;
	}
	chunk->range_uid2 = uid;
	chunk->mails++;
	chunk->bytes += size;
	return TRUE;
}

void fetch_chunk_finish(struct fetch_chunk *chunk)
{
	if (chunk->mails > 0)
		fetch_chunk_write_range(chunk);
}

unsigned int fetch_chunk_halve(unsigned int mails)
{
	return mails <= 1 ? 0 : mails / 2;
}
