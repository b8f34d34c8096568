/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "import-decide.h"

static bool both_know(const struct import_identity *src,
		      const struct import_identity *dest,
		      enum import_evidence evidence)
{
	return (src->known & dest->known & evidence) != 0;
}

static bool one_is_unreadable(const struct import_identity *src,
			      const struct import_identity *dest,
			      enum import_evidence evidence)
{
	return ((src->unreadable | dest->unreadable) & evidence) != 0;
}

static enum import_match
import_need(const struct import_identity *src,
	    const struct import_identity *dest, enum import_evidence evidence,
	    enum import_evidence *need_r, const char **reason_r)
{
	if (one_is_unreadable(src, dest, evidence)) {
		*reason_r = "one of the two mails cannot be read";
		return IMPORT_MATCH_DIFFERENT;
	}
	*need_r = evidence;
	*reason_r = "more must be known";
	return IMPORT_MATCH_UNDECIDED;
}

static bool guids_equal(const struct import_identity *src,
			const struct import_identity *dest)
{
	return both_know(src, dest, IMPORT_EVIDENCE_GUID) &&
		!guid_128_is_empty(src->guid) &&
		guid_128_equals(src->guid, dest->guid);
}

static bool sizes_differ(const struct import_identity *src,
			 const struct import_identity *dest)
{
	if (!both_know(src, dest, IMPORT_EVIDENCE_SIZE))
		return FALSE;
	return (src->size > dest->size ? src->size - dest->size :
		dest->size - src->size) > IMPORT_SIZE_SLACK;
}

bool import_numbered_is_same(const struct import_numbered *src,
			     const struct import_numbered *dest)
{
	return src->has_message_id && src->received == dest->received &&
		src->size == dest->size && src->key == dest->key;
}

enum import_match
import_compare(const struct import_identity *src,
	       const struct import_identity *dest,
	       enum import_evidence *need_r, const char **reason_r)
{
	*need_r = 0;
	if (guids_equal(src, dest)) {
		*reason_r = "same GUID";
		return IMPORT_MATCH_SAME;
	}
	if (!both_know(src, dest, IMPORT_EVIDENCE_KEY)) {
		return import_need(src, dest, IMPORT_EVIDENCE_KEY,
				   need_r, reason_r);
	}
	if (src->key != dest->key) {
		*reason_r = "another Message-ID, Date or From";
		return IMPORT_MATCH_DIFFERENT;
	}
	if (sizes_differ(src, dest)) {
		*reason_r = "same Message-ID, Date and From, another size";
		return IMPORT_MATCH_DIFFERENT;
	}
	if (!both_know(src, dest, IMPORT_EVIDENCE_HEADER)) {
		return import_need(src, dest, IMPORT_EVIDENCE_HEADER,
				   need_r, reason_r);
	}
	if (memcmp(src->header, dest->header, sizeof(src->header)) != 0) {
		*reason_r = "same Message-ID, Date and From, another header";
		return IMPORT_MATCH_DIFFERENT;
	}
	/* Never by the header alone: drafts that were saved twice, and mails
	   without any header, differ only here. */
	if (!both_know(src, dest, IMPORT_EVIDENCE_BODY)) {
		return import_need(src, dest, IMPORT_EVIDENCE_BODY,
				   need_r, reason_r);
	}
	if (memcmp(&src->body, &dest->body, sizeof(src->body)) != 0) {
		*reason_r = "same header, another body";
		return IMPORT_MATCH_DIFFERENT;
	}
	*reason_r = "same header and body";
	return IMPORT_MATCH_SAME;
}

static bool keyword_in(const char *const *keywords, const char *keyword)
{
	/* IMAP does not tell upper case from lower case in keywords */
	return keywords != NULL && str_array_icase_find(keywords, keyword);
}

static const char *const *
missing_keywords(const struct import_flags *src,
		 const struct import_flags *dest)
{
	const char *const *keywords = src->keywords;
	ARRAY_TYPE(const_string) missing;

	t_array_init(&missing, 8);
	for (; keywords != NULL && *keywords != NULL; keywords++) {
		if (!keyword_in(dest->keywords, *keywords))
			array_push_back(&missing, keywords);
	}
	if (array_count(&missing) == 0)
		return NULL;
	array_append_zero(&missing);
	return array_front(&missing);
}

enum import_action
import_decide(enum import_duplicates policy, const struct import_flags *src,
	      const struct import_flags *dest,
	      struct import_flags_change *change_r, const char **reason_r)
{
	const enum mail_flags joined = MAIL_ANSWERED | MAIL_FLAGGED |
		MAIL_SEEN | MAIL_DRAFT;

	i_zero(change_r);
	if (policy == IMPORT_DUPLICATES_IMPORT) {
		*reason_r = "duplicates are imported";
		return IMPORT_ACTION_SAVE;
	}
	if (dest == NULL) {
		*reason_r = "not at the destination";
		return IMPORT_ACTION_SAVE;
	}
	if (policy == IMPORT_DUPLICATES_SKIP) {
		*reason_r = "already at the destination";
		return IMPORT_ACTION_SKIP;
	}
	change_r->add = src->flags & ~dest->flags & joined;
	change_r->remove = dest->flags & ~src->flags & MAIL_DELETED;
	change_r->add_keywords = missing_keywords(src, dest);
	if (change_r->add == 0 && change_r->remove == 0 &&
	    change_r->add_keywords == NULL) {
		*reason_r = "already at the destination, no new flags";
		return IMPORT_ACTION_SKIP;
	}
	*reason_r = "already at the destination, flags joined";
	return IMPORT_ACTION_MERGE_FLAGS;
}
