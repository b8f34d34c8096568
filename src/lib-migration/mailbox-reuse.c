/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "mailbox-reuse.h"

/* Mails that are alike, on both sides. */
struct reuse_group {
	const struct reuse_mail *here, *there;
	unsigned int here_count, there_count;
};

typedef void reuse_group_func_t(const struct reuse_group *group, void *context);

static int uid_cmp(const struct reuse_mail *a, const struct reuse_mail *b)
{
	return a->uid < b->uid ? -1 : a->uid > b->uid ? 1 : 0;
}

static bool has_header(const struct reuse_mail *mail)
{
	return (mail->header[0] | mail->header[1]) != 0;
}

static int alike_cmp(const struct reuse_mail *a, const struct reuse_mail *b)
{
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return memcmp(a->header, b->header, sizeof(a->header));
}

static int mail_cmp(const struct reuse_mail *a, const struct reuse_mail *b)
{
	int ret = alike_cmp(a, b);

	return ret != 0 ? ret : uid_cmp(a, b);
}

void mailbox_reuse_sort_by_uid(ARRAY_TYPE(reuse_mail) *mails)
{
	array_sort(mails, uid_cmp);
}

struct reuse_mail *
mailbox_reuse_find(ARRAY_TYPE(reuse_mail) *mails, uint32_t uid)
{
	const struct reuse_mail key = { .uid = uid };
	unsigned int idx;

	return array_bsearch_insert_pos(mails, &key, uid_cmp, &idx) ?
		array_idx_modifiable(mails, idx) : NULL;
}

void mailbox_reuse_sort(ARRAY_TYPE(reuse_mail) *mails)
{
	array_sort(mails, mail_cmp);
}

static unsigned int
count_alike(const struct reuse_mail *mails, unsigned int count)
{
	unsigned int i;

	for (i = 1; i < count && alike_cmp(&mails[0], &mails[i]) == 0; i++) ;
	return i;
}

/* Calls back for each group of mails that are here. */
static void
foreach_group(const ARRAY_TYPE(reuse_mail) *here,
	      const ARRAY_TYPE(reuse_mail) *there,
	      reuse_group_func_t *callback, void *context)
{
	unsigned int i, j = 0, here_count, there_count;
	const struct reuse_mail *a = array_get(here, &here_count);
	const struct reuse_mail *b = array_get(there, &there_count);
	struct reuse_group group;

	for (i = 0; i < here_count; i += group.here_count) {
		i_zero(&group);
		group.here = &a[i];
		group.here_count = count_alike(&a[i], here_count - i);
		while (j < there_count && alike_cmp(&b[j], &a[i]) < 0)
			j++;
		if (j < there_count && alike_cmp(&b[j], &a[i]) == 0 &&
		    has_header(&a[i])) {
			group.there = &b[j];
			group.there_count = count_alike(&b[j], there_count - j);
		}
		callback(&group, context);
	}
}

static void count_group(const struct reuse_group *group, void *context)
{
	unsigned int *count = context;

	if (group->there_count == 0)
		*count += group->here_count;
}

unsigned int
mailbox_reuse_count_only_in_first(const ARRAY_TYPE(reuse_mail) *first,
				  const ARRAY_TYPE(reuse_mail) *second)
{
	unsigned int count = 0;

	foreach_group(first, second, count_group, &count);
	return count;
}

static bool group_can_pair(const struct reuse_group *group)
{
	return group->there_count > 0 && group->here[0].telling &&
		group->there_count <= group->here_count;
}

static void doubtful_group(const struct reuse_group *group, void *context)
{
	ARRAY_TYPE(seq_range) *uids = context;
	unsigned int i;

	if (group->here_count == 1 || !group_can_pair(group))
		return;
	for (i = 0; i < group->here_count; i++)
		seq_range_array_add(uids, group->here[i].uid);
}

void mailbox_reuse_doubtful(const ARRAY_TYPE(reuse_mail) *here,
			    const ARRAY_TYPE(reuse_mail) *there,
			    ARRAY_TYPE(seq_range) *uids)
{
	foreach_group(here, there, doubtful_group, uids);
}

static bool group_has_one_text(const struct reuse_group *group)
{
	unsigned int i;

	for (i = 0; i < group->here_count && group->here_count > 1; i++) {
		if (!group->here[i].have_text ||
		    memcmp(&group->here[i].text, &group->here[0].text,
			   sizeof(group->here[0].text)) != 0)
			return FALSE;
	}
	return TRUE;
}

static void pair_group(const struct reuse_group *group, void *context)
{
	ARRAY_TYPE(reuse_pair) *pairs = context;
	struct reuse_pair *pair;
	unsigned int i;

	if (!group_can_pair(group) || !group_has_one_text(group))
		return;
	for (i = 0; i < group->there_count; i++) {
		pair = array_append_space(pairs);
		pair->here_uid = group->here[i].uid;
		pair->there_uid = group->there[i].uid;
	}
}

static int pair_cmp(const struct reuse_pair *a, const struct reuse_pair *b)
{
	return a->there_uid < b->there_uid ? -1 :
		a->there_uid > b->there_uid ? 1 : 0;
}

void mailbox_reuse_pair(const ARRAY_TYPE(reuse_mail) *here,
			const ARRAY_TYPE(reuse_mail) *there,
			ARRAY_TYPE(reuse_pair) *pairs)
{
	foreach_group(here, there, pair_group, pairs);
	array_sort(pairs, pair_cmp);
}
