/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "imap-arg.h"
#include "imap-parser.h"
#include "istream.h"
#include "str.h"
#include "gmail-label.h"
#include "gmail-label-keyword.h"
#include "check-suite.h"

/* The labels of a message as Gmail's IMAP sends them. */
static void
parse_labels(const char *wire, ARRAY_TYPE(gmail_label) *labels_r)
{
	const char *line = t_strconcat(wire, "\r\n", NULL);
	struct istream *input = i_stream_create_from_data(line, strlen(line));
	struct imap_parser *parser = imap_parser_create(input, NULL, SIZE_MAX, NULL);
	const struct imap_arg *args;

	(void)i_stream_read(input);
	/* the flags that imapc uses */
	ck_assert_int_gt(imap_parser_finish_line(parser, 0,
			IMAP_PARSE_FLAG_ATOM_ALLCHARS, &args), 0);
	ck_assert_int_eq(gmail_labels_parse(args, pool_datastack_create(),
					    labels_r), 0);
	imap_parser_unref(&parser);
	i_stream_unref(&input);
}

static const char *join(const ARRAY_TYPE(const_string) *list)
{
	string_t *str = t_str_new(64);
	const char *word;

	array_foreach_elem(list, word) {
		if (str_len(str) > 0)
			str_append(str, ", ");
		str_append(str, word);
	}
	return str_c(str);
}

static const struct {
	const char *wire;
	/* names, and the names in IMAP, separated by ", " */
	const char *names, *imap_names;
} values[] = {
	/* from Google's documentation of X-GM-LABELS */
	{ "(\\Inbox \\Sent Important \"Muy Importante\")",
	  "\\Inbox, \\Sent, Important, Muy Importante",
	  "\\Inbox, \\Sent, Important, Muy Importante" },
	{ "()", "", "" },
	/* gmail-quoted-system-label: the same label as a string */
	{ "(\"\\\\Inbox\" \"\\\\Starred\")",
	  "\\Inbox, \\Starred", "\\Inbox, \\Starred" },
	/* nested, non-ASCII; the folder has the name in UTF-7 */
	{ "(Work/2024 \"M&APw-ller &- Co\" &ZeVnLA-)",
	  "Work/2024, Müller & Co, 日本",
	  "Work/2024, M&APw-ller &- Co, &ZeVnLA-" },
	/* gmail-bracket-atom: no atom, but sent like one */
	{ "([Mailbox] 50%)", "[Mailbox], 50%", "[Mailbox], 50%" },
	/* gmail-nil-label */
	{ "(NIL \"NIL\")", "NIL, NIL", "NIL, NIL" },
	/* text in quotes and literals */
	{ "(\"a \\\"b\\\" (c)\" {3}\r\nx y)", "a \"b\" (c), x y",
	  "a \"b\" (c), x y" },
	/* not UTF-7: kept */
	{ "(\"A&B\" &ZeV)", "A&B, &ZeV", "A&B, &ZeV" },
	{ "(\"\")", "", "" },
};

static struct gmail_keywords *
keywords_init(const char *const *labels, unsigned int max_length)
{
	const struct gmail_keywords_config config = { .max_length = max_length };

	return gmail_keywords_init(labels, &config);
}

START_TEST(test_parse)
{
	ARRAY_TYPE(gmail_label) labels;
	ARRAY_TYPE(const_string) names, imap_names;
	const struct gmail_label *label;

	parse_labels(values[_i].wire, &labels);
	t_array_init(&names, 8);
	t_array_init(&imap_names, 8);
	array_foreach(&labels, label) {
		array_push_back(&names, &label->name);
		array_push_back(&imap_names, &label->imap_name);
		ck_assert_int_eq(label->system, label->name[0] == '\\');
	}
	ck_assert_str_eq(join(&names), values[_i].names);
	ck_assert_str_eq(join(&imap_names), values[_i].imap_names);
}
END_TEST

START_TEST(test_parse_no_list)
{
	const struct imap_arg nil = { .type = IMAP_ARG_NIL };
	ARRAY_TYPE(gmail_label) labels;

	ck_assert_int_eq(gmail_labels_parse(&nil, pool_datastack_create(),
					    &labels), -1);
	ck_assert_int_eq(array_count(&labels), 0);
}
END_TEST

#define FOLDERS GMAIL_LABELS_FOLDERS
#define KEYWORDS GMAIL_LABELS_KEYWORDS
#define BOTH GMAIL_LABELS_BOTH

