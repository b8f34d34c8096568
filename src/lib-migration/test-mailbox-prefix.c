/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mailbox-prefix.h"
#include "check-suite.h"

/* "A|B" becomes an array of two */
static void read_list(const char *text, ARRAY_TYPE(const_string) *list)
{
	const char *const *words;

	t_array_init(list, 4);
	if (text == NULL)
		return;
	/* not what t_strsplit() makes of it */
	if (text[0] == '\0')
		array_push_back(list, &text);
	for (words = t_strsplit(text, "|"); *words != NULL; words++)
		array_push_back(list, words);
}

static const char *const *strings(ARRAY_TYPE(const_string) *list)
{
	array_append_zero(list);
	return array_front(list);
}

static const struct {
	/* imapc_list_prefix */
	const char *set;
	/* NAMESPACE, prefixes with | between them; NULL if the server has none */
	const char *personal;
	const char *listed;
	char separator;
	const char *prefix;
} prefixes[] = {
	/* Courier, Cyrus */
	{ "", "INBOX.", "INBOX|INBOX.Sent", '.', "INBOX" },
	/* Cyrus with altnamespace, Dovecot, Gmail, Exchange */
	{ "", "", "INBOX|Sent", '/', "" },
	/* unixhierarchysep without altnamespace */
	{ "", "INBOX/", "INBOX|INBOX/Sent", '/', "INBOX" },
	/* UW-IMAP with a mail folder */
	{ "", "Mail/", "INBOX|Mail/Sent", '/', "Mail" },
	{ "", "#mh/", "INBOX|#mh/Sent", '/', "#mh" },
	/* only the first personal namespace is where new folders go */
	{ "", "INBOX.|#mh.", "INBOX|#mh.x", '.', "INBOX" },
	/* a prefix of two levels */
	{ "", "user/jane/", "INBOX|user/jane/Sent", '/', "user/jane" },
	/* the server's word counts, whatever its mailboxes look like */
	{ "", "", "INBOX|INBOX/a|INBOX/b", '/', "" },
	{ "", "INBOX.", "INBOX|Sent", '.', "INBOX" },
	/* without the separator */
	{ "", "INBOX", "INBOX|INBOX.a", '.', "INBOX" },
	/* no NAMESPACE */
	{ "", NULL, "INBOX|INBOX.a|INBOX.a.b", '.', "INBOX" },
	{ "", NULL, "INBOX|INBOX/a", '/', "INBOX" },
	{ "", NULL, "Inbox|Inbox/a", '/', "INBOX" },
	{ "", NULL, "INBOX|INBOX\\a", '\\', "INBOX" },
	{ "", NULL, "INBOX|INBOX.a|Public.b", '.', "" },
	{ "", NULL, "INBOX|INBOXen.a", '.', "" },
	{ "", NULL, "INBOX", '.', "" },
	{ "", NULL, "INBOX|Sent", '/', "" },
	{ "", NULL, "INBOX|INBOX.a", '\0', "" },
	/* by hand, with and without the separator */
	{ "INBOX", "INBOX.", "INBOX|INBOX.a", '.', "INBOX" },
	{ "INBOX.", "INBOX.", "INBOX|INBOX.a", '.', "INBOX" },
	{ "INBOX/", NULL, "INBOX|INBOX/a", '/', "INBOX" },
	{ "Mail", "", "INBOX|Mail/a|b", '/', "Mail" },
	{ "Mail/", "", "INBOX|Mail/a|b", '/', "Mail" },
	{ "Mail\\", "", "INBOX|Mail\\a|b", '\\', "Mail" },
	/* a character that is not the separator belongs to the name */
	{ "INBOX.", NULL, "INBOX|INBOX/a", '/', "INBOX." },
	{ "/", NULL, "INBOX", '/', "" },
};

START_TEST(test_prefix_decide)
{
	struct mailbox_namespaces namespaces;
	ARRAY_TYPE(const_string) listed;
	const char *reason = NULL;

	read_list(prefixes[_i].personal, &namespaces.personal);
	read_list(NULL, &namespaces.other);
	read_list(NULL, &namespaces.shared);
	read_list(prefixes[_i].listed, &listed);
	ck_assert_str_eq(mailbox_prefix_decide(prefixes[_i].set, &namespaces,
			strings(&listed), prefixes[_i].separator, &reason),
			 prefixes[_i].prefix);
	ck_assert_ptr_nonnull(reason);
}
END_TEST

