/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "uidl-format.h"
#include "check-suite.h"

static const struct {
	const char *format, *uidl;
	uint32_t uidvalidity, uid;
	uint64_t gmail_msgid;
} uidls[] = {
	{ "Dovecot", "0000001143ef424e", 0x43ef424e, 0x11, 0 },
	{ "UW-IMAP", "43ef424e00000001", 0x43ef424e, 1, 0 },
	{ "Cyrus", "1076582350.17", 1076582350, 17, 0 },
	{ "Cyrus (courier) or Critical Path", "1076582350-17", 1076582350, 17, 0 },
	{ "Courier by Dovecot", "UID17-1076582350", 1076582350, 17, 0 },
	{ "UID and UIDVALIDITY", "17.1076582350", 1076582350, 17, 0 },
	{ "UID alone", "4294967295", 0, 4294967295, 0 },
	{ "Gmail", "GmailId4d2", 0, 0, 1234 },
	{ "Gmail", "GmailIdffffffffffffffff", 0, 0, UINT64_MAX },
};

static const struct {
	const char *format, *uidl;
} garbage[] = {
	{ "Dovecot", "0000001143ef424" },
	{ "Dovecot", "0000001143ef424e0" },
	{ "Dovecot", "0000001143EF424E" },
	{ "Dovecot", "0000000043ef424e" },
	{ "Cyrus", "1076582350." },
	{ "Cyrus", ".17" },
	{ "Cyrus", "1076582350.017" },
	{ "Cyrus", "1076582350.17-2" },
	{ "Cyrus", "1076582350.4294967296" },
	{ "Courier by Dovecot", "uid17-1076582350" },
	/* Courier's own, older list file */
	{ "Courier by Dovecot", "UID17" },
	{ "UID alone", "" },
	{ "UID alone", "0" },
	{ "UID alone", "17 " },
	{ "Gmail", "GmailId" },
	{ "Gmail", "GmailId04d2" },
	{ "Gmail", "GmailId11111111111111111" },
	/* Zimbra */
	{ "UID and UIDVALIDITY", "257.Xc3TrqWsOwl6MZxv9zHYKYJ1VLUQ5qAqVvGZyZmdq60=" },
};

static const struct uidl_format *find_format(const char *name)
{
	for (unsigned int i = 0; uidl_formats[i].name != NULL; i++) {
		if (strcmp(uidl_formats[i].name, name) == 0)
			return &uidl_formats[i];
	}
	ck_abort_msg("no format %s", name);
	return NULL;
}

START_TEST(test_uidls)
{
	const struct uidl_format *format = find_format(uidls[_i].format);
	struct uidl_format_value value;

	ck_assert(uidl_format_parse(format, uidls[_i].uidl, &value));
	ck_assert_uint_eq(value.uidvalidity, uidls[_i].uidvalidity);
	ck_assert_uint_eq(value.uid, uidls[_i].uid);
	ck_assert_uint_eq(value.gmail_msgid, uidls[_i].gmail_msgid);
	ck_assert_str_eq(uidl_format_write(format, &value), uidls[_i].uidl);
	ck_assert_int_eq(uidl_format_has_uidvalidity(format),
			 value.uidvalidity != 0);
	ck_assert_int_eq(uidl_format_has_gmail_msgid(format),
			 value.gmail_msgid != 0);
}
END_TEST

START_TEST(test_garbage)
{
	struct uidl_format_value value;

	ck_assert(!uidl_format_parse(find_format(garbage[_i].format),
				     garbage[_i].uidl, &value));
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "uidl-format");

	tcase_add_loop_test(tc, test_uidls, 0, N_ELEMENTS(uidls));
	tcase_add_loop_test(tc, test_garbage, 0, N_ELEMENTS(garbage));
	return check_suite_run(s);
}
