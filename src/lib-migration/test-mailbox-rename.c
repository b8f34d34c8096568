/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mailbox-rename.h"
#include "check-suite.h"

#define MAX_BOXES 4

/* guid: one letter; '*' comes out where it is any new one */
struct side_row {
	const char *name, *id;
	uint32_t uidvalidity, uidnext;
	char guid;
	/* 0: the server did not say */
	unsigned int messages;
};

struct row {
	const char *what;
	/* guid: what stock would call it, expected: what comes out */
	struct side_row sources[MAX_BOXES];
	const char *expected;
	struct side_row dests[MAX_BOXES];
	/* id and guid */
	struct { const char *id; char guid; } known[MAX_BOXES];
	/* pairs of names with the same mails: "source=dest" */
	const char *same;
	bool stays;
};

static const struct row rows[] = {
	{ .what = "first run",
	  .sources = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .expected = "ab" },
	{ .what = "nothing changed",
	  .sources = { { "A", "", 1, 5, 'a' }, { "B", "", 2, 5, 'b' } },
	  .expected = "ab",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 2, 5, 'b' } } },
	{ .what = "renamed, by id",
	  .sources = { { "B", "x", 1, 5, 'b' } }, .expected = "a",
	  .dests = { { "A", "", 1, 5, 'a' } }, .known = { { "x", 'a' } } },
	{ .what = "renamed, by id, and another UIDVALIDITY",
	  .sources = { { "B", "x", 9, 5, 'b' } }, .expected = "a",
	  .dests = { { "A", "", 1, 5, 'a' } }, .known = { { "x", 'a' } } },
	{ .what = "renamed, and a new one of the old name",
	  .sources = { { "A", "y", 1, 2, 'a' }, { "B", "x", 1, 5, 'b' } },
	  .expected = "*a",
	  .dests = { { "A", "", 1, 5, 'a' } }, .known = { { "x", 'a' } } },
	{ .what = "... and again: the new one is remembered",
	  .sources = { { "A", "y", 1, 2, 'a' }, { "B", "x", 1, 5, 'b' } },
	  .expected = "na",
	  .dests = { { "A", "", 1, 2, 'n' }, { "B", "", 1, 5, 'a' } },
	  .known = { { "x", 'a' }, { "y", 'n' } } },
	{ .what = "... and again, nothing being remembered any more",
	  .sources = { { "A", "", 3, 2, 'a' }, { "B", "", 1, 5, 'b' } },
	  .expected = "na",
	  .dests = { { "A", "", 3, 2, 'n' }, { "B", "", 1, 5, 'a' } } },
	{ .what = "swapped",
	  .sources = { { "A", "y", 1, 5, 'a' }, { "B", "x", 1, 5, 'b' } },
	  .expected = "ba",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .known = { { "x", 'a' }, { "y", 'b' } } },
	{ .what = "swapped, known by UIDVALIDITY",
	  .sources = { { "A", "", 2, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .expected = "ba",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 2, 5, 'b' } },
	  .same = "A=B B=A" },
	{ .what = "in a ring",
	  .sources = { { "A", "z", 1, 5, 'a' }, { "B", "x", 1, 5, 'b' },
		       { "C", "y", 1, 5, 'c' } },
	  .expected = "cab",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' },
		     { "C", "", 1, 5, 'c' } },
	  .known = { { "x", 'a' }, { "y", 'b' }, { "z", 'c' } } },
	{ .what = "renamed below another one",
	  .sources = { { "P", "p", 1, 5, 'p' }, { "P/B", "x", 1, 5, 'b' } },
	  .expected = "pa",
	  .dests = { { "A", "", 1, 5, 'a' }, { "P", "", 1, 5, 'p' } },
	  .known = { { "x", 'a' }, { "p", 'p' } } },
	{ .what = "renamed, by its UIDVALIDITY and its mails",
	  .sources = { { "B", "", 7, 5, 'b' } }, .expected = "a",
	  .dests = { { "A", "", 7, 5, 'a' } }, .same = "B=A" },
	{ .what = "made in the same second as one that the destination alone has",
	  .sources = { { "B", "", 7, 5, 'b' } }, .expected = "b",
	  .dests = { { "A", "", 7, 5, 'a' } }, .same = "" },
	{ .what = "renamed and grown",
	  .sources = { { "B", "", 7, 9, 'b' } }, .expected = "a",
	  .dests = { { "A", "", 7, 5, 'a' } }, .same = "B=A" },
	{ .what = "the destination is ahead: another one",
	  .sources = { { "B", "", 7, 5, 'b' } }, .expected = "b",
	  .dests = { { "A", "", 7, 9, 'a' } } },
	{ .what = "an empty one is not worth it",
	  .sources = { { "B", "", 7, 5, 'b' } }, .expected = "b",
	  .dests = { { "A", "", 7, 1, 'a' } } },
	{ .what = "all have one UIDVALIDITY: the mails decide",
	  .sources = { { "A", "", 1, 5, 'a' }, { "C", "", 1, 5, 'c' } },
	  .expected = "ab",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .same = "C=B" },
	{ .what = "... against it",
	  .sources = { { "A", "", 1, 5, 'a' }, { "C", "", 1, 5, 'c' } },
	  .expected = "ac",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .same = "" },
	{ .what = "... or cannot decide",
	  .sources = { { "C", "", 1, 5, 'c' } }, .expected = "c",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .same = "C=A C=B" },
	{ .what = "two renamed at once",
	  .sources = { { "C", "", 1, 5, 'c' }, { "D", "", 1, 5, 'd' } },
	  .expected = "ba",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .same = "C=B D=A" },
	{ .what = "a name is more than the same mails",
	  .sources = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .expected = "ab",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .same = "A=B B=A" },
	{ .what = "UIDVALIDITY changed: dsync has to see that",
	  .sources = { { "A", "", 9, 5, 'a' } }, .expected = "a",
	  .dests = { { "A", "", 1, 5, 'a' } } },
	{ .what = "deleted and made again",
	  .sources = { { "A", "y", 9, 2, 'a' } }, .expected = "a",
	  .dests = { { "A", "", 1, 5, 'a' } }, .known = { { "x", 'a' } } },
	{ .what = "... and another one has its UIDVALIDITY",
	  .sources = { { "A", "", 9, 2, 'a' }, { "B", "", 1, 5, 'b' } },
	  .expected = "*a",
	  .dests = { { "A", "", 1, 5, 'a' } }, .same = "B=A" },
	{ .what = "an id that is known as another mailbox's",
	  .sources = { { "B", "y", 7, 5, 'b' } }, .expected = "b",
	  .dests = { { "A", "", 7, 5, 'a' } }, .known = { { "x", 'a' } } },
	{ .what = "an id that two have is none",
	  .sources = { { "A", "x", 1, 5, 'a' }, { "B", "x", 1, 5, 'b' } },
	  .expected = "ab",
	  .dests = { { "A", "", 1, 5, 'a' }, { "B", "", 1, 5, 'b' } },
	  .known = { { "x", 'b' } } },
	{ .what = "INBOX is renamed: its mails moved, its name stayed",
	  .sources = { { "INBOX", "y", 1, 5, 'i' }, { "Old", "x", 1, 5, 'o' } },
	  .expected = "io",
	  .dests = { { "INBOX", "", 1, 5, 'i' } }, .known = { { "x", 'i' } } },
	{ .what = "nothing is renamed to INBOX",
	  .sources = { { "INBOX", "", 7, 5, 'i' } }, .expected = "i",
	  .dests = { { "A", "", 7, 5, 'a' } } },
	{ .what = "the destination has a mailbox of its own",
	  .sources = { { "A", "x", 1, 5, 'a' } }, .expected = "a",
	  .dests = { { "A", "", 4, 9, 'q' } } },
	{ .what = "the remembered one is gone at the destination",
	  .sources = { { "B", "x", 1, 5, 'b' } }, .expected = "b",
	  .known = { { "x", 'a' } } },
	{ .what = "the name's GUID is used by another name",
	  .sources = { { "A", "y", 3, 5, 'a' } }, .expected = "*",
	  .dests = { { "B", "", 1, 5, 'a' } } },
	{ .what = "a state that is not told: the name says which one it is",
	  .sources = { { "A", "", 0, 0, 'a' }, { "B", "", 7, 5, 'b' } },
	  .expected = "qb",
	  .dests = { { "A", "", 7, 5, 'q' } } },
	{ .what = "... unless the id says that it is another one",
	  .sources = { { "A", "", 0, 0, 'a' }, { "B", "x", 7, 5, 'b' } },
	  .expected = "*a",
	  .dests = { { "A", "", 7, 5, 'a' } }, .known = { { "x", 'a' } } },
	{ .what = "... and nothing else says what it is",
	  .sources = { { "B", "", 0, 0, 'b' } }, .expected = "b",
	  .dests = { { "A", "", 0, 5, 'a' } } },
	{ .what = "courier-rename: numbered anew",
	  .sources = { { "B", "", 9, 5, 'b', 4 } }, .expected = "a",
	  .dests = { { "A", "", 1, 7, 'a' } }, .same = "B=A" },
	{ .what = "... with other mails",
	  .sources = { { "B", "", 9, 5, 'b', 4 } }, .expected = "b",
	  .dests = { { "A", "", 1, 7, 'a' } }, .same = "" },
	{ .what = "... one of two",
	  .sources = { { "B", "", 9, 5, 'b', 4 }, { "D", "", 9, 5, 'd', 4 } },
	  .expected = "ca",
	  .dests = { { "A", "", 1, 7, 'a' }, { "C", "", 1, 7, 'c' } },
	  .same = "B=C D=A" },
	{ .what = "... and what two may be is neither",
	  .sources = { { "B", "", 9, 5, 'b', 4 } }, .expected = "b",
	  .dests = { { "A", "", 1, 7, 'a' }, { "C", "", 1, 7, 'c' } },
	  .same = "B=A B=C" },
	{ .what = "not numbered anew: UIDs are missing",
	  .sources = { { "B", "", 9, 7, 'b', 4 } }, .expected = "b",
	  .dests = { { "A", "", 1, 7, 'a' } } },
	{ .what = "the other name is still there",
	  .sources = { { "A", "", 3, 5, 'a', 4 }, { "B", "", 9, 5, 'b', 4 } },
	  .expected = "ab",
	  .dests = { { "A", "", 1, 7, 'a' } } },
	{ .what = "the name was there before",
	  .sources = { { "B", "", 9, 5, 'b', 4 } }, .expected = "b",
	  .dests = { { "A", "", 1, 7, 'a' }, { "B", "", 2, 5, 'b' } } },
	{ .what = "a server with ids says what was renamed",
	  .sources = { { "B", "x", 9, 5, 'b', 4 } }, .expected = "b",
	  .dests = { { "A", "", 1, 7, 'a' } } },
	{ .what = "a run that must not rename",
	  .sources = { { "B", "x", 7, 5, 'b' } }, .expected = "b",
	  .dests = { { "A", "", 7, 5, 'a' } }, .known = { { "x", 'a' } },
	  .stays = TRUE },
	{ .what = "... knows what an earlier one renamed",
	  .sources = { { "A", "y", 1, 2, 'a' }, { "B", "x", 1, 5, 'b' } },
	  .expected = "na",
	  .dests = { { "A", "", 1, 2, 'n' }, { "B", "", 1, 5, 'a' } },
	  .known = { { "x", 'a' }, { "y", 'n' } }, .stays = TRUE },
};

