/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef VERIFY_STORAGE_H
#define VERIFY_STORAGE_H

#include "parity.h"

struct mail_user;
struct mail_namespace;
struct migration_run;

/* Reads what the comparison needs from one side. Nothing is written: mailboxes
   are opened read-only. */

struct verify_name {
	const char *name;
	struct mail_namespace *ns;
	bool exists, noselect, subscribed;
};
ARRAY_DEFINE_TYPE(verify_name, struct verify_name);

struct verify_filter {
	/* NULL-terminated, or NULL for dsync's default namespaces */
	const char *const *namespaces;
	/* wildcards, NULL-terminated; no mask at all: all mailboxes */
	const char *const *masks, *const *excludes;
	/* what excludes such as \\Sent leave out, as far as the mailboxes were
	   listed; from the pool of verify_list_names() */
	ARRAY_TYPE(const_string) special_names;
};

/* TRUE if a mailbox of this name is to be compared. */
bool verify_filter_matches(const struct verify_filter *filter,
			   const char *name);

/* What stopped the reading: the text for the administrator, and the storage's
   own class of it for the exit code. */
struct verify_error {
	const char *text;
	enum mail_error error;
};

/* The mailbox's last failure becomes the error; doing says what failed, such as
   "Reading it". Returns -1. */
int verify_box_error(struct mailbox *box, const char *doing,
		     struct verify_error *error_r);

/* Lists the user's mailboxes and subscriptions, sorted by name, each once.
   Strings lie in the pool. Returns 0, or -1 and error_r. */
int verify_list_names(struct mail_user *user,
		      struct verify_filter *filter, pool_t pool,
		      ARRAY_TYPE(verify_name) *names,
		      struct verify_error *error_r);

/* Refuses to compare a place with itself: a namespace that has a location of
   its own has it for both users. Returns 0, or -1 and error_r. */
int verify_check_places(struct mail_user *source, struct mail_user *dest,
			const struct verify_filter *filter,
			struct verify_error *error_r);

/* The mailboxes among the names will be read one after the other: the source can
   fetch them ahead, with run->ahead as the caller has filled it. Before the
   names are listed run->ahead.wanted has to be set. */
void verify_read_ahead(const ARRAY_TYPE(verify_name) *names,
		       struct migration_run *run);

/* TRUE if the mailbox has mails, as far as can be told without opening it. */
bool verify_mailbox_has_mails(const struct verify_name *name);

/* Opens the mailbox. Returns 0 and *box_r, or -1 and error_r. */
int verify_mailbox_open(const struct verify_name *name, struct mailbox **box_r,
			struct verify_error *error_r);

/* Reads the mailbox's UIDVALIDITY and UIDNEXT and the metadata of all mails,
   with as few round trips as the storage can. Returns 0, or -1 and error_r. */
int verify_mailbox_read(struct mailbox *box, pool_t pool,
			struct parity_mailbox *data,
			struct verify_error *error_r);

/* Called for a mail whose text could not be read, while others can be. */
typedef void verify_text_failed_t(struct mailbox *box, uint32_t uid,
				  const char *error, void *context);

/* Reads the texts of the mails and adds their digests. Returns the number of
   texts that were read, or -1 and error_r. */
int verify_mailbox_read_texts(struct mailbox *box,
			      const ARRAY_TYPE(seq_range) *uids, pool_t pool,
			      struct parity_mailbox *data,
			      verify_text_failed_t *failed_callback,
			      void *context, struct verify_error *error_r);

#endif
