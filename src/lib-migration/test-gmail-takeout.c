/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "gmail-label-keyword.h"
#include "gmail-takeout.h"
#include "check-suite.h"

#define SEEN MAIL_SEEN
#define LONG_NAME "A label with a comma, \"quotes\" and Größe"

/* Values as Takeout writes them, decoded. labels: one for each, separated by
   "|", Gmail's own with a backslash. */
static const struct {
	const char *value, *labels, *keywords;
	enum gmail_place place;
	enum mail_flags flags;
} tests[] = {
	{ "Inbox,Unread", "\\Inbox", "", GMAIL_PLACE_ALL, 0 },
	{ "Inbox,Important,Opened,Category Personal", "\\Inbox|\\Important", "",
	  GMAIL_PLACE_ALL, SEEN },
	{ "Archived,Opened", "", "", GMAIL_PLACE_ALL, SEEN },
	{ "Sent,Opened", "\\Sent", "", GMAIL_PLACE_ALL, SEEN },
	/* before there was Opened */
	{ "Sent", "\\Sent", "", GMAIL_PLACE_ALL, SEEN },
	{ "Starred,Work/Clients", "\\Starred|Work/Clients", "",
	  GMAIL_PLACE_ALL, SEEN },
	{ "Drafts", "\\Draft", "", GMAIL_PLACE_ALL, SEEN | MAIL_DRAFT },
	{ "Spam,Unread,Category Promotions", "", "", GMAIL_PLACE_SPAM, 0 },
	{ "Trash,Work,Opened", "Work", "", GMAIL_PLACE_TRASH, SEEN },
	{ "Chat,Opened", "Chat", "", GMAIL_PLACE_ALL, SEEN },
	/* other languages */
	{ "Posteingang,Wichtig,Ungelesen,Kategorie: \"Neuigkeiten\"",
	  "\\Inbox|\\Important", "", GMAIL_PLACE_ALL, 0 },
	{ "Archiviert,Wichtig,Geöffnet,Kategorie: \"\"Persönlich\"\"",
	  "\\Important", "", GMAIL_PLACE_ALL, SEEN },
	{ "Forward to janedoe@live.fr,Boîte de réception,Non lus",
	  "Forward to janedoe@live.fr|\\Inbox", "", GMAIL_PLACE_ALL, 0 },
	{ "Åpnet,Kategori: Reklame", "", "", GMAIL_PLACE_ALL, SEEN },
	{ "受信トレイ,既読", "受信トレイ|既読", "", GMAIL_PLACE_ALL, SEEN },
	/* keywords of mail clients */
	{ "Inbox,IMAP_$Forwarded,IMAP_NotJunk,Opened", "\\Inbox",
	  "$Forwarded|NotJunk", GMAIL_PLACE_ALL, SEEN },
	{ "IMAP_", "IMAP_", "", GMAIL_PLACE_ALL, SEEN },
	/* CSV */
	{ "\"A label with a comma, \"\"quotes\"\" and Größe\",Inbox",
	  LONG_NAME"|\\Inbox", "", GMAIL_PLACE_ALL, SEEN },
	{ "Topics \"a, b\",Inbox", "Topics \"a, b\"|\\Inbox", "",
	  GMAIL_PLACE_ALL, SEEN },
	{ "5\" disk,Inbox,Unread", "5\" disk|\\Inbox", "", GMAIL_PLACE_ALL, 0 },
	{ "\"", "\"", "", GMAIL_PLACE_ALL, SEEN },
	{ "\"\"", "", "", GMAIL_PLACE_ALL, SEEN },
	{ "Inbox, Work , Opened", "\\Inbox|Work", "", GMAIL_PLACE_ALL, SEEN },
	{ ",,Inbox,", "\\Inbox", "", GMAIL_PLACE_ALL, SEEN },
	{ "", "", "", GMAIL_PLACE_ALL, SEEN },
};

