/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mailbox-map.h"
#include "check-suite.h"

/* ---- rules that are no rules ---- */

static const struct {
	const char *text, *error;
} wrong[] = {
	{ "Sent", "rule \"Sent\": it has no \"=\"" },
	{ "a = b; Sent", "rule \"Sent\": it has no \"=\"" },
	{ "a = b\nSent\nc = d", "rule \"Sent\": it has no \"=\"" },
	{ "= Sent", "rule \"= Sent\": it names no mailbox" },
	{ "Sent =", "rule \"Sent =\": it has no name after \"=\"" },
	{ "\\Sent = \\Drafts",
	  "rule \"\\Sent = \\Drafts\": what is after \"=\" must be a name" },
	{ "\"Sent = x", "rule \"\"Sent = x\": the quotes are not closed" },
	{ "a = \"b", "rule \"a = \"b\": the quotes are not closed" },
	{ "\"a\" b = c", "rule \"\"a\" b = c\": the quotes are not closed" },
	{ "a = b*", "rule \"a = b*\": more \"*\" after \"=\" than before it" },
	{ "a* = b*c*",
	  "rule \"a* = b*c*\": more \"*\" after \"=\" than before it" },
	{ "!", "rule \"!\": it names no mailbox" },
	{ "!a = b", "rule \"!a = b\": it leaves out, or takes in, and cannot "
	  "rename" },
};

START_TEST(test_map_wrong)
{
	struct mailbox_map *map;
	const char *error = NULL;

	ck_assert_int_eq(mailbox_map_parse(pool_datastack_create(),
					   wrong[_i].text, &map, &error), -1);
	ck_assert_str_eq(error, wrong[_i].error);
}
END_TEST

/* ---- trees ---- */