static void letter_guid(char letter, guid_128_t guid)
{
	memset(guid, letter, GUID_128_SIZE);
}

static bool
same_mails(void *context, const struct rename_source *source,
	   const struct rename_dest *dest)
{
	const char *same = context;
	const char *pair = t_strdup_printf("%s=%s", source->name, dest->name);

	ck_assert_msg(same != NULL, "asked for the mails of %s", pair);
	return str_array_find(t_strsplit_spaces(same, " "), pair);
}

static void
fill(const struct row *row, ARRAY_TYPE(rename_source) *sources,
     ARRAY_TYPE(rename_dest) *dests, ARRAY_TYPE(rename_known) *known)
{
	struct rename_source *source;
	struct rename_dest *dest;
	struct rename_known *item;
	unsigned int i;

	t_array_init(sources, MAX_BOXES);
	t_array_init(dests, MAX_BOXES);
	t_array_init(known, MAX_BOXES);
	for (i = 0; i < MAX_BOXES && row->sources[i].name != NULL; i++) {
		source = array_append_space(sources);
		source->name = row->sources[i].name;
		source->id = row->sources[i].id;
		source->uidvalidity = row->sources[i].uidvalidity;
		source->uidnext = row->sources[i].uidnext;
		source->messages = row->sources[i].messages;
		letter_guid(row->sources[i].guid, source->stock_guid);
	}
	for (i = 0; i < MAX_BOXES && row->dests[i].name != NULL; i++) {
		dest = array_append_space(dests);
		dest->name = row->dests[i].name;
		dest->uidvalidity = row->dests[i].uidvalidity;
		dest->uidnext = row->dests[i].uidnext;
		letter_guid(row->dests[i].guid, dest->guid);
	}
	for (i = 0; i < MAX_BOXES && row->known[i].id != NULL; i++) {
		item = array_append_space(known);
		item->id = row->known[i].id;
		letter_guid(row->known[i].guid, item->guid);
	}
}

