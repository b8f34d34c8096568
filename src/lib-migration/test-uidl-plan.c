/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "uidl-plan.h"
#include "check-suite.h"

#include <stdlib.h>

#define MAX_MAILS 4

struct row {
	/* uid, stored, served, wanted; ends with uid 0 */
	struct uidl_plan_mail mails[MAX_MAILS];
	/* expected for each */
	enum uidl_plan_action actions[MAX_MAILS];
	/* what POP3 lists afterwards: UIDs in its order */
	uint32_t listed[MAX_MAILS];
};

#define MAIL(_uid, _stored, _stored_order, _served, _served_order, _wanted, \
	     _position) \
	{ .uid = (_uid), .stored_uidl = (_stored), \
	  .stored_order = (_stored_order), .served_uidl = (_served), \
	  .served_order = (_served_order), .wanted_uidl = (_wanted), \
	  .wanted_position = (_position) }
/* copies that are one stored mail: what is stored is the same for all */
#define COPY(_uid, _stored, _served, _wanted, _position) \
	{ .uid = (_uid), .stored_id = 7, .stored_uidl = (_stored), \
	  .served_uidl = (_served), .wanted_uidl = (_wanted), \
	  .wanted_position = (_position) }
/* migrated without UIDLs */
#define BARE(uid, wanted, position) \
	MAIL(uid, NULL, 0, NULL, 0, wanted, position)
/* stored and served alike */
#define HAS(uid, uidl, order, wanted, position) \
	MAIL(uid, uidl, order, uidl, order, wanted, position)

