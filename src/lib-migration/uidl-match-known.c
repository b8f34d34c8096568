/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "sort.h"
#include "uidl-format.h"
#include "uidl-match-private.h"

/* Mails by which a format is judged. */
#define FORMAT_SAMPLE_COUNT 8
/* The same where sizes cannot contradict. */
#define FORMAT_SAMPLE_COUNT_NO_SIZES 16
/* A format that explains fewer UIDLs must explain all. */
#define FORMAT_MIN_UIDLS 4

struct uidl_idx {
	const char *uidl;
	uint32_t idx;
};

static bool sizes_known(const struct match_mail *a, const struct match_mail *b)
{
	return a->size != UOFF_T_MAX && b->size != UOFF_T_MAX;
}

static bool sizes_equal(const struct match_mail *a, const struct match_mail *b)
{
	return sizes_known(a, b) && a->size == b->size;
}

/* Pair the candidates, only those of equal size if sizes mean something here.
   The others are left to better evidence. */
static void
pair_candidates(struct uidl_match *match, bool sizes_agree,
		enum uidl_match_evidence evidence)
{
	const struct match_pair *pair;

	array_foreach(&match->candidates, pair) {
		const struct match_mail *pop3_mail =
			match_mail_idx(match, MATCH_SIDE_POP3, pair->pop3);
		const struct match_mail *imap_mail =
			match_mail_idx(match, MATCH_SIDE_IMAP, pair->imap);

		if (match_mail_is_free(pop3_mail) &&
		    match_mail_is_free(imap_mail) &&
		    (!sizes_agree || sizes_equal(pop3_mail, imap_mail) ||
		     match_confirm(match, pair->pop3, pair->imap) == 1)) {
			match_pair_add(match, pair->pop3, pair->imap, evidence);
		}
	}
}

unsigned int match_count_equal_sizes(struct uidl_match *match)
{
	const struct match_pair *pair;
	unsigned int equal = 0;

	array_foreach(&match->candidates, pair) {
		if (sizes_equal(match_mail_idx(match, MATCH_SIDE_POP3, pair->pop3),
				match_mail_idx(match, MATCH_SIDE_IMAP, pair->imap)))
			equal++;
	}
	return equal;
}

/* --- samples of the candidates --- */

static void take_sample(struct uidl_match *match, unsigned int count)
{
	uint32_t idx;

	array_clear(&match->sample);
	match_sample_evenly(&match->sample, array_count(&match->candidates),
			    count);
	array_foreach_elem(&match->sample, idx) {
		const struct match_pair *pair =
			array_idx(&match->candidates, idx);

		match_want_pair_headers(match, pair->pop3, pair->imap);
	}
}

static void judge_sample(struct uidl_match *match, unsigned int *confirmed_r,
			 unsigned int *refuted_r)
{
	uint32_t idx;

	*confirmed_r = *refuted_r = 0;
	array_foreach_elem(&match->sample, idx) {
		const struct match_pair *pair =
			array_idx(&match->candidates, idx);

		switch (match_confirm(match, pair->pop3, pair->imap)) {
		case 0:
			*refuted_r += 1;
			break;
		case 1:
			*confirmed_r += 1;
			break;
		}
	}
}

/* --- pairs of earlier runs --- */

static int uidl_idx_cmp(const struct uidl_idx *a, const struct uidl_idx *b)
{
	int ret = strcmp(a->uidl, b->uidl);

	if (ret != 0)
		return ret;
	return a->idx < b->idx ? -1 : (a->idx > b->idx ? 1 : 0);
}

static void
sort_uidls(struct uidl_match *match, struct uidl_idx **uidls_r)
{
	unsigned int count = array_count(&match->uidls);

	*uidls_r = i_new(struct uidl_idx, I_MAX(count, 1));
	for (unsigned int i = 0; i < count; i++) {
		(*uidls_r)[i].uidl = array_idx_elem(&match->uidls, i);
		(*uidls_r)[i].idx = i;
	}
	i_qsort(*uidls_r, count, sizeof(**uidls_r), uidl_idx_cmp);
}

