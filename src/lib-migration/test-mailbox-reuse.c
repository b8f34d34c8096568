/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mailbox-reuse.h"
#include "check-suite.h"

#include <ctype.h>

/* Mails are "UID:size:header", and "UID:size:header:text" where the text was
   read. A header in capitals says enough to know a mail by it, "0" could not be
   read. Pairs are "here=there". */
static const struct {
	const char *here, *there, *doubtful, *pairs;
	unsigned int only_here;
} rows[] = {
	{ "", "", "", "", 0 },
	{ "", "1:10:A", "", "", 0 },
	{ "1:10:A", "", "", "", 1 },
	{ "1:10:A", "1:10:A", "", "1=1", 0 },
	{ "1:10:A", "7:10:A", "", "1=7", 0 },
	/* another size, another header */
	{ "1:10:A", "1:11:A", "", "", 1 },
	{ "1:10:A", "1:10:B", "", "", 1 },
	/* the order of UIDs is another one there */
	{ "1:10:A 2:20:B 3:30:C", "4:30:C 5:20:B 6:10:A", "",
	  "3=4 2=5 1=6", 0 },
	/* new ones there, own ones here */
	{ "1:10:A 2:20:B", "1:10:A 2:20:N 3:20:B", "", "1=1 2=3", 0 },
	{ "1:10:A 2:20:X 3:20:B", "1:10:A 2:20:B", "", "1=1 3=2", 1 },
	/* a header that any mail may have is no mail's name, but neither is the
	   mail lost */
	{ "1:10:a", "1:10:a", "", "", 0 },
	{ "1:10:a 2:20:B", "1:10:a 2:20:B", "", "2=2", 0 },
	/* one that could not be read is like no other */
	{ "1:10:0", "1:10:0", "", "", 1 },
	/* several that are alike, before their texts were read and after */
	{ "1:10:A 2:10:A", "5:10:A 6:10:A", "1-2", "", 0 },
	{ "1:10:A:x 2:10:A:x", "5:10:A 6:10:A", "1-2", "1=5 2=6", 0 },
	{ "1:10:A:x 2:10:A:y", "5:10:A 6:10:A", "1-2", "", 0 },
	{ "1:10:A:x 2:10:A", "5:10:A 6:10:A", "1-2", "", 0 },
	{ "1:10:A:x 2:10:A:x 3:10:A:y", "5:10:A", "1-3", "", 0 },
	{ "1:10:A:x 2:10:A:x 3:10:A:x", "5:10:A", "1-3", "1=5", 0 },
	/* one more there: its text may be another one */
	{ "1:10:A", "5:10:A 6:10:A", "", "", 0 },
	{ "1:10:A:x 2:10:A:x", "5:10:A 6:10:A 7:10:A", "", "", 0 },
	{ "1:10:a 2:10:a", "5:10:a 6:10:a", "", "", 0 },
	/* the others go on */
	{ "1:10:A:x 2:20:B 3:10:A:y 4:9:C", "1:10:A 2:20:B 3:10:A 4:9:C",
	  "1,3", "2=2 4=4", 0 },
};

static void parse_mails(const char *text, ARRAY_TYPE(reuse_mail) *mails)
{
	const char *const *words, *const *parts;
	struct reuse_mail *mail;

	for (words = t_strsplit_spaces(text, " "); *words != NULL; words++) {
		parts = t_strsplit(*words, ":");
		mail = array_append_space(mails);
		ck_assert_int_eq(str_to_uint32(parts[0], &mail->uid), 0);
		ck_assert_int_eq(str_to_uoff(parts[1], &mail->size), 0);
		mail->header[0] = parts[2][0] == '0' ? 0 : parts[2][0];
		mail->telling = i_isupper(parts[2][0]);
		mail->have_text = parts[3] != NULL;
		if (mail->have_text)
			mail->text.sum[0] = parts[3][0];
	}
	mailbox_reuse_sort(mails);
}

static const char *pairs_text(const ARRAY_TYPE(reuse_pair) *pairs)
{
	string_t *str = t_str_new(64);
	const struct reuse_pair *pair;

	array_foreach(pairs, pair) {
		str_printfa(str, "%s%u=%u", str_len(str) == 0 ? "" : " ",
			    pair->here_uid, pair->there_uid);
	}
	return str_c(str);
}

static const char *uids_text(const ARRAY_TYPE(seq_range) *uids)
{
	string_t *str = t_str_new(64);
	const struct seq_range *range;

	array_foreach(uids, range) {
		if (str_len(str) > 0)
			str_append_c(str, ',');
		str_printfa(str, range->seq1 == range->seq2 ? "%u" : "%u-%u",
			    range->seq1, range->seq2);
	}
	return str_c(str);
}

START_TEST(test_pairs)
{
	ARRAY_TYPE(reuse_mail) here, there;
	ARRAY_TYPE(reuse_pair) pairs;
	ARRAY_TYPE(seq_range) uids;

	t_array_init(&here, 8);
	t_array_init(&there, 8);
	t_array_init(&pairs, 8);
	t_array_init(&uids, 8);
	parse_mails(rows[_i].here, &here);
	parse_mails(rows[_i].there, &there);
	ck_assert_uint_eq(mailbox_reuse_count_only_in_first(&here, &there),
			  rows[_i].only_here);
	mailbox_reuse_doubtful(&here, &there, &uids);
	ck_assert_str_eq(uids_text(&uids), rows[_i].doubtful);
	mailbox_reuse_pair(&here, &there, &pairs);
	ck_assert_str_eq(pairs_text(&pairs), rows[_i].pairs);
}
END_TEST

START_TEST(test_find)
{
	ARRAY_TYPE(reuse_mail) mails;

	t_array_init(&mails, 8);
	parse_mails("9:1:A 3:2:B 5:3:C", &mails);
	mailbox_reuse_sort_by_uid(&mails);
	ck_assert_uint_eq(mailbox_reuse_find(&mails, 5)->size, 3);
	ck_assert_ptr_null(mailbox_reuse_find(&mails, 4));
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mailbox-reuse");

	tcase_add_loop_test(tc, test_pairs, 0, N_ELEMENTS(rows));
	tcase_add_test(tc, test_find);
	return check_suite_run(s);
}
