/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_MATCH_H
#define UIDL_MATCH_H

#include "header-digest.h"

struct uidl_format;

/* Find out which mail of a POP3 maildrop is which mail of one or several IMAP
   mailboxes. Does no I/O: uidl_match_next() says which headers and bodies it
   needs, the caller adds them and calls again.

   Evidence is used cheapest first (enum uidl_match_evidence). A pair that could
   only be guessed is not made: a wrong UIDL makes a POP3 client skip a mail that
   it never had.

   Indexes count from 0 in the order of adding: POP3 mails in message number
   order, IMAP mails mailbox by mailbox (the INBOX first: where a mail lies in
   several mailboxes, the earlier one gets the UIDL) in UID order. */

enum uidl_match_evidence {
	UIDL_MATCH_NONE = 0,
	/* Paired by an earlier run; confirmed on a sample where sizes do not
	   agree. */
	UIDL_MATCH_KNOWN,
	/* The UIDL names the mail; format confirmed on a sample. */
	UIDL_MATCH_FORMAT,
	/* Sizes in the same order; confirmed on a sample. */
	UIDL_MATCH_ALIGNED,
	/* Same header and size. */
	UIDL_MATCH_HEADER,
	/* Same Message-ID, Date and From, and same size of the body. */
	UIDL_MATCH_FIELDS,
	/* Same body, and header fields that agree. */
	UIDL_MATCH_BODY,

	UIDL_MATCH_EVIDENCE_COUNT
};

struct uidl_match_settings {
	/* Sizes say nothing. */
	bool skip_sizes;
	/* The POP3 server cannot give headers. */
	bool no_top;
	/* Most bytes of bodies to ask from the POP3 server, 0 = none. Gmail is
	   never asked for bodies. */
	uoff_t max_body_bytes;
};

/* What uidl_match_next() needs, as indexes in ascending order. Headers that
   are asked together with their bodies are asked only as bodies: one stream
   gives both. Lives until the next call. */
struct uidl_match_request {
	const uint32_t *pop3_headers, *imap_headers;
	const uint32_t *pop3_bodies, *imap_bodies;
	unsigned int pop3_headers_count, imap_headers_count;
	unsigned int pop3_bodies_count, imap_bodies_count;
};

struct uidl_match_result {
	unsigned int pop3_count, imap_count;
	/* Pairs by evidence. [UIDL_MATCH_NONE] is the number of POP3 mails
	   without partner. */
	unsigned int pairs[UIDL_MATCH_EVIDENCE_COUNT];
	/* What was asked for. */
	unsigned int pop3_headers, imap_headers, pop3_bodies, imap_bodies;
	/* POP3 mails whose UIDL another one has, or that have none, or one that
	   RFC 1939 does not allow (longer than 70 characters, blanks, 8-bit). */
	unsigned int repeated_uidls, empty_uidls, odd_uidls;
	/* the first of these, NULL if there is none; valid until deinit */
	const char *first_odd_uidl;
	/* The format that was confirmed, or NULL. */
	const struct uidl_format *format;
	unsigned int format_sample;
};

/* Text for reports, e.g. "size and order". */
const char *uidl_match_evidence_name(enum uidl_match_evidence evidence);

struct uidl_match *uidl_match_init(const struct uidl_match_settings *set);
void uidl_match_deinit(struct uidl_match **match);

/* Sizes are UOFF_T_MAX if unknown, gmail_msgid 0. */
void uidl_match_add_pop3(struct uidl_match *match, const char *uidl,
			 uoff_t size);
unsigned int uidl_match_add_mailbox(struct uidl_match *match,
				    uint32_t uidvalidity);
void uidl_match_add_imap(struct uidl_match *match, unsigned int mailbox,
			 uint32_t uid, uoff_t size, uint64_t gmail_msgid);
/* An earlier run gave this UIDL to the last added IMAP mail. */
void uidl_match_set_known(struct uidl_match *match, const char *uidl);

/* Returns TRUE and what is needed to go on, FALSE if all is decided. Whatever
   was asked for and not added by the next call counts as not to be had. */
bool uidl_match_next(struct uidl_match *match,
		     struct uidl_match_request *request_r);
void uidl_match_add_pop3_header(struct uidl_match *match, unsigned int idx,
				const struct header_digest *header);
void uidl_match_add_imap_header(struct uidl_match *match, unsigned int idx,
				const struct header_digest *header);
void uidl_match_add_pop3_body(struct uidl_match *match, unsigned int idx,
			      const struct body_digest *body);
void uidl_match_add_imap_body(struct uidl_match *match, unsigned int idx,
			      const struct body_digest *body);

/* Results. The partner's index is valid unless UIDL_MATCH_NONE is returned. */
enum uidl_match_evidence
uidl_match_get_pop3(struct uidl_match *match, unsigned int pop3_idx,
		    unsigned int *imap_idx_r);
enum uidl_match_evidence
uidl_match_get_imap(struct uidl_match *match, unsigned int imap_idx,
		    unsigned int *pop3_idx_r);
/* Why the mail has no partner, and the one that comes nearest, if any
   (else UINT_MAX). Data stack. */
const char *
uidl_match_leftover_pop3(struct uidl_match *match, unsigned int pop3_idx,
			 unsigned int *nearest_imap_idx_r);
const char *
uidl_match_leftover_imap(struct uidl_match *match, unsigned int imap_idx,
			 unsigned int *nearest_pop3_idx_r);
/* The header as far as it was asked for, or NULL. */
const struct header_digest *
uidl_match_get_pop3_header(struct uidl_match *match, unsigned int pop3_idx);
void uidl_match_get_result(struct uidl_match *match,
			   struct uidl_match_result *result_r);

#endif
