/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_DECIDE_H
#define IMPORT_DECIDE_H

#include "guid.h"
#include "mail-types.h"
#include "header-digest.h"

/* Is a mail of the source the same mail as one of the destination, and if so,
   what is to be done with it? Nothing here reads mails: what is missing for an
   answer is named, the caller finds it out and asks again. */

/* What can be known of a mail, the cheap things first. */
enum import_evidence {
	/* the GUID, if the storage has one */
	IMPORT_EVIDENCE_GUID	= 0x01,
	/* Message-ID, Date and From */
	IMPORT_EVIDENCE_KEY	= 0x02,
	/* size with CR LF line ends, if it is known without reading the mail */
	IMPORT_EVIDENCE_SIZE	= 0x04,
	/* digest of the header without what servers add */
	IMPORT_EVIDENCE_HEADER	= 0x08,
	/* digest of the body */
	IMPORT_EVIDENCE_BODY	= 0x10,
};

struct import_identity {
	/* Members below that are filled. */
	enum import_evidence known;
	/* What was asked for and cannot be found out (a broken mail). Disjoint
	   from known. */
	enum import_evidence unreadable;

	/* empty: the storage has no GUIDs */
	guid_128_t guid;
	/* hash of the three fields; a missing field counts as an empty one */
	uint64_t key;
	/* comes with the key */
	bool has_message_id;
	uoff_t size;
	uint64_t header[2];
	struct body_digest body;

	/* They do not tell one mail from another, but among equal mails those
	   with equal flags are partners: otherwise the flags of twins would
	   spread from one to the other with each run. */
	enum mail_flags flags;
	/* see import_index_keywords() */
	uint64_t keywords;
};

enum import_match {
	IMPORT_MATCH_SAME,
	IMPORT_MATCH_DIFFERENT,
	/* more evidence is needed */
	IMPORT_MATCH_UNDECIDED,
};

/* The header lines that servers add and that do not count weigh less than
   this. Mails whose sizes differ by more are different. */
#define IMPORT_SIZE_SLACK 4096

/* Are the two one mail? Equal GUIDs are proof. Without them everything else
   must be equal, the body too: what only looks the same is not the same, and
   is kept. UNDECIDED gives in *need_r what must be known of both mails next;
   it is never something that is already known or unreadable on both sides.
   *reason_r is set on every path. */
enum import_match
import_compare(const struct import_identity *src,
	       const struct import_identity *dest,
	       enum import_evidence *need_r, const char **reason_r);

/* What is compared of two mails that have the same UID in mailboxes of the same
   UIDVALIDITY. */
struct import_numbered {
	time_t received;
	uoff_t size;
	/* as in struct import_identity */
	uint64_t key;
	bool has_message_id;
};

/* Are the two one mail, so that no text need be read? Under one UIDVALIDITY a UID
   never means two mails (RFC 3501 2.3.1.1), but the destination has the source's
   numbers only as far as it took them over, and may have gone on counting: date,
   size, Message-ID, Date and From must be the same, too, and there must be a
   Message-ID. */
bool import_numbered_is_same(const struct import_numbered *src,
			     const struct import_numbered *dest);

/* migration_import_duplicates */
enum import_duplicates {
	IMPORT_DUPLICATES_SKIP,
	IMPORT_DUPLICATES_MERGE_FLAGS,
	IMPORT_DUPLICATES_IMPORT,
};

enum import_action {
	IMPORT_ACTION_SAVE,
	IMPORT_ACTION_SKIP,
	IMPORT_ACTION_MERGE_FLAGS,
};

struct import_flags {
	enum mail_flags flags;
	/* NULL-terminated; NULL: none */
	const char *const *keywords;
};

/* What MERGE_FLAGS changes at the destination. */
struct import_flags_change {
	enum mail_flags add, remove;
	/* NULL-terminated (data stack), NULL if there is none to add */
	const char *const *add_keywords;
};

/* What is to be done with a mail of the source. dest is NULL if the
   destination does not have it. The flags and keywords of both mails are
   joined, but \Deleted is left only if both have it: a copy that somebody
   still wants must not be expunged because of one that nobody wanted.
   *change_r is filled for MERGE_FLAGS, and empty otherwise. */
enum import_action
import_decide(enum import_duplicates policy, const struct import_flags *src,
	      const struct import_flags *dest,
	      struct import_flags_change *change_r, const char **reason_r);

#endif
