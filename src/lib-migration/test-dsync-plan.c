/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include <ctype.h>
#include "dsync-plan.h"
#include "check-suite.h"

#define BACKUP DSYNC_PLAN_BACKUP
#define SYNC DSYNC_PLAN_SYNC_ONCE

/* A side is "UIDVALIDITY/UIDNEXT" and its mails: a UID and a letter, equal
   letters are the same mail; ! is \Seen, and each ^ raises the modseq. "" is no
   such mailbox, "-" one that was deleted, a second slash another GUID.
   A mail's size is 100 times its UID. Changes are + copy, - delete, ~ update,
   and the UID, with >NEW if it gets another one. */
static const struct {
	enum dsync_plan_mode mode;
	const char *source, *dest;
	enum dsync_plan_fate fate;
	const char *changes;
} tests[] = {
	/* one side has the mailbox */
	{ BACKUP, "5/4 1a 2b 3c", "", DSYNC_PLAN_CREATE, "+1 +2 +3" },
	{ SYNC, "5/4 1a 2b 3c", "", DSYNC_PLAN_CREATE, "+1 +2 +3" },
	{ BACKUP, "5/4 1a", "-", DSYNC_PLAN_CREATE, "+1" },
	{ SYNC, "5/4 1a", "-", DSYNC_PLAN_SKIP, "" },
	{ BACKUP, "5/1", "", DSYNC_PLAN_CREATE, "" },
	{ BACKUP, "", "5/3 1a 2b", DSYNC_PLAN_DELETE, "-1 -2" },
	{ SYNC, "", "5/3 1a 2b", DSYNC_PLAN_KEEP, "" },
	{ BACKUP, "", "", DSYNC_PLAN_NOTHING, "" },
	/* the same, and later runs */
	{ BACKUP, "5/4 1a 2b 3c", "5/4 1a 2b 3c", DSYNC_PLAN_NOTHING, "" },
	{ SYNC, "5/4 1a 2b 3c", "5/4 1a 2b 3c", DSYNC_PLAN_NOTHING, "" },
	{ BACKUP, "5/5 1a 2b 3c 4d", "5/3 1a 2b", DSYNC_PLAN_UPDATE, "+3 +4" },
	{ SYNC, "5/5 1a 2b 3c 4d", "5/3 1a 2b", DSYNC_PLAN_UPDATE, "+3 +4" },
	{ BACKUP, "5/9", "5/1", DSYNC_PLAN_NOTHING, "" },
	/* flags */
	{ BACKUP, "5/3 1a! 2b", "5/3 1a 2b!", DSYNC_PLAN_UPDATE, "~1 ~2" },
	{ SYNC, "5/3 1a!^ 2b!", "5/3 1a 2b^", DSYNC_PLAN_UPDATE, "~1" },
	{ SYNC, "5/3 1a!", "5/3 1a", DSYNC_PLAN_NOTHING, "" },
	/* deleted at the source */
	{ BACKUP, "5/4 1a 3c", "5/4 1a 2b 3c", DSYNC_PLAN_UPDATE, "-2" },
	{ SYNC, "5/4 1a 3c", "5/4 1a 2b 3c", DSYNC_PLAN_UPDATE, "-2" },
	{ BACKUP, "5/4 1a", "5/4 1a 2b 3c", DSYNC_PLAN_UPDATE, "-2 -3" },
	{ BACKUP, "5/4", "5/4 1a 2b", DSYNC_PLAN_UPDATE, "-1 -2" },
	/* the last ones may be the destination's own: they get other UIDs */
	{ SYNC, "5/4 1a", "5/4 1a 2b 3c", DSYNC_PLAN_UPDATE,
	  "2>4 3>5" },
	{ BACKUP, "5/6 1a 4d 5e", "5/4 1a 2b 3c", DSYNC_PLAN_UPDATE,
	  "+4 +5 -2 -3" },
	/* in use: what came here directly */
	{ SYNC, "5/4 1a 2b 3c", "5/5 1a 2b 3c 4x", DSYNC_PLAN_NOTHING, "" },
	{ SYNC, "5/5 1a 2b 3c 4d", "5/5 1a 2b 3c 4x", DSYNC_PLAN_UPDATE,
	  "+4>5 4>6" },
	{ SYNC, "5/6 1a 2b 3c 4d 5e", "5/5 1a 2b 3c 4x", DSYNC_PLAN_UPDATE,
	  "+4>6 +5 4>7" },
	{ BACKUP, "5/4 1a 2b 3c", "5/5 1a 2b 3c 4x", DSYNC_PLAN_REPLACE,
	  "+1 +2 +3 -1 -2 -3 -4" },
	{ BACKUP, "5/5 1a 2b 3c 4d", "5/5 1a 2b 3c 4x", DSYNC_PLAN_REPLACE,
	  "+1 +2 +3 +4 -1 -2 -3 -4" },
	/* deleted here: backup cannot put it back into its place */
	{ BACKUP, "5/4 1a 2b 3c", "5/4 1a 3c", DSYNC_PLAN_REPLACE,
	  "+1 +2 +3 -1 -3" },
	{ BACKUP, "5/4 1a 2b 3c", "5/4 1a 2b", DSYNC_PLAN_REPLACE,
	  "+1 +2 +3 -1 -2" },
	{ SYNC, "5/4 1a 2b 3c", "5/4 1a 3c", DSYNC_PLAN_NOTHING, "" },
	/* ... and sync brings the last ones, as far as it knows they are new */
	{ SYNC, "5/4 1a 2b 3c", "5/4 1a 2b", DSYNC_PLAN_UPDATE, "+3>4" },
	/* another mailbox */
	{ BACKUP, "5/3 1a 2b", "9/3 1a 2b", DSYNC_PLAN_REPLACE,
	  "+1 +2 -1 -2" },
	{ SYNC, "5/3 1a 2b", "9/3 1a 2b", DSYNC_PLAN_NOTHING, "" },
	{ BACKUP, "5/3 1a 2b", "5/3/ 1a 2b", DSYNC_PLAN_REPLACE,
	  "+1 +2 -1 -2" },
	/* mails that a failed attempt saved in another order */
	{ SYNC, "5/4 1a 2b 3c", "5/4 1c 2a 3b", DSYNC_PLAN_UPDATE,
	  "+1>4 +2>5 +3>9 1>6 2>7 3>8" },
};