static const struct row rows[] = {
	/* nothing there: UID order, no numbers */
	{ { BARE(1, "a", 1), BARE(2, "b", 2) },
	  { UIDL_PLAN_SET, UIDL_PLAN_SET }, { 1, 2 } },
	/* another order */
	{ { BARE(1, "a", 2), BARE(2, "b", 1) },
	  { UIDL_PLAN_SET, UIDL_PLAN_SET }, { 2, 1 } },
	/* done already */
	{ { HAS(1, "a", 0, "a", 1), HAS(2, "b", 0, "b", 2) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* an sdbox whose index hides the UIDLs after the first run's */
	{ { HAS(1, "a", 0, "a", 1), MAIL(2, "b", 0, NULL, 0, "b", 2) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_SHOW }, { 1, 2 } },
	/* a cache that remembers an older UIDL */
	{ { MAIL(1, "a", 0, "x", 0, "a", 1) },
	  { UIDL_PLAN_SHOW }, { 1 } },
	/* a hidden order */
	{ { MAIL(1, "a", 9, "a", 0, "a", 2), MAIL(2, "b", 7, "b", 0, "b", 1) },
	  { UIDL_PLAN_SHOW, UIDL_PLAN_SHOW }, { 2, 1 } },
	/* two UIDLs exchanged */
	{ { HAS(1, "b", 0, "a", 1), HAS(2, "a", 0, "b", 2) },
	  { UIDL_PLAN_CHANGE, UIDL_PLAN_CHANGE }, { 1, 2 } },
	/* one UIDL given to two mails: the copy loses it */
	{ { HAS(1, "a", 0, "a", 1), HAS(2, "a", 0, NULL, 0) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_CLEAR }, { 1, 2 } },
	/* deleted at the old server after it was migrated: keeps its UIDL */
	{ { HAS(1, "a", 0, NULL, 0), HAS(2, "b", 0, "b", 1) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* ... also if it is hidden */
	{ { MAIL(1, "a", 0, NULL, 0, NULL, 0), HAS(2, "b", 0, "b", 1) },
	  { UIDL_PLAN_SHOW, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* never had one */
	{ { BARE(1, NULL, 0), HAS(2, "b", 0, "b", 1) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* order numbers of two sessions collide: all get new ones */
	{ { HAS(1, "a", 1, "a", 2), HAS(2, "b", 1, "b", 1),
	    HAS(3, "c", 2, "c", 3) },
	  { UIDL_PLAN_CHANGE, UIDL_PLAN_CHANGE, UIDL_PLAN_CHANGE },
	  { 2, 1, 3 } },
	/* right numbers stay, whatever they are; a new mail comes between */
	{ { HAS(1, "a", 100, "a", 1), HAS(2, "b", 200, "b", 3),
	    BARE(3, "c", 2) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP, UIDL_PLAN_SET }, { 1, 3, 2 } },
	/* numbers without need stay as well */
	{ { HAS(1, "a", 1, "a", 1), HAS(2, "b", 2, "b", 2) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* stored without numbers, and a mail belongs before them */
	{ { HAS(1, "a", 0, "a", 2), HAS(2, "b", 0, "b", 3),
	    BARE(3, "c", 1) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP, UIDL_PLAN_SET }, { 3, 1, 2 } },
	/* ... or between them: then all get numbers */
	{ { HAS(1, "a", 0, "a", 1), HAS(2, "b", 0, "b", 3),
	    BARE(3, "c", 2) },
	  { UIDL_PLAN_CHANGE, UIDL_PLAN_CHANGE, UIDL_PLAN_SET }, { 1, 3, 2 } },
	/* numbering given up: a mail without partner loses its number */
	{ { HAS(1, "a", 5, NULL, 0), HAS(2, "b", 9, "b", 1),
	    HAS(3, "c", 8, "c", 2) },
	  { UIDL_PLAN_CHANGE, UIDL_PLAN_CHANGE, UIDL_PLAN_CHANGE },
	  { 1, 2, 3 } },
	/* the server gives two mails one UIDL: so do we */
	{ { BARE(1, "a", 1), BARE(2, "a", 2) },
	  { UIDL_PLAN_SET, UIDL_PLAN_SET }, { 1, 2 } },
	/* two mailboxes: UIDs say nothing, each mail gets a number */
	{ { BARE(1, "a", 1), { .mailbox = 1, .uid = 2, .wanted_uidl = "b",
			       .wanted_position = 2 } },
	  { UIDL_PLAN_SET, UIDL_PLAN_SET }, { 1, 2 } },
	{ { HAS(1, "a", 0, "a", 1),
	    { .mailbox = 1, .uid = 2, .stored_uidl = "b", .served_uidl = "b",
	      .wanted_uidl = "b", .wanted_position = 2 } },
	  { UIDL_PLAN_CHANGE, UIDL_PLAN_CHANGE }, { 1, 2 } },
	{ { HAS(1, "a", 5, "a", 1),
	    { .mailbox = 1, .uid = 2, .stored_uidl = "b", .stored_order = 7,
	      .served_uidl = "b", .served_order = 7, .wanted_uidl = "b",
	      .wanted_position = 2 } },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* cannot be stored */
	{ { BARE(1, "", 1), BARE(2, "b c", 2), BARE(3, "d\n", 3),
	    BARE(4, "e", 4) },
	  { UIDL_PLAN_REFUSE, UIDL_PLAN_REFUSE, UIDL_PLAN_REFUSE,
	    UIDL_PLAN_SET }, { 1, 2, 3, 4 } },
	{ { HAS(1, "old", 0, "\x7f", 1) }, { UIDL_PLAN_REFUSE }, { 1 } },
	/* 8-bit and long ones can */
	{ { BARE(1, "\xc3\xa4", 1) }, { UIDL_PLAN_SET }, { 1 } },
	/* a copy that the old server does not list is not told the UIDL */
	{ { COPY(1, NULL, NULL, "a", 1), COPY(2, NULL, NULL, NULL, 0) },
	  { UIDL_PLAN_SET, UIDL_PLAN_SHOW }, { 1, 2 } },
	{ { COPY(1, "a", "a", NULL, 0), COPY(2, "a", "a", "a", 1) },
	  { UIDL_PLAN_SHOW, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* ... and neither loses its UIDL when nobody lists it */
	{ { COPY(1, "z", "z", NULL, 0), COPY(2, "z", "z", NULL, 0) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* two UIDLs for two copies: one is stored, one is shown */
	{ { COPY(1, NULL, NULL, "a", 1), COPY(2, NULL, NULL, "b", 2) },
	  { UIDL_PLAN_SET, UIDL_PLAN_SHOW }, { 1, 2 } },
	{ { COPY(1, "a", "a", "a", 1), COPY(2, "a", "b", "b", 2) },
	  { UIDL_PLAN_KEEP, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* ... the cache was lost */
	{ { COPY(1, "b", "b", "a", 1), COPY(2, "b", "b", "b", 2) },
	  { UIDL_PLAN_SHOW, UIDL_PLAN_KEEP }, { 1, 2 } },
	/* ... in another order than by UID */
	{ { COPY(1, NULL, NULL, "a", 2), COPY(2, NULL, NULL, "b", 1) },
	  { UIDL_PLAN_SET, UIDL_PLAN_SHOW }, { 2, 1 } },
};

static int listed_cmp(const void *p1, const void *p2)
{
	const struct uidl_plan_mail *m1 = p1, *m2 = p2;

	if (m1->order != m2->order) {
		if (m1->order == 0 || m2->order == 0)
			return m1->order == 0 ? 1 : -1;
		return m1->order < m2->order ? -1 : 1;
	}
	return m1->uid < m2->uid ? -1 : m1->uid > m2->uid ? 1 : 0;
}

/* what the next run finds when the plan was carried out */
static void carry_out(struct uidl_plan_mail *mails, unsigned int count)
{
	const struct uidl_plan_mail *place;
	unsigned int i;

	for (i = 0; i < count; i++) {
		place = mails[i].owner != NULL ? mails[i].owner : &mails[i];
		mails[i].stored_uidl = place->uidl;
		mails[i].stored_order = place->order;
		mails[i].served_uidl = mails[i].uidl;
		mails[i].served_order = mails[i].order;
	}
}

START_TEST(test_plan)
{
	const struct row *row = &rows[_i];
	struct uidl_plan_mail mails[MAX_MAILS];
	unsigned int i, count;

	memcpy(mails, row->mails, sizeof(mails));
	for (count = 0; count < MAX_MAILS && mails[count].uid != 0; count++) ;
	uidl_plan_make(mails, count);
	for (i = 0; i < count; i++) T_BEGIN {
		ck_assert_msg(mails[i].action == row->actions[i],
			      "uid %u: %s, expected %s", mails[i].uid,
			      uidl_plan_action_name(mails[i].action),
			      uidl_plan_action_name(row->actions[i]));
		ck_assert_uint_gt(strlen(uidl_plan_reason(&mails[i])), 0);
		/* one place can be written once */
		ck_assert(mails[i].owner == NULL ||
			  !uidl_plan_action_writes(mails[i].action));
		if (mails[i].action == UIDL_PLAN_KEEP) {
			ck_assert_pstr_eq(mails[i].uidl, mails[i].stored_uidl);
			ck_assert_uint_eq(mails[i].order,
					  mails[i].stored_order);
		} else if (mails[i].action != UIDL_PLAN_REFUSE &&
			   mails[i].wanted_uidl != NULL) {
			ck_assert_str_eq(mails[i].uidl, mails[i].wanted_uidl);
		}
	} T_END;
	qsort(mails, count, sizeof(mails[0]), listed_cmp);
	for (i = 0; i < count; i++)
		ck_assert_uint_eq(mails[i].uid, row->listed[i]);

	carry_out(mails, count);
	uidl_plan_make(mails, count);
	for (i = 0; i < count; i++) {
		ck_assert_msg(mails[i].action == UIDL_PLAN_KEEP ||
			      mails[i].action == UIDL_PLAN_REFUSE,
			      "uid %u again: %s", mails[i].uid,
			      uidl_plan_action_name(mails[i].action));
	}
}
END_TEST

START_TEST(test_writes)
{
	ck_assert(!uidl_plan_action_writes(UIDL_PLAN_KEEP));
	ck_assert(!uidl_plan_action_writes(UIDL_PLAN_SHOW));
	ck_assert(uidl_plan_action_writes(UIDL_PLAN_SET));
	ck_assert(uidl_plan_action_writes(UIDL_PLAN_CHANGE));
	ck_assert(uidl_plan_action_writes(UIDL_PLAN_CLEAR));
	ck_assert(!uidl_plan_action_writes(UIDL_PLAN_REFUSE));
}
END_TEST

/* Random damage: whatever is stored and served, the plan ends with each listed
   mail having its UIDL in the old server's order, in one run. */
START_TEST(test_any_damage)
{
#define COUNT 30
	struct uidl_plan_mail mails[COUNT];
	char uidls[COUNT][8];
	unsigned int i, j, swap, position[COUNT];

	srandom(_i + 1);
	for (i = 0; i < COUNT; i++) {
		i_snprintf(uidls[i], sizeof(uidls[i]), "u%u", i);
		position[i] = i;
	}
	if (random() % 3 != 0) {
		for (i = COUNT - 1; i > 0; i--) {
			j = random() % (i + 1);
			swap = position[i];
			position[i] = position[j];
			position[j] = swap;
		}
	}
	i_zero(&mails);
	for (i = 0; i < COUNT; i++) {
		mails[i].uid = i + 1;
		if (random() % 8 != 0) {
			mails[i].wanted_uidl = uidls[i];
			mails[i].wanted_position = position[i] + 1;
		}
		if (random() % 2 != 0) {
			mails[i].stored_uidl = random() % 3 != 0 ? uidls[i] :
				uidls[random() % COUNT];
			mails[i].stored_order = random() % 3 == 0 ? 0 :
				random() % 40;
		}
		if (i > 0 && random() % 6 == 0) {
			j = random() % i;
			if (mails[j].stored_id == 0)
				mails[j].stored_id = j + 1;
			mails[i].stored_id = mails[j].stored_id;
			mails[i].stored_uidl = mails[j].stored_uidl;
			mails[i].stored_order = mails[j].stored_order;
		}
		if (random() % 2 != 0) {
			mails[i].served_uidl = mails[i].stored_uidl;
			mails[i].served_order = mails[i].stored_order;
		}
	}
	uidl_plan_make(mails, COUNT);
	for (i = 0; i < COUNT; i++) {
		for (j = 0; j < COUNT; j++) {
			if (i == j || mails[i].wanted_uidl == NULL)
				continue;
			ck_assert_str_eq(mails[i].uidl, uidls[i]);
			/* nobody else has it */
			if (mails[j].uidl != NULL)
				ck_assert_str_ne(mails[j].uidl, uidls[i]);
			if (mails[j].wanted_uidl != NULL) {
				ck_assert_int_eq(
					listed_cmp(&mails[i], &mails[j]) < 0,
					position[i] < position[j]);
			}
		}
	}
	carry_out(mails, COUNT);
	uidl_plan_make(mails, COUNT);
	for (i = 0; i < COUNT; i++)
		ck_assert_int_eq(mails[i].action, UIDL_PLAN_KEEP);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "uidl-plan");

	tcase_add_loop_test(tc, test_plan, 0, N_ELEMENTS(rows));
	tcase_add_test(tc, test_writes);
	tcase_add_loop_test(tc, test_any_damage, 0, 500);
	return check_suite_run(s);
}