/* The first index in sorted uidls with this UIDL, or count. */
static unsigned int
find_uidl(const struct uidl_idx *uidls, unsigned int count, const char *uidl)
{
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (strcmp(uidls[mid].uidl, uidl) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low < count && strcmp(uidls[low].uidl, uidl) == 0 ? low : count;
}

static void known_pair(struct uidl_match *match, bool sizes_agree)
{
	pair_candidates(match, sizes_agree, UIDL_MATCH_KNOWN);
	array_clear(&match->candidates);
}

void match_known(struct uidl_match *match)
{
	const struct match_imap_info *infos;
	struct uidl_idx *uidls;
	bool *taken;
	unsigned int i, n, infos_count, count = array_count(&match->uidls);

	array_clear(&match->candidates);
	infos = array_get(&match->imap_infos, &infos_count);
	sort_uidls(match, &uidls);
	taken = i_new(bool, I_MAX(count, 1));
	for (i = 0; i < infos_count; i++) {
		struct match_pair pair = { .imap = i };

		if (infos[i].known_uidl == NULL)
			continue;
		/* a server that repeats UIDLs repeats them in order */
		n = find_uidl(uidls, count, infos[i].known_uidl);
		while (n < count && taken[n] &&
		       strcmp(uidls[n].uidl, infos[i].known_uidl) == 0)
			n++;
		if (n == count || strcmp(uidls[n].uidl, infos[i].known_uidl) != 0)
			continue;
		taken[n] = TRUE;
		pair.pop3 = uidls[n].idx;
		array_push_back(&match->candidates, &pair);
	}
	i_free(taken);
	i_free(uidls);
	if (!match->set.skip_sizes &&
	    match_count_equal_sizes(match) * 2 > array_count(&match->candidates))
		known_pair(match, TRUE);
	else
		take_sample(match, FORMAT_SAMPLE_COUNT);
}

/* Sizes say nothing here, so headers must. message-number-uidl: a server whose UIDLs are message
   numbers gives them to other mails as soon as one is deleted. */
void match_known_judge(struct uidl_match *match)
{
	unsigned int confirmed, refuted;

	if (array_count(&match->candidates) == 0)
		return;
	judge_sample(match, &confirmed, &refuted);
	if (refuted == 0)
		known_pair(match, FALSE);
}

/* --- formats --- */

/* The first IMAP index whose (mailbox, UID) is not below the given one. */
static unsigned int
imap_lower_bound(struct uidl_match *match, uint32_t mailbox, uint32_t uid)
{
	const struct match_imap_info *infos;
	unsigned int low = 0, high;

	infos = array_get(&match->imap_infos, &high);
	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (infos[mid].mailbox < mailbox ||
		    (infos[mid].mailbox == mailbox && infos[mid].uid < uid))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Find the one free mail that the UIDL names. Folders that were created in the
   same second share their UIDVALIDITY: then a UIDL may name several mails and
   therefore none. */
static uint32_t
find_by_uid(struct uidl_match *match, const struct uidl_format *format,
	    const struct uidl_format_value *value)
{
	const struct match_imap_info *info;
	uint32_t found = UIDL_MATCH_NO_IDX;
	unsigned int i, idx, count = array_count(&match->uidvalidities);

	/* without UIDVALIDITY only the INBOX can be meant */
	if (!uidl_format_has_uidvalidity(format))
		count = I_MIN(count, 1);
	for (i = 0; i < count; i++) {
		if (uidl_format_has_uidvalidity(format) &&
		    *array_idx(&match->uidvalidities, i) !=
		    value->uidvalidity)
			continue;
		idx = imap_lower_bound(match, i, value->uid);
		if (idx == array_count(&match->imap_infos))
			continue;
		info = array_idx(&match->imap_infos, idx);
		if (info->mailbox != i || info->uid != value->uid)
			continue;
		if (found != UIDL_MATCH_NO_IDX)
			return UIDL_MATCH_NO_IDX;
		found = idx;
	}
	return found;
}

struct gmail_idx {
	uint64_t msgid;
	uint32_t idx;
};

static int gmail_idx_cmp(const struct gmail_idx *a, const struct gmail_idx *b)
{
	if (a->msgid != b->msgid)
		return a->msgid < b->msgid ? -1 : 1;
	return a->idx < b->idx ? -1 : (a->idx > b->idx ? 1 : 0);
}

/* IMAP mails by X-GM-MSGID. The first of several copies is the INBOX's. */
static struct gmail_idx *
sort_gmail_msgids(struct uidl_match *match, unsigned int *count_r)
{
	const struct match_imap_info *infos;
	struct gmail_idx *msgids;
	unsigned int i, count, used = 0;

	infos = array_get(&match->imap_infos, &count);
	msgids = i_new(struct gmail_idx, I_MAX(count, 1));
	for (i = 0; i < count; i++) {
		if (infos[i].gmail_msgid == 0)
			continue;
		msgids[used].msgid = infos[i].gmail_msgid;
		msgids[used].idx = i;
		used++;
	}
	i_qsort(msgids, used, sizeof(*msgids), gmail_idx_cmp);
	*count_r = used;
	return msgids;
}

static uint32_t
find_by_msgid(const struct gmail_idx *msgids, unsigned int count,
	      uint64_t msgid)
{
	unsigned int low = 0, high = count;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (msgids[mid].msgid < msgid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < count && msgids[low].msgid == msgid ?
		msgids[low].idx : UIDL_MATCH_NO_IDX;
}

/* Collect the pairs that the format makes. Returns the number of free POP3
   mails that were looked at. */
static unsigned int
format_candidates(struct uidl_match *match, const struct uidl_format *format)
{
	struct uidl_format_value value;
	struct gmail_idx *msgids = NULL;
	struct match_pair pair;
	unsigned int i, count, msgids_count = 0, free_count = 0;
	bool gmail = uidl_format_has_gmail_msgid(format);

	i_zero(&pair);
	array_clear(&match->candidates);
	if (gmail)
		msgids = sort_gmail_msgids(match, &msgids_count);
	count = array_count(&match->uidls);
	for (i = 0; i < count; i++) {
		if (!match_mail_is_free(match_mail_idx(match, MATCH_SIDE_POP3, i)))
			continue;
		free_count++;
		if (!uidl_format_parse(format, array_idx_elem(&match->uidls, i),
				       &value))
			continue;
		pair.pop3 = i;
		pair.imap = gmail ?
			find_by_msgid(msgids, msgids_count, value.gmail_msgid) :
			find_by_uid(match, format, &value);
		if (pair.imap != UIDL_MATCH_NO_IDX &&
		    match_mail_is_free(match_mail_idx(match, MATCH_SIDE_IMAP,
						      pair.imap)))
			array_push_back(&match->candidates, &pair);
	}
	i_free(msgids);
	return free_count;
}

/* A bare number may be any counter, which agreed with the UIDs only until the
   first mail was deleted: sizes must leave no doubt. */
static bool
format_sizes_suffice(const struct uidl_format *format, unsigned int equal,
		     unsigned int count)
{
	if (uidl_format_has_uidvalidity(format) ||
	    uidl_format_has_gmail_msgid(format))
		return TRUE;
	return (uint64_t)equal * 100 >= (uint64_t)count * 95;
}

bool match_format_is_worth(unsigned int uidls, unsigned int all)
{
	return uidls > 0 && (uidls >= FORMAT_MIN_UIDLS || uidls == all);
}

void match_format_try(struct uidl_match *match,
		      const struct uidl_format *format, bool sizes_agree)
{
	match->tried_format = format;
	match->tried_format_sizes_agree = sizes_agree;
	take_sample(match, sizes_agree ? FORMAT_SAMPLE_COUNT :
		    FORMAT_SAMPLE_COUNT_NO_SIZES);
}

bool match_format_propose(struct uidl_match *match)
{
	const struct uidl_format *format;
	unsigned int free_count, count, equal;

	while (uidl_formats[match->next_format].name != NULL) {
		format = &uidl_formats[match->next_format++];
		free_count = format_candidates(match, format);
		count = array_count(&match->candidates);
		if (!match_format_is_worth(count, free_count))
			continue;
		equal = match->set.skip_sizes ? 0 :
			match_count_equal_sizes(match);
		if (!format_sizes_suffice(format, equal, count))
			continue;
		match_format_try(match, format, equal * 2 > count);
		return TRUE;
	}
	return FALSE;
}

void match_format_judge(struct uidl_match *match)
{
	unsigned int confirmed, refuted;

	judge_sample(match, &confirmed, &refuted);
	/* without TOP nothing can be confirmed: then equal sizes must do */
	if (refuted > 0 ||
	    (confirmed == 0 && !(match->set.no_top &&
				 match->tried_format_sizes_agree)))
		return;
	pair_candidates(match, match->tried_format_sizes_agree,
			UIDL_MATCH_FORMAT);
	if (match->result.format == NULL) {
		match->result.format = match->tried_format;
		match->result.format_sample = confirmed;
	}
}
