/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAIL_FILTER_H
#define MAIL_FILTER_H

#include "seq-range-array.h"
#include "filter-memory.h"

/* Which mails a migration leaves alone: migration_imapc_filter_max_size, _since,
   _before and _flags.

   mail-below-uidnext: dsync cannot bring a mail over whose UID is below those
   that the destination has: it answers by deleting the mailbox. So a mail that
   was left out once stays left out, and one that was brought over once stays
   migrated, whatever the filter or the mail's flags are later. What was decided
   is in filter-memory.h. */

struct mail_filter;

/* As the settings have them. */
struct mail_filter_words {
	/* bytes; 0 for any size */
	uoff_t max_size;
	/* YYYY-MM-DD, in UTC; "" for none: the first day whose mails are
	   migrated, and the first one whose mails are not */
	const char *since, *before;
	/* flags and keywords that a mail must have, or, after a "!", must not
	   have, with blanks or commas between them; "" for none */
	const char *flags;
};

/* The filter lives in the pool. Returns 0, or -1 and error_r (data stack), which
   names the setting. */
int mail_filter_parse(pool_t pool, const struct mail_filter_words *words,
		      struct mail_filter **filter_r, const char **error_r);
/* FALSE if it leaves nothing out. */
bool mail_filter_is_set(const struct mail_filter *filter);
/* What has to be known of a mail. */
bool mail_filter_wants_size(const struct mail_filter *filter);
bool mail_filter_wants_date(const struct mail_filter *filter);

struct mail_filter_mail {
	uint32_t uid;
	/* RFC822.SIZE; UOFF_T_MAX if it is not known */
	uoff_t size;
	/* INTERNALDATE; (time_t)-1 if it is not known */
	time_t received_date;
	/* as IMAP has them, with blanks between them */
	const char *flags;
};

/* Why a mail is left out */
enum mail_filter_cause {
	MAIL_FILTER_CAUSE_NONE,
	MAIL_FILTER_CAUSE_SIZE,
	MAIL_FILTER_CAUSE_DATE,
	MAIL_FILTER_CAUSE_FLAGS,

	MAIL_FILTER_CAUSE_COUNT
};
/* "larger than migration_imapc_filter_max_size" */
const char *mail_filter_cause_text(enum mail_filter_cause cause);

enum mail_filter_verdict {
	/* it is migrated */
	MAIL_FILTER_SHOWN,
	/* it is left out */
	MAIL_FILTER_HIDDEN,
	/* it was left out earlier, and would not be now: it stays so */
	MAIL_FILTER_LATE,
	/* ask again with its size and date */
	MAIL_FILTER_NEEDS_DETAILS,
	/* ask again with the destination's UIDs */
	MAIL_FILTER_NEEDS_DEST,
};

struct mail_filter_past {
	/* what was decided, or NULL if nothing was */
	const struct filter_memory_mailbox *memory;
	/* the destination has no UIDs from here on; 0 if that is not known */
	uint32_t dest_uidnext;
	/* its UIDs, or NULL if they are not known */
	const ARRAY_TYPE(seq_range) *dest_uids;
	/* the server does not tell more sizes and dates: what is not known
	   leaves no mail out */
	bool details_final;
};

/* A mail that the destination has is never left out: it would be deleted there.
   cause_r is set if the mail is left out, and is MAIL_FILTER_CAUSE_NONE for
   MAIL_FILTER_LATE. */
enum mail_filter_verdict
mail_filter_decide(const struct mail_filter *filter,
		   const struct mail_filter_past *past,
		   const struct mail_filter_mail *mail,
		   enum mail_filter_cause *cause_r);

#endif
