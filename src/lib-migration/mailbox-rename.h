/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_RENAME_H
#define MAILBOX_RENAME_H

#include "guid.h"

/* Which mailbox of the source is which one of the destination, whatever they are
   called now. dsync knows mailboxes by GUIDs, and imapc makes these from names:
   a mailbox that was renamed is another one for it, is deleted and downloaded
   again. Here each mailbox of the source gets the GUID of the destination's
   mailbox that it is, and dsync renames.

   By what they are known, from what says most to what says least:
   1. the server's id of the mailbox (RFC 8474 MAILBOXID, Dovecot's X-GUID), with
      what was remembered of it;
   2. the same name and the same UIDVALIDITY;
   3. the same UIDVALIDITY and the same mails, where the destination has no UID
      that the source has not given yet;
   4. the same mails, where the server has no ids, the source's mailbox was
      numbered anew (quirk: courier-rename) and its name is as new as the other
      one's is gone.
   INBOX is INBOX: renaming it leaves its name behind (RFC 3501 6.3.5). */

struct rename_source {
	const char *name;
	/* the server's id, "" if it has none */
	const char *id;
	/* 0 if the server does not tell them; then only the id or the name says
	   which one it is */
	uint32_t uidvalidity, uidnext;
	unsigned int messages;
	/* what dsync would know it by */
	guid_128_t stock_guid;

	/* what comes out */
	guid_128_t guid;
	/* index into the destination's mailboxes of the one that it is, or
	   UINT_MAX */
	unsigned int dest_idx;
};
ARRAY_DEFINE_TYPE(rename_source, struct rename_source);

struct rename_dest {
	const char *name;
	guid_128_t guid;
	uint32_t uidvalidity, uidnext;
};
ARRAY_DEFINE_TYPE(rename_dest, struct rename_dest);

/* What is remembered from run to run: a mailbox with this id at the source got
   this GUID. */
struct rename_known {
	const char *id;
	guid_128_t guid;
};
ARRAY_DEFINE_TYPE(rename_known, struct rename_known);

/* TRUE if it can be an id: RFC 8474 5.1 allows letters, digits, - and _, at most
   255 of them. */
bool mailbox_rename_id_is_valid(const char *id);

/* TRUE if mailboxes with so many mails can be one that was renamed and numbered
   anew: some mails may be new there, and a few may be gone. */
bool mailbox_rename_counts_fit(unsigned int there, unsigned int here);

/* TRUE if both have the same mails, as far as the destination has any: under the
   same UIDs if the UIDVALIDITY is the same. Costs something. */
typedef bool rename_same_mails_t(void *context,
				 const struct rename_source *source,
				 const struct rename_dest *dest);

/* Fills in the results. GUIDs that come out are all different. Without
   may_rename (dsync would rename the source's mailbox back) only mailboxes of
   the same name are taken for the same. same_mails is asked a bounded number of
   times. */
void mailbox_renames_find(ARRAY_TYPE(rename_source) *sources,
			  const ARRAY_TYPE(rename_dest) *dests,
			  const ARRAY_TYPE(rename_known) *known,
			  bool may_rename, rename_same_mails_t *same_mails,
			  void *context);

/* What is to be remembered after that: ids of mailboxes that are not among the
   sources stay. key names all on which ids depend: server and account. */
void mailbox_renames_write(const ARRAY_TYPE(rename_source) *sources,
			   const ARRAY_TYPE(rename_known) *known,
			   const char *key, string_t *dest);
/* Reads that. What is damaged, or was written for another key, is refused whole:
   FALSE and reason_r. */
bool mailbox_renames_read(const char *text, const char *key, pool_t pool,
			  ARRAY_TYPE(rename_known) *known,
			  const char **reason_r);

#endif
