/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "import-name.h"
#include "check-suite.h"

static const struct {
	/* separators of source and destination */
	const char *seps;
	/* all mailboxes of the source, separated by blanks */
	const char *all;
	const char *vname, *name, *rival;
} tests[] = {
	/* nothing to be changed */
	{ "//", "x.y x_y", "x.y", "x.y", NULL },
	{ "..", "x.y x_y", "x_y", "x_y", NULL },
	/* other separators */
	{ "/.", "a/b", "a/b", "a.b", NULL },
	{ "./", "a.b", "a.b", "a/b", NULL },
	{ "/.", "x.y", "x.y", "x_y", NULL },
	/* two want one name: who need not be changed gets it */
	{ "/.", "x.y x_y", "x_y", "x_y", NULL },
	{ "/.", "x.y x_y", "x.y", "x_y_0ae4ca44", "x_y" },
	{ "/.", "x_y x.y", "x.y", "x_y_0ae4ca44", "x_y" },
	/* both must be changed */
	{ "/.", "x.y_z x_y.z", "x.y_z", "x_y_z", NULL },
	{ "/.", "x.y_z x_y.z", "x_y.z", "x_y_z_363d4a0b", "x.y_z" },
	/* three of them */
	{ "/.", "x.y.z x_y_z x.y_z", "x.y_z", "x_y_z_dd582be5", "x_y_z" },
	/* parents too */
	{ "/.", "p.q/x p_q/x", "p.q/x", "p_q.x_e0868729", "p_q/x" },
	{ "/.", "p.q/x p_q/y", "p.q/x", "p_q.x", NULL },
	/* not in the list itself */
	{ "/.", "", "x.y", "x_y", NULL },
};

START_TEST(test_import_name)
{
	const char *name, *rival = "unset";

	name = import_name_decide(tests[_i].vname,
				  t_strsplit_spaces(tests[_i].all, " "),
				  tests[_i].seps[0], tests[_i].seps[1], &rival);
	ck_assert_str_eq(name, tests[_i].name);
	ck_assert_pstr_eq(rival, tests[_i].rival);
}
END_TEST

static const struct {
	const char *name, *read;
} bytes_tests[] = {
	{ "R&D", "R&D" },
	{ "x&AOQ", "x&AOQ" },
	{ "Gr\xc3\xb6\xc3\x9f""e", "Gr\xc3\xb6\xc3\x9f""e" },
	{ "Entw\xfcrfe", "Entw==FCrfe" },
	/* cut within a character */
	{ "\xe2\x82", "==E2==82" },
	{ "\xc3\xbc\xc3", "\xc3\xbc==C3" },
	{ "a\1\x7f", "a==01==7F" },
	{ "&AGE-/b", "&AGE-/b" },
	/* the INBOX is another one */
	{ "inbox", "==69nbox" },
	{ "inboxes", "inboxes" },
	{ "", "" },
};

START_TEST(test_import_name_of_bytes)
{
	ck_assert_str_eq(import_name_of_bytes(bytes_tests[_i].name),
			 bytes_tests[_i].read);
}
END_TEST

START_TEST(test_import_name_is_below)
{
	ck_assert(import_name_is_below("P/x", "P", '/'));
	ck_assert(import_name_is_below("P.x.y", "P.x", '.'));
	ck_assert(!import_name_is_below("P", "P", '/'));
	ck_assert(!import_name_is_below("Px", "P", '/'));
	ck_assert(!import_name_is_below("P.x", "P", '/'));
	ck_assert(!import_name_is_below("/x", "", '/'));
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "import-name");

	tcase_add_loop_test(tc, test_import_name, 0, N_ELEMENTS(tests));
	tcase_add_loop_test(tc, test_import_name_of_bytes, 0,
			    N_ELEMENTS(bytes_tests));
	tcase_add_test(tc, test_import_name_is_below);
	return check_suite_run(s);
}