static const struct {
	const char *mailbox, *special_use;
	const char *all_name;
	enum gmail_place place;
	/* whether the policy "keywords" migrates it */
	bool migrated;
} mailboxes[] = {
	{ "INBOX", "", "[Gmail]/All Mail", GMAIL_PLACE_INBOX, TRUE },
	{ "[Gmail]/All Mail", "\\All", "[Gmail]/All Mail", GMAIL_PLACE_ALL, TRUE },
	/* gmail-localised-folders: only the attribute tells what it is */
	{ "[Gmail]/Gesendet", "\\Sent", "[Gmail]/Alle Nachrichten",
	  GMAIL_PLACE_SENT, TRUE },
	{ "[Google Mail]/Entw&APw-rfe", "\\Drafts",
	  "[Google Mail]/Alle Nachrichten", GMAIL_PLACE_DRAFTS, TRUE },
	{ "[Gmail]/Spam", "\\Junk", "[Gmail]/All Mail", GMAIL_PLACE_SPAM, TRUE },
	{ "[Gmail]/Bin", "\\Trash", "[Gmail]/All Mail", GMAIL_PLACE_TRASH, TRUE },
	{ "[Gmail]/Starred", "\\Flagged", "[Gmail]/All Mail",
	  GMAIL_PLACE_STARRED, FALSE },
	{ "[Gmail]/Important", "\\Important", "[Gmail]/All Mail",
	  GMAIL_PLACE_IMPORTANT, FALSE },
	{ "Work", "", "[Gmail]/All Mail", GMAIL_PLACE_LABEL, FALSE },
	{ "Work/2024", "", "[Gmail]/All Mail", GMAIL_PLACE_LABEL, FALSE },
	/* a label that a user called like a folder of another provider */
	{ "Sent", "", "[Gmail]/All Mail", GMAIL_PLACE_LABEL, FALSE },
	{ "[Gmail]x", "", "[Gmail]/All Mail", GMAIL_PLACE_LABEL, FALSE },
	/* Gmail's own, without an attribute */
	{ "[Gmail]/Chats", "", "[Gmail]/All Mail", GMAIL_PLACE_OTHER, TRUE },
	{ "[Gmail]", "", "[Gmail]/All Mail", GMAIL_PLACE_OTHER, TRUE },
	/* All Mail is hidden from IMAP */
	{ "[Gmail]/Chats", "", NULL, GMAIL_PLACE_OTHER, TRUE },
	{ "[Google Mail]", "", NULL, GMAIL_PLACE_OTHER, TRUE },
	{ "Work", "", NULL, GMAIL_PLACE_LABEL, FALSE },
};

START_TEST(test_place)
{
	const char *prefix = gmail_system_prefix(mailboxes[_i].all_name);
	enum gmail_place place = gmail_place_find(mailboxes[_i].mailbox,
		mailboxes[_i].special_use, prefix);
	const char *reason = NULL;

	ck_assert_int_eq(place, mailboxes[_i].place);
	ck_assert_int_eq(gmail_place_is_migrated(place, KEYWORDS, &reason),
			 mailboxes[_i].migrated);
	ck_assert_ptr_nonnull(reason);
	ck_assert(gmail_place_is_migrated(place, FOLDERS, &reason));
	ck_assert(gmail_place_is_migrated(place, BOTH, &reason));
}
END_TEST

