/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_MATCH_PRIVATE_H
#define UIDL_MATCH_PRIVATE_H

#include "array.h"
#include "uidl-match.h"

#define UIDL_MATCH_NO_IDX UINT32_MAX

/* Which of the two lists. */
enum match_side {
	MATCH_SIDE_POP3 = 0,
	MATCH_SIDE_IMAP,
};

/* What both sides' mails have. */
struct match_mail {
	uoff_t size;
	const struct header_digest *header;
	const struct body_digest *body;
	uint32_t partner;
	uint8_t evidence;	/* enum uidl_match_evidence */
	bool header_asked:1;
	bool body_asked:1;
	/* no UIDL: cannot be given to anything */
	bool unusable:1;
	/* another mail of this side is known to have its header and size */
	bool has_twin:1;
};

struct match_imap_info {
	uint32_t mailbox, uid;
	uint64_t gmail_msgid;
	const char *known_uidl;
};

/* A pair that is not confirmed yet. */
struct match_pair {
	uint32_t pop3, imap;
	/* alignment: other mails have this size, too */
	bool size_repeats;
};
ARRAY_DEFINE_TYPE(match_pair, struct match_pair);
ARRAY_DEFINE_TYPE(match_mail, struct match_mail);

enum match_phase {
	MATCH_PHASE_KNOWN,
	MATCH_PHASE_KNOWN_SAMPLED,
	MATCH_PHASE_FORMAT,
	MATCH_PHASE_FORMAT_SAMPLED,
	MATCH_PHASE_MESSAGE_ID,
	MATCH_PHASE_MESSAGE_ID_TRIED,
	MATCH_PHASE_MESSAGE_ID_READ,
	MATCH_PHASE_MESSAGE_ID_SAMPLED,
	MATCH_PHASE_ALIGN,
	MATCH_PHASE_ALIGN_SAMPLED,
	MATCH_PHASE_SIZED_HEADERS,
	MATCH_PHASE_ALL_HEADERS,
	MATCH_PHASE_HEADER_PAIRS,
	MATCH_PHASE_HEADER_BODIES,
	MATCH_PHASE_FIELDS_PAIRS,
	MATCH_PHASE_FIELDS_BODIES,
	MATCH_PHASE_BODIES,
	MATCH_PHASE_BODY_PAIRS,
	MATCH_PHASE_FINISHED
};

struct uidl_match {
	pool_t pool;
	struct uidl_match_settings set;
	enum match_phase phase;

	/* [enum match_side] */
	ARRAY_TYPE(match_mail) mails[2];
	ARRAY(const char *) uidls;
	ARRAY(struct match_imap_info) imap_infos;
	ARRAY_TYPE(uint32_t) uidvalidities;

	/* The present request. */
	ARRAY_TYPE(uint32_t) header_requests[2], body_requests[2];
	uoff_t body_bytes_left;

	/* Format and alignment phases: what waits for confirmation, and which
	   of it was picked as sample. */
	ARRAY_TYPE(match_pair) candidates;
	ARRAY_TYPE(uint32_t) sample;
	unsigned int next_format;
	const struct uidl_format *tried_format;
	bool tried_format_sizes_agree;
	unsigned int align_rounds;
	/* alignment: mails of equal size were found to be mixed */
	bool order_is_doubtful;
	bool is_gmail;

	struct uidl_match_result result;
};

static inline struct match_mail *
match_mail_idx(struct uidl_match *match, enum match_side side, uint32_t idx)
{
	return array_idx_modifiable(&match->mails[side], idx);
}

static inline bool match_mail_is_free(const struct match_mail *mail)
{
	return mail->evidence == UIDL_MATCH_NONE && !mail->unusable;
}

/* uidl-match.c */
void match_pair_add(struct uidl_match *match, uint32_t pop3, uint32_t imap,
		    enum uidl_match_evidence evidence);
/* Ask, unless it was asked before. */
void match_want_header(struct uidl_match *match, enum match_side side,
		       uint32_t idx);
/* FALSE if the limit does not allow it. */
bool match_want_body(struct uidl_match *match, enum match_side side,
		     uint32_t idx);
bool match_has_requests(struct uidl_match *match);
void match_want_pair_headers(struct uidl_match *match, uint32_t pop3,
			     uint32_t imap);
/* 1 = the headers say it is one mail, 0 = two mails, -1 = headers not to be
   had. */
int match_confirm(struct uidl_match *match, uint32_t pop3, uint32_t imap);
/* Add count indexes below total to dest, evenly spread, first and last
   included. */
void match_sample_evenly(ARRAY_TYPE(uint32_t) *dest, unsigned int total,
			 unsigned int count);
/* Sort and drop repeated indexes. */
void match_uniq(ARRAY_TYPE(uint32_t) *indexes);

/* uidl-match-known.c: pairs of earlier runs and UIDL formats. */

/* Pairs with a UIDL of an earlier run, or candidates and sample if they have to
   be confirmed. */
void match_known(struct uidl_match *match);
void match_known_judge(struct uidl_match *match);
/* TRUE: candidates and sample were set. FALSE: no further format fits. */
bool match_format_propose(struct uidl_match *match);
/* Try the candidates as those of this format, which needs a sample. */
void match_format_try(struct uidl_match *match,
		      const struct uidl_format *format, bool sizes_agree);
void match_format_judge(struct uidl_match *match);
/* How many candidates have the same size on both sides. */
unsigned int match_count_equal_sizes(struct uidl_match *match);
/* A format is worth a sample if it explains this many UIDLs, or all. */
bool match_format_is_worth(unsigned int uidls, unsigned int all);

/* uidl-match-message-id.c: UIDLs made of the Message-ID. */

/* Ask for a few IMAP headers if the UIDLs look as if. */
void match_message_id_try(struct uidl_match *match);
/* Ask for all IMAP headers if these have made UIDLs that are there. */
void match_message_id_want(struct uidl_match *match);
/* TRUE: candidates and sample were set, for match_format_judge(). */
bool match_message_id_propose(struct uidl_match *match);

/* uidl-match-align.c: sizes and order. */
bool match_align_propose(struct uidl_match *match);
/* Ask for the headers of the candidates in the sample. */
void match_align_want_sample(struct uidl_match *match);

/* uidl-match-align-judge.c */

/* TRUE: needs more headers and wants to be called again. */
bool match_align_judge(struct uidl_match *match);

/* uidl-match-ask.c: headers of the mails that are still free. */

/* All POP3 mails, and the IMAP mails that have one of their sizes. */
void match_want_sized_headers(struct uidl_match *match);
/* All IMAP mails, if any POP3 mail is free. */
void match_want_all_headers(struct uidl_match *match);

/* uidl-match-evidence.c: headers and bodies. */

/* Pair what has the same header and the same size. All mails of these sizes
   must have been asked for. */
void match_by_header_and_size(struct uidl_match *match);
/* Pair what has the same header (or the same fields of it); what stays
   doubtful within such a group asks for bodies. */
void match_by_header(struct uidl_match *match,
		     enum uidl_match_evidence evidence);
void match_by_header_and_body(struct uidl_match *match,
			      enum uidl_match_evidence evidence);
void match_want_leftover_bodies(struct uidl_match *match);
void match_by_body(struct uidl_match *match);

#endif