static const struct {
	const char *name, *prefix;
	char separator;
	/* NULL: not below it */
	const char *rest;
} removals[] = {
	{ "INBOX.Sent", "INBOX", '.', "Sent" },
	{ "inbox.Sent", "INBOX", '.', "Sent" },
	{ "INBOX.INBOX", "INBOX", '.', "INBOX" },
	{ "INBOX.a.b", "INBOX", '.', "a.b" },
	{ "INBOX", "INBOX", '.', "" },
	{ "INBOXen", "INBOX", '.', NULL },
	{ "INBOXen.Old", "INBOX", '.', NULL },
	{ "Public.News", "INBOX", '.', NULL },
	{ "Mail/a", "Mail", '/', "a" },
	{ "mail/a", "Mail", '/', NULL },
	{ "Mail", "Mail", '/', "" },
	{ "Mai", "Mail", '/', NULL },
	{ "a/b", "", '/', "a/b" },
	{ "user/jane/a", "user/jane", '/', "a" },
};

START_TEST(test_prefix_remove)
{
	ck_assert_pstr_eq(mailbox_prefix_remove(removals[_i].name,
				removals[_i].prefix, removals[_i].separator),
			  removals[_i].rest);
}
END_TEST

static const struct {
	const char *personal, *other, *shared, *name;
	char separator;
	enum mailbox_owner owner;
} owners[] = {
	{ "INBOX.", "user.", "", "INBOX.Sent", '.', MAILBOX_OWNER_SELF },
	{ "INBOX.", "user.", "", "user.joe", '.', MAILBOX_OWNER_OTHER_USER },
	{ "INBOX.", "user.", "", "user.joe.x", '.', MAILBOX_OWNER_OTHER_USER },
	{ "INBOX.", "user.", "shared.", "shared.x", '.', MAILBOX_OWNER_SHARED },
	/* Cyrus: all that is nobody's is shared */
	{ "INBOX.", "user.", "", "bulletin", '.', MAILBOX_OWNER_SHARED },
	{ "Mail/", "user/", "", "INBOX", '/', MAILBOX_OWNER_SELF },
	{ "", "Other Users/", "Shared Folders/", "Sent", '/',
	  MAILBOX_OWNER_SELF },
	{ "", "Other Users/", "Shared Folders/", "Other Users/joe", '/',
	  MAILBOX_OWNER_OTHER_USER },
	{ "", "Other Users/", "Shared Folders/", "Shared Folders/x", '/',
	  MAILBOX_OWNER_SHARED },
	{ "", "Other Users/", "Shared Folders/", "Shared Folders2/x", '/',
	  MAILBOX_OWNER_SELF },
	{ "", "~", NULL, "~joe/x", '/', MAILBOX_OWNER_SELF },
	{ NULL, NULL, NULL, "user.joe", '.', MAILBOX_OWNER_SELF },
	/* the longest prefix */
	{ "#mine/", "#", "#s/", "#mine/a", '/', MAILBOX_OWNER_SELF },
};

START_TEST(test_prefix_owner)
{
	struct mailbox_namespaces namespaces;

	read_list(owners[_i].personal, &namespaces.personal);
	read_list(owners[_i].other, &namespaces.other);
	read_list(owners[_i].shared, &namespaces.shared);
	ck_assert_int_eq(mailbox_prefix_owner(owners[_i].name, &namespaces,
					      owners[_i].separator),
			 owners[_i].owner);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mailbox-prefix");

	tcase_add_loop_test(tc, test_prefix_decide, 0, N_ELEMENTS(prefixes));
	tcase_add_loop_test(tc, test_prefix_remove, 0, N_ELEMENTS(removals));
	tcase_add_loop_test(tc, test_prefix_owner, 0, N_ELEMENTS(owners));
	return check_suite_run(s);
}
