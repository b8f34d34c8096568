/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hex-binary.h"
#include "sha1.h"
#include "str.h"
#include "strescape.h"
#include "mailbox-rename.h"

#include <ctype.h>

#define RENAMES_TITLE "dovecot-migration mailboxes 1"
#define RENAMES_END "end"

/* Each may cost a round trip or more. */
#define MAX_SAME_MAILS_QUESTIONS 500

#define MAX_ID_LENGTH 255

struct rename_context {
	struct rename_source *sources;
	const struct rename_dest *dests;
	const struct rename_known *known;
	unsigned int source_count, dest_count, known_count;
	/* of each destination: some source is it */
	bool *claimed;
	bool may_rename;
	rename_same_mails_t *same_mails;
	void *context;
	unsigned int questions;
};

bool mailbox_rename_id_is_valid(const char *id)
{
	const char *p;

	for (p = id; i_isalnum(*p) || *p == '-' || *p == '_'; p++) ;
	return p > id && *p == '\0' && p - id <= MAX_ID_LENGTH;
}

static bool is_inbox(const char *name)
{
	return strcasecmp(name, "INBOX") == 0;
}

static const struct rename_known *
find_known_id(const struct rename_context *ctx, const char *id)
{
	unsigned int i;

	for (i = 0; i < ctx->known_count; i++) {
		if (strcmp(ctx->known[i].id, id) == 0)
			return &ctx->known[i];
	}
	return NULL;
}

static const struct rename_known *
find_known_guid(const struct rename_context *ctx, const guid_128_t guid)
{
	unsigned int i;

	for (i = 0; i < ctx->known_count; i++) {
		if (guid_128_equals(ctx->known[i].guid, guid))
			return &ctx->known[i];
	}
	return NULL;
}

static unsigned int
find_dest_guid(const struct rename_context *ctx, const guid_128_t guid)
{
	unsigned int i;

	for (i = 0; i < ctx->dest_count; i++) {
		if (guid_128_equals(ctx->dests[i].guid, guid))
			return i;
	}
	return UINT_MAX;
}

static unsigned int
find_dest_name(const struct rename_context *ctx, const char *name)
{
	unsigned int i;

	for (i = 0; i < ctx->dest_count; i++) {
		if (strcmp(ctx->dests[i].name, name) == 0)
			return i;
	}
	return UINT_MAX;
}

/* Ids that a server gives to several mailboxes are none. */
static bool id_is_unique(const struct rename_context *ctx, const char *id)
{
	unsigned int i, count = 0;

	for (i = 0; i < ctx->source_count; i++) {
		if (strcmp(ctx->sources[i].id, id) == 0)
			count++;
	}
	return count == 1;
}

static bool
may_be(const struct rename_context *ctx, const struct rename_source *source,
       const struct rename_dest *dest)
{
	if (strcmp(source->name, dest->name) == 0)
		return TRUE;
	return ctx->may_rename && !is_inbox(source->name) &&
		!is_inbox(dest->name);
}

/* The destination's mailbox is known as that of another id. */
static bool
id_speaks_against(const struct rename_context *ctx,
		  const struct rename_source *source,
		  const struct rename_dest *dest)
{
	const struct rename_known *known;

	if (*source->id == '\0')
		return FALSE;
	known = find_known_guid(ctx, dest->guid);
	return known != NULL && strcmp(known->id, source->id) != 0;
}

static void
claim(struct rename_context *ctx, struct rename_source *source,
      unsigned int dest_idx)
{
	source->dest_idx = dest_idx;
	guid_128_copy(source->guid, ctx->dests[dest_idx].guid);
	ctx->claimed[dest_idx] = TRUE;
}

bool mailbox_rename_counts_fit(unsigned int there, unsigned int here)
{
	return here > 0 && here <= there + there / 10 && here >= there / 2;
}

/* ---- the ways ---- */

static void find_by_id(struct rename_context *ctx, struct rename_source *source)
{
	const struct rename_known *known;
	unsigned int idx;

	if (*source->id == '\0' || !id_is_unique(ctx, source->id))
		return;
	known = find_known_id(ctx, source->id);
	idx = known == NULL ? UINT_MAX : find_dest_guid(ctx, known->guid);
	if (idx != UINT_MAX && !ctx->claimed[idx] &&
	    may_be(ctx, source, &ctx->dests[idx]))
		claim(ctx, source, idx);
}

