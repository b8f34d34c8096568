/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "sort.h"
#include "uidl-match-private.h"

/* Align the two lists by size and order, as a diff aligns two texts: sizes that
   are unique on both sides are anchors, the longest rising chain of them holds,
   gaps between them are filled from their ends and then in the same way.

   Why few headers suffice to confirm it. What an alignment can get wrong, and
   what finds it:
   - a whole run of mails lies one off. Such a run has equal sizes by accident;
     runs whose sizes say too little are not proposed at all.
   - a run goes on by accident beyond its true end. Both ends of each run are
     always confirmed.
   - two mails of equal size changed places. If any mail is out of order, all
     mails whose size is not unique are confirmed. If none is, neighbours of
     equal size are confirmed, and the others if they are few or frequent; else
     the most frequent sizes are looked at. If one is found, no mail of a size
     that is not unique is believed without its header.
   - one of two neighbours is missing here, the other one there, and both have
     the same size. If the lists differ at all and equal sizes are not rare,
     everything is confirmed. */

/* Headers that an unchanged maildrop may cost. */
#define ALIGN_SAMPLE_COUNT 20
/* A run of equal sizes must be this unlikely to be an accident, in bits. */
#define ALIGN_RUN_MIN_BITS 40
/* Of which so many are spread evenly, over the mails whose size is not unique
   if there are more than can be confirmed, and over all. */
#define ALIGN_SPREAD_COUNT 8
/* Two random mails have equal size more often than once in this many cases:
   then order proves little. More is demanded where the lists differ. */
#define ALIGN_EQUAL_SIZES_RARE 200
#define ALIGN_EQUAL_SIZES_RARE_IF_CHANGED 5000
#define ALIGN_MAX_DEPTH 24

struct align_mail {
	uoff_t size;
	/* index in the matcher's list */
	uint32_t idx;
	/* how many free mails of this side have this size */
	uint32_t same;
	/* POP3 side: position of the partner on the IMAP side */
	uint32_t partner;
};

struct align {
	struct align_mail *mails[2];
	unsigned int count[2];
	/* unique sizes that are out of order */
	unsigned int moved;
};

struct size_pos {
	uoff_t size;
	uint32_t pos;
};

static int size_pos_cmp(const struct size_pos *a, const struct size_pos *b)
{
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return a->pos < b->pos ? -1 : (a->pos > b->pos ? 1 : 0);
}

static struct size_pos *
sort_sizes(const struct align_mail *mails, uint32_t low, uint32_t high)
{
	struct size_pos *sizes = i_new(struct size_pos, I_MAX(high - low, 1));

	for (uint32_t i = low; i < high; i++) {
		sizes[i - low].size = mails[i].size;
		sizes[i - low].pos = i;
	}
	i_qsort(sizes, high - low, sizeof(*sizes), size_pos_cmp);
	return sizes;
}

static unsigned int
equal_count(const struct size_pos *sizes, unsigned int i, unsigned int count)
{
	unsigned int n = 1;

	while (i + n < count && sizes[i + n].size == sizes[i].size)
		n++;
	return n;
}

static void collect(struct uidl_match *match, struct align *align,
		    enum match_side side)
{
	struct match_mail *mails;
	struct align_mail *dest;
	struct size_pos *sizes;
	unsigned int i, n, j, count;

	mails = array_get_modifiable(&match->mails[side], &count);
	dest = align->mails[side] = i_new(struct align_mail, I_MAX(count, 1));
	for (i = 0; i < count; i++) {
		if (!match_mail_is_free(&mails[i]) ||
		    mails[i].size == UOFF_T_MAX)
			continue;
		dest->idx = i;
		dest->size = mails[i].size;
		dest->partner = UIDL_MATCH_NO_IDX;
		dest++;
	}
	count = align->count[side] = dest - align->mails[side];
	dest = align->mails[side];

	sizes = sort_sizes(dest, 0, count);
	for (i = 0; i < count; i += n) {
		n = equal_count(sizes, i, count);
		for (j = 0; j < n; j++)
			dest[sizes[i + j].pos].same = n;
	}
	i_free(sizes);
}

