/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str-sanitize.h"
#include "uidl-order.h"
#include "uidl-plan.h"

HASH_TABLE_DEFINE_TYPE(uidl_set, const char *, const char *);

static const char *const action_names[] = {
	"keep", "show", "set", "change", "clear", "refuse",
};
_Static_assert(N_ELEMENTS(action_names) == UIDL_PLAN_ACTION_COUNT,
	       "every action has a name");

const char *uidl_plan_action_name(enum uidl_plan_action action)
{
	i_assert(action < UIDL_PLAN_ACTION_COUNT);
	return action_names[action];
}

bool uidl_plan_action_writes(enum uidl_plan_action action)
{
	switch (action) {
	case UIDL_PLAN_SET:
	case UIDL_PLAN_CHANGE:
	case UIDL_PLAN_CLEAR:
		return TRUE;
	case UIDL_PLAN_KEEP:
	case UIDL_PLAN_SHOW:
	case UIDL_PLAN_REFUSE:
	case UIDL_PLAN_ACTION_COUNT:
		break;
	}
	return FALSE;
}

/* Dovecot's POP3 server separates by spaces and lines, and so do the files in
   which the formats keep UIDLs. An empty UIDL means "none" to all of them. */
static bool uidl_can_be_stored(const char *uidl)
{
	const unsigned char *p;

	if (*uidl == '\0')
		return FALSE;
	for (p = (const unsigned char *)uidl; *p != '\0'; p++) {
		if (*p <= ' ' || *p == 0x7f)
			return FALSE;
	}
	return TRUE;
}

static bool uidl_takes_part(const struct uidl_plan_mail *mail)
{
	return mail->wanted_uidl != NULL &&
		uidl_can_be_stored(mail->wanted_uidl);
}

static int
uidl_plan_position_cmp(struct uidl_plan_mail *const *m1,
		       struct uidl_plan_mail *const *m2)
{
	if ((*m1)->wanted_position != (*m2)->wanted_position) {
		return (*m1)->wanted_position < (*m2)->wanted_position ? -1 : 1;
	}
	return (*m1)->uid < (*m2)->uid ? -1 : 1;
}

/* TRUE if POP3 lists mail after previous: mails with a number first, by
   number, then those without, by UID. */
static bool
stored_order_follows(const struct uidl_plan_mail *previous,
		     const struct uidl_plan_mail *mail)
{
	if (previous->stored_order != mail->stored_order) {
		if (mail->stored_order == 0)
			return TRUE;
		return previous->stored_order != 0 &&
			previous->stored_order < mail->stored_order;
	}
	return previous->uid < mail->uid;
}

/* UIDs of two mailboxes say nothing about the order. */
static bool
mails_are_of_one_mailbox(struct uidl_plan_mail *const *mails,
			 unsigned int count)
{
	unsigned int i;

	for (i = 1; i < count; i++) {
		if (mails[i]->mailbox != mails[0]->mailbox)
			return FALSE;
	}
	return TRUE;
}

/* TRUE if the mails that have a UIDL already stand in the old server's order.
   Mails without one are new to us: their number, if any, says nothing. */
static bool
stored_order_is_right(struct uidl_plan_mail *const *mails, unsigned int count,
		      bool one_mailbox)
{
	const struct uidl_plan_mail *previous = NULL;
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (mails[i]->stored_uidl == NULL)
			continue;
		if (!one_mailbox && mails[i]->stored_order == 0)
			return FALSE;
		if (previous != NULL &&
		    !stored_order_follows(previous, mails[i]))
			return FALSE;
		previous = mails[i];
	}
	return TRUE;
}

/* Numbers for the mails, which are in the old server's order. Returns FALSE if
   a mail cannot get its place between the numbers that are to stay. */
static bool
assign_orders(struct uidl_plan_mail *const *mails, unsigned int count,
	      bool one_mailbox, bool keep_stored)
{
	struct uidl_order_mail *orders;
	unsigned int i, lost;

	if (count == 0)
		return TRUE;
	orders = i_new(struct uidl_order_mail, count);
	for (i = 0; i < count; i++) {
		/* descending: each mail needs a number */
		orders[i].uid = one_mailbox ? mails[i]->uid : UINT32_MAX - i;
		orders[i].known = keep_stored && mails[i]->stored_uidl != NULL;
		orders[i].order = mails[i]->stored_order;
	}
	lost = uidl_order_assign(orders, count);
	for (i = 0; i < count; i++)
		mails[i]->order = orders[i].order;
	i_free(orders);
	return lost == 0;
}

