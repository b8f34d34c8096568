/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_PLAN_H
#define UIDL_PLAN_H

/* What is to be done to mails that are already stored, so that a POP3 client
   sees the UIDLs and the order of the old server. Mails that are right already
   are not touched, so a plan made after it was carried out says KEEP only. */

enum uidl_plan_action {
	/* right already, or nothing is known that would be better */
	UIDL_PLAN_KEEP,
	/* the mail has the right UIDL and order, but POP3 does not see them */
	UIDL_PLAN_SHOW,
	/* the mail has no UIDL yet */
	UIDL_PLAN_SET,
	/* the mail has another UIDL or order */
	UIDL_PLAN_CHANGE,
	/* the mail has a UIDL that belongs to another mail */
	UIDL_PLAN_CLEAR,
	/* this UIDL cannot be stored: the mail stays as it is */
	UIDL_PLAN_REFUSE,

	UIDL_PLAN_ACTION_COUNT
};

struct uidl_plan_mail {
	/* any number for each mailbox */
	unsigned int mailbox;
	uint32_t uid;
	/* Not 0: mails with the same number are one stored mail (copies in
	   mdbox), which has room for one UIDL and order. One of them owns the
	   place, the others can only be shown theirs. */
	uint32_t stored_id;
	/* What is written with the mail; NULL and 0 if nothing is. */
	const char *stored_uidl;
	uint32_t stored_order;
	/* What Dovecot's POP3 server is told of it. */
	const char *served_uidl;
	uint32_t served_order;
	/* The old server's UIDL, NULL if the old server does not have the
	   mail; and the mail's message number there. */
	const char *wanted_uidl;
	unsigned int wanted_position;

	/* Out. The UIDL and order that the mail has afterwards. */
	enum uidl_plan_action action;
	const char *uidl;
	uint32_t order;
	/* Out. The mail whose UIDL and order are stored in the place of this
	   one's; NULL if this mail has the place. */
	const struct uidl_plan_mail *owner;
};

/* Decides all mails of all mailboxes together, since one mail's UIDL may have
   been given to another one. The mails' order in the array does not matter,
   except that of copies that are one stored mail: the first one is preferred. */
void uidl_plan_make(struct uidl_plan_mail *mails, unsigned int count);

/* TRUE if the mail itself must be written, not only what is known of it. */
bool uidl_plan_action_writes(enum uidl_plan_action action);
/* One word for tables and reports. */
const char *uidl_plan_action_name(enum uidl_plan_action action);
/* One sentence for a person: why this action (data stack). */
const char *uidl_plan_reason(const struct uidl_plan_mail *mail);

#endif
