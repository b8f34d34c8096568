/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "uidl-match-private.h"

static const char *const evidence_names[] = {
	[UIDL_MATCH_NONE] = "nothing",
	[UIDL_MATCH_KNOWN] = "an earlier run",
	[UIDL_MATCH_FORMAT] = "the UIDL's format",
	[UIDL_MATCH_ALIGNED] = "size and order",
	[UIDL_MATCH_HEADER] = "the header",
	[UIDL_MATCH_FIELDS] = "Message-ID, Date and From",
	[UIDL_MATCH_BODY] = "the body",
};

const char *uidl_match_evidence_name(enum uidl_match_evidence evidence)
{
	i_assert(evidence < N_ELEMENTS(evidence_names));
	return evidence_names[evidence];
}

struct uidl_match *uidl_match_init(const struct uidl_match_settings *set)
{
	struct uidl_match *match;
	pool_t pool;
	unsigned int side;

	pool = pool_alloconly_create(MEMPOOL_GROWING"uidl match", 1024*16);
	match = p_new(pool, struct uidl_match, 1);
	match->pool = pool;
	match->set = *set;
	match->body_bytes_left = set->max_body_bytes;
	for (side = 0; side < 2; side++) {
		i_array_init(&match->mails[side], 1024);
		i_array_init(&match->header_requests[side], 64);
		i_array_init(&match->body_requests[side], 16);
	}
	i_array_init(&match->uidls, 1024);
	i_array_init(&match->imap_infos, 1024);
	i_array_init(&match->uidvalidities, 4);
	i_array_init(&match->candidates, 64);
	i_array_init(&match->sample, 32);
	return match;
}

void uidl_match_deinit(struct uidl_match **_match)
{
	struct uidl_match *match = *_match;
	unsigned int side;

	*_match = NULL;
	for (side = 0; side < 2; side++) {
		array_free(&match->mails[side]);
		array_free(&match->header_requests[side]);
		array_free(&match->body_requests[side]);
	}
	array_free(&match->uidls);
	array_free(&match->imap_infos);
	array_free(&match->uidvalidities);
	array_free(&match->candidates);
	array_free(&match->sample);
	pool_unref(&match->pool);
}

void uidl_match_add_pop3(struct uidl_match *match, const char *uidl,
			 uoff_t size)
{
	struct match_mail *mail = array_append_space(&match->mails[MATCH_SIDE_POP3]);
	const char *dup = p_strdup(match->pool, uidl);

	mail->size = size;
	mail->partner = UIDL_MATCH_NO_IDX;
	mail->unusable = *uidl == '\0';
	array_push_back(&match->uidls, &dup);
}

unsigned int uidl_match_add_mailbox(struct uidl_match *match,
				    uint32_t uidvalidity)
{
	array_push_back(&match->uidvalidities, &uidvalidity);
	return array_count(&match->uidvalidities) - 1;
}

void uidl_match_add_imap(struct uidl_match *match, unsigned int mailbox,
			 uint32_t uid, uoff_t size, uint64_t gmail_msgid)
{
	struct match_mail *mail = array_append_space(&match->mails[MATCH_SIDE_IMAP]);
	struct match_imap_info *info = array_append_space(&match->imap_infos);

	i_assert(mailbox < array_count(&match->uidvalidities));
	mail->size = size;
	mail->partner = UIDL_MATCH_NO_IDX;
	info->mailbox = mailbox;
	info->uid = uid;
	info->gmail_msgid = gmail_msgid;
	if (gmail_msgid != 0)
		match->is_gmail = TRUE;
}

void uidl_match_set_known(struct uidl_match *match, const char *uidl)
{
	struct match_imap_info *info = array_idx_modifiable(
		&match->imap_infos, array_count(&match->imap_infos) - 1);

	info->known_uidl = p_strdup(match->pool, uidl);
}

void match_pair_add(struct uidl_match *match, uint32_t pop3, uint32_t imap,
		    enum uidl_match_evidence evidence)
{
	struct match_mail *pop3_mail = match_mail_idx(match, MATCH_SIDE_POP3, pop3);
	struct match_mail *imap_mail = match_mail_idx(match, MATCH_SIDE_IMAP, imap);