/* A copy of a message that a mailbox shows, and what becomes of the message. */
static const struct {
	enum gmail_place place;
	const char *name, *labels;
	enum gmail_label_policy policy;
	const char *mailboxes, *flags, *keywords, *reason;
} messages[] = {
	/* -- without a label */
	{ GMAIL_PLACE_ALL, "", "()", FOLDERS,
	  "\\All", "", "", "archived: no label" },
	{ GMAIL_PLACE_ALL, "", "()", KEYWORDS,
	  "\\All", "", "", "archived: no label" },

	/* -- one user label, by policy */
	{ GMAIL_PLACE_ALL, "", "(Work)", FOLDERS,
	  "\\All, Work", "", "$GMailHaveLabels", "Work: folder" },
	{ GMAIL_PLACE_ALL, "", "(Work)", KEYWORDS,
	  "\\All", "", "Work, $GMailHaveLabels",
	  "Work: keyword Work (spelled as the label)" },
	{ GMAIL_PLACE_ALL, "", "(Work)", BOTH,
	  "\\All, Work", "", "Work, $GMailHaveLabels",
	  "Work: folder and keyword Work (spelled as the label)" },

	/* -- every copy has the same keywords: a folder's own label, which
	      Gmail leaves out of the list, counts as well */
	{ GMAIL_PLACE_LABEL, "Work", "(\\Inbox)", BOTH,
	  "\\All, Work, INBOX", "", "Work",
	  "Work: folder and keyword Work (spelled as the label); "
	  "\\Inbox: folder INBOX" },
	{ GMAIL_PLACE_INBOX, "INBOX", "(Work)", BOTH,
	  "\\All, INBOX, Work", "", "Work",
	  "\\Inbox: folder INBOX; "
	  "Work: folder and keyword Work (spelled as the label)" },
	{ GMAIL_PLACE_INBOX, "INBOX", "(Work)", KEYWORDS,
	  "\\All, INBOX", "", "Work",
	  "\\Inbox: folder INBOX; Work: keyword Work (spelled as the label)" },
	{ GMAIL_PLACE_SENT, "[Gmail]/Sent Mail", "(\\Inbox Work)", FOLDERS,
	  "\\All, \\Sent, INBOX, Work", "", "",
	  "\\Sent: folder \\Sent; \\Inbox: folder INBOX; Work: folder" },

	/* -- starred and important: in every policy a flag and a keyword */
	{ GMAIL_PLACE_ALL, "", "(\\Starred)", FOLDERS,
	  "\\All, \\Flagged", "\\Flagged", "$GMailHaveLabels",
	  "\\Starred: flag \\Flagged and its folder" },
	{ GMAIL_PLACE_ALL, "", "(\\Starred)", KEYWORDS,
	  "\\All", "\\Flagged", "$GMailHaveLabels",
	  "\\Starred: flag \\Flagged" },
	{ GMAIL_PLACE_ALL, "", "(\\Important)", FOLDERS,
	  "\\All, \\Important", "", "$Important, $GMailHaveLabels",
	  "\\Important: keyword $Important and its folder" },
	{ GMAIL_PLACE_IMPORTANT, "[Gmail]/Important", "(\\Inbox)", FOLDERS,
	  "\\All, \\Important, INBOX", "", "$Important",
	  "\\Important: keyword $Important and its folder; "
	  "\\Inbox: folder INBOX" },
	{ GMAIL_PLACE_STARRED, "[Gmail]/Starred", "()", BOTH,
	  "\\All, \\Flagged", "\\Flagged", "",
	  "\\Starred: flag \\Flagged and its folder" },

	/* -- muted: shown by no folder, and no reason to call a message
	      labelled (as stock) */
	{ GMAIL_PLACE_ALL, "", "(\\Muted)", FOLDERS,
	  "\\All", "", "$Muted", "\\Muted: keyword $Muted" },

	/* -- spam and trash: those folders alone, the labels are kept */
	{ GMAIL_PLACE_SPAM, "[Gmail]/Spam", "(Work)", FOLDERS,
	  "\\Junk", "", "", "only in \\Junk; Work: folder" },
	{ GMAIL_PLACE_TRASH, "[Gmail]/Trash", "(\\Starred Work)", KEYWORDS,
	  "\\Trash", "\\Flagged", "Work",
	  "only in \\Trash; \\Starred: flag \\Flagged; "
	  "Work: keyword Work (spelled as the label)" },
	{ GMAIL_PLACE_OTHER, "[Gmail]/Chats", "()", KEYWORDS,
	  "[Gmail]/Chats", "", "", "only in [Gmail]/Chats" },

	/* -- drafts */
	{ GMAIL_PLACE_ALL, "", "(\\Draft)", KEYWORDS,
	  "\\All, \\Drafts", "", "$GMailHaveLabels",
	  "\\Draft: folder \\Drafts" },

	/* -- one odd name does not cost the others */
	{ GMAIL_PLACE_ALL, "", "(\"To do (now)\" &ZeVnLA- Work)", KEYWORDS,
	  "\\All", "", "To_do__now_, &ZeVnLA-, Work, $GMailHaveLabels",
	  "To do (now): keyword To_do__now_ (a keyword cannot hold all "
	  "characters of the label); 日本: keyword &ZeVnLA- (a keyword cannot "
	  "hold all characters of the label); "
	  "Work: keyword Work (spelled as the label)" },

	/* -- a label called like one of Gmail's own is another one */
	{ GMAIL_PLACE_ALL, "", "(Important Inbox)", KEYWORDS,
	  "\\All", "", "Important, Inbox, $GMailHaveLabels",
	  "Important: keyword Important (spelled as the label); "
	  "Inbox: keyword Inbox (spelled as the label)" },

	/* -- the future */
	{ GMAIL_PLACE_ALL, "", "(\\Snoozed)", BOTH,
	  "\\All", "", "$GMailHaveLabels",
	  "\\Snoozed: ignored: not a label of Gmail's that is known" },
};

