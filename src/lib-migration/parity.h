/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PARITY_H
#define PARITY_H

#include "seq-range-array.h"
#include "mail-types.h"
#include "sha2.h"
#include "finding.h"
#include "header-digest.h"

/* Is a mailbox the same on both sides? Pure: takes what was read from the
   source and from the destination, gives the list of differences, each with
   its reason. It asks for texts that it needs to see (parity_want_texts()), is
   given their digests, and is asked again. */

/* What a mail's text is, whatever line ends it is kept with. */
struct parity_digest {
	/* of the text with each line end (LF with any number of CR before it)
	   written as a single LF */
	unsigned char hash[SHA256_RESULTLEN];
	/* size with each such line end counted as CR LF */
	uoff_t size;
	/* CRs before line ends beyond the first of each, and all at the text's
	   end */
	uoff_t extra_crs;
};

struct parity_mail {
	uint32_t uid;
	/* without MAIL_RECENT, which belongs to a session */
	enum mail_flags flags;
	time_t received_date;
	/* RFC822.SIZE */
	uoff_t size;
	/* sorted by strcasecmp(), joined by spaces, "" if there are none */
	const char *keywords;
	/* NULL if the text was not read */
	const struct parity_digest *digest;
	/* what the POP3 server gives; NULL if nobody asked, "" if there is no
	   UIDL, order 0 if there is no order */
	const char *uidl;
	uint32_t pop3_order;
};
ARRAY_DEFINE_TYPE(parity_mail, struct parity_mail);

struct parity_mailbox {
	const char *name;
	/* there is such a mailbox, and it can be selected */
	bool exists;
	/* the name is there, but only as the parent of other mailboxes */
	bool noselect;
	bool subscribed;
	uint32_t uid_validity;
	uint32_t uid_next;
	/* the server only estimates sizes, so that one proves nothing */
	bool sizes_estimated;
	/* ascending UIDs */
	ARRAY_TYPE(parity_mail) mails;
};

enum parity_kind {
	PARITY_MAILBOX_MISSING,
	PARITY_MAILBOX_EXTRA,
	PARITY_SUBSCRIPTION,
	PARITY_UIDVALIDITY,
	PARITY_UIDNEXT,
	PARITY_MAIL_MISSING,
	PARITY_MAIL_EXTRA,
	PARITY_FLAGS,
	PARITY_KEYWORDS,
	PARITY_DATE,
	PARITY_SIZE,
	PARITY_TEXT,
	PARITY_UIDL,
	/* the UIDL is on another mail than at the source */
	PARITY_UIDL_OTHER_MAIL,
	PARITY_POP3_ORDER,

	PARITY_KIND_COUNT
};

enum parity_weight {
	/* known, harmless and unavoidable: told, and still equal */
	PARITY_WEIGHT_EXPECTED,
	/* a difference */
	PARITY_WEIGHT_DIFFERENT,

	PARITY_WEIGHT_COUNT
};

struct parity_difference {
	enum parity_kind kind;
	enum parity_weight weight;
	/* 0 if it concerns the mailbox */
	uint32_t uid;
	/* the values, "" where there is none */
	const char *source, *dest;
	/* why it is a difference, or why it was expected */
	const char *reason;
};
ARRAY_DEFINE_TYPE(parity_difference, struct parity_difference);

struct parity_policy {
	/* mails and mailboxes that only the destination has are expected:
	   somebody uses it already */
	bool allow_extra;
	/* flags and keywords that only the destination has are expected: it was
	   not made equal, only what the source has was added */
	bool allow_more_flags;
	/* mails that the source's POP3 server does not list are expected */
	bool allow_extra_uidls;
};

/* The kind of finding that such a difference is. */
enum finding_kind parity_kind_finding(enum parity_kind kind);

/* Its name, a stable word: "mail-missing". */
const char *parity_kind_name(enum parity_kind kind);

/* The likeliest cause of such differences, and what to do about them. */
const char *parity_kind_hint(enum parity_kind kind);

