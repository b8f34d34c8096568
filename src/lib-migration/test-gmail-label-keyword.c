/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "imap-arg.h"
#include "str.h"
#include "gmail-label-keyword.h"
#include "check-suite.h"

#define LONG_NAME "Projects/Customers/Germany/Meeting minutes/Archive 2024"

static struct gmail_keywords *
keywords_init(const char *const *labels, unsigned int max_length)
{
	const struct gmail_keywords_config config = { .max_length = max_length };

	return gmail_keywords_init(labels, &config);
}

/* One label alone. */
static const struct {
	const char *label, *keyword;
} names[] = {
	{ "Work", "Work" },
	{ "Work/2024", "Work/2024" },
	{ "R&D", "R&D" },
	/* letters with accents */
	{ "Müller", "Muller" },
	{ "Größe", "Grosse" },
	{ "Ærø", "AEro" },
	{ "Łódź", "Lodz" },
	{ "Đặc biệt", "Dac_biet" },
	{ "Știri", "Stiri" },
	/* the same in macOS' spelling, letter and accent apart */
	{ "Mu\xcc\x88ller", "Muller" },
	/* what an atom cannot hold */
	{ "To do", "To_do" },
	{ "(x) {y} 50% *\"\\ [z]", "_x___y__50_______z_" },
	{ "tab\there", "tab_here" },
	{ " ", "_" },
	/* signs that have a plain likeness */
	{ "Tom’s – list", "Tom's_-_list" },
	/* text without a plain spelling: IMAP's UTF-7, each run of it whole */
	{ "日本", "&ZeVnLA-" },
	{ "日本 2024", "&ZeVnLA-_2024" },
	{ "★ VIP", "&JgU-_VIP" },
	{ "📌pin", "&2D3czA-pin" },
	{ "×", "&ANc-" },
	/* what mail clients act on */
	{ "Junk", "_Junk" },
	{ "nonjunk", "_nonjunk" },
	{ "$Label1", "_$Label1" },
	{ "nil", "_nil" },
	{ "Seen", "_Seen" },
	/* longer than a keyword may be */
	{ LONG_NAME, "Projects/Customers/Germany/Meeting_minute_927a41b7" },
	{ "日本日本日本日本日本日本日本日本日本日本日本日本",
	  "&ZeVnLGXlZyxl5WcsZeVnLGXlZyxl5WcsZeVnLA-_463802ff" },
	/* not UTF-8: a name that was not valid UTF-7 */
	{ "a\xff" "b", "a_b" },
};

START_TEST(test_name)
{
	const char *labels[] = { names[_i].label, NULL };
	struct gmail_keywords *keywords =
		keywords_init(labels, GMAIL_KEYWORD_DEFAULT_LENGTH);
	const struct gmail_keyword *keyword =
		gmail_keywords_get(keywords, names[_i].label);
	const char *p;

	ck_assert_str_eq(keyword->keyword, names[_i].keyword);
	ck_assert_str_eq(keyword->label, names[_i].label);
	ck_assert_int_le(strlen(keyword->keyword), GMAIL_KEYWORD_DEFAULT_LENGTH);
	for (p = keyword->keyword; *p != '\0'; p++)
		ck_assert(IS_ATOM_CHAR(*p) && (unsigned char)*p < 0x80);
	gmail_keywords_deinit(&keywords);
}
END_TEST

/* Two labels that want the same keyword. */
static const struct {
	const char *label1, *keyword1;
	const char *label2, *keyword2;
} pairs[] = {
	/* keywords are compared without regard to case, labels are not */
	{ "Work", "Work", "work", "work_e274eeff" },
	/* the label that is spelled like the keyword gets it */
	{ "Müller", "Muller_cd2562f4", "Muller", "Muller" },
	{ "To do", "To_do_8665aed3", "To_do", "To_do" },
	/* else the first in byte order */
	{ "a b", "a_b", "a(b", "a_b_ab8099ee" },
	/* long names that begin alike */
	{ LONG_NAME"/a", "Projects/Customers/Germany/Meeting_minute_3d065bf1",
	  LONG_NAME"/b", "Projects/Customers/Germany/Meeting_minute_facafdb9" },
};

