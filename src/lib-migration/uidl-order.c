/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "uidl-order.h"

/* Room for mails which a later run finds between two of this one's. */
#define ORDER_STEP 1024U
/* Numbers begin here, so that there is also room before the first. */
#define ORDER_FIRST (1U << 30)

/* The first index from which on UID order does it: no number is needed and none
   was stored. When any mail needs a number all new ones get one, so that a later
   run finds room everywhere. */
static unsigned int
plain_tail_start(const struct uidl_order_mail *mails, unsigned int count)
{
	unsigned int i = count;

	while (i > 0 && mails[i-1].order == 0 &&
	       (i == count || mails[i-1].uid < mails[i].uid))
		i--;
	if (i == 0)
		return 0;
	/* behind a mail that was stored without a number only mails without
	   one can come */
	while (i < count && !mails[i].known)
		i++;
	return i;
}

/* Number mails[first..last-1], all new, between before and after, 0 = open. */
static unsigned int
number_gap(struct uidl_order_mail *mails, unsigned int first,
	   unsigned int last, uint32_t before, uint32_t after)
{
	unsigned int count = last - first, lost = 0, i;
	uint64_t step, start;

	if (before == 0 && after == 0) {
		start = ORDER_FIRST;
		step = I_MIN(ORDER_STEP, (UINT32_MAX - ORDER_FIRST) / (count + 1));
	} else if (after == 0) {
		start = before;
		step = I_MIN(ORDER_STEP, (UINT32_MAX - before) / (count + 1));
	} else if (before == 0) {
		step = I_MIN(ORDER_STEP, (after - 1) / (count + 1));
		start = after - step * (count + 1);
	} else {
		start = before;
		step = (after > before ? after - before : 0) / (count + 1);
	}
	for (i = 0; i < count; i++) {
		mails[first + i].order = I_MAX(1, start + step * (i + 1));
		if (step == 0)
			lost++;
	}
	return lost;
}

unsigned int
uidl_order_assign(struct uidl_order_mail *mails, unsigned int count)
{
	unsigned int i, first, tail, lost = 0;
	uint32_t before = 0;

	for (i = 0; i < count; i++) {
		if (!mails[i].known)
			mails[i].order = 0;
	}
	tail = plain_tail_start(mails, count);
	for (i = 0; i < tail; i++) {
		if (mails[i].known) {
			/* stored without a number although others follow that
			   need to come later: it cannot be helped any more */
			if (mails[i].order == 0)
				lost++;
			else
				before = mails[i].order;
			continue;
		}
		first = i;
		while (i < tail && !mails[i].known)
			i++;
		lost += number_gap(mails, first, i, before,
				   i < tail ? mails[i].order : 0);
		before = mails[i-1].order;
		i--;
	}
	return lost;
}
