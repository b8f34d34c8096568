/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DELETION_GUARD_PRIVATE_H
#define DELETION_GUARD_PRIVATE_H

/* Between the guard's files: deletion-guard.c has the run, its hooks and what is
   known of each mailbox; -mails.c and -mailboxes.c stand before what dsync does,
   and deletion-review.c looks at what was refused. */

#include "seq-range-array.h"
#include "mail-storage-private.h"
#include "mailbox-list-private.h"
#include "deletion-compare.h"
#include "deletion-guard.h"

/* of a transaction */
#define GUARD_CONTEXT(obj) MODULE_CONTEXT(obj, deletion_guard_storage_module)

/* What the run knows of a mailbox that it has deleted something in, or has
   refused to. */
struct guard_record {
	const char *vname;
	/* ... without what dsync has escaped in it */
	const char *name;
	/* the last question about single mails, and its answer */
	struct delete_question question;
	bool mails_refused;
	/* the source has them, with other UIDs */
	bool mails_allowed;
	unsigned int mails_deleted;

	/* dsync wanted to delete the mailbox, and was refused */
	bool box_refused;
	struct delete_question box_question;
	/* it may, as long as the mailbox is still what it was */
	bool box_allowed;
	bool box_deleted;

	/* compared with the source since it was refused something */
	bool reviewed;
	struct deletion_comparison comparison;
	const char *review_error;
	/* mails whose text is kept for the mailbox that takes this one's place */
	unsigned int kept;
};

struct deletion_guard {
	pool_t pool;
	struct mail_user *user;
	struct delete_limit limit;
	ARRAY(struct guard_record *) records;
	/* names of the mailboxes that the source has, as in guard_record.name */
	HASH_TABLE(char *, char *) source_names;
	/* a mailbox was deleted for the first time in this run(), which ends
	   dsync's work if it was because of a UID conflict */
	bool deleted;
	/* looked for what follows */
	bool examine_checked;
	/* courier-examine: the source's mailboxes must be selected */
	bool source_needs_select;
};

extern MODULE_CONTEXT_DEFINE(deletion_guard_storage_module,
			     &mail_storage_module_register);

/* doveadm works for one user at a time; NULL outside of his run. */
extern struct deletion_guard *deletion_guard;

/* TRUE while dsync works for the user, be it the source's or the
   destination's. */
bool deletion_guard_is_on(struct mail_user *user);
/* ... and the mailbox is the destination's */
bool deletion_guard_is_dest(const struct mailbox *box);
/* NULL if nothing was asked of such a mailbox yet. */
struct guard_record *deletion_guard_find(const char *vname);
struct guard_record *deletion_guard_get(struct mailbox *box);
/* The mailbox's name without what dsync has escaped in it */
const char *deletion_guard_plain_name(struct mailbox *box);

/* A run has completed the mailbox, as its index says in this view. */
bool deletion_guard_box_is_completed(struct mailbox *box,
				     struct mail_index_view *view);
void deletion_guard_mark_completed(struct mailbox *box,
				   struct mail_index_transaction *trans);

/* deletion-guard-mails.c: what is expunged, copied and saved */
void deletion_guard_mails_init(struct mailbox_vfuncs *v);
void deletion_guard_mail_allocated(struct mail *mail);

/* deletion-guard-mailboxes.c: mailboxes that are deleted and made */
void deletion_guard_mailboxes_init(struct mailbox_vfuncs *v);
void deletion_guard_list_created(struct mailbox_list *list);

/* deletion-review.c: adds the findings of a mailbox to the report. */
void deletion_review_report(struct migration_run *run,
			    const struct guard_record *record);

#endif
