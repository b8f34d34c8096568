/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_PLAN_H
#define IMPORT_PLAN_H

/* What an import will do, and which of the three ways of bringing recovered
   and new mail together costs mail clients least. A client knows a mail by its
   mailbox, UIDVALIDITY and UID; where one of them changes, it fetches the mail
   again. Nothing here reads mails. */

/* The ways of Dovecot's guide for merging two storages. "Recovered" is the
   source, "new" is what the destination has now. */
enum import_way {
	/* the source is imported into the destination */
	IMPORT_WAY_RECOVERED_ON_NEW,
	/* the source becomes the destination, and what is there now is imported
	   into it */
	IMPORT_WAY_NEW_ON_RECOVERED,
	/* the source is imported under a parent mailbox, Recovered/ */
	IMPORT_WAY_APART,

	IMPORT_WAY_COUNT
};

struct import_plan_mail {
	uint32_t uid;
	/* UID of the same mail on the other side, 0: it is on this side only */
	uint32_t partner_uid;
	/* of a source's mail without partner: RFC822.SIZE */
	uoff_t size;
};
ARRAY_DEFINE_TYPE(import_plan_mail, struct import_plan_mail);

struct import_plan_side {
	/* FALSE: there is no such mailbox; the rest is 0 and empty then */
	bool exists;
	uint32_t uid_validity, next_uid;
	/* in the order of UIDs */
	ARRAY_TYPE(import_plan_mail) mails;
};

/* What one way costs. */
struct import_plan_cost {
	/* mails that IMAP clients must fetch again, because the mail was there
	   before the merge and is not where it was, or was not there */
	unsigned int fetched_again;
	/* mails that POP3 clients must fetch again */
	unsigned int pop3_again;
	/* old mails that come behind newer ones for clients that sort by UID */
	unsigned int disordered;
	/* UIDs by which clients would come to know another mail */
	unsigned int unsafe;
};

/* What `doveadm import` of the source does to one mailbox. */
struct import_plan_mailbox {
	/* mails of the source that are there already, and that are not */
	unsigned int present, saved;
	/* the sizes of the latter */
	uoff_t saved_bytes;
	/* of the latter: those that keep their UIDs, and those that do not */
	unsigned int uids_kept, uids_changed;
	bool takes_uid_validity;

	struct import_plan_cost costs[IMPORT_WAY_COUNT];
};

/* The plan for a mailbox that the source or the destination has. With
   want_pop3 it is the INBOX of a user whose POP3 clients leave their mail on
   the server. */
void import_plan_mailbox(const struct import_plan_side *source,
			 const struct import_plan_side *dest, bool want_pop3,
			 struct import_plan_mailbox *plan_r);

void import_plan_cost_add(struct import_plan_cost *sum,
			  const struct import_plan_cost *cost);

/* The way that costs least: never one with unsafe UIDs, then the one with the
   fewest mails that are fetched again over IMAP and POP3, then the one with the
   fewest disordered mails, then the simplest one. *reason_r (data stack) is one
   sentence. */
enum import_way
import_plan_choose(const struct import_plan_cost costs[IMPORT_WAY_COUNT],
		   const char **reason_r);

/* "recovered-on-new", "new-on-recovered", "apart" */
const char *import_way_name(enum import_way way);
/* One sentence for a person: what to do. */
const char *import_way_hint(enum import_way way);

#endif