/* Anchors in POP3 order: sizes that occur once on each side of the range. */
static void
find_anchors(struct align *align, uint32_t plow, uint32_t phigh,
	     uint32_t ilow, uint32_t ihigh, ARRAY_TYPE(match_pair) *anchors)
{
	struct size_pos *psizes, *isizes;
	unsigned int pi = 0, ii = 0, pn, in;
	unsigned int pcount = phigh - plow, icount = ihigh - ilow;
	uint32_t *partners;

	psizes = sort_sizes(align->mails[MATCH_SIDE_POP3], plow, phigh);
	isizes = sort_sizes(align->mails[MATCH_SIDE_IMAP], ilow, ihigh);
	partners = i_new(uint32_t, I_MAX(pcount, 1));
	memset(partners, 0xff, sizeof(*partners) * pcount);
	while (pi < pcount && ii < icount) {
		if (psizes[pi].size < isizes[ii].size) {
			pi += equal_count(psizes, pi, pcount);
		} else if (psizes[pi].size > isizes[ii].size) {
			ii += equal_count(isizes, ii, icount);
		} else {
			pn = equal_count(psizes, pi, pcount);
			in = equal_count(isizes, ii, icount);
			if (pn == 1 && in == 1)
				partners[psizes[pi].pos - plow] = isizes[ii].pos;
			pi += pn;
			ii += in;
		}
	}
	for (pi = 0; pi < pcount; pi++) {
		if (partners[pi] != UIDL_MATCH_NO_IDX) {
			struct match_pair pair = {
				.pop3 = plow + pi, .imap = partners[pi]
			};
			array_push_back(anchors, &pair);
		}
	}
	i_free(partners);
	i_free(psizes);
	i_free(isizes);
}

/* Keep the longest chain of anchors that rises on both sides. Returns how many
   were dropped. */
static unsigned int keep_rising(ARRAY_TYPE(match_pair) *anchors)
{
	struct match_pair *pairs;
	unsigned int i, count, length = 0;
	uint32_t *tails, *previous, at;

	pairs = array_get_modifiable(anchors, &count);
	if (count == 0)
		return 0;
	tails = i_new(uint32_t, count);
	previous = i_new(uint32_t, count);
	for (i = 0; i < count; i++) {
		unsigned int low = 0, high = length;

		while (low < high) {
			unsigned int mid = (low + high) / 2;

			if (pairs[tails[mid]].imap < pairs[i].imap)
				low = mid + 1;
			else
				high = mid;
		}
		previous[i] = low == 0 ? UIDL_MATCH_NO_IDX : tails[low-1];
		tails[low] = i;
		if (low == length)
			length++;
	}
	/* walk the chain back and put it to the array's end, then move it */
	at = tails[length-1];
	for (i = length; i > 0; i--) {
		uint32_t next = previous[at];

		tails[i-1] = at;
		at = next;
	}
	for (i = 0; i < length; i++)
		pairs[i] = pairs[tails[i]];
	array_delete(anchors, length, count - length);
	i_free(tails);
	i_free(previous);
	return count - length;
}

static void set_partner(struct align *align, uint32_t ppos, uint32_t ipos)
{
	align->mails[MATCH_SIDE_POP3][ppos].partner = ipos;
}

