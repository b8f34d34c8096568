/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_EVIDENCE_H
#define MAILBOX_EVIDENCE_H

#include "seq-range-array.h"
#include "header-digest.h"

struct mailbox;

/* Reads what identifies mails from an opened and synced mailbox: sizes, headers
   or whole texts of many mails at once. From an imapc mailbox all of it comes in
   one burst of UID FETCH, never in a round trip for each mail. */

enum mailbox_evidence_type {
	MAILBOX_EVIDENCE_SIZE,
	MAILBOX_EVIDENCE_HEADER,
	/* gives the header as well */
	MAILBOX_EVIDENCE_TEXT
};

struct mailbox_evidence {
	uint32_t uid;
	/* only what was asked for is set */
	uoff_t size;
	/* with the size, from servers that have it: X-GM-MSGID, else 0 */
	uint64_t gmail_msgid;
	const struct header_digest *header;
	/* as it came, valid during the callback */
	const unsigned char *header_text;
	size_t header_text_size;
	const struct body_digest *body;
};

typedef void mailbox_evidence_callback_t(void *context,
					 const struct mailbox_evidence *evidence);

/* Calls back for each mail that the server gives, in any order. Mails that it
   does not give are left out. Returns -1 and error_r if the mailbox cannot be
   read at all. */
int mailbox_evidence_read(struct mailbox *box,
			  const ARRAY_TYPE(seq_range) *uids,
			  enum mailbox_evidence_type type,
			  mailbox_evidence_callback_t *callback, void *context,
			  const char **error_r);

#endif
