/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whose headers are asked for, when order and sizes have not sufficed. */

#include "lib.h"
#include "array.h"
#include "uidl-match-private.h"

static int uoff_cmp(const uoff_t *a, const uoff_t *b)
{
	return *a < *b ? -1 : (*a > *b ? 1 : 0);
}

static bool has_size(const uoff_t *sizes, unsigned int count, uoff_t size)
{
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (sizes[mid] < size)
			low = mid + 1;
		else
			high = mid;
	}
	return low < count && sizes[low] == size;
}

void match_want_sized_headers(struct uidl_match *match)
{
	const struct match_mail *mails;
	ARRAY(uoff_t) sizes;
	const uoff_t *wanted;
	unsigned int i, count, wanted_count;

	if (match->set.no_top)
		return;
	i_array_init(&sizes, 64);
	mails = array_get(&match->mails[MATCH_SIDE_POP3], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i])) {
			array_push_back(&sizes, &mails[i].size);
			match_want_header(match, MATCH_SIDE_POP3, i);
		}
	}
	array_sort(&sizes, uoff_cmp);
	wanted = array_get(&sizes, &wanted_count);
	mails = array_get(&match->mails[MATCH_SIDE_IMAP], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i]) &&
		    has_size(wanted, wanted_count, mails[i].size))
			match_want_header(match, MATCH_SIDE_IMAP, i);
	}
	array_free(&sizes);
}

/* As long as a POP3 mail is free any IMAP mail may be its partner. */
void match_want_all_headers(struct uidl_match *match)
{
	const struct match_mail *mails;
	unsigned int i, count, wanting = 0;

	mails = array_get(&match->mails[MATCH_SIDE_POP3], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i]) && mails[i].header != NULL)
			wanting++;
	}
	if (wanting == 0)
		return;
	mails = array_get(&match->mails[MATCH_SIDE_IMAP], &count);
	for (i = 0; i < count; i++) {
		if (match_mail_is_free(&mails[i]))
			match_want_header(match, MATCH_SIDE_IMAP, i);
	}
}