static void
align_range(struct align *align, uint32_t plow, uint32_t phigh,
	    uint32_t ilow, uint32_t ihigh, unsigned int depth)
{
	const struct align_mail *pmails = align->mails[MATCH_SIDE_POP3];
	const struct align_mail *imails = align->mails[MATCH_SIDE_IMAP];
	ARRAY_TYPE(match_pair) anchors;
	const struct match_pair *pair;
	unsigned int dropped;

	while (plow < phigh && ilow < ihigh &&
	       pmails[plow].size == imails[ilow].size)
		set_partner(align, plow++, ilow++);
	while (plow < phigh && ilow < ihigh &&
	       pmails[phigh-1].size == imails[ihigh-1].size)
		set_partner(align, --phigh, --ihigh);
	if (plow == phigh || ilow == ihigh || depth == ALIGN_MAX_DEPTH)
		return;

	i_array_init(&anchors, 64);
	find_anchors(align, plow, phigh, ilow, ihigh, &anchors);
	dropped = keep_rising(&anchors);
	align->moved += dropped;
	if (array_count(&anchors) > 0) {
		array_foreach(&anchors, pair) {
			align_range(align, plow, pair->pop3, ilow, pair->imap,
				    depth + 1);
			set_partner(align, pair->pop3, pair->imap);
			plow = pair->pop3 + 1;
			ilow = pair->imap + 1;
		}
		align_range(align, plow, phigh, ilow, ihigh, depth + 1);
	}
	array_free(&anchors);
}

/* Exchange may list the newest mail first. */
static bool is_reversed(struct align *align)
{
	ARRAY_TYPE(match_pair) anchors, reversed;
	const struct match_pair *pair;
	bool ret;

	i_array_init(&anchors, 64);
	i_array_init(&reversed, 64);
	find_anchors(align, 0, align->count[MATCH_SIDE_POP3],
		     0, align->count[MATCH_SIDE_IMAP], &anchors);
	array_foreach(&anchors, pair) {
		struct match_pair rpair = {
			.pop3 = pair->pop3,
			.imap = align->count[MATCH_SIDE_IMAP] - 1 - pair->imap
		};
		array_push_back(&reversed, &rpair);
	}
	(void)keep_rising(&anchors);
	(void)keep_rising(&reversed);
	ret = array_count(&reversed) > array_count(&anchors);
	array_free(&anchors);
	array_free(&reversed);
	return ret;
}

static void reverse(struct align_mail *mails, unsigned int count)
{
	for (unsigned int i = 0; i < count / 2; i++) {
		struct align_mail tmp = mails[i];

		mails[i] = mails[count - 1 - i];
		mails[count - 1 - i] = tmp;
	}
}

/* Whole bits that say how unlikely it is that a mail of this size is here by
   accident. */
static unsigned int size_bits(const struct align *align, uint32_t ppos)
{
	const struct align_mail *pmail = &align->mails[MATCH_SIDE_POP3][ppos];
	unsigned int same = I_MAX(pmail->same,
		align->mails[MATCH_SIDE_IMAP][pmail->partner].same);
	unsigned int total = I_MAX(align->count[MATCH_SIDE_POP3],
				   align->count[MATCH_SIDE_IMAP]);

	return bits_required32(total / same) - 1;
}

static bool is_unique(const struct align *align, uint32_t ppos)
{
	const struct align_mail *pmail = &align->mails[MATCH_SIDE_POP3][ppos];

	return pmail->same == 1 &&
		align->mails[MATCH_SIDE_IMAP][pmail->partner].same == 1;
}

/* TRUE if the mail and the next one are paired, next to each other on both
   sides. */
static bool run_goes_on(const struct align *align, uint32_t ppos)
{
	const struct align_mail *pmails = align->mails[MATCH_SIDE_POP3];

	return ppos + 1 < align->count[MATCH_SIDE_POP3] &&
		pmails[ppos].partner != UIDL_MATCH_NO_IDX &&
		pmails[ppos + 1].partner == pmails[ppos].partner + 1;
}

static bool
equal_sizes_are_frequent(const struct align *align, unsigned int rare)
{
	for (unsigned int side = 0; side < 2; side++) {
		uint64_t equal_pairs = 0, n = align->count[side];

		for (unsigned int i = 0; i < n; i++)
			equal_pairs += align->mails[side][i].same - 1;
		if (n > 1 && equal_pairs * rare > n * (n - 1))
			return TRUE;
	}
	return FALSE;
}

/* Put the pairs of all runs that say enough into match->candidates. A run ends
   with a pair of UIDL_MATCH_NO_IDX. Positions are those of the POP3 list. */