static struct dsync_plan_mail *
side_add(struct dsync_plan_side *side, const char *word)
{
	static const char *const no_keywords[] = { NULL };
	struct dsync_plan_mail *mail = array_append_space(&side->mails);
	const char *p = word;

	mail->uid = strtoul(word, NULL, 10);
	while (i_isdigit(*p))
		p++;
	mail->identity = t_strndup(p, 1);
	mail->size = mail->uid * 100;
	mail->keywords = no_keywords;
	for (p++; *p != '\0'; p++) {
		if (*p == '!')
			mail->flags |= MAIL_SEEN;
		else
			mail->modseq++;
	}
	return mail;
}

static struct dsync_plan_side side_parse(const char *text)
{
	struct dsync_plan_side side;
	const char *const *words = t_strsplit_spaces(text, " ");
	const char *const *numbers;

	i_zero(&side);
	side.guid = "guid";
	t_array_init(&side.mails, 8);
	side.was_deleted = strcmp(text, "-") == 0;
	if (*text == '\0' || side.was_deleted)
		return side;
	numbers = t_strsplit(words[0], "/");
	side.exists = TRUE;
	side.uid_validity = strtoul(numbers[0], NULL, 10);
	side.uid_next = strtoul(numbers[1], NULL, 10);
	if (numbers[2] != NULL)
		side.guid = "another";
	for (words++; *words != NULL; words++)
		side_add(&side, *words);
	return side;
}

static int change_cmp(const struct dsync_plan_change *a,
		      const struct dsync_plan_change *b)
{
	if (a->action != b->action)
		return a->action < b->action ? -1 : 1;
	return a->uid < b->uid ? -1 : a->uid > b->uid ? 1 : 0;
}