START_TEST(test_find)
{
	const struct row *row = &rows[_i];
	ARRAY_TYPE(rename_source) sources, again;
	ARRAY_TYPE(rename_dest) dests;
	ARRAY_TYPE(rename_known) known;
	const struct rename_source *source, *other;
	guid_128_t guid;
	unsigned int i, j;

	fill(row, &sources, &dests, &known);
	mailbox_renames_find(&sources, &dests, &known, !row->stays, same_mails,
			     (void *)row->same);
	ck_assert_uint_eq(array_count(&sources), strlen(row->expected));
	for (i = 0; i < array_count(&sources); i++) {
		source = array_idx(&sources, i);
		letter_guid(row->expected[i], guid);
		if (row->expected[i] != '*') {
			ck_assert_msg(guid_128_equals(source->guid, guid),
				      "%s: %s", row->what, source->name);
		} else {
			ck_assert(source->dest_idx == UINT_MAX);
			ck_assert(!guid_128_equals(source->guid,
						   source->stock_guid));
		}
		for (j = 0; j < i; j++) {
			other = array_idx(&sources, j);
			ck_assert(!guid_128_equals(source->guid, other->guid));
		}
	}
	/* always the same */
	fill(row, &again, &dests, &known);
	mailbox_renames_find(&again, &dests, &known, !row->stays, same_mails,
			     (void *)row->same);
	for (i = 0; i < array_count(&sources); i++) {
		source = array_idx(&sources, i);
		other = array_idx(&again, i);
		ck_assert(guid_128_equals(source->guid, other->guid));
	}
}
END_TEST