	i_assert(match_mail_is_free(pop3_mail));
	i_assert(match_mail_is_free(imap_mail));
	pop3_mail->partner = imap;
	imap_mail->partner = pop3;
	pop3_mail->evidence = imap_mail->evidence = evidence;
}

void match_want_header(struct uidl_match *match, enum match_side side,
		       uint32_t idx)
{
	struct match_mail *mail = match_mail_idx(match, side, idx);

	if (mail->header_asked ||
	    (match->set.no_top && side == MATCH_SIDE_POP3))
		return;
	mail->header_asked = TRUE;
	array_push_back(&match->header_requests[side], &idx);
}

bool match_want_body(struct uidl_match *match, enum match_side side,
		     uint32_t idx)
{
	struct match_mail *mail = match_mail_idx(match, side, idx);

	if (mail->body_asked)
		return TRUE;
	if (match->set.no_top || match->is_gmail ||
	    match->set.max_body_bytes == 0)
		return FALSE;
	if (side == MATCH_SIDE_POP3) {
		if (mail->size > match->body_bytes_left)
			return FALSE;
		match->body_bytes_left -= mail->size;
	}
	mail->body_asked = TRUE;
	mail->header_asked = TRUE;
	array_push_back(&match->body_requests[side], &idx);
	return TRUE;
}

void match_want_pair_headers(struct uidl_match *match, uint32_t pop3,
			     uint32_t imap)
{
	if (match->set.no_top)
		return;
	match_want_header(match, MATCH_SIDE_POP3, pop3);
	match_want_header(match, MATCH_SIDE_IMAP, imap);
}

bool match_has_requests(struct uidl_match *match)
{
	return array_count(&match->header_requests[MATCH_SIDE_POP3]) > 0 ||
		array_count(&match->header_requests[MATCH_SIDE_IMAP]) > 0 ||
		array_count(&match->body_requests[MATCH_SIDE_POP3]) > 0 ||
		array_count(&match->body_requests[MATCH_SIDE_IMAP]) > 0;
}

int match_confirm(struct uidl_match *match, uint32_t pop3, uint32_t imap)
{
	const struct match_mail *pop3_mail =
		match_mail_idx(match, MATCH_SIDE_POP3, pop3);
	const struct match_mail *imap_mail =
		match_mail_idx(match, MATCH_SIDE_IMAP, imap);

	if (pop3_mail->header == NULL || imap_mail->header == NULL)
		return -1;
	if (header_digest_compare(pop3_mail->header, imap_mail->header) ==
	    HEADER_LIKENESS_OTHER)
		return 0;
	return 1;
}

void match_sample_evenly(ARRAY_TYPE(uint32_t) *dest, unsigned int total,
			 unsigned int count)
{
	uint32_t idx;

	if (total <= count) {
		for (idx = 0; idx < total; idx++)
			array_push_back(dest, &idx);
		return;
	}
	if (count == 1) {
		idx = total / 2;
		array_push_back(dest, &idx);
		return;
	}
	for (unsigned int i = 0; i < count; i++) {
		idx = (uint64_t)i * (total - 1) / (count - 1);
		array_push_back(dest, &idx);
	}
}

static int uint32_index_cmp(const uint32_t *a, const uint32_t *b)
{
	return *a < *b ? -1 : (*a > *b ? 1 : 0);
}

void match_uniq(ARRAY_TYPE(uint32_t) *indexes)
{
	uint32_t *idx;
	unsigned int i, used = 0, count;

	array_sort(indexes, uint32_index_cmp);
	idx = array_get_modifiable(indexes, &count);
	for (i = 0; i < count; i++) {
		if (used == 0 || idx[used-1] != idx[i])
			idx[used++] = idx[i];
	}
	array_delete(indexes, used, count - used);
}

/* RFC 1939: one to 70 characters in the range 0x21 to 0x7e. */
static bool uidl_is_odd(const char *uidl)
{
	unsigned int i;

	for (i = 0; uidl[i] != '\0'; i++) {
		if ((unsigned char)uidl[i] < 0x21 ||
		    (unsigned char)uidl[i] > 0x7e || i == 70)
			return TRUE;
	}
	return FALSE;
}

