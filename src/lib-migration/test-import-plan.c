/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "import-plan.h"
#include "check-suite.h"

/* A side is "UIDVALIDITY/UIDNEXT" and its mails, each as a UID and a letter:
   equal letters are the same mail. "" is no such mailbox. Costs are given as
   fetched-again,pop3-again,disordered,unsafe for the three ways. */
static const struct {
	const char *source, *dest;
	bool pop3;
	/* present, saved, kept, changed; "V" if the UIDVALIDITY is taken over */
	const char *plan;
	const char *costs[IMPORT_WAY_COUNT];
	enum import_way way;
} tests[] = {
	/* nothing is there yet: import and be done */
	{ "5/4 1a 2b 3c", "", FALSE, "0 3 3 0 V",
	  { "0,0,0,0", "0,0,0,0", "3,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	{ "5/4 1a 2b 3c", "9/1", FALSE, "0 3 3 0 V",
	  { "0,0,0,0", "0,0,0,0", "3,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	/* emptied: its UIDs are taken, all or some */
	{ "5/4 1a 2b 3c", "9/4", FALSE, "0 3 0 3",
	  { "3,0,0,0", "0,0,0,0", "3,0,0,0" }, IMPORT_WAY_NEW_ON_RECOVERED },
	{ "5/9 7a 8b", "9/4", FALSE, "0 2 2 0 V",
	  { "0,0,0,0", "0,0,0,0", "2,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	{ "5/4 1a 2b 3c", "5/4", FALSE, "0 3 0 3",
	  { "3,0,0,0", "0,0,0,0", "3,0,0,0" }, IMPORT_WAY_NEW_ON_RECOVERED },
	/* a storage failed and its index was kept: new mail has higher UIDs */
	{ "5/4 1a 2b 3c", "5/6 4x 5y", FALSE, "0 3 0 3",
	  { "3,0,3,0", "0,0,0,0", "3,0,0,0" }, IMPORT_WAY_NEW_ON_RECOVERED },
	/* the same without the index: another UIDVALIDITY */
	{ "5/4 1a 2b 3c", "9/2 1x", FALSE, "0 3 2 1",
	  { "3,0,3,0", "1,0,0,0", "3,0,0,0" }, IMPORT_WAY_NEW_ON_RECOVERED },
	/* much has come meanwhile, little was recovered */
	{ "5/2 1a", "9/4 1x 2y 3z", FALSE, "0 1 0 1",
	  { "1,0,1,0", "3,0,0,0", "1,0,0,0" }, IMPORT_WAY_APART },
	/* the recovered mail is there already */
	{ "5/3 1a 2b", "5/4 1a 2b 3x", FALSE, "2 0 0 0",
	  { "0,0,0,0", "0,0,0,0", "2,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	/* ... under other UIDs */
	{ "5/3 1a 2b", "9/4 2b 3a", FALSE, "2 0 0 0",
	  { "0,0,0,0", "2,0,0,0", "2,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	/* one UIDVALIDITY, one UID, two mails: never under clients' feet */
	{ "5/4 1a 2b 3c", "5/3 1x 2y", FALSE, "0 3 1 2",
	  { "2,0,3,0", "2,0,0,2", "3,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	{ "5/3 1a 2b", "5/3 2a", FALSE, "1 1 0 1",
	  { "1,0,1,0", "1,0,0,1", "2,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	/* POP3 clients: only a folder of its own spares them the old mail */
	{ "5/4 1a 2b 3c", "5/6 4x 5y", TRUE, "0 3 0 3",
	  { "3,3,3,0", "0,3,0,0", "3,0,0,0" }, IMPORT_WAY_NEW_ON_RECOVERED },
	{ "5/4 1a 2b 3c", "9/3 1x 2y", TRUE, "0 3 1 2",
	  { "3,3,3,0", "2,5,0,0", "3,0,0,0" }, IMPORT_WAY_APART },
	/* only one of them has the mailbox */
	{ "", "9/3 1x 2y", FALSE, "0 0 0 0",
	  { "0,0,0,0", "0,0,0,0", "0,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	{ "5/1", "9/3 1x 2y", FALSE, "0 0 0 0",
	  { "0,0,0,0", "0,0,0,0", "0,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
	{ "", "", FALSE, "0 0 0 0",
	  { "0,0,0,0", "0,0,0,0", "0,0,0,0" }, IMPORT_WAY_RECOVERED_ON_NEW },
};

static uint32_t find_letter(const char *const *words, char letter)
{
	unsigned int i;

	if (words[0] == NULL)
		return 0;
	for (i = 1; words[i] != NULL; i++) {
		if (words[i][strlen(words[i]) - 1] == letter)
			return atoi(words[i]);
	}
	return 0;
}

static void
parse_side(const char *text, const char *other, struct import_plan_side *side_r)
{
	const char *const *words = t_strsplit_spaces(text, " ");
	const char *const *other_words = t_strsplit_spaces(other, " ");
	struct import_plan_mail mail;
	unsigned int i;

	i_zero(side_r);
	i_zero(&mail);
	t_array_init(&side_r->mails, 8);
	if (words[0] == NULL)
		return;
	side_r->exists = TRUE;
	side_r->uid_validity = atoi(words[0]);
	side_r->next_uid = atoi(strchr(words[0], '/') + 1);
	for (i = 1; words[i] != NULL; i++) {
		mail.uid = atoi(words[i]);
		mail.size = 1 << mail.uid;
		mail.partner_uid = find_letter(other_words,
			words[i][strlen(words[i]) - 1]);
		array_push_back(&side_r->mails, &mail);
	}
}

START_TEST(test_plan)
{
	struct import_plan_side source, dest;
	struct import_plan_mailbox plan;
	enum import_way way;
	const char *reason = NULL;

	parse_side(tests[_i].source, tests[_i].dest, &source);
	parse_side(tests[_i].dest, tests[_i].source, &dest);
	import_plan_mailbox(&source, &dest, tests[_i].pop3, &plan);
	ck_assert_str_eq(t_strdup_printf("%u %u %u %u%s", plan.present,
			plan.saved, plan.uids_kept, plan.uids_changed,
			plan.takes_uid_validity ? " V" : ""), tests[_i].plan);
	for (way = 0; way < IMPORT_WAY_COUNT; way++) {
		const struct import_plan_cost *cost = &plan.costs[way];

		ck_assert_str_eq(t_strdup_printf("%u,%u,%u,%u",
				cost->fetched_again, cost->pop3_again,
				cost->disordered, cost->unsafe),
			tests[_i].costs[way]);
	}
	ck_assert_int_eq(import_plan_choose(plan.costs, &reason),
			 tests[_i].way);
	ck_assert_ptr_nonnull(reason);
}
END_TEST

/* Only what is saved has to be brought. */
START_TEST(test_bytes)
{
	struct import_plan_side source, dest;
	struct import_plan_mailbox plan;

	parse_side("5/6 1a 2b 3c 5d", "9/3 2b", &source);
	parse_side("9/3 2b", "5/6 1a 2b 3c 5d", &dest);
	import_plan_mailbox(&source, &dest, FALSE, &plan);
	ck_assert_uint_eq(plan.saved_bytes, 2 + 8 + 32);
}
END_TEST

START_TEST(test_sum)
{
	const struct import_plan_cost cost = { 1, 2, 3, 4 };
	struct import_plan_cost costs[IMPORT_WAY_COUNT];
	const char *reason;
	enum import_way way;

	i_zero(&costs);
	for (way = 0; way < IMPORT_WAY_COUNT; way++) {
		ck_assert_str_ne(import_way_name(way), "");
		ck_assert_str_ne(import_way_hint(way), "");
		import_plan_cost_add(&costs[way], &cost);
	}
	import_plan_cost_add(&costs[0], &cost);
	ck_assert_uint_eq(costs[0].fetched_again, 2);
	ck_assert_uint_eq(costs[0].pop3_again, 4);
	ck_assert_uint_eq(costs[0].disordered, 6);
	ck_assert_uint_eq(costs[0].unsafe, 8);
	ck_assert_int_eq(import_plan_choose(costs, &reason), 1);
	ck_assert_str_eq(reason, "1 mails are fetched again over IMAP and 2 "
			 "over POP3, 3 old mails come behind newer ones");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "import-plan");

	tcase_add_loop_test(tc, test_plan, 0, N_ELEMENTS(tests));
	tcase_add_test(tc, test_bytes);
	tcase_add_test(tc, test_sum);
	return check_suite_run(s);
}