START_TEST(test_record)
{
	ARRAY_TYPE(rename_source) sources;
	ARRAY_TYPE(rename_dest) dests;
	ARRAY_TYPE(rename_known) known, read;
	const struct rename_known *item;
	string_t *text = t_str_new(256);
	pool_t pool = pool_alloconly_create("test", 256);
	const char *reason;
	const struct row row = {
		.sources = { { "A", "x\ty", 1, 5, 'a' }, { "B", "", 2, 5, 'b' },
			     { "C", "", 0, 0, 'c' } },
		.known = { { "x\ty", 'q' }, { "gone", 'g' }, { "was", 'a' },
			   { "untold", 'c' } },
	};

	fill(&row, &sources, &dests, &known);
	mailbox_renames_find(&sources, &dests, &known, TRUE, same_mails, NULL);
	mailbox_renames_write(&sources, &known, "host user", text);

	t_array_init(&read, 4);
	ck_assert(mailbox_renames_read(str_c(text), "host user", pool, &read,
				       &reason));
	/* those that are not here are still remembered */
	ck_assert_uint_eq(array_count(&read), 4);
	item = array_idx(&read, 0);
	ck_assert_str_eq(item->id, "x\ty");
	item = array_idx(&read, 1);
	ck_assert_str_eq(item->id, "gone");
	/* nor those of which the server tells nothing now */
	item = array_idx(&read, 3);
	ck_assert_str_eq(item->id, "untold");

	array_clear(&read);
	ck_assert(!mailbox_renames_read(str_c(text), "host other", pool, &read,
					&reason));
	ck_assert_uint_eq(array_count(&read), 0);
	pool_unref(&pool);
}
END_TEST