/* Numbers that were stored by an earlier run stay if they are right: a second
   run changes nothing, and a mail that came later finds its place. */
static bool
plan_orders(struct uidl_plan_mail *mails, unsigned int count)
{
	ARRAY(struct uidl_plan_mail *) wanted;
	struct uidl_plan_mail *mail, *const *sorted;
	unsigned int i, sorted_count;
	bool kept, one_mailbox;

	i_array_init(&wanted, count);
	for (i = 0; i < count; i++) {
		mail = &mails[i];
		if (uidl_takes_part(mail))
			array_push_back(&wanted, &mail);
	}
	array_sort(&wanted, uidl_plan_position_cmp);
	sorted = array_get(&wanted, &sorted_count);
	one_mailbox = mails_are_of_one_mailbox(sorted, sorted_count);
	kept = stored_order_is_right(sorted, sorted_count, one_mailbox) &&
		assign_orders(sorted, sorted_count, one_mailbox, TRUE);
	if (!kept)
		(void)assign_orders(sorted, sorted_count, one_mailbox, FALSE);
	array_free(&wanted);
	return kept;
}

static void
decide_wanted(struct uidl_plan_mail *mail)
{
	mail->uidl = mail->wanted_uidl;
	if (null_strcmp(mail->stored_uidl, mail->uidl) == 0 &&
	    mail->stored_order == mail->order) {
		mail->action =
			null_strcmp(mail->served_uidl, mail->uidl) == 0 &&
			mail->served_order == mail->order ?
			UIDL_PLAN_KEEP : UIDL_PLAN_SHOW;
	} else if (mail->stored_uidl == NULL) {
		mail->action = UIDL_PLAN_SET;
	} else {
		mail->action = UIDL_PLAN_CHANGE;
	}
}

/* -- copies that are one stored mail (mdbox-copies-share) */

/* The UIDL that is there already stays there. */
static unsigned int owner_rank(const struct uidl_plan_mail *mail)
{
	if (!uidl_takes_part(mail))
		return 0;
	return null_strcmp(mail->stored_uidl, mail->wanted_uidl) != 0 ? 1 : 2;
}

static void find_owners(struct uidl_plan_mail *mails, unsigned int count)
{
	HASH_TABLE(void *, struct uidl_plan_mail *) owners;
	struct uidl_plan_mail *owner;
	unsigned int i;

	hash_table_create_direct(&owners, default_pool, count);
	for (i = 0; i < count; i++) {
		mails[i].owner = NULL;
		if (mails[i].stored_id == 0)
			continue;
		owner = hash_table_lookup(owners,
					  POINTER_CAST(mails[i].stored_id));
		if (owner == NULL ||
		    owner_rank(&mails[i]) > owner_rank(owner)) {
			hash_table_update(owners,
				POINTER_CAST(mails[i].stored_id), &mails[i]);
		}
	}
	for (i = 0; i < count; i++) {
		if (mails[i].stored_id == 0)
			continue;
		owner = hash_table_lookup(owners,
					  POINTER_CAST(mails[i].stored_id));
		if (owner != &mails[i])
			mails[i].owner = owner;
	}
	hash_table_destroy(&owners);
}

/* What a copy has is what POP3 is told of it: what is stored is its owner's. */
static void
forget_owners_place(struct uidl_plan_mail *mails, unsigned int count)
{
	struct uidl_plan_mail *mail;

	for (mail = mails; mail < mails + count; mail++) {
		if (mail->owner == NULL)
			continue;
		mail->stored_uidl = mail->served_uidl;
		mail->stored_order = mail->served_order;
		if (mail->wanted_uidl != NULL &&
		    null_strcmp(mail->served_uidl, mail->wanted_uidl) != 0) {
			mail->stored_uidl = NULL;
			mail->stored_order = 0;
		}
	}
}

/* Nothing can be written for a copy. Whenever its owner changes POP3 would be
   told the owner's UIDL, if it was not shown the copy's own before. */
static void show_copies(struct uidl_plan_mail *mails, unsigned int count)
{
	struct uidl_plan_mail *mail;

	for (mail = mails; mail < mails + count; mail++) {
		if (mail->owner == NULL || mail->action == UIDL_PLAN_REFUSE)
			continue;
		if (mail->action != UIDL_PLAN_KEEP ||
		    mail->owner->action != UIDL_PLAN_KEEP)
			mail->action = UIDL_PLAN_SHOW;
	}
}