static void count_odd_uidls(struct uidl_match *match)
{
	HASH_TABLE(const char *, void *) seen;
	const char *uidl;

	hash_table_create(&seen, default_pool, 0, str_hash, strcmp);
	array_foreach_elem(&match->uidls, uidl) {
		if (uidl_is_odd(uidl) && match->result.odd_uidls++ == 0)
			match->result.first_odd_uidl = uidl;
		if (*uidl == '\0')
			match->result.empty_uidls++;
		else if (hash_table_lookup(seen, uidl) != NULL)
			match->result.repeated_uidls++;
		else
			hash_table_insert(seen, uidl, POINTER_CAST(1));
	}
	hash_table_destroy(&seen);
}

/* One step. Returns TRUE if it may have made requests. */
static bool match_step(struct uidl_match *match)
{
	switch (match->phase) {
	case MATCH_PHASE_KNOWN:
		count_odd_uidls(match);
		match_known(match);
		match->phase = MATCH_PHASE_KNOWN_SAMPLED;
		return TRUE;
	case MATCH_PHASE_KNOWN_SAMPLED:
		match_known_judge(match);
		match->phase = MATCH_PHASE_FORMAT;
		return FALSE;
	case MATCH_PHASE_FORMAT:
		match->phase = match_format_propose(match) ?
			MATCH_PHASE_FORMAT_SAMPLED : MATCH_PHASE_MESSAGE_ID;
		return TRUE;
	case MATCH_PHASE_FORMAT_SAMPLED:
		match_format_judge(match);
		match->phase = MATCH_PHASE_FORMAT;
		return FALSE;
	case MATCH_PHASE_MESSAGE_ID:
		match_message_id_try(match);
		match->phase = MATCH_PHASE_MESSAGE_ID_TRIED;
		return TRUE;
	case MATCH_PHASE_MESSAGE_ID_TRIED:
		match_message_id_want(match);
		match->phase = MATCH_PHASE_MESSAGE_ID_READ;
		return TRUE;
	case MATCH_PHASE_MESSAGE_ID_READ:
		match->phase = match_message_id_propose(match) ?
			MATCH_PHASE_MESSAGE_ID_SAMPLED : MATCH_PHASE_ALIGN;
		return TRUE;
	case MATCH_PHASE_MESSAGE_ID_SAMPLED:
		match_format_judge(match);
		match->phase = MATCH_PHASE_ALIGN;
		return FALSE;
	case MATCH_PHASE_ALIGN:
		match->phase = match_align_propose(match) ?
			MATCH_PHASE_ALIGN_SAMPLED : MATCH_PHASE_SIZED_HEADERS;
		return TRUE;
	case MATCH_PHASE_ALIGN_SAMPLED:
		if (!match_align_judge(match))
			match->phase = MATCH_PHASE_SIZED_HEADERS;
		return TRUE;
	case MATCH_PHASE_SIZED_HEADERS:
		match_want_sized_headers(match);
		match->phase = MATCH_PHASE_ALL_HEADERS;
		return TRUE;
	case MATCH_PHASE_ALL_HEADERS:
		match_by_header_and_size(match);
		match_want_all_headers(match);
		match->phase = MATCH_PHASE_HEADER_PAIRS;
		return TRUE;
	case MATCH_PHASE_HEADER_PAIRS:
		match_by_header(match, UIDL_MATCH_HEADER);
		match->phase = MATCH_PHASE_HEADER_BODIES;
		return TRUE;
	case MATCH_PHASE_HEADER_BODIES:
		match_by_header_and_body(match, UIDL_MATCH_HEADER);
		match->phase = MATCH_PHASE_FIELDS_PAIRS;
		return FALSE;
	case MATCH_PHASE_FIELDS_PAIRS:
		match_by_header(match, UIDL_MATCH_FIELDS);
		match->phase = MATCH_PHASE_FIELDS_BODIES;
		return TRUE;
	case MATCH_PHASE_FIELDS_BODIES:
		match_by_header_and_body(match, UIDL_MATCH_FIELDS);
		match->phase = MATCH_PHASE_BODIES;
		return FALSE;
	case MATCH_PHASE_BODIES:
		match_want_leftover_bodies(match);
		match->phase = MATCH_PHASE_BODY_PAIRS;
		return TRUE;
	case MATCH_PHASE_BODY_PAIRS:
		match_by_body(match);
		match->phase = MATCH_PHASE_FINISHED;
		return FALSE;
	case MATCH_PHASE_FINISHED:
		break;
	}
	i_unreached();
}

