/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_GMAIL_LOCAL_H
#define MIGRATION_GMAIL_LOCAL_H

#include "guid.h"
#include "seq-range-array.h"

struct mail;
struct mailbox;
struct mail_user;

/* What the destination has already: X-GM-MSGID -> mailbox and UID. Filled from
   the destination's mailboxes when it is first asked, and from each commit of
   the run. Places are a guess: every mail is checked before it is given out. */

struct migration_gmail_local;

struct migration_gmail_local *
migration_gmail_local_init(struct mail_user *user);
void migration_gmail_local_deinit(struct migration_gmail_local **local);

/* Returns a mail with this id that lies in another mailbox than not_in, or
   NULL. It is valid until the next call or migration_gmail_local_close(). */
struct mail *
migration_gmail_local_get_mail(struct migration_gmail_local *local,
			       const char *msgid, const char *not_in);
/* TRUE if there was such a mail when it was last seen. Opens nothing, but for the
   first time. */
bool migration_gmail_local_has(struct migration_gmail_local *local,
			       const char *msgid, const char *not_in);
/* The mailbox has, committed, a mail with this id. */
void migration_gmail_local_learn(struct migration_gmail_local *local,
				 struct mailbox *box, uint32_t uid,
				 const char *msgid);

/* The 128 bits by which a GUID is known to all mailbox formats. */
void migration_gmail_local_guid(const char *guid, guid_128_t guid_128_r);

/* Returns the mail of this mailbox, or NULL; valid as long as that. */
struct mail *
migration_gmail_local_open_mail(struct migration_gmail_local *local,
				struct mailbox *box, uint32_t uid);
/* All UIDs that the mailbox has. */
void migration_gmail_local_get_uids(struct migration_gmail_local *local,
				    struct mailbox *box,
				    ARRAY_TYPE(seq_range) *uids);

/* Closes the mailboxes that were opened, to be called before the run goes on
   to another mailbox. */
void migration_gmail_local_close(struct migration_gmail_local *local);

#endif