static const char *changes_text(struct dsync_plan *plan)
{
	static const char signs[] = { '+', '-', '~', '\0' };
	const struct dsync_plan_change *change;
	string_t *str = t_str_new(64);

	array_sort(&plan->changes, change_cmp);
	array_foreach(&plan->changes, change) {
		if (str_len(str) > 0)
			str_append_c(str, ' ');
		if (signs[change->action] != '\0')
			str_append_c(str, signs[change->action]);
		str_printfa(str, "%u", change->uid);
		if (change->new_uid != 0 && change->new_uid != change->uid)
			str_printfa(str, ">%u", change->new_uid);
	}
	return str_c(str);
}

START_TEST(test_mailbox)
{
	struct dsync_plan_side source = side_parse(tests[_i].source);
	struct dsync_plan_side dest = side_parse(tests[_i].dest);
	const struct dsync_plan_change *change;
	struct dsync_plan plan;
	uoff_t bytes = 0;

	dsync_plan_mailbox(tests[_i].mode, FALSE, &source, &dest,
			   pool_datastack_create(), &plan);
	ck_assert_str_eq(dsync_plan_fate_name(plan.fate),
			 dsync_plan_fate_name(tests[_i].fate));
	ck_assert_str_eq(changes_text(&plan), tests[_i].changes);
	ck_assert(plan.reason != NULL);
	array_foreach(&plan.changes, change) {
		ck_assert(change->reason != NULL);
		if (change->action == DSYNC_PLAN_MAIL_COPY)
			bytes += change->size;
	}
	ck_assert_uint_eq(plan.copied_bytes, bytes);
}
END_TEST

/* With GUIDs a mail that is here under another UID is not downloaded. */
static const struct {
	const char *source, *dest, *changes;
} guid_tests[] = {
	{ "5/4 1a 2b 3c", "5/4 1a 2x 3b", "+3>5 2>6 3>4" },
	{ "5/5 1a 2b 3c 4x", "5/4 1a 2b 3x", "+3>5 3>4" },
	{ "5/3 1a 2b", "5/3 1a 2b", "" },
};

START_TEST(test_guids)
{
	struct dsync_plan_side source = side_parse(guid_tests[_i].source);
	struct dsync_plan_side dest = side_parse(guid_tests[_i].dest);
	struct dsync_plan plan;

	dsync_plan_mailbox(SYNC, TRUE, &source, &dest,
			   pool_datastack_create(), &plan);
	ck_assert_str_eq(changes_text(&plan), guid_tests[_i].changes);
}
END_TEST

static const char *const kw_none[] = { NULL };
static const char *const kw_work[] = { "Work", NULL };
static const char *const kw_work_lower[] = { "work", NULL };

static const struct {
	enum dsync_plan_mode mode;
	enum mail_flags source, dest, added, removed;
	const char *const *source_kw, *const *dest_kw;
	const char *const *added_kw, *const *removed_kw;
	bool update;
} flag_tests[] = {
	{ BACKUP, 0, MAIL_RECENT, 0, 0, kw_none, kw_none, NULL, NULL, FALSE },
	{ BACKUP, 0, MAIL_SEEN, MAIL_SEEN, 0, kw_none, kw_none, NULL, NULL, TRUE },
	/* what was changed here stays */
	{ SYNC, 0, MAIL_SEEN, MAIL_SEEN, 0, kw_none, kw_none, NULL, NULL, FALSE },
	{ SYNC, MAIL_SEEN, 0, 0, MAIL_SEEN, kw_none, kw_none, NULL, NULL, FALSE },
	{ SYNC, MAIL_SEEN, 0, MAIL_SEEN, 0, kw_none, kw_none, NULL, NULL, TRUE },
	{ SYNC, MAIL_DRAFT, MAIL_SEEN, MAIL_SEEN, 0, kw_none, kw_none, NULL,
	  NULL, TRUE },
	{ BACKUP, 0, 0, 0, 0, kw_work, kw_none, NULL, NULL, TRUE },
	{ BACKUP, 0, 0, 0, 0, kw_none, kw_work, NULL, NULL, TRUE },
	{ BACKUP, 0, 0, 0, 0, kw_work, kw_work_lower, NULL, NULL, FALSE },
	{ SYNC, 0, 0, 0, 0, kw_work, kw_none, NULL, kw_work, FALSE },
	{ SYNC, 0, 0, 0, 0, kw_none, kw_work, kw_work, NULL, FALSE },
	{ SYNC, 0, 0, 0, 0, kw_none, kw_work, NULL, NULL, TRUE },
};

