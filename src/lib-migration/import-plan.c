/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "import-plan.h"

static const struct {
	const char *name, *hint;
} import_ways[] = {
	[IMPORT_WAY_RECOVERED_ON_NEW] = { "recovered-on-new",
		"import the recovered mail into the mailboxes in use" },
	[IMPORT_WAY_NEW_ON_RECOVERED] = { "new-on-recovered",
		"put the recovered storage back into its place, and import what "
		"has come meanwhile into it" },
	[IMPORT_WAY_APART] = { "apart",
		"import the recovered mail under a parent mailbox, "
		"such as Recovered" },
};

static bool is_empty(const struct import_plan_side *side)
{
	return !side->exists || array_count(&side->mails) == 0;
}

/* An empty mailbox takes over the UIDVALIDITY of what is imported into it, if
   all mails can keep their UIDs. */
static bool
takes_uid_validity(const struct import_plan_side *from,
		   const struct import_plan_side *to)
{
	const struct import_plan_mail *first;

	if (is_empty(from) || !is_empty(to) ||
	    to->uid_validity == from->uid_validity)
		return FALSE;
	first = array_idx(&from->mails, 0);
	return first->uid >= to->next_uid;
}

/* TRUE if a mail of `from` keeps the UID that it has, when it is imported into
   `to` and is not there yet. */
static bool
keeps_uid(const struct import_plan_side *from, const struct import_plan_side *to,
	  uint32_t uid)
{
	return takes_uid_validity(from, to) || uid >= to->next_uid;
}

/* TRUE if clients of `from` find the mail where they know it. */
static bool
stays_known(const struct import_plan_side *from,
	    const struct import_plan_side *to,
	    const struct import_plan_mail *mail)
{
	bool same_validity = from->uid_validity == to->uid_validity ||
		takes_uid_validity(from, to);

	if (!same_validity)
		return FALSE;
	return mail->partner_uid != 0 ? mail->partner_uid == mail->uid :
		keeps_uid(from, to, mail->uid);
}

static unsigned int count_alone(const struct import_plan_side *side)
{
	const struct import_plan_mail *mail;
	unsigned int count = 0;

	if (is_empty(side))
		return 0;
	array_foreach(&side->mails, mail) {
		if (mail->partner_uid == 0)
			count++;
	}
	return count;
}

static unsigned int
count_unknown(const struct import_plan_side *from,
	      const struct import_plan_side *to, bool only_alone)
{
	const struct import_plan_mail *mail;
	unsigned int count = 0;

	if (is_empty(from))
		return 0;
	array_foreach(&from->mails, mail) {
		if (only_alone && mail->partner_uid != 0)
			continue;
		if (!stays_known(from, to, mail))
			count++;
	}
	return count;
}

static bool has_uid(const struct import_plan_side *side, uint32_t uid)
{
	const struct import_plan_mail *mail;

	if (is_empty(side))
		return FALSE;
	array_foreach(&side->mails, mail) {
		if (mail->uid >= uid)
			return mail->uid == uid;
	}
	return FALSE;
}

/* UIDs of `from` that mean another mail in `to`, while the clients believe that
   it is the same mailbox. Mostly there are none to look for: UIDs of a mailbox
   whose index was kept begin where the other one's end. */
static unsigned int
count_unsafe(const struct import_plan_side *from,
	     const struct import_plan_side *to)
{
	const struct import_plan_mail *mail;
	unsigned int count = 0;

	if (is_empty(from) || from->uid_validity != to->uid_validity)
		return 0;
	array_foreach(&from->mails, mail) {
		if (mail->uid >= to->next_uid)
			break;
		if (mail->partner_uid != mail->uid && has_uid(to, mail->uid))
			count++;
	}
	return count;
}

static void
import_plan_import(const struct import_plan_side *source,
		   const struct import_plan_side *dest,
		   struct import_plan_mailbox *plan)
{
	const struct import_plan_mail *mail;

	plan->takes_uid_validity = takes_uid_validity(source, dest);
	if (is_empty(source))
		return;
	array_foreach(&source->mails, mail) {
		if (mail->partner_uid != 0) {
			plan->present++;
			continue;
		}
		plan->saved++;
		plan->saved_bytes += mail->size;
		if (keeps_uid(source, dest, mail->uid))
			plan->uids_kept++;
		else
			plan->uids_changed++;
	}
}

void import_plan_mailbox(const struct import_plan_side *source,
			 const struct import_plan_side *dest, bool want_pop3,
			 struct import_plan_mailbox *plan_r)
{
	struct import_plan_cost *cost;
	unsigned int recovered = count_alone(source);

	i_zero(plan_r);
	import_plan_import(source, dest, plan_r);

	/* What is in use stays as it is. */
	cost = &plan_r->costs[IMPORT_WAY_RECOVERED_ON_NEW];
	cost->fetched_again = count_unknown(source, dest, TRUE);
	cost->disordered = is_empty(dest) ? 0 : recovered;
	cost->pop3_again = want_pop3 ? recovered : 0;

	/* Clients of today know a mail that both have by its UID of today. */
	cost = &plan_r->costs[IMPORT_WAY_NEW_ON_RECOVERED];
	cost->fetched_again = is_empty(source) ? 0 :
		count_unknown(dest, source, FALSE);
	cost->unsafe = count_unsafe(dest, source);
	cost->pop3_again = want_pop3 ? recovered + cost->fetched_again : 0;

	/* A new mailbox for the clients: all of it is fetched, also what they
	   have already. */
	cost = &plan_r->costs[IMPORT_WAY_APART];
	cost->fetched_again = is_empty(source) ? 0 :
		array_count(&source->mails);
}

void import_plan_cost_add(struct import_plan_cost *sum,
			  const struct import_plan_cost *cost)
{
	sum->fetched_again += cost->fetched_again;
	sum->pop3_again += cost->pop3_again;
	sum->disordered += cost->disordered;
	sum->unsafe += cost->unsafe;
}

static bool
costs_less(const struct import_plan_cost *cost1,
	   const struct import_plan_cost *cost2)
{
	unsigned int again1 = cost1->fetched_again + cost1->pop3_again;
	unsigned int again2 = cost2->fetched_again + cost2->pop3_again;

	if ((cost1->unsafe == 0) != (cost2->unsafe == 0))
		return cost1->unsafe == 0;
	if (again1 != again2)
		return again1 < again2;
	return cost1->disordered < cost2->disordered;
}

enum import_way
import_plan_choose(const struct import_plan_cost costs[IMPORT_WAY_COUNT],
		   const char **reason_r)
{
	const struct import_plan_cost *cost;
	enum import_way way, best = 0;

	for (way = 1; way < IMPORT_WAY_COUNT; way++) {
		if (costs_less(&costs[way], &costs[best]))
			best = way;
	}
	cost = &costs[best];
	*reason_r = t_strdup_printf("%u mails are fetched again over IMAP and "
		"%u over POP3, %u old mails come behind newer ones",
		cost->fetched_again, cost->pop3_again, cost->disordered);
	return best;
}

const char *import_way_name(enum import_way way)
{
	return import_ways[way].name;
}

const char *import_way_hint(enum import_way way)
{
	return import_ways[way].hint;
}
