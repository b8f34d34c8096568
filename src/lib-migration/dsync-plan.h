/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSYNC_PLAN_H
#define DSYNC_PLAN_H

#include "mail-types.h"
#include "delete-guard.h"
#include "mailbox-reuse.h"

/* What dsync will do to one mailbox of the destination, without doing it. Pure:
   takes what both sides have, gives each change with its reason.

   This follows dsync step by step (dsync-mailbox-tree-sync.c and
   dsync-mailbox-import.c of 2.3.19.1 and 2.4.1, the destination being the
   importer), for a run without state: mails are compared in the order of their
   UIDs until the first difference, and what that means depends on the mode.
   What dsync wants to delete the deletion guard may refuse: see
   dsync_plan_refuse(). */

enum dsync_plan_mode {
	/* backup: the destination becomes equal to the source */
	DSYNC_PLAN_BACKUP,
	/* sync -1: what the destination has of its own stays */
	DSYNC_PLAN_SYNC_ONCE
};

struct dsync_plan_mail {
	uint32_t uid;
	/* by what dsync tells that two mails are the same: the GUID if both
	   sides have them, else the digest of the header fields Date and
	   Message-ID. Never NULL. */
	const char *identity;
	uoff_t size;
	uint64_t modseq;
	enum mail_flags flags;
	/* NULL-terminated, no name twice */
	const char *const *keywords;
	/* the destination's mails: what its transaction log says was set and
	   removed. NULL is none. */
	enum mail_flags flags_added, flags_removed;
	const char *const *keywords_added, *const *keywords_removed;
};
ARRAY_DEFINE_TYPE(dsync_plan_mail, struct dsync_plan_mail);

struct dsync_plan_side {
	/* FALSE: there is no such mailbox; the rest is 0 and empty then */
	bool exists;
	/* the destination: there was one, and it was deleted there */
	bool was_deleted;
	/* mailbox's GUID, "" if it is not known */
	const char *guid;
	uint32_t uid_validity, uid_next;
	/* ascending UIDs */
	ARRAY_TYPE(dsync_plan_mail) mails;
};

/* What becomes of the mailbox. The names are stable words. */
enum dsync_plan_fate {
	/* "nothing": it stays what it is, or is nowhere */
	DSYNC_PLAN_NOTHING,
	/* "create" */
	DSYNC_PLAN_CREATE,
	/* "update": mails or flags of it change */
	DSYNC_PLAN_UPDATE,
	/* "replace": it is deleted and made again as the source has it */
	DSYNC_PLAN_REPLACE,
	/* "delete": only the destination has it */
	DSYNC_PLAN_DELETE,
	/* "keep": only the destination has it, and it stays */
	DSYNC_PLAN_KEEP,
	/* "refuse": it would have to be deleted, the guard does not allow it,
	   and it is left as it is */
	DSYNC_PLAN_REFUSE,
	/* "skip": the destination's user deleted it, so it stays deleted */
	DSYNC_PLAN_SKIP,

	DSYNC_PLAN_FATE_COUNT
};

enum dsync_plan_action {
	/* "copy": from the source */
	DSYNC_PLAN_MAIL_COPY,
	/* "delete": from the destination */
	DSYNC_PLAN_MAIL_DELETE,
	/* "update": flags or keywords at the destination */
	DSYNC_PLAN_MAIL_UPDATE,
	/* "renumber": the destination's mail gets another UID */
	DSYNC_PLAN_MAIL_RENUMBER,

	DSYNC_PLAN_ACTION_COUNT
};

struct dsync_plan_change {
	enum dsync_plan_action action;
	/* the source's for what is copied, else the destination's */
	uint32_t uid;
	/* at the destination, afterwards; 0 if it is gone */
	uint32_t new_uid;
	uoff_t size;
	/* constant */
	const char *reason;
};
ARRAY_DEFINE_TYPE(dsync_plan_change, struct dsync_plan_change);

struct dsync_plan {
	enum dsync_plan_fate fate;
	/* one sentence without a full stop; never NULL */
	const char *reason;
	/* by action, those that the guard refuses left out */
	unsigned int counts[DSYNC_PLAN_ACTION_COUNT];
	uoff_t copied_bytes;
	/* mails that dsync would delete, and the guard does not allow */
	unsigned int refused;
	/* of all mails that change, in no order that means something */
	ARRAY_TYPE(dsync_plan_change) changes;
	/* of a mailbox that is to be replaced: flags that dsync has changed
	   before it finds that out, and that stay if the guard refuses */
	ARRAY_TYPE(dsync_plan_change) early_updates;
};

/* Plans one mailbox. guids: the identities are GUIDs. What is in the plan lies
   in the pool. */
void dsync_plan_mailbox(enum dsync_plan_mode mode, bool guids,
			const struct dsync_plan_side *source,
			const struct dsync_plan_side *dest, pool_t pool,
			struct dsync_plan *plan_r);

/* TRUE if the plan deletes mails or a mailbox that has some: fills the question
   for delete_guard_decide(). elsewhere: of these mails so many are in other
   mailboxes, too. */
bool dsync_plan_question(const struct dsync_plan *plan,
			 const struct dsync_plan_side *dest, bool completed,
			 unsigned int elsewhere,
			 struct delete_question *question_r);

/* The mailbox is replaced, and these mails of it come back under the UIDs that the
   source has for them: they are neither deleted nor copied but renumbered. */
void dsync_plan_reuse(struct dsync_plan *plan,
		      const ARRAY_TYPE(reuse_pair) *pairs);

/* The run leaves the mailbox as it is: the plan without any change. reason (kept)
   says why. */
void dsync_plan_leave_out(struct dsync_plan *plan, const char *reason);

/* The guard refuses the deletions: the plan without them. reason (kept) says
   why. */
void dsync_plan_refuse(struct dsync_plan *plan, const char *reason);

const char *dsync_plan_fate_name(enum dsync_plan_fate fate);
const char *dsync_plan_action_name(enum dsync_plan_action action);

#endif