static void requests_clear(struct uidl_match *match)
{
	for (unsigned int side = 0; side < 2; side++) {
		array_clear(&match->header_requests[side]);
		array_clear(&match->body_requests[side]);
	}
}

static void requests_export(struct uidl_match *match,
			    struct uidl_match_request *request_r)
{
	for (unsigned int side = 0; side < 2; side++) {
		match_uniq(&match->header_requests[side]);
		match_uniq(&match->body_requests[side]);
	}
	request_r->pop3_headers =
		array_get(&match->header_requests[MATCH_SIDE_POP3],
			  &request_r->pop3_headers_count);
	request_r->imap_headers =
		array_get(&match->header_requests[MATCH_SIDE_IMAP],
			  &request_r->imap_headers_count);
	request_r->pop3_bodies =
		array_get(&match->body_requests[MATCH_SIDE_POP3],
			  &request_r->pop3_bodies_count);
	request_r->imap_bodies =
		array_get(&match->body_requests[MATCH_SIDE_IMAP],
			  &request_r->imap_bodies_count);
	match->result.pop3_headers += request_r->pop3_headers_count;
	match->result.imap_headers += request_r->imap_headers_count;
	match->result.pop3_bodies += request_r->pop3_bodies_count;
	match->result.imap_bodies += request_r->imap_bodies_count;
}

bool uidl_match_next(struct uidl_match *match,
		     struct uidl_match_request *request_r)
{
	requests_clear(match);
	while (match->phase != MATCH_PHASE_FINISHED) {
		if (match_step(match) && match_has_requests(match)) {
			requests_export(match, request_r);
			return TRUE;
		}
	}
	i_zero(request_r);
	return FALSE;
}

static void
add_header(struct uidl_match *match, enum match_side side, unsigned int idx,
	   const struct header_digest *header)
{
	match_mail_idx(match, side, idx)->header =
		p_memdup(match->pool, header, sizeof(*header));
}

static void
add_body(struct uidl_match *match, enum match_side side, unsigned int idx,
	 const struct body_digest *body)
{
	match_mail_idx(match, side, idx)->body =
		p_memdup(match->pool, body, sizeof(*body));
}

void uidl_match_add_pop3_header(struct uidl_match *match, unsigned int idx,
				const struct header_digest *header)
{
	add_header(match, MATCH_SIDE_POP3, idx, header);
}

void uidl_match_add_imap_header(struct uidl_match *match, unsigned int idx,
				const struct header_digest *header)
{
	add_header(match, MATCH_SIDE_IMAP, idx, header);
}

void uidl_match_add_pop3_body(struct uidl_match *match, unsigned int idx,
			      const struct body_digest *body)
{
	add_body(match, MATCH_SIDE_POP3, idx, body);
}

void uidl_match_add_imap_body(struct uidl_match *match, unsigned int idx,
			      const struct body_digest *body)
{
	add_body(match, MATCH_SIDE_IMAP, idx, body);
}

enum uidl_match_evidence
uidl_match_get_pop3(struct uidl_match *match, unsigned int pop3_idx,
		    unsigned int *imap_idx_r)
{
	const struct match_mail *mail =
		match_mail_idx(match, MATCH_SIDE_POP3, pop3_idx);

	*imap_idx_r = mail->partner;
	return mail->evidence;
}

enum uidl_match_evidence
uidl_match_get_imap(struct uidl_match *match, unsigned int imap_idx,
		    unsigned int *pop3_idx_r)
{
	const struct match_mail *mail =
		match_mail_idx(match, MATCH_SIDE_IMAP, imap_idx);

	*pop3_idx_r = mail->partner;
	return mail->evidence;
}

static const char likeness_size[] = "the same size, but another header";

/* How near a mail comes to a leftover, 0 = not at all. One that is free itself
   is nearer than one that has its partner. */
static unsigned int
get_nearness(const struct match_mail *mail, const struct match_mail *other,
	     const char **likeness_r)
{
	bool is_free = match_mail_is_free(other);

	if (mail->header != NULL && other->header != NULL) {
		switch (header_digest_compare(mail->header, other->header)) {
		case HEADER_LIKENESS_EQUAL:
			*likeness_r = "the same header";
			return is_free ? 5 : 4;
		case HEADER_LIKENESS_FIELDS:
			*likeness_r = "the same Message-ID, Date and From";
			return is_free ? 3 : 2;
		case HEADER_LIKENESS_OTHER:
			break;
		}
	}
	if (other->size == mail->size && is_free) {
		*likeness_r = likeness_size;
		return 1;
	}
	return 0;
}