START_TEST(test_pair)
{
	const char *forward[] = { pairs[_i].label1, pairs[_i].label2, NULL };
	const char *backward[] = { pairs[_i].label2, pairs[_i].label1, NULL };
	const char *const *orders[] = { forward, backward };
	struct gmail_keywords *keywords;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(orders); i++) {
		keywords = keywords_init(orders[i],
					       GMAIL_KEYWORD_DEFAULT_LENGTH);
		ck_assert_str_eq(
			gmail_keywords_get(keywords, pairs[_i].label1)->keyword,
			pairs[_i].keyword1);
		ck_assert_str_eq(
			gmail_keywords_get(keywords, pairs[_i].label2)->keyword,
			pairs[_i].keyword2);
		gmail_keywords_deinit(&keywords);
	}
}
END_TEST

START_TEST(test_late_label)
{
	static const char *const labels[] = { "Work", "Home", NULL };
	struct gmail_keywords *keywords =
		keywords_init(labels, GMAIL_KEYWORD_DEFAULT_LENGTH);
	const struct gmail_keyword *late, *again, *list;
	ARRAY_TYPE(gmail_keyword) all;
	unsigned int count;

	/* a label without a folder is met later; it takes nobody's keyword */
	late = gmail_keywords_get(keywords, "WORK");
	ck_assert_str_ne(late->keyword, "WORK");
	ck_assert_ptr_nonnull(strstr(late->reason, "Work"));
	again = gmail_keywords_get(keywords, "WORK");
	ck_assert_ptr_eq(late, again);
	ck_assert_str_eq(gmail_keywords_get(keywords, "Work")->keyword, "Work");

	gmail_keywords_get_all(keywords, &all);
	list = array_get(&all, &count);
	ck_assert_uint_eq(count, 3);
	ck_assert_str_eq(list[0].label, "Home");
	ck_assert_str_eq(list[1].label, "WORK");
	ck_assert_str_eq(list[2].label, "Work");
	gmail_keywords_deinit(&keywords);
}
END_TEST

START_TEST(test_short_limit)
{
	static const char *const labels[] = { LONG_NAME, "日本日本日本", NULL };
	struct gmail_keywords *keywords = keywords_init(labels, 3);

	/* a limit that leaves no room for a digest is not obeyed */
	ck_assert_int_le(strlen(gmail_keywords_get(keywords,
		labels[0])->keyword), GMAIL_KEYWORD_MIN_LENGTH);
	ck_assert_int_le(strlen(gmail_keywords_get(keywords,
		labels[1])->keyword), GMAIL_KEYWORD_MIN_LENGTH);
	gmail_keywords_deinit(&keywords);
}
END_TEST

/* What an earlier run has written, and what a label's keyword is now. */
static const struct {
	const char *known, *label, *keyword;
} known_tests[] = {
	/* "Muller" came later, and would have taken the keyword */
	{ "Muller\tMüller\n", "Müller", "Muller" },
	{ "Muller\tMüller\n", "Muller", "Muller_a4fd39ff" },
	/* of a label that is gone: its keyword is free */
	{ "Work\tWorks\n", "Work", "Work" },
	/* not as we would write it: nothing of it counts */
	{ "Junk\tMuller\n", "Muller", "Muller" },
	{ "To do\tMuller\n", "Muller", "Muller" },
	{ "\tMuller\n", "Muller", "Muller" },
	{ "nonsense\n\n\t\t\n", "Muller", "Muller" },
	{ "a\xff" "b\tMuller\n", "Muller", "Muller" },
	{ "0123456789012345678901234567890123456789012345678901234\tMuller\n",
	  "Muller", "Muller" },
	/* twice: the first in byte order of labels has it */
	{ "X\tMüller\nX\tMuller\n", "Muller", "X" },
	{ "X\tMüller\nX\tMuller\n", "Müller", "Muller" },
};