static const struct {
	const char *rules;
	/* the destination's special-use mailboxes */
	const char *uses;
	/* The source's: name, or name=what it is called without rules; then
	   special-use, "noselect" or "other" or "shared" */
	const char *source;
	/* names at the destination, sorted by the source's; - for none; or an
	   error */
	const char *result;
} trees[] = {
	/* nothing to do */
	{ "", "", "INBOX|Sent|a/b", "INBOX|Sent|a/b" },
	{ " ; \n;", "", "INBOX|Sent", "INBOX|Sent" },
	/* special-use */
	{ "\\Sent = Sent", "", "INBOX|Gesendet \\Sent", "Sent|INBOX" },
	{ "\\sent=Sent", "", "INBOX|Gesendet \\Sent", "Sent|INBOX" },
	{ "\\Sent = Post/Out", "", "Gesendet \\HasNoChildren \\Sent", "Post/Out" },
	{ "\\Sent = Sent", "", "INBOX|Gesendet", "Gesendet|INBOX" },
	{ "\\Junk = Junk;\\Trash=Trash", "", "Bin \\Trash|Spam \\Junk",
	  "Trash|Junk" },
	/* the destination's own */
	{ "", "\\Sent Sent", "INBOX|Gesendet \\Sent", "Sent|INBOX" },
	{ "", "\\Sent Sent|\\Sent Sent_Messages", "Gesendet \\Sent", "Sent" },
	{ "", "\\Sent Sent|\\Sent Sent_Messages", "Sent_Messages \\Sent",
	  "Sent_Messages" },
	{ "", "\\Sent Sent", "Gesendet \\Sent|Sent", "Gesendet|Sent" },
	{ "", "\\Sent Sent", "Gesendet \\Sent|Sent noselect", "Sent|-" },
	{ "", "\\Sent Sent", "A \\Sent|B \\Sent", "A|B" },
	{ "", "\\Sent Sent", "INBOX \\Sent", "INBOX" },
	{ "", "\\Sent Sent", "Gesendet", "Gesendet" },
	{ "", "\\Sent Sent|\\Junk Junk", "Junk \\Sent|Sent \\Junk",
	  "Junk|Sent" },
	{ "\\Sent = Out", "\\Sent Sent", "Gesendet \\Sent", "Out" },
	{ "Gesendet = Out", "\\Sent Sent", "Gesendet \\Sent", "Out" },
	{ "Sent = Old", "\\Sent Sent", "Gesendet \\Sent|Sent", "Sent|Old" },
	{ "!Sent", "\\Sent Sent", "Gesendet \\Sent|Sent", "Sent|-" },
	/* names */
	{ "Old_Mail = Archive/Old", "", "Old_Mail|x", "Archive/Old|x" },
	{ "\"Old_Mail\" = \"Archive/Old\"", "", "Old_Mail|x",
	  "Archive/Old|x" },
	{ "old = x", "", "Old", "Old" },
	{ "\"a;b\" = c", "", "a;b|d", "c|d" },
	{ "\"a=b\" = \"c;d\"", "", "a=b=a=b", "c;d" },
	{ "\"a\\\"b\" = \"c\\\\d\"", "", "a\"b", "c\\d" },
	{ "\"\\\\Sent\" = x", "", "\\Sent", "x" },
	/* children go with their parents */
	{ "Old = New", "", "Old|Old/a|Old/a/b|Older", "New|New/a|New/a/b|Older" },
	{ "Old = New; Old/a = Own", "", "Old|Old/a|Old/a/b",
	  "New|Own|Own/b" },
	{ "\\Sent = Sent", "", "G \\Sent|G/2020", "Sent|Sent/2020" },
	{ "", "\\Sent Sent", "G \\Sent|G/2020", "Sent|Sent/2020" },
	{ "!Old", "", "Old|Old/a", "-|Old/a" },
	{ "Old = New", "", "Old noselect|Old/a", "New|New/a" },
	/* prefixes and wildcards */
	{ "Archiv/* = Archive/*", "", "Archiv|Archiv/1|Archiv/1/2",
	  "Archiv|Archive/1|Archive/1/2" },
	{ "Archiv* = Archive*", "", "Archiv|Archiv/1|Archiv2",
	  "Archive|Archive/1|Archive2" },
	{ "* = Old/*", "", "a|b/c", "Old/a|Old/b/c" },
	{ "*/20?? = Years/*", "", "a/2020|b/2021|c/21|d/x/2020",
	  "Years/a|Years/b|c/21|Years/d/x" },
	{ "*.*=*/*", "", "a.b", "a/b" },
	{ "\"a*\" = b", "", "a*|ab", "b|ab" },
	{ "x/* = *", "", "x/a|x/b", "a|b" },
	{ "a/* = A/*; a/b = B", "", "a/b", "A/b" },
	{ "a/b = B; a/* = A/*", "", "a/b|a/c", "B|A/c" },
	/* left out, taken in */
	{ "!Spam", "", "INBOX|Spam|Spam/x", "INBOX|-|Spam/x" },
	{ "!Spam*", "", "INBOX|Spam|Spam/x", "INBOX|-|-" },
	{ "!\\Junk", "", "INBOX|Spam \\Junk", "INBOX|-" },
	{ "+INBOX; +\\Sent", "", "G \\Sent|INBOX|x", "G|INBOX|-" },
	{ "+a/*; !a/b", "", "a/b|a/c|d", "-|a/c|-" },
	{ "+a/*; a/c = C", "", "a/b|a/c|d", "a/b|C|-" },
	{ "!\\Other", "", "a|user/joe other|pub shared", "a|pub|-" },
	{ "!\\Shared", "", "a|user/joe other|pub shared", "a|-|user/joe" },
	{ "!INBOX", "", "INBOX|a", "-|a" },
	{ "!x; x = y", "", "x", "-" },
	/* several into one */
	{ "a = c; b = c", "", "a|b",
	  "a and b would both become c: migration_imapc_map has b = c" },
	{ "a = b", "", "a|b",
	  "a and b would both become b: migration_imapc_map has a = b" },
	{ "a = b; b = a", "", "a|b", "b|a" },
	{ "a = b; b = c", "", "a|b", "b|c" },
	{ "a = b", "", "a|b noselect", "b|-" },
	{ "x/* = *", "", "x/a|a",
	  "a and x/a would both become a: migration_imapc_map has x/* = *" },
	{ "x = y", "", "x|x/a|y/a",
	  "x/a and y/a would both become y/a: it is below x, which becomes y" },
	{ "\\Sent = Sent", "", "A \\Sent|B \\Sent",
	  "A and B would both become Sent: migration_imapc_map has "
	  "\\Sent = Sent" },
	/* the INBOX is the INBOX */
	{ "INBOX = Old", "", "INBOX",
	  "the INBOX stays INBOX: migration_imapc_map has INBOX = Old" },
	{ "* = Old/*", "", "INBOX|a",
	  "the INBOX stays INBOX: migration_imapc_map has * = Old/*" },
	{ "Mail = INBOX", "", "INBOX|Mail",
	  "Mail cannot become the INBOX: migration_imapc_map has Mail = INBOX" },
	{ "Mail = inbox", "", "INBOX|Mail",
	  "Mail cannot become the INBOX: migration_imapc_map has Mail = inbox" },
	{ "INBOX/* = *", "", "INBOX|INBOX/a", "INBOX|a" },
	/* names that are one without rules: "a" and "INBOX.a" */
	{ "", "", "INBOX.a=a|a", "a=~46953ab90279e4b6|a" },
	{ "", "", "INBOX.a=a|a noselect", "a|-" },
	{ "", "", "X.a=a|Y.a=a", "a|a=~fe85690dc724cb14" },
};