/* The mail of the other side that comes nearest to a leftover, and what makes
   it so. Leftovers are few, so a walk for each of them does. */
static uint32_t
find_nearest(struct uidl_match *match, const struct match_mail *mail,
	     enum match_side other_side, const char **likeness_r)
{
	const struct match_mail *others;
	const char *likeness;
	unsigned int i, count, nearness, best_nearness = 0;
	uint32_t best = UIDL_MATCH_NO_IDX;

	*likeness_r = NULL;
	others = array_get(&match->mails[other_side], &count);
	for (i = 0; i < count; i++) {
		nearness = get_nearness(mail, &others[i], &likeness);
		if (nearness > best_nearness) {
			best_nearness = nearness;
			best = i;
			*likeness_r = likeness;
		}
	}
	return best;
}

static const char *
leftover_reason(struct uidl_match *match, enum match_side side,
		unsigned int idx, unsigned int *nearest_r)
{
	const struct match_mail *mail = match_mail_idx(match, side, idx);
	enum match_side other_side = side == MATCH_SIDE_POP3 ?
		MATCH_SIDE_IMAP : MATCH_SIDE_POP3;
	const char *other_name = side == MATCH_SIDE_POP3 ? "IMAP" : "POP3";
	const char *article = side == MATCH_SIDE_POP3 ? "an" : "a";
	const struct match_mail *other;
	const char *likeness;

	*nearest_r = UINT_MAX;
	if (mail->unusable)
		return "the POP3 server gave it no UIDL";
	if (match->set.no_top)
		return "the POP3 server has no TOP, so its header is not known";
	if (mail->header_asked && mail->header == NULL)
		return "its header could not be read";
	*nearest_r = find_nearest(match, mail, other_side, &likeness);
	if (*nearest_r == UIDL_MATCH_NO_IDX) {
		*nearest_r = UINT_MAX;
		return t_strdup_printf("no %s mail is like it", other_name);
	}
	other = match_mail_idx(match, other_side, *nearest_r);
	if (!match_mail_is_free(other)) {
		return t_strdup_printf(
			"the only %s mail with %s belongs to another one",
			other_name, likeness);
	}
	if (mail->body != NULL && other->body != NULL &&
	    (mail->body->sum[0] != other->body->sum[0] ||
	     mail->body->sum[1] != other->body->sum[1])) {
		return t_strdup_printf("%s %s mail has %s%s another body",
				       article, other_name, likeness,
				       likeness == likeness_size ?
				       " and" : ", but");
	}
	return t_strdup_printf("%s %s mail has %s, which is not enough%s",
			       article, other_name, likeness,
			       likeness == likeness_size ||
			       (mail->body_asked && other->body_asked) ? "" :
			       ": their texts were not compared");
}

const char *
uidl_match_leftover_pop3(struct uidl_match *match, unsigned int pop3_idx,
			 unsigned int *nearest_imap_idx_r)
{
	return leftover_reason(match, MATCH_SIDE_POP3, pop3_idx,
			       nearest_imap_idx_r);
}

const char *
uidl_match_leftover_imap(struct uidl_match *match, unsigned int imap_idx,
			 unsigned int *nearest_pop3_idx_r)
{
	return leftover_reason(match, MATCH_SIDE_IMAP, imap_idx,
			       nearest_pop3_idx_r);
}

const struct header_digest *
uidl_match_get_pop3_header(struct uidl_match *match, unsigned int pop3_idx)
{
	return match_mail_idx(match, MATCH_SIDE_POP3, pop3_idx)->header;
}

void uidl_match_get_result(struct uidl_match *match,
			   struct uidl_match_result *result_r)
{
	const struct match_mail *mail;

	*result_r = match->result;
	result_r->pop3_count = array_count(&match->mails[MATCH_SIDE_POP3]);
	result_r->imap_count = array_count(&match->mails[MATCH_SIDE_IMAP]);
	memset(result_r->pairs, 0, sizeof(result_r->pairs));
	array_foreach(&match->mails[MATCH_SIDE_POP3], mail)
		result_r->pairs[mail->evidence]++;
}