static void
collect_runs(struct uidl_match *match, const struct align *align,
	     ARRAY_TYPE(uint32_t) *positions)
{
	const struct align_mail *pmails = align->mails[MATCH_SIDE_POP3];
	const struct align_mail *imails = align->mails[MATCH_SIDE_IMAP];
	const struct match_pair end = {
		.pop3 = UIDL_MATCH_NO_IDX, .imap = UIDL_MATCH_NO_IDX
	};
	const uint32_t end_position = UIDL_MATCH_NO_IDX;
	uint32_t ppos, first;
	unsigned int bits;

	for (ppos = 0; ppos < align->count[MATCH_SIDE_POP3]; ppos++) {
		if (pmails[ppos].partner == UIDL_MATCH_NO_IDX)
			continue;
		first = ppos;
		bits = size_bits(align, ppos);
		while (run_goes_on(align, ppos))
			bits += size_bits(align, ++ppos);
		if (bits < ALIGN_RUN_MIN_BITS)
			continue;
		for (uint32_t p = first; p <= ppos; p++) {
			struct match_pair pair = {
				.pop3 = pmails[p].idx,
				.imap = imails[pmails[p].partner].idx,
				.size_repeats = !is_unique(align, p)
			};

			array_push_back(&match->candidates, &pair);
			array_push_back(positions, &p);
		}
		array_push_back(&match->candidates, &end);
		array_push_back(positions, &end_position);
	}
}

/* Nothing is missing anywhere: one run covers both lists. */
static bool lists_are_equal(const struct align *align, unsigned int candidates)
{
	return align->count[MATCH_SIDE_POP3] == align->count[MATCH_SIDE_IMAP] &&
		candidates == align->count[MATCH_SIDE_POP3] + 1;
}

struct size_candidate {
	uint32_t same, candidate;
	uoff_t size;
};

/* The most frequent size first. */
static int
size_candidate_cmp(const struct size_candidate *a,
		   const struct size_candidate *b)
{
	if (a->same != b->same)
		return a->same > b->same ? -1 : 1;
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return a->candidate < b->candidate ? -1 :
		(a->candidate > b->candidate ? 1 : 0);
}

/* Add the first and the last mail of the most frequent sizes. Whoever mixes
   mails of one size hardly leaves both where they were. */
static void
sample_frequent(struct uidl_match *match, const struct align *align,
		const uint32_t *positions,
		const ARRAY_TYPE(uint32_t) *not_unique, unsigned int count)
{
	const struct align_mail *pmails = align->mails[MATCH_SIDE_POP3];
	ARRAY(struct size_candidate) sorted;
	struct size_candidate *sc;
	unsigned int i, n, total;
	uint32_t idx;

	i_array_init(&sorted, array_count(not_unique) + 1);
	array_foreach_elem(not_unique, idx) {
		sc = array_append_space(&sorted);
		sc->candidate = idx;
		sc->same = pmails[positions[idx]].same;
		sc->size = pmails[positions[idx]].size;
	}
	array_sort(&sorted, size_candidate_cmp);
	sc = array_get_modifiable(&sorted, &total);
	for (i = 0; i < total && count > 1; i += n, count -= 2) {
		for (n = 1; i + n < total && sc[i + n].size == sc[i].size; n++) ;
		array_push_back(&match->sample, &sc[i].candidate);
		array_push_back(&match->sample, &sc[i + n - 1].candidate);
	}
	array_free(&sorted);
}

/* What is left of the sample is spread, half of it over the mails whose size is
   not unique. */
static void
sample_spread(struct uidl_match *match, const ARRAY_TYPE(uint32_t) *not_unique)
{
	ARRAY_TYPE(uint32_t) picks;
	unsigned int count = array_count(&match->sample);
	uint32_t idx;

	if (count >= ALIGN_SAMPLE_COUNT)
		return;
	i_array_init(&picks, ALIGN_SAMPLE_COUNT);
	match_sample_evenly(&picks, array_count(not_unique),
			    (ALIGN_SAMPLE_COUNT - count) / 2);
	array_foreach_elem(&picks, idx) {
		idx = *array_idx(not_unique, idx);
		array_push_back(&match->sample, &idx);
	}
	array_free(&picks);
	match_sample_evenly(&match->sample, array_count(&match->candidates),
			    ALIGN_SAMPLE_COUNT - array_count(&match->sample));
}