START_TEST(test_flags)
{
	struct dsync_plan_side source = side_parse("5/2");
	struct dsync_plan_side dest = side_parse("5/2");
	struct dsync_plan_mail *s = side_add(&source, "1a^");
	struct dsync_plan_mail *d = side_add(&dest, "1a");
	struct dsync_plan plan;

	s->flags = flag_tests[_i].source;
	s->keywords = flag_tests[_i].source_kw;
	d->flags = flag_tests[_i].dest;
	d->keywords = flag_tests[_i].dest_kw;
	d->flags_added = flag_tests[_i].added;
	d->flags_removed = flag_tests[_i].removed;
	d->keywords_added = flag_tests[_i].added_kw;
	d->keywords_removed = flag_tests[_i].removed_kw;
	dsync_plan_mailbox(flag_tests[_i].mode, FALSE, &source, &dest,
			   pool_datastack_create(), &plan);
	ck_assert_str_eq(changes_text(&plan), flag_tests[_i].update ? "~1" : "");
}
END_TEST

static const struct {
	enum dsync_plan_mode mode;
	const char *source, *dest;
	unsigned int elsewhere;
	/* 0: nothing is asked */
	unsigned int mails, wanted;
	enum dsync_plan_fate fate;
	const char *changes;
	unsigned int refused;
} guard_tests[] = {
	{ BACKUP, "5/3 1a 2b", "5/2 1a", 0, 0, 0,
	  DSYNC_PLAN_UPDATE, "+2", 0 },
	/* single mails: the rest is done */
	{ BACKUP, "5/5 1a 3c 4d", "5/4 1a 2b 3c", 0, 3, 1,
	  DSYNC_PLAN_UPDATE, "+4", 1 },
	{ BACKUP, "5/5 1a 3c 4d", "5/4 1a 2b 3c", 1, 3, 0,
	  DSYNC_PLAN_UPDATE, "+4", 1 },
	/* mailboxes: nothing is done */
	{ BACKUP, "5/3 1a 2b", "9/3 1a 2b", 0, 2, 2,
	  DSYNC_PLAN_REFUSE, "", 2 },
	{ BACKUP, "", "9/3 1a 2b", 0, 2, 2, DSYNC_PLAN_REFUSE, "", 2 },
	/* ... but what dsync did before it came to the conflict stays */
	{ BACKUP, "5/4 1a! 2b 3c!", "5/4 1a 3c", 0, 2, 2,
	  DSYNC_PLAN_REFUSE, "~1", 2 },
	/* an empty one may go */
	{ BACKUP, "", "9/3", 0, 0, 0, DSYNC_PLAN_DELETE, "", 0 },
};

START_TEST(test_guard)
{
	struct dsync_plan_side source = side_parse(guard_tests[_i].source);
	struct dsync_plan_side dest = side_parse(guard_tests[_i].dest);
	struct delete_question question;
	struct dsync_plan plan;
	bool ask;

	dsync_plan_mailbox(guard_tests[_i].mode, FALSE, &source, &dest,
			   pool_datastack_create(), &plan);
	ask = dsync_plan_question(&plan, &dest, TRUE, guard_tests[_i].elsewhere,
				  &question);
	ck_assert_int_eq(ask, guard_tests[_i].mails > 0);
	if (ask) {
		ck_assert_uint_eq(question.mails, guard_tests[_i].mails);
		ck_assert_uint_eq(question.wanted, guard_tests[_i].wanted);
		ck_assert(question.completed);
		dsync_plan_refuse(&plan, "limit");
		ck_assert_str_eq(plan.reason, "limit");
	}
	ck_assert_int_eq(plan.fate, guard_tests[_i].fate);
	ck_assert_uint_eq(plan.refused, guard_tests[_i].refused);
	ck_assert_str_eq(changes_text(&plan), guard_tests[_i].changes);
}
END_TEST

