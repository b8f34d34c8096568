/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_GATHER_PRIVATE_H
#define UIDL_GATHER_PRIVATE_H

#include "array.h"
#include "mailbox-evidence.h"
#include "uidl-gather.h"

struct gather_imap_mail {
	uint32_t uid;
	uoff_t size;
	uint64_t gmail_msgid;
	/* of an earlier run */
	const char *known_uidl;
	uint32_t known_order;
	/* of a leftover: Message-ID and Date, NULL if not looked at */
	const char *description;
};

struct gather_mailbox {
	struct mailbox *box;
	/* One that is opened only while it is needed: the caller's, while box
	   is ours. imapc-reopened-mailbox: ours is a new one each time, because
	   imapc mixes up the UIDVALIDITY of one that is opened again. */
	struct mailbox *closed_box;
	uint32_t uidvalidity;
	/* index of its first mail in the matcher */
	unsigned int first_idx;
	ARRAY(struct gather_imap_mail) mails;
	ARRAY_TYPE(uidl_gather_mail) results;
};

/* A mail of the maildrop. Its number changes when the connection is lost and
   another session deleted mails. */
struct gather_pop3_mail {
	uint32_t number;
	const char *uidl;
	uoff_t size;
	/* delivered after the mailbox was listed */
	bool late;
	/* of a leftover, if it could be had */
	const char *header;
	size_t header_size;
	/* how its header differs from the nearest IMAP mail's; "" if that was
	   not looked at */
	const char *difference;
};

struct uidl_gather {
	pool_t pool;
	struct uidl_gather_settings set;
	struct pop3_source *source;
	/* the source's */
	struct pop3_client *pop3;
	struct uidl_match *match;
	ARRAY(struct gather_mailbox) mailboxes;
	ARRAY(struct gather_pop3_mail) pop3_mails;
	/* TOP is known to be missing */
	bool no_top;
};

/* uidl-gather.c */

/* TRUE if the POP3 mail has no partner and is none that came too late. */
bool gather_is_leftover(struct uidl_gather *gather, unsigned int pop3_idx);
/* The mailbox and the mail that have the matcher's IMAP index. */
unsigned int
gather_find_mailbox(struct uidl_gather *gather, unsigned int imap_idx);
struct gather_imap_mail *
gather_find_imap(struct uidl_gather *gather, unsigned int imap_idx,
		 unsigned int *mailbox_r);

/* uidl-gather-imap.c */

/* Open a mailbox that is not kept open, and let it go again. */
int gather_mailbox_open(struct gather_mailbox *gbox, const char **error_r);
void gather_mailbox_close(struct gather_mailbox *gbox);
/* Give the matcher digests of those of the mails that are in this mailbox;
   indexes are the matcher's. Returns 0, or -1 and *error_r. */
int gather_imap_read(struct uidl_gather *gather, struct gather_mailbox *gbox,
		     const uint32_t *indexes, unsigned int count,
		     enum mailbox_evidence_type type, const char **error_r);

/* uidl-gather-pop3.c */

enum gather_pop3_read {
	/* give digests to the matcher */
	GATHER_POP3_READ_HEADERS,
	GATHER_POP3_READ_TEXTS,
	/* keep the header in the mail */
	GATHER_POP3_READ_HEADER_TEXTS
};

int gather_pop3_list(struct uidl_gather *gather, const char **error_r,
		     enum pop3_client_error *type_r);
/* Indexes are the matcher's. A lost connection is made again. */
int gather_pop3_read(struct uidl_gather *gather, const uint32_t *indexes,
		     unsigned int count, enum gather_pop3_read what,
		     const char **error_r, enum pop3_client_error *type_r);

/* uidl-gather-report.c */

/* Read what is needed to say why mails have no partner. */
void gather_explain(struct uidl_gather *gather);

#endif