START_TEST(test_ids)
{
	ck_assert(mailbox_rename_id_is_valid("F2212ea87-6097-4256_9"));
	ck_assert(mailbox_rename_id_is_valid("a"));
	ck_assert(!mailbox_rename_id_is_valid(""));
	/* cyrus-mailboxid */
	ck_assert(!mailbox_rename_id_is_valid("l\xb7\x02H\x8aU"));
	ck_assert(!mailbox_rename_id_is_valid("a b"));
	ck_assert(!mailbox_rename_id_is_valid(t_strdup_printf("%0256d", 1)));
	ck_assert(mailbox_rename_id_is_valid(t_strdup_printf("%0255d", 1)));
}
END_TEST

static const char *const damaged[] = {
	"", "x", "dovecot-migration mailboxes 2\tk\nend\n",
	"dovecot-migration mailboxes 1\tk\n",
	"dovecot-migration mailboxes 1\tk\nzz\tid\nend\n",
	"dovecot-migration mailboxes 1\tk\n"
	"00000000000000000000000000000001\t\nend\n",
	"dovecot-migration mailboxes 1\tk\n"
	"00000000000000000000000000000001\tid\n",
	"dovecot-migration mailboxes 1\tk\n0001\n",
};

START_TEST(test_damaged)
{
	ARRAY_TYPE(rename_known) read;
	pool_t pool = pool_alloconly_create("test", 256);
	const char *reason = NULL;

	t_array_init(&read, 4);
	ck_assert(!mailbox_renames_read(damaged[_i], "k", pool, &read, &reason));
	ck_assert_ptr_nonnull(reason);
	ck_assert_uint_eq(array_count(&read), 0);
	pool_unref(&pool);
}
END_TEST

static const struct {
	unsigned int there, here;
	bool fit;
} counts[] = {
	{ 0, 0, FALSE }, { 1, 0, FALSE }, { 1, 1, TRUE }, { 5, 5, TRUE },
	/* new mails there */
	{ 9, 5, TRUE }, { 10, 5, TRUE }, { 12, 5, FALSE },
	/* mails that are gone there */
	{ 9, 10, FALSE }, { 10, 11, TRUE }, { 100, 110, TRUE },
	{ 100, 111, FALSE }, { 1, 1000, FALSE },
};

START_TEST(test_counts)
{
	ck_assert_int_eq(mailbox_rename_counts_fit(counts[_i].there,
						   counts[_i].here),
			 counts[_i].fit);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "mailbox-rename");

	tcase_add_loop_test(tc, test_counts, 0, N_ELEMENTS(counts));
	tcase_add_loop_test(tc, test_find, 0, N_ELEMENTS(rows));
	tcase_add_test(tc, test_record);
	tcase_add_test(tc, test_ids);
	tcase_add_loop_test(tc, test_damaged, 0, N_ELEMENTS(damaged));
	return check_suite_run(s);
}
