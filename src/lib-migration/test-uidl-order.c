/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "sort.h"
#include "uidl-order.h"
#include "check-suite.h"

#define NEW(_uid) { .uid = (_uid), .known = FALSE, .order = 0 }
#define STORED(_uid) { .uid = (_uid), .known = TRUE, .order = 0 }
#define NUMBERED(_uid, _order) \
	{ .uid = (_uid), .known = TRUE, .order = (_order) }

/* Mails in the POP3 server's order. */
static const struct {
	const char *name;
	struct uidl_order_mail mails[8];
	unsigned int lost;
	/* none of the new mails needs a number */
	bool plain;
} orders[] = {
	{ "UID order", { NEW(1), NEW(2), NEW(5), NEW(9) }, 0, TRUE },
	{ "reversed", { NEW(9), NEW(5), NEW(2), NEW(1) }, 0, FALSE },
	{ "one moved to the end", { NEW(1), NEW(3), NEW(2) }, 0, FALSE },
	{ "new behind mails without number",
	  { STORED(1), STORED(2), NEW(7), NEW(8) }, 0, TRUE },
	{ "new before mails without number",
	  { NEW(7), NEW(8), STORED(1), STORED(2) }, 0, FALSE },
	{ "new behind numbered mails",
	  { NUMBERED(2, 1000), NUMBERED(1, 2000), NEW(7), NEW(8) }, 0, FALSE },
	{ "new between numbered mails",
	  { NUMBERED(2, 1000), NEW(8), NEW(7), NUMBERED(1, 2000) }, 0, FALSE },
	{ "new before numbered mails",
	  { NEW(8), NEW(7), NUMBERED(2, 1000), NUMBERED(1, 2000) }, 0, FALSE },
	{ "numbers of stock's first session, two mails gone, two new",
	  { NUMBERED(3, 3), NUMBERED(5, 4), NUMBERED(4, 5), NEW(6), NEW(7) },
	  0, FALSE },
	{ "no room", { NUMBERED(2, 1), NEW(8), NUMBERED(1, 2) }, 1, FALSE },
	{ "stored without number, others later",
	  { STORED(1), NEW(8), STORED(2), NEW(7) }, 1, FALSE },
};

static int served_cmp(const struct uidl_order_mail *a,
		      const struct uidl_order_mail *b)
{
	/* as Dovecot's POP3 server sorts */
	uint32_t oa = a->order == 0 ? UINT32_MAX : a->order;
	uint32_t ob = b->order == 0 ? UINT32_MAX : b->order;

	if (oa != ob)
		return oa < ob ? -1 : 1;
	return a->uid < b->uid ? -1 : 1;
}

START_TEST(test_orders)
{
	struct uidl_order_mail mails[8], served[8];
	unsigned int i, count, lost;
	bool plain = TRUE;

	memcpy(mails, orders[_i].mails, sizeof(mails));
	for (count = 0; count < 8 && mails[count].uid != 0; count++) ;
	lost = uidl_order_assign(mails, count);
	ck_assert_msg(lost == orders[_i].lost, "%s", orders[_i].name);
	memcpy(served, mails, sizeof(mails));
	i_qsort(served, count, sizeof(*served), served_cmp);
	for (i = 0; i < count; i++) {
		if (lost == 0)
			ck_assert_msg(served[i].uid == mails[i].uid, "%s",
				      orders[_i].name);
		if (!mails[i].known && mails[i].order != 0)
			plain = FALSE;
		if (mails[i].known)
			ck_assert_uint_eq(mails[i].order,
					  orders[_i].mails[i].order);
	}
	ck_assert_msg(plain == orders[_i].plain, "%s", orders[_i].name);
}
END_TEST

/* The same numbers in every run of the test. */
static unsigned int next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return *seed >> 33;
}

/* Over many runs with deletions and new mails anywhere the order stays. */
START_TEST(test_runs)
{
	ARRAY(struct uidl_order_mail) mails;
	struct uidl_order_mail mail, *m, *served;
	uint64_t seed = 1000 + _i;
	unsigned int count, i;
	uint32_t uid = 1;

	t_array_init(&mails, 64);
	for (unsigned int run = 0; run < 10; run++) {
		/* delete some, add some: the first run anywhere, then at the
		   end with now and then one in the middle */
		for (i = array_count(&mails); i > 0; i--) {
			if (next_random(&seed) % 4 == 0)
				array_delete(&mails, i - 1, 1);
		}
		for (i = 0; i < 20; i++) {
			i_zero(&mail);
			mail.uid = uid++;
			if (run == 0 || (_i % 2 == 1 && i % 10 == 0)) {
				array_insert(&mails, next_random(&seed) %
					     (array_count(&mails) + 1),
					     &mail, 1);
			} else {
				array_push_back(&mails, &mail);
			}
		}
		m = array_get_modifiable(&mails, &count);
		ck_assert_uint_eq(uidl_order_assign(m, count), 0);
		served = t_new(struct uidl_order_mail, count);
		memcpy(served, m, sizeof(*m) * count);
		i_qsort(served, count, sizeof(*served), served_cmp);
		for (i = 0; i < count; i++) {
			ck_assert_uint_eq(served[i].uid, m[i].uid);
			m[i].known = TRUE;
		}
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "uidl-order");

	tcase_add_loop_test(tc, test_orders, 0, N_ELEMENTS(orders));
	tcase_add_loop_test(tc, test_runs, 0, 20);
	return check_suite_run(s);
}