START_TEST(test_message)
{
	static const char *const no_labels[] = { NULL };
	struct gmail_keywords *keywords =
		keywords_init(no_labels, GMAIL_KEYWORD_DEFAULT_LENGTH);
	struct gmail_message msg = {
		.place = messages[_i].place,
		.place_name = messages[_i].name,
	};
	struct gmail_mapping mapping;
	ARRAY_TYPE(gmail_label) labels;

	parse_labels(messages[_i].labels, &labels);
	msg.labels = array_get(&labels, &msg.labels_count);
	gmail_message_map(&msg, messages[_i].policy, keywords, &mapping);
	ck_assert_str_eq(join(&mapping.mailboxes), messages[_i].mailboxes);
	ck_assert_str_eq(mapping.flags == MAIL_FLAGGED ? "\\Flagged" : "",
			 messages[_i].flags);
	ck_assert_str_eq(join(&mapping.keywords), messages[_i].keywords);
	ck_assert_str_eq(mapping.reason, messages[_i].reason);
	gmail_keywords_deinit(&keywords);
	ck_assert_ptr_null(keywords);
}
END_TEST

/* Maildir has no room for the keyword: the label remains a folder. */
START_TEST(test_no_room)
{
	static const char *const names[] = { "A", "B", NULL };
	const struct gmail_keywords_config config = {
		.max_length = GMAIL_KEYWORD_DEFAULT_LENGTH, .max_count = 1,
	};
	struct gmail_keywords *keywords = gmail_keywords_init(names, &config);
	struct gmail_message msg = { .place = GMAIL_PLACE_ALL };
	struct gmail_mapping mapping;
	ARRAY_TYPE(gmail_label) labels;
	const char *reason = NULL;

	parse_labels("(A B)", &labels);
	msg.labels = array_get(&labels, &msg.labels_count);
	gmail_message_map(&msg, KEYWORDS, keywords, &mapping);
	ck_assert_str_eq(join(&mapping.mailboxes), "\\All, B");
	ck_assert_str_eq(join(&mapping.keywords), "A, $GMailHaveLabels");
	ck_assert_str_eq(mapping.reason,
		"A: keyword A (spelled as the label); "
		"B: folder (there is room for the keywords of 1 labels)");
	ck_assert(!gmail_mailbox_is_migrated(GMAIL_PLACE_LABEL, "A", KEYWORDS,
					     keywords, &reason));
	ck_assert(gmail_mailbox_is_migrated(GMAIL_PLACE_LABEL, "B", KEYWORDS,
					    keywords, &reason));
	ck_assert_str_eq(reason, "there is room for the keywords of 1 labels");
	ck_assert(!gmail_mailbox_is_migrated(GMAIL_PLACE_STARRED, "S", KEYWORDS,
					     keywords, &reason));
	gmail_keywords_deinit(&keywords);
}
END_TEST

START_TEST(test_policy)
{
	ck_assert_int_eq(gmail_label_policy_parse("folders"), FOLDERS);
	ck_assert_int_eq(gmail_label_policy_parse("keywords"), KEYWORDS);
	ck_assert_int_eq(gmail_label_policy_parse("both"), BOTH);

	/* what the messages of a place are labelled with in All Mail */
	ck_assert_str_eq(gmail_place_label(GMAIL_PLACE_INBOX, "INBOX"), "\\Inbox");
	ck_assert_str_eq(gmail_place_label(GMAIL_PLACE_LABEL, "Work"), "Work");
	ck_assert_str_eq(gmail_place_label(GMAIL_PLACE_ALL, "x"), "\\All");
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "gmail-label");

	tcase_add_loop_test(tc, test_parse, 0, N_ELEMENTS(values));
	tcase_add_test(tc, test_parse_no_list);
	tcase_add_loop_test(tc, test_place, 0, N_ELEMENTS(mailboxes));
	tcase_add_loop_test(tc, test_message, 0, N_ELEMENTS(messages));
	tcase_add_test(tc, test_no_room);
	tcase_add_test(tc, test_policy);
	return check_suite_run(s);
}