/* A mailbox that is replaced, and which of its mails come back: "here=there". */
static const struct {
	const char *source, *dest;
	struct reuse_pair pairs[3];
	const char *changes;
} reuse_tests[] = {
	{ "9/3 1a 2b", "5/3 1a 2b", { { 1, 1 }, { 2, 2 } }, "1 2" },
	{ "9/3 1a 2b", "5/3 1a 2b", { { 2, 1 }, { 1, 2 } }, "1>2 2>1" },
	{ "9/5 2a 3n 4b", "5/4 1a 2b 3x", { { 1, 2 }, { 2, 4 } },
	  "+3 -3 1>2 2>4" },
	{ "9/3 1a 2b", "5/3 1a 2b", { { 0, 0 } }, "+1 +2 -1 -2" },
};

START_TEST(test_reuse)
{
	struct dsync_plan_side source = side_parse(reuse_tests[_i].source);
	struct dsync_plan_side dest = side_parse(reuse_tests[_i].dest);
	const struct reuse_pair *pair;
	ARRAY_TYPE(reuse_pair) pairs;
	struct dsync_plan plan;

	t_array_init(&pairs, 4);
	for (pair = reuse_tests[_i].pairs; pair->here_uid != 0; pair++)
		array_push_back(&pairs, pair);
	dsync_plan_mailbox(BACKUP, FALSE, &source, &dest,
			   pool_datastack_create(), &plan);
	ck_assert_int_eq(plan.fate, DSYNC_PLAN_REPLACE);
	dsync_plan_reuse(&plan, &pairs);
	ck_assert_str_eq(changes_text(&plan), reuse_tests[_i].changes);
	ck_assert_uint_eq(plan.counts[DSYNC_PLAN_MAIL_RENUMBER],
			  array_count(&pairs));
	ck_assert_uint_eq(plan.counts[DSYNC_PLAN_MAIL_COPY] +
			  array_count(&pairs), array_count(&source.mails));
}
END_TEST

/* Whatever was planned: nothing of it is done, and nothing is refused to
   dsync. */
START_TEST(test_left_out)
{
	struct dsync_plan_side source = side_parse(guard_tests[_i].source);
	struct dsync_plan_side dest = side_parse(guard_tests[_i].dest);
	struct delete_question question;
	struct dsync_plan plan;

	dsync_plan_mailbox(guard_tests[_i].mode, FALSE, &source, &dest,
			   pool_datastack_create(), &plan);
	dsync_plan_leave_out(&plan, "pop3");
	ck_assert_int_eq(plan.fate, DSYNC_PLAN_REFUSE);
	ck_assert_str_eq(plan.reason, "pop3");
	ck_assert_uint_eq(plan.refused, 0);
	ck_assert_uint_eq(plan.copied_bytes, 0);
	ck_assert_uint_eq(plan.counts[DSYNC_PLAN_MAIL_COPY], 0);
	ck_assert_str_eq(changes_text(&plan), "");
	ck_assert(!dsync_plan_question(&plan, &dest, TRUE, 0, &question));
}
END_TEST

START_TEST(test_names)
{
	ck_assert_str_eq(dsync_plan_fate_name(DSYNC_PLAN_SKIP), "skip");
	ck_assert_str_eq(dsync_plan_action_name(DSYNC_PLAN_MAIL_RENUMBER),
			 "renumber");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "dsync-plan");

	tcase_add_loop_test(tc, test_mailbox, 0, N_ELEMENTS(tests));
	tcase_add_loop_test(tc, test_guids, 0, N_ELEMENTS(guid_tests));
	tcase_add_loop_test(tc, test_flags, 0, N_ELEMENTS(flag_tests));
	tcase_add_loop_test(tc, test_reuse, 0, N_ELEMENTS(reuse_tests));
	tcase_add_loop_test(tc, test_guard, 0, N_ELEMENTS(guard_tests));
	tcase_add_loop_test(tc, test_left_out, 0, N_ELEMENTS(guard_tests));
	tcase_add_test(tc, test_names);
	return check_suite_run(s);
}