START_TEST(test_known)
{
	static const char *const labels[] = { "Müller", "Muller", "Work", NULL };
	const struct gmail_keywords_config config = {
		.max_length = GMAIL_KEYWORD_DEFAULT_LENGTH,
		.known = known_tests[_i].known,
	};
	struct gmail_keywords *keywords = gmail_keywords_init(labels, &config);
	struct gmail_keywords_config next = config;
	string_t *text = t_str_new(128), *again = t_str_new(128);

	ck_assert_str_eq(gmail_keywords_get(keywords,
		known_tests[_i].label)->keyword, known_tests[_i].keyword);
	/* the run after that finds the same */
	gmail_keywords_export(keywords, text);
	gmail_keywords_deinit(&keywords);
	next.known = str_c(text);
	keywords = gmail_keywords_init(labels, &next);
	gmail_keywords_export(keywords, again);
	ck_assert_str_eq(str_c(text), str_c(again));
	gmail_keywords_deinit(&keywords);
}
END_TEST

START_TEST(test_odd_label_survives)
{
	static const char *const labels[] = { "tab\there\nand\\", NULL };
	struct gmail_keywords_config config = {
		.max_length = GMAIL_KEYWORD_DEFAULT_LENGTH,
	};
	struct gmail_keywords *keywords = gmail_keywords_init(labels, &config);
	string_t *text = t_str_new(128);

	gmail_keywords_export(keywords, text);
	/* one line, one tab */
	ck_assert_uint_eq(strchr(str_c(text), '\n') - str_c(text) + 1,
			  str_len(text));
	ck_assert_ptr_eq(strchr(str_c(text), '\t'),
			 strrchr(str_c(text), '\t'));
	gmail_keywords_deinit(&keywords);
	config.known = t_strconcat("Odd", strchr(str_c(text), '\t'), NULL);
	keywords = gmail_keywords_init(labels, &config);
	ck_assert_str_eq(gmail_keywords_get(keywords, labels[0])->keyword, "Odd");
	gmail_keywords_deinit(&keywords);
}
END_TEST

/* Maildir: there is room for some labels, those that had keywords before come
   first. */
START_TEST(test_room)
{
	static const char *const labels[] = { "A", "B", "C", "D", NULL };
	const struct gmail_keywords_config config = {
		.max_length = GMAIL_KEYWORD_DEFAULT_LENGTH,
		.max_count = 2,
		.known = "D\tD\n",
	};
	struct gmail_keywords *keywords = gmail_keywords_init(labels, &config);
	string_t *text = t_str_new(32);

	ck_assert_str_eq(gmail_keywords_get(keywords, "D")->keyword, "D");
	ck_assert_str_eq(gmail_keywords_get(keywords, "A")->keyword, "A");
	ck_assert_ptr_null(gmail_keywords_get(keywords, "B")->keyword);
	ck_assert_ptr_null(gmail_keywords_get(keywords, "C")->keyword);
	ck_assert_str_eq(gmail_keywords_get(keywords, "B")->reason,
			 "there is room for the keywords of 2 labels");
	/* one that is met later */
	ck_assert_ptr_null(gmail_keywords_get(keywords, "E")->keyword);
	ck_assert_uint_eq(gmail_keywords_left_out(keywords), 3);
	gmail_keywords_export(keywords, text);
	ck_assert_str_eq(str_c(text), "A\tA\nD\tD\n");
	gmail_keywords_deinit(&keywords);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "gmail-label-keyword");

	tcase_add_loop_test(tc, test_name, 0, N_ELEMENTS(names));
	tcase_add_loop_test(tc, test_pair, 0, N_ELEMENTS(pairs));
	tcase_add_test(tc, test_late_label);
	tcase_add_test(tc, test_short_limit);
	tcase_add_loop_test(tc, test_known, 0, N_ELEMENTS(known_tests));
	tcase_add_test(tc, test_odd_label_survives);
	tcase_add_test(tc, test_room);
	return check_suite_run(s);
}