static const char *special_word(const char *word)
{
	return word[0] == '\\' ? word : "";
}

static void
read_entry(const char *text, struct mailbox_map_entry *entry)
{
	const char *const *words = t_strsplit(text, " "), *p;

	i_zero(entry);
	entry->remote_name = entry->name = words[0];
	/* not the one in a=b */
	if ((p = strrchr(words[0], '=')) != NULL && p[-1] != '\\') {
		p = strstr(words[0], "=a=b") != NULL ? words[0] + 3 : p;
		entry->remote_name = t_strdup_until(words[0], p);
		entry->name = p + 1;
	}
	entry->is_inbox = strcmp(words[0], "INBOX") == 0;
	entry->special_use = "";
	for (words++; *words != NULL; words++) {
		entry->special_use = t_strconcat(entry->special_use, " ",
						 special_word(*words), NULL);
		if (strcmp(*words, "noselect") == 0)
			entry->noselect = TRUE;
		else if (strcmp(*words, "other") == 0)
			entry->owner = MAILBOX_OWNER_OTHER_USER;
		else if (strcmp(*words, "shared") == 0)
			entry->owner = MAILBOX_OWNER_SHARED;
	}
}

static unsigned int
read_uses(const char *text, struct mailbox_map_use *uses)
{
	const char *const *words;
	unsigned int count = 0;

	for (words = t_strsplit(text, "|"); *words != NULL && **words != '\0';
	     words++) {
		uses[count].special_use = t_strcut(*words, ' ');
		uses[count++].name = strchr(*words, ' ') + 1;
	}
	return count;
}

static const char *apply(unsigned int idx, char separator)
{
	ARRAY_TYPE(mailbox_map_entry) entries;
	struct mailbox_map_entry *entry;
	struct mailbox_map_use uses[8];
	struct mailbox_map *map;
	const char *const *words, *error;
	string_t *result = t_str_new(128);
	unsigned int count;

	ck_assert_int_eq(mailbox_map_parse(pool_datastack_create(),
					   trees[idx].rules, &map, &error), 0);
	t_array_init(&entries, 8);
	for (words = t_strsplit(trees[idx].source, "|"); *words != NULL; words++)
		read_entry(*words, array_append_space(&entries));
	count = read_uses(trees[idx].uses, uses);
	if (mailbox_map_apply(map, uses, count, separator, &entries,
			      &error) < 0)
		return error;
	array_foreach_modifiable(&entries, entry) {
		if (str_len(result) > 0)
			str_append_c(result, '|');
		str_append(result, entry->dest == NULL ? "-" : entry->dest);
		ck_assert(entry->reason != NULL ||
			  entry->change == MAILBOX_MAP_KEPT);
		ck_assert((entry->dest == NULL) ==
			  (entry->change == MAILBOX_MAP_LEFT_OUT ||
			   entry->change == MAILBOX_MAP_MERGED));
	}
	return str_c(result);
}

START_TEST(test_map_tree)
{
	ck_assert_str_eq(apply(_i, '/'), trees[_i].result);
}
END_TEST

/* Rules have "/" between levels, whatever the destination has. */
START_TEST(test_map_separator)
{
	struct mailbox_map *map;
	const char *error;

	ck_assert_int_eq(mailbox_map_parse(pool_datastack_create(),
		"a/b = c/d; x/* = y/z/*; !no/*; \"p.q\" = r", &map, &error), 0);
	ck_assert_str_eq(mailbox_map_name(map, "a.b", '.'), "c.d");
	ck_assert_str_eq(mailbox_map_name(map, "x.1.2", '.'), "y.z.1.2");
	ck_assert_str_eq(mailbox_map_name(map, "a/b", '.'), "c.d");
	ck_assert_ptr_null(mailbox_map_name(map, "no.thing", '.'));
	ck_assert_str_eq(mailbox_map_name(map, "p.q", '/'), "r");
	ck_assert_str_eq(mailbox_map_name(map, "other", '.'), "other");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mailbox-map");

	tcase_add_loop_test(tc, test_map_wrong, 0, N_ELEMENTS(wrong));
	tcase_add_loop_test(tc, test_map_tree, 0, N_ELEMENTS(trees));
	tcase_add_test(tc, test_map_separator);
	return check_suite_run(s);
}