static void
find_by_name(struct rename_context *ctx, struct rename_source *source)
{
	unsigned int idx = find_dest_name(ctx, source->name);
	const struct rename_dest *dest;

	if (idx == UINT_MAX || ctx->claimed[idx])
		return;
	dest = &ctx->dests[idx];
	if ((source->uidvalidity == 0 ||
	     dest->uidvalidity == source->uidvalidity) &&
	    !id_speaks_against(ctx, source, dest))
		claim(ctx, source, idx);
}

static bool
fits(const struct rename_context *ctx, const struct rename_source *source,
     unsigned int dest_idx)
{
	const struct rename_dest *dest = &ctx->dests[dest_idx];

	return !ctx->claimed[dest_idx] && may_be(ctx, source, dest) &&
		source->uidvalidity != 0 &&
		dest->uidvalidity == source->uidvalidity &&
		/* nothing is gained by renaming an empty one */
		dest->uidnext > 1 && dest->uidnext <= source->uidnext &&
		!id_speaks_against(ctx, source, dest);
}

static bool source_has_name(const struct rename_context *ctx, const char *name)
{
	unsigned int i;

	for (i = 0; i < ctx->source_count; i++) {
		if (strcmp(ctx->sources[i].name, name) == 0)
			return TRUE;
	}
	return FALSE;
}

/* courier-rename: RENAME gives a new UIDVALIDITY and UIDs from 1. Only a name
   that is new can be that of one whose name is gone. */
static bool
fits_anew(const struct rename_context *ctx, const struct rename_source *source,
	  unsigned int dest_idx)
{
	const struct rename_dest *dest = &ctx->dests[dest_idx];

	return !ctx->claimed[dest_idx] && may_be(ctx, source, dest) &&
		*source->id == '\0' && source->uidvalidity != 0 &&
		dest->uidvalidity != source->uidvalidity &&
		source->messages > 0 &&
		source->uidnext == source->messages + 1 && dest->uidnext > 1 &&
		find_dest_name(ctx, source->name) == UINT_MAX &&
		!source_has_name(ctx, dest->name);
}

static bool
has_same_mails(struct rename_context *ctx, const struct rename_source *source,
	       unsigned int dest_idx)
{
	if (ctx->questions++ >= MAX_SAME_MAILS_QUESTIONS)
		return FALSE;
	return ctx->same_mails(ctx->context, source, &ctx->dests[dest_idx]);
}

/* Mailboxes that were made in the same second have one UIDVALIDITY on many
   servers, so that alone says nothing. */
static void
find_by_mails(struct rename_context *ctx, struct rename_source *source,
	      bool (*may_fit)(const struct rename_context *ctx,
			      const struct rename_source *source,
			      unsigned int dest_idx))
{
	unsigned int i, found = UINT_MAX;

	for (i = 0; i < ctx->dest_count; i++) {
		if (!may_fit(ctx, source, i) || !has_same_mails(ctx, source, i))
			continue;
		if (found != UINT_MAX)
			return; /* two with the same mails: no telling */
		found = i;
	}
	if (found != UINT_MAX)
		claim(ctx, source, found);
}

/* ---- new ones ---- */

static bool
guid_is_free(const struct rename_context *ctx,
	     const struct rename_source *source, const guid_128_t guid)
{
	unsigned int i;

	for (i = 0; i < ctx->source_count; i++) {
		if (&ctx->sources[i] != source &&
		    guid_128_equals(ctx->sources[i].guid, guid))
			return FALSE;
	}
	i = find_dest_guid(ctx, guid);
	return i == UINT_MAX || (!ctx->claimed[i] &&
		strcmp(ctx->dests[i].name, source->name) == 0);
}

/* Another GUID for the same name. The same in each run. */
static void guid_derive(const struct rename_source *source, guid_128_t guid)
{
	unsigned char digest[SHA1_RESULTLEN];
	string_t *str = t_str_new(128);

	str_append_data(str, guid, GUID_128_SIZE);
	str_printfa(str, "%u %s", source->uidvalidity, source->id);
	sha1_get_digest(str_data(str), str_len(str), digest);
	memcpy(guid, digest, GUID_128_SIZE);
}

static void
make_guid(const struct rename_context *ctx, struct rename_source *source)
{
	const struct rename_known *known =
		find_known_guid(ctx, source->stock_guid);

	guid_128_copy(source->guid, source->stock_guid);
	/* remembered as that of another one, which may only not be listed */
	if (known != NULL && *source->id != '\0' &&
	    strcmp(known->id, source->id) != 0 &&
	    find_dest_name(ctx, source->name) == UINT_MAX)
		guid_derive(source, source->guid);
	while (!guid_is_free(ctx, source, source->guid))
		guid_derive(source, source->guid);
}