/* -- deciding */

/* The old server does not list the mail. Its UIDL, if it has one, came from an
   earlier migration and stays, because some client knows it; unless it is now
   known to be another mail's. */
static void
decide_unlisted(struct uidl_plan_mail *mail,
		HASH_TABLE_TYPE(uidl_set) wanted, bool orders_kept)
{
	if (mail->stored_uidl != NULL &&
	    hash_table_lookup(wanted, mail->stored_uidl) != NULL) {
		mail->action = UIDL_PLAN_CLEAR;
		mail->uidl = NULL;
		mail->order = 0;
		return;
	}
	mail->uidl = mail->stored_uidl;
	/* a number from a numbering that is given up would put it anywhere */
	mail->order = orders_kept ? mail->stored_order : 0;
	if (mail->order != mail->stored_order)
		mail->action = UIDL_PLAN_CHANGE;
	else if (null_strcmp(mail->served_uidl, mail->uidl) != 0 ||
		 mail->served_order != mail->order)
		mail->action = UIDL_PLAN_SHOW;
	else
		mail->action = UIDL_PLAN_KEEP;
}

static void decide_refused(struct uidl_plan_mail *mail)
{
	mail->action = UIDL_PLAN_REFUSE;
	mail->uidl = mail->stored_uidl;
	mail->order = mail->stored_order;
}

void uidl_plan_make(struct uidl_plan_mail *mails, unsigned int count)
{
	HASH_TABLE_TYPE(uidl_set) wanted;
	unsigned int i;
	bool orders_kept;

	find_owners(mails, count);
	forget_owners_place(mails, count);
	hash_table_create(&wanted, default_pool, count, str_hash, strcmp);
	for (i = 0; i < count; i++) {
		if (uidl_takes_part(&mails[i])) {
			hash_table_update(wanted, mails[i].wanted_uidl,
					  mails[i].wanted_uidl);
		}
	}
	orders_kept = plan_orders(mails, count);
	for (i = 0; i < count; i++) {
		if (mails[i].wanted_uidl == NULL)
			decide_unlisted(&mails[i], wanted, orders_kept);
		else if (uidl_takes_part(&mails[i]))
			decide_wanted(&mails[i]);
		else
			decide_refused(&mails[i]);
	}
	hash_table_destroy(&wanted);
	show_copies(mails, count);
}

static const char *shown(const char *uidl)
{
	return uidl == NULL ? "no UIDL" :
		t_strconcat("UIDL ", str_sanitize(uidl, 80), NULL);
}

static const char *
reason_changed(const struct uidl_plan_mail *mail)
{
	if (null_strcmp(mail->stored_uidl, mail->uidl) != 0) {
		return t_strdup_printf("it has %s, the old server says %s",
				       shown(mail->stored_uidl),
				       shown(mail->uidl));
	}
	return t_strdup_printf("its place in the old server's list is another "
			       "one (order %u instead of %u)",
			       mail->order, mail->stored_order);
}

const char *uidl_plan_reason(const struct uidl_plan_mail *mail)
{
	switch (mail->action) {
	case UIDL_PLAN_KEEP:
		if (mail->wanted_uidl != NULL)
			return "right already";
		return mail->stored_uidl == NULL ?
			"not in the old server's list" :
			"not in the old server's list any more, keeps its UIDL";
	case UIDL_PLAN_SHOW:
		if (mail->owner != NULL) {
			return t_strdup_printf("it is a copy of UID %u, whose "
				"%s is stored; POP3 is shown %s",
				mail->owner->uid, shown(mail->owner->uidl),
				shown(mail->uidl));
		}
		return t_strdup_printf("it has %s, but POP3 sees %s",
				       shown(mail->uidl),
				       shown(mail->served_uidl));
	case UIDL_PLAN_SET:
		return t_strdup_printf("it has no UIDL, the old server says %s",
				       shown(mail->uidl));
	case UIDL_PLAN_CHANGE:
		return reason_changed(mail);
	case UIDL_PLAN_CLEAR:
		return t_strdup_printf("its %s belongs to another mail",
				       shown(mail->stored_uidl));
	case UIDL_PLAN_REFUSE:
		return t_strdup_printf("the old server's %s is empty or has "
				       "characters that Dovecot cannot store",
				       shown(mail->wanted_uidl));
	case UIDL_PLAN_ACTION_COUNT:
		break;
	}
	i_unreached();
}