/* Choose what must be confirmed, as indexes into match->candidates. */
static void
choose_sample(struct uidl_match *match, const struct align *align,
	      const ARRAY_TYPE(uint32_t) *positions)
{
	const struct align_mail *pmails = align->mails[MATCH_SIDE_POP3];
	ARRAY_TYPE(uint32_t) not_unique;
	const uint32_t *pos;
	unsigned int i, count;
	bool equal_lists, confirm_all, confirm_not_unique;

	pos = array_get(positions, &count);
	equal_lists = lists_are_equal(align, count);
	confirm_all = !equal_lists &&
		equal_sizes_are_frequent(align, ALIGN_EQUAL_SIZES_RARE_IF_CHANGED);
	confirm_not_unique = align->moved > 0 ||
		equal_sizes_are_frequent(align, ALIGN_EQUAL_SIZES_RARE);

	i_array_init(&not_unique, 64);
	for (i = 0; i < count; i++) {
		uint32_t p = pos[i];
		bool first, last;

		if (p == UIDL_MATCH_NO_IDX)
			continue;
		first = i == 0 || pos[i-1] == UIDL_MATCH_NO_IDX;
		last = pos[i+1] == UIDL_MATCH_NO_IDX;
		if (first || last || confirm_all ||
		    (p > 0 && pmails[p].size == pmails[p-1].size))
			array_push_back(&match->sample, &i);
		else if (!is_unique(align, p))
			array_push_back(&not_unique, &i);
	}
	count = array_count(&match->sample) + ALIGN_SPREAD_COUNT;
	if (confirm_not_unique ||
	    count + array_count(&not_unique) <= ALIGN_SAMPLE_COUNT) {
		array_append_array(&match->sample, &not_unique);
		array_clear(&not_unique);
	} else if (count < ALIGN_SAMPLE_COUNT) {
		sample_frequent(match, align, pos, &not_unique,
				ALIGN_SAMPLE_COUNT - count);
	}
	sample_spread(match, &not_unique);
	array_free(&not_unique);
	match_uniq(&match->sample);
}

void match_align_want_sample(struct uidl_match *match)
{
	uint32_t idx;

	array_foreach_elem(&match->sample, idx) {
		const struct match_pair *pair =
			array_idx(&match->candidates, idx);

		if (pair->pop3 != UIDL_MATCH_NO_IDX)
			match_want_pair_headers(match, pair->pop3, pair->imap);
	}
}

bool match_align_propose(struct uidl_match *match)
{
	struct align align;
	ARRAY_TYPE(uint32_t) positions;

	array_clear(&match->candidates);
	array_clear(&match->sample);
	if (match->set.skip_sizes || match->set.no_top)
		return FALSE;

	i_zero(&align);
	collect(match, &align, MATCH_SIDE_POP3);
	collect(match, &align, MATCH_SIDE_IMAP);
	if (is_reversed(&align)) {
		reverse(align.mails[MATCH_SIDE_IMAP],
			align.count[MATCH_SIDE_IMAP]);
	}
	align_range(&align, 0, align.count[MATCH_SIDE_POP3],
		    0, align.count[MATCH_SIDE_IMAP], 0);
	i_array_init(&positions, 1024);
	collect_runs(match, &align, &positions);
	if (array_count(&match->candidates) > 0) {
		choose_sample(match, &align, &positions);
		match_align_want_sample(match);
	}
	array_free(&positions);
	i_free(align.mails[MATCH_SIDE_POP3]);
	i_free(align.mails[MATCH_SIDE_IMAP]);
	return array_count(&match->candidates) > 0;
}