void mailbox_renames_find(ARRAY_TYPE(rename_source) *sources,
			  const ARRAY_TYPE(rename_dest) *dests,
			  const ARRAY_TYPE(rename_known) *known,
			  bool may_rename, rename_same_mails_t *same_mails,
			  void *context)
{
	struct rename_context ctx = {
		.may_rename = may_rename,
		.same_mails = same_mails,
		.context = context,
	};
	unsigned int way, i;

	ctx.sources = array_get_modifiable(sources, &ctx.source_count);
	ctx.dests = array_get(dests, &ctx.dest_count);
	ctx.known = array_get(known, &ctx.known_count);
	ctx.claimed = t_new(bool, ctx.dest_count + 1);
	for (i = 0; i < ctx.source_count; i++) {
		ctx.sources[i].dest_idx = UINT_MAX;
		guid_128_empty(ctx.sources[i].guid);
	}
	for (way = 0; way < 4; way++) {
		for (i = 0; i < ctx.source_count; i++) T_BEGIN {
			if (ctx.sources[i].dest_idx != UINT_MAX)
				;
			else if (way == 0)
				find_by_id(&ctx, &ctx.sources[i]);
			else if (way == 1)
				find_by_name(&ctx, &ctx.sources[i]);
			else
				find_by_mails(&ctx, &ctx.sources[i],
					      way == 2 ? fits : fits_anew);
		} T_END;
	}
	for (i = 0; i < ctx.source_count; i++) T_BEGIN {
		if (ctx.sources[i].dest_idx == UINT_MAX)
			make_guid(&ctx, &ctx.sources[i]);
	} T_END;
}

/* ---- as text ---- */

static void
write_known(string_t *dest, const guid_128_t guid, const char *id)
{
	str_printfa(dest, "%s\t", guid_128_to_string(guid));
	str_append_tabescaped(dest, id);
	str_append_c(dest, '\n');
}

static bool
is_source_id(const ARRAY_TYPE(rename_source) *sources,
	     const struct rename_known *known)
{
	const struct rename_source *source;

	array_foreach(sources, source) {
		if (strcmp(source->id, known->id) == 0)
			return TRUE;
		/* it may have no id because the server tells nothing of it */
		if ((source->uidvalidity != 0 || *source->id != '\0') &&
		    guid_128_equals(source->guid, known->guid))
			return TRUE;
	}
	return FALSE;
}

void mailbox_renames_write(const ARRAY_TYPE(rename_source) *sources,
			   const ARRAY_TYPE(rename_known) *known,
			   const char *key, string_t *dest)
{
	const struct rename_source *source;
	const struct rename_known *old;

	str_append(dest, RENAMES_TITLE"\t");
	str_append_tabescaped(dest, key);
	str_append_c(dest, '\n');
	array_foreach(sources, source) {
		if (*source->id != '\0')
			write_known(dest, source->guid, source->id);
	}
	array_foreach(known, old) {
		if (!is_source_id(sources, old))
			write_known(dest, old->guid, old->id);
	}
	str_append(dest, RENAMES_END"\n");
}

static bool
read_known(const char *line, pool_t pool, ARRAY_TYPE(rename_known) *known)
{
	const char *const *words = t_strsplit_tabescaped(line);
	struct rename_known *item;
	guid_128_t guid;

	if (str_array_length(words) != 2 || *words[1] == '\0' ||
	    guid_128_from_string(words[0], guid) < 0)
		return FALSE;
	item = array_append_space(known);
	item->id = p_strdup(pool, words[1]);
	guid_128_copy(item->guid, guid);
	return TRUE;
}

bool mailbox_renames_read(const char *text, const char *key, pool_t pool,
			  ARRAY_TYPE(rename_known) *known,
			  const char **reason_r)
{
	const char *const *line = t_strsplit(text, "\n"), *const *title;
	bool ok = TRUE;

	title = t_strsplit_tabescaped(*line == NULL ? "" : *line);
	if (str_array_length(title) != 2 ||
	    strcmp(title[0], RENAMES_TITLE) != 0) {
		*reason_r = "it is no record of mailboxes, or one of another "
			"version";
		return FALSE;
	}
	if (strcmp(title[1], key) != 0) {
		*reason_r = "it was written for another server or account";
		return FALSE;
	}
	i_assert(*line != NULL);
	for (line++; ok && *line != NULL && strcmp(*line, RENAMES_END) != 0;
	     line++) T_BEGIN {
		ok = read_known(*line, pool, known);
	} T_END;
	if (!ok || *line == NULL) {
		array_clear(known);
		*reason_r = "it is damaged";
		return FALSE;
	}
	return TRUE;
}