START_TEST(test_parse)
{
	struct gmail_takeout takeout;
	const struct gmail_label *label;
	string_t *labels = t_str_new(128);
	const char *keywords;

	gmail_takeout_parse(tests[_i].value, pool_datastack_create(), &takeout);
	array_foreach(&takeout.labels, label) {
		if (str_len(labels) > 0)
			str_append_c(labels, '|');
		str_append(labels, label->name);
		ck_assert_int_eq(label->system, label->name[0] == '\\');
	}
	array_append_zero(&takeout.keywords);
	keywords = t_strarray_join(array_front(&takeout.keywords), "|");
	ck_assert_str_eq(str_c(labels), tests[_i].labels);
	ck_assert_str_eq(keywords, tests[_i].keywords);
	ck_assert_int_eq(takeout.place, tests[_i].place);
	ck_assert_int_eq(takeout.flags, tests[_i].flags);
}
END_TEST

/* Through the mapping of labels, as messages over IMAP. */
static const struct {
	const char *value;
	enum gmail_label_policy policy;
	const char *mailboxes, *keywords;
	enum mail_flags flags;
} mapped[] = {
	{ "Inbox,Starred,To do,Opened", GMAIL_LABELS_FOLDERS,
	  "\\All|INBOX|\\Flagged|To do", "", MAIL_FLAGGED },
	{ "Inbox,Starred,To do,Opened", GMAIL_LABELS_KEYWORDS,
	  "\\All|INBOX", "To_do", MAIL_FLAGGED },
	{ "Inbox,Important,Müller", GMAIL_LABELS_BOTH,
	  "\\All|INBOX|\\Important|Müller", "$Important|Muller", 0 },
	{ "Trash,Work", GMAIL_LABELS_FOLDERS, "\\Trash", "", 0 },
	{ "Spam", GMAIL_LABELS_KEYWORDS, "\\Junk", "", 0 },
	{ "Archived", GMAIL_LABELS_FOLDERS, "\\All", "", 0 },
};

static const char *join(ARRAY_TYPE(const_string) *list)
{
	string_t *str = t_str_new(128);
	const char *text;

	array_foreach_elem(list, text) {
		if (strcmp(text, GMAIL_KEYWORD_HAVE_LABELS) == 0)
			continue;
		if (str_len(str) > 0)
			str_append_c(str, '|');
		str_append(str, text);
	}
	return str_c(str);
}

START_TEST(test_map)
{
	const struct gmail_keywords_config config = { .max_length = 50 };
	const char *const no_labels[] = { NULL };
	struct gmail_keywords *keywords = gmail_keywords_init(no_labels, &config);
	struct gmail_takeout takeout;
	struct gmail_message msg;
	struct gmail_mapping mapping;

	gmail_takeout_parse(mapped[_i].value, pool_datastack_create(), &takeout);
	i_zero(&msg);
	msg.labels = array_get(&takeout.labels, &msg.labels_count);
	msg.place = takeout.place;
	gmail_message_map(&msg, mapped[_i].policy, keywords, &mapping);
	ck_assert_str_eq(join(&mapping.mailboxes), mapped[_i].mailboxes);
	ck_assert_str_eq(join(&mapping.keywords), mapped[_i].keywords);
	ck_assert_int_eq(mapping.flags, mapped[_i].flags);
	gmail_keywords_deinit(&keywords);
}
END_TEST

START_TEST(test_folder)
{
	ck_assert_str_eq(gmail_takeout_folder("\\Junk"), "Junk");
	ck_assert_str_eq(gmail_takeout_folder("\\Flagged"), "Starred");
	ck_assert_str_eq(gmail_takeout_folder("INBOX"), "INBOX");
	ck_assert_str_eq(gmail_takeout_folder("Work"), "Work");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "gmail-takeout");

	tcase_add_loop_test(tc, test_parse, 0, N_ELEMENTS(tests));
	tcase_add_loop_test(tc, test_map, 0, N_ELEMENTS(mapped));
	tcase_add_test(tc, test_folder);
	return check_suite_run(s);
}
