/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_GATHER_H
#define UIDL_GATHER_H

#include "pop3-source.h"
#include "uidl-match.h"

struct mailbox;
struct event;

/* Finds out which UIDL and POP3 order belong to which mail of some mailboxes:
   reads the maildrop and the mailboxes, asks the matcher, fetches what the
   matcher wants, until all is decided. Reports to the user's run record. */

struct uidl_gather_settings {
	struct pop3_source_settings pop3;
	bool skip_sizes;
	/* Most bytes of mail texts to read over POP3 in doubtful cases. */
	uoff_t max_body_bytes;
	struct mail_user *user;
	struct event *event;
};

struct uidl_gather_mail {
	uint32_t uid;
	const char *uidl;
	/* 0 if none is needed */
	uint32_t order;
};

ARRAY_DEFINE_TYPE(uidl_gather_mail, struct uidl_gather_mail);

struct uidl_gather *
uidl_gather_init(const struct uidl_gather_settings *set);
void uidl_gather_deinit(struct uidl_gather **gather);

/* Add a mailbox, the INBOX first. An opened and synced one is used as it is and
   must stay so until uidl_gather_run() has returned; another one is opened when
   it is needed, and left alone otherwise. Returns its number, or -1 and
   error_r if it cannot be read. */
int uidl_gather_add_opened(struct uidl_gather *gather, struct mailbox *box,
			   const char **error_r);
int uidl_gather_add_closed(struct uidl_gather *gather, struct mailbox *box,
			   const char **error_r);
/* UIDVALIDITY of the mailbox that was added last. */
uint32_t uidl_gather_last_uidvalidity(struct uidl_gather *gather);
/* An earlier run gave this to a mail of the mailbox that was added last. To be
   called in ascending order of UIDs, for mails that still exist or not. */
void uidl_gather_add_known(struct uidl_gather *gather, uint32_t uid,
			   const char *uidl, uint32_t order);

/* Connects and decides. Returns 0, or -1, error_r and error_type_r. */
int uidl_gather_run(struct uidl_gather *gather, const char **error_r,
		    enum pop3_client_error *error_type_r);

/* What the mailbox's mail gets, or NULL. Valid until deinit. */
const struct uidl_gather_mail *
uidl_gather_find(struct uidl_gather *gather, unsigned int mailbox,
		 uint32_t uid);
void uidl_gather_get_result(struct uidl_gather *gather,
			    struct uidl_match_result *result_r);
/* POP3 mails without a partner; the first one's UIDL and the reason (data
   stack). Mails that were delivered while the run was on its way do not
   count. */
unsigned int uidl_gather_unmatched_pop3(struct uidl_gather *gather,
					const char **first_uidl_r,
					const char **reason_r);
/* IMAP mails without a partner. */
unsigned int uidl_gather_unmatched_imap(struct uidl_gather *gather);
/* Put each leftover into the run record, with its reason. */
void uidl_gather_report(struct uidl_gather *gather, bool pop3_is_error);
/* The maildrop's mails as it lists them, and the mailbox number and UID of each
   one's partner. Returns FALSE if it has none. */
unsigned int uidl_gather_pop3_count(struct uidl_gather *gather);
bool uidl_gather_pop3_mail(struct uidl_gather *gather, unsigned int idx,
			   const char **uidl_r, unsigned int *mailbox_r,
			   uint32_t *uid_r);

#endif
