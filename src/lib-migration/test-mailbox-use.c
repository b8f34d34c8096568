/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mailbox-use.h"
#include "check-suite.h"

static const struct {
	const char *name, *use;
} names[] = {
	{ "Sent", "\\Sent" },
	{ "SENT items", "\\Sent" },
	{ "Sentinel", NULL },
	{ "", NULL },
	{ "INBOX", NULL },
	{ "\xff\xfe", NULL },
	{ "Gesendet", "\\Sent" },
	{ "gesendete objekte", "\\Sent" },
	{ "Éléments envoyés", "\\Sent" },
	/* as macOS writes it: accents of their own */
	{ "E\xCC\x81le\xCC\x81ments envoye\xCC\x81s", "\\Sent" },
	{ "Elements envoyes", NULL },
	{ "Elementos enviados", "\\Sent" },
	{ "Posta inviata", "\\Sent" },
	{ "Verzonden items", "\\Sent" },
	{ "Elementy wysłane", "\\Sent" },
	{ "Itens Enviados", "\\Sent" },
	{ "ОТПРАВЛЕННЫЕ", "\\Sent" },
	{ "Bulk Mail", "\\Junk" },
	{ "Spamverdacht", "\\Junk" },
	{ "Correo no deseado", "\\Junk" },
	{ "Skräppost", "\\Junk" },
	{ "entwürfe", "\\Drafts" },
	{ "Brouillons", "\\Drafts" },
	{ "Bozze", "\\Drafts" },
	{ "Papierkorb", "\\Trash" },
	{ "Corbeille", "\\Trash" },
	{ "Cestino", "\\Trash" },
	{ "Koš", "\\Trash" },
	{ "Deleted Items", "\\Trash" },
	{ "Archiv", "\\Archive" },
	{ "Archief", "\\Archive" },
	{ "Archiv 2019", NULL },
};

START_TEST(test_name)
{
	const char *use = mailbox_use_of_name(names[_i].name);

	if (names[_i].use == NULL)
		ck_assert_ptr_null(use);
	else
		ck_assert_str_eq(use, names[_i].use);
}
END_TEST

START_TEST(test_guess)
{
	ARRAY_TYPE(mailbox_map_entry) entries;
	struct mailbox_map_entry *entry;
	static const struct {
		struct mailbox_map_entry entry;
		const char *use;
	} rows[] = {
		{ { .name = "INBOX", .special_use = "", .is_inbox = TRUE }, "" },
		{ { .name = "Brouillons", .special_use = "" }, "\\Drafts" },
		/* both: nobody knows which one is meant */
		{ { .name = "Gesendet", .special_use = "" }, "" },
		{ { .name = "Sent Items", .special_use = "" }, "" },
		{ { .name = "Old/Entwürfe", .special_use = "" }, "" },
		{ { .name = "Entwürfe", .special_use = "", .noselect = TRUE },
		  "" },
		{ { .name = "Papierkorb", .special_use = "" }, "" },
		{ { .name = "Bin", .special_use = "\\Trash" }, "\\Trash" },
		{ { .name = "Spam", .special_use = "\\Flagged" }, "\\Flagged" },
		{ { .name = "Archiv", .special_use = "",
		    .owner = MAILBOX_OWNER_SHARED }, "" },
	};
	unsigned int i;

	t_array_init(&entries, N_ELEMENTS(rows));
	for (i = 0; i < N_ELEMENTS(rows); i++)
		array_push_back(&entries, &rows[i].entry);
	mailbox_use_guess(&entries, '/');
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		entry = array_idx_modifiable(&entries, i);
		ck_assert_msg(strcmp(entry->special_use, rows[i].use) == 0,
			      "%s: %s", entry->name, entry->special_use);
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mailbox-use");

	tcase_add_loop_test(tc, test_name, 0, N_ELEMENTS(names));
	tcase_add_test(tc, test_guess);
	return check_suite_run(s);
}
