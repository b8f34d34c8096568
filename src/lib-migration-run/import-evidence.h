/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_EVIDENCE_H
#define IMPORT_EVIDENCE_H

#include "import-decide.h"

struct mail;

/* Fields of IMPORT_EVIDENCE_KEY, NULL-terminated. */
extern const char *const import_evidence_key_headers[];

/* FALSE if what the storage calls a mail's GUID is none. mbox and imapc's
   guid-forced give a hash of the header, which other mails can have as well;
   pop3c gives the UIDL, which other accounts can have (QUIRKS.md,
   "guids-that-are-none"). */
bool import_evidence_has_guid(struct mail *mail);
/* TRUE if a server is asked for what belongs to the mail. */
bool import_evidence_is_remote(struct mail *mail);

/* The keywords are valid as long as the mail. */
void import_evidence_get_flags(struct mail *mail, struct import_flags *flags_r);

/* Finds out the wanted evidence on a mail and adds it to what identity has.
   What cannot be found out is marked as unreadable. The body is read for
   IMPORT_EVIDENCE_BODY only, and nothing is read for the size. */
void import_evidence_read(struct mail *mail, enum import_evidence wanted,
			  struct import_identity *identity);

#endif
