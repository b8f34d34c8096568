/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the headers say of the runs that the alignment proposes. */

#include "lib.h"
#include "array.h"
#include "uidl-match-private.h"

/* How often a run may shrink by the mail at its end. */
#define ALIGN_MAX_ROUNDS 4

enum run_verdict {
	RUN_HOLDS,
	RUN_SHRANK,
	RUN_REFUTED
};

/* Judge candidates[first..last]. A mail at an end that is another one only ends
   the run earlier; one in the middle says that order means nothing here. */
static enum run_verdict
judge_run(struct uidl_match *match, unsigned int *first, unsigned int *last)
{
	struct match_pair *pairs = array_front_modifiable(&match->candidates);
	unsigned int i, refuted = 0, confirmed = 0;
	bool shrank = FALSE;

	while (*first <= *last &&
	       match_confirm(match, pairs[*first].pop3, pairs[*first].imap) != 1) {
		if (match_mail_idx(match, MATCH_SIDE_POP3,
				   pairs[*first].pop3)->header_asked == 0)
			break;
		(*first)++;
		shrank = TRUE;
	}
	while (*last > *first &&
	       match_confirm(match, pairs[*last].pop3, pairs[*last].imap) != 1) {
		if (match_mail_idx(match, MATCH_SIDE_POP3,
				   pairs[*last].pop3)->header_asked == 0)
			break;
		(*last)--;
		shrank = TRUE;
	}
	for (i = *first; i <= *last; i++) {
		switch (match_confirm(match, pairs[i].pop3, pairs[i].imap)) {
		case 0:
			refuted++;
			break;
		case 1:
			confirmed++;
			break;
		}
	}
	if (*first > *last || refuted > 0)
		return RUN_REFUTED;
	if (shrank && (match_confirm(match, pairs[*first].pop3,
				     pairs[*first].imap) != 1 ||
		       match_confirm(match, pairs[*last].pop3,
				     pairs[*last].imap) != 1))
		return RUN_SHRANK;
	return confirmed > 0 ? RUN_HOLDS : RUN_REFUTED;
}

static void pair_run(struct uidl_match *match, unsigned int first,
		     unsigned int last)
{
	for (unsigned int i = first; i <= last; i++) {
		const struct match_pair *pair =
			array_idx(&match->candidates, i);
		const struct match_mail *mail =
			match_mail_idx(match, MATCH_SIDE_POP3, pair->pop3);
		int ret = match_confirm(match, pair->pop3, pair->imap);

		/* asked and not to be had is no confirmation, and of twins only
		   the bodies can say which is which */
		if ((ret == 1 && !mail->has_twin &&
		     !match_mail_idx(match, MATCH_SIDE_IMAP,
				     pair->imap)->has_twin) ||
		    (ret == -1 && !mail->header_asked &&
		     !(match->order_is_doubtful && pair->size_repeats)))
			match_pair_add(match, pair->pop3, pair->imap,
				       UIDL_MATCH_ALIGNED);
	}
}

static void drop_run(struct uidl_match *match, unsigned int first,
		     unsigned int last)
{
	for (unsigned int i = first; i <= last; i++) {
		struct match_pair *pair =
			array_idx_modifiable(&match->candidates, i);

		pair->pop3 = pair->imap = UIDL_MATCH_NO_IDX;
	}
}

struct align_header {
	uint64_t sum[2];
	uoff_t size;
	uint32_t idx;
};

static int align_header_cmp(const struct align_header *a,
			    const struct align_header *b)
{
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	for (unsigned int i = 0; i < 2; i++) {
		if (a->sum[i] != b->sum[i])
			return a->sum[i] < b->sum[i] ? -1 : 1;
	}
	return 0;
}

/* Mark mails that share header and size with another one whose header is
   known. */
static void mark_twins(struct uidl_match *match, enum match_side side)
{
	ARRAY(struct align_header) headers;
	const struct align_header *h;
	struct match_mail *mails;
	unsigned int i, count;

	i_array_init(&headers, 64);
	mails = array_get_modifiable(&match->mails[side], &count);
	for (i = 0; i < count; i++) {
		struct align_header header = {
			.size = mails[i].size, .idx = i
		};

		if (mails[i].header == NULL)
			continue;
		memcpy(header.sum, mails[i].header->all, sizeof(header.sum));
		array_push_back(&headers, &header);
	}
	array_sort(&headers, align_header_cmp);
	h = array_get(&headers, &count);
	for (i = 1; i < count; i++) {
		if (align_header_cmp(&h[i-1], &h[i]) == 0)
			mails[h[i-1].idx].has_twin = mails[h[i].idx].has_twin = TRUE;
	}
	array_free(&headers);
}

/* TRUE if a mail within a run is another one than its size and place say. Ends
   of runs are so wherever mails are missing. */
static bool has_refuted_inside(struct uidl_match *match)
{
	const struct match_pair *pairs;
	unsigned int i, count;

	pairs = array_get(&match->candidates, &count);
	for (i = 1; i + 1 < count; i++) {
		if (pairs[i-1].pop3 != UIDL_MATCH_NO_IDX &&
		    pairs[i].pop3 != UIDL_MATCH_NO_IDX &&
		    pairs[i+1].pop3 != UIDL_MATCH_NO_IDX &&
		    match_confirm(match, pairs[i].pop3, pairs[i].imap) == 0)
			return TRUE;
	}
	return FALSE;
}

bool match_align_judge(struct uidl_match *match)
{
	const struct match_pair *pairs;
	unsigned int i, first, last, end, count;
	uint32_t idx;

	if (has_refuted_inside(match))
		match->order_is_doubtful = TRUE;
	mark_twins(match, MATCH_SIDE_POP3);
	mark_twins(match, MATCH_SIDE_IMAP);
	array_clear(&match->sample);
	match->align_rounds++;
	pairs = array_get(&match->candidates, &count);
	for (i = 0; i < count; i = end + 1) {
		end = i;
		while (pairs[end].pop3 != UIDL_MATCH_NO_IDX)
			end++;
		if (end == i)
			continue;
		first = i;
		last = end - 1;
		switch (judge_run(match, &first, &last)) {
		case RUN_HOLDS:
			pair_run(match, first, last);
			break;
		case RUN_REFUTED:
			break;
		case RUN_SHRANK:
			if (match->align_rounds == ALIGN_MAX_ROUNDS)
				break;
			/* ask for the new ends and come back */
			if (first > i)
				drop_run(match, i, first - 1);
			if (last + 1 < end)
				drop_run(match, last + 1, end - 1);
			idx = first;
			array_push_back(&match->sample, &idx);
			idx = last;
			array_push_back(&match->sample, &idx);
			continue;
		}
		drop_run(match, i, end - 1);
	}
	match_align_want_sample(match);
	return array_count(&match->sample) > 0;
}