/* Digest of one text, fed in pieces of any size. */
struct parity_digest_ctx {
	struct sha256_ctx sha;
	uoff_t size, extra_crs;
	/* CRs that were read and may belong to a line end */
	uoff_t pending_crs;
};
void parity_digest_init(struct parity_digest_ctx *ctx);
void parity_digest_more(struct parity_digest_ctx *ctx,
			const unsigned char *data, size_t size);
void parity_digest_finish(struct parity_digest_ctx *ctx,
			  struct parity_digest *digest_r);

/* Which mails' texts should be compared: a sample of the mails that both sides
   have, and every mail whose size differs, because only its text says why,
   unless the source only estimates sizes. The sample is percent of the mailbox, but at least min mails; it is the same
   each time, and a larger one contains the smaller. Mails that have digests on
   both sides already are left out. Adds ascending UIDs. */
void parity_want_texts(const struct parity_mailbox *source,
		       const struct parity_mailbox *dest,
		       unsigned int percent, unsigned int min,
		       ARRAY_TYPE(seq_range) *uids);

/* The sample that parity_want_texts() takes of a mailbox whose UIDs are the same
   on both sides. */
void parity_sample_texts(uint32_t uid_validity, const ARRAY_TYPE(seq_range) *all,
			 unsigned int percent, unsigned int min,
			 ARRAY_TYPE(seq_range) *uids);

/* Mails whose texts can be compared: those that both sides have. */
unsigned int parity_common_count(const struct parity_mailbox *source,
				 const struct parity_mailbox *dest);

/* Compares one mailbox. A side that does not have the mailbox is given with
   exists = FALSE. The texts of the differences lie in the pool. */
void parity_compare(const struct parity_mailbox *source,
		    const struct parity_mailbox *dest,
		    const struct parity_policy *policy, pool_t pool,
		    ARRAY_TYPE(parity_difference) *differences);

/* A mail as a POP3 server lists it, in the server's order. */
struct parity_pop3_mail {
	const char *uidl;
	/* no UIDL is stored for the mail: the server makes one up, and the
	   source's can be the same only if both have one formula */
	bool made_up;
	/* UOFF_T_MAX if unknown */
	uoff_t size;
	/* the source's POP3 message number, or 0 */
	uint32_t number;
	/* the destination's UID, or 0 */
	uint32_t uid;
	/* which of the destination's mailboxes, if its list is of several */
	unsigned int mailbox;
	/* NULL if it was not read */
	const struct header_digest *header;
};
ARRAY_DEFINE_TYPE(parity_pop3_mail, struct parity_pop3_mail);

/* Two mails with one UIDL, as indexes into the lists. */
struct parity_pop3_pair {
	unsigned int source_idx, dest_idx;
};
ARRAY_DEFINE_TYPE(parity_pop3_pair, struct parity_pop3_pair);

/* Which pairs' headers should be compared, to see that the UIDL is on the same
   mail: a sample, as parity_want_texts() takes it, and every pair whose sizes
   differ, unless most do (some servers only guess sizes). Where one UIDL is
   listed several times, its mails pair in order. */
void parity_want_pop3_headers(const ARRAY_TYPE(parity_pop3_mail) *source,
			      const ARRAY_TYPE(parity_pop3_mail) *dest,
			      unsigned int percent, unsigned int min,
			      ARRAY_TYPE(parity_pop3_pair) *pairs);

/* Compares what two POP3 servers list. */
void parity_compare_pop3(const ARRAY_TYPE(parity_pop3_mail) *source,
			 const ARRAY_TYPE(parity_pop3_mail) *dest,
			 const struct parity_policy *policy, pool_t pool,
			 ARRAY_TYPE(parity_difference) *differences);

/* Digest over what was compared of a mailbox: UIDVALIDITY and the sorted list
   of UID, flags, keywords, date, size and, where read, text. Two runs that
   found the same mailbox give the same 64 hex digits. */
const char *parity_mailbox_digest(const struct parity_mailbox *box);

#endif
