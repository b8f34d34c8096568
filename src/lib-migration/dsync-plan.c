/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "seq-range-array.h"
#include "dsync-plan.h"

static const char *const fate_names[] = {
	[DSYNC_PLAN_NOTHING] = "nothing",
	[DSYNC_PLAN_CREATE] = "create",
	[DSYNC_PLAN_UPDATE] = "update",
	[DSYNC_PLAN_REPLACE] = "replace",
	[DSYNC_PLAN_DELETE] = "delete",
	[DSYNC_PLAN_KEEP] = "keep",
	[DSYNC_PLAN_REFUSE] = "refuse",
	[DSYNC_PLAN_SKIP] = "skip",
};
_Static_assert(N_ELEMENTS(fate_names) == DSYNC_PLAN_FATE_COUNT,
	       "each fate has a name");

static const char *const action_names[] = {
	[DSYNC_PLAN_MAIL_COPY] = "copy",
	[DSYNC_PLAN_MAIL_DELETE] = "delete",
	[DSYNC_PLAN_MAIL_UPDATE] = "update",
	[DSYNC_PLAN_MAIL_RENUMBER] = "renumber",
};
_Static_assert(N_ELEMENTS(action_names) == DSYNC_PLAN_ACTION_COUNT,
	       "each action has a name");

const char *dsync_plan_fate_name(enum dsync_plan_fate fate)
{
	i_assert(fate < DSYNC_PLAN_FATE_COUNT);
	return fate_names[fate];
}

const char *dsync_plan_action_name(enum dsync_plan_action action)
{
	i_assert(action < DSYNC_PLAN_ACTION_COUNT);
	return action_names[action];
}

/* A mail that dsync gives a place behind the last common one. */
struct new_mail {
	const struct dsync_plan_mail *source, *dest;
	uint32_t final_uid;
	bool usable, done;
	/* the same mail of the other side, index + 1 */
	unsigned int link;
};

struct planner {
	enum dsync_plan_mode mode;
	bool guids;
	const struct dsync_plan_side *source, *dest;
	pool_t pool;
	struct dsync_plan *plan;

	const struct dsync_plan_mail *dest_mails;
	unsigned int dest_count;

	/* dsync's search through the destination: the present mail (dest_count:
	   none), the first one that it may stop at, and whether it has dealt
	   with the present one */
	unsigned int cur, next;
	bool cur_done, cur_has_partner;

	/* all mails up to here are the same, or on one side only */
	uint32_t last_common_uid;
	bool last_common_found;
	ARRAY_TYPE(seq_range) maybe_expunges;
	ARRAY(const struct dsync_plan_mail *) maybe_saves;
	ARRAY(struct new_mail) new_mails;

	/* the mailbox has to be made again, and why */
	const char *conflict;
};

static void
plan_add(struct planner *p, enum dsync_plan_action action,
	 const struct dsync_plan_mail *mail, uint32_t new_uid,
	 const char *reason)
{
	struct dsync_plan_change *change =
		array_append_space(&p->plan->changes);

	change->action = action;
	change->uid = mail->uid;
	change->new_uid = new_uid;
	change->size = mail->size;
	change->reason = reason;
	p->plan->counts[action]++;
	if (action == DSYNC_PLAN_MAIL_COPY)
		p->plan->copied_bytes += mail->size;
}

/*
 * Flags
 */

static bool keyword_is_in(const char *const *keywords, const char *name)
{
	return keywords != NULL && str_array_icase_find(keywords, name);
}

/* TRUE if what one side has and the other has not changes here. */
static bool
keywords_change(const struct dsync_plan_mail *source,
		const struct dsync_plan_mail *dest, bool merge)
{
	const char *const *name;

	for (name = source->keywords; *name != NULL; name++) {
		if (!keyword_is_in(dest->keywords, *name) &&
		    !(merge && keyword_is_in(dest->keywords_removed, *name)))
			return TRUE;
	}
	for (name = dest->keywords; *name != NULL; name++) {
		if (!keyword_is_in(source->keywords, *name) &&
		    !(merge && keyword_is_in(dest->keywords_added, *name)))
			return TRUE;
	}
	return FALSE;
}

static void
plan_flags(struct planner *p, const struct dsync_plan_mail *source,
	   const struct dsync_plan_mail *dest)
{
	enum mail_flags differ = (source->flags ^ dest->flags) &
		MAIL_FLAGS_NONRECENT;
	enum mail_flags kept;
	bool merge = p->mode == DSYNC_PLAN_SYNC_ONCE;

	if (merge) {
		/* the newer side wins, but not over what was changed here; of
		   two that are as new it is the destination */
		if (dest->modseq >= source->modseq)
			return;
		kept = (dest->flags_added & dest->flags) |
			(dest->flags_removed & (dest->flags ^ MAIL_FLAGS_MASK));
		differ &= ENUM_NEGATE(kept);
	}
	if (differ != 0 || keywords_change(source, dest, merge)) {
		plan_add(p, DSYNC_PLAN_MAIL_UPDATE, dest, dest->uid,
			 "the source has other flags or keywords");
	}
}

/*
 * dsync's walk through the destination
 */

static void planner_rewind(struct planner *p)
{
	p->cur = 0;
	while (p->cur < p->dest_count &&
	       p->dest_mails[p->cur].uid <= p->last_common_uid)
		p->cur++;
	p->next = p->cur;
	p->cur_done = TRUE;
}

/* The next mail from this UID on that was not dealt with. */
static bool planner_next(struct planner *p, uint32_t wanted_uid)
{
	while (p->cur < p->dest_count &&
	       (p->cur < p->next || p->dest_mails[p->cur].uid < wanted_uid)) {
		if (!p->cur_has_partner && !p->last_common_found) {
			seq_range_array_add(&p->maybe_expunges,
					    p->dest_mails[p->cur].uid);
		}
		p->cur_done = FALSE;
		p->cur_has_partner = FALSE;
		p->cur++;
	}
	if (p->cur == p->dest_count)
		return FALSE;
	p->cur_has_partner = p->dest_mails[p->cur].uid == wanted_uid;
	p->next = p->cur;
	return TRUE;
}

static int mail_cmp(const struct dsync_plan_mail *dest,
		    const struct dsync_plan_mail *source)
{
	int ret;

	if (dest == NULL)
		return 1;
	if (source == NULL)
		return -1;
	ret = strcmp(dest->identity, source->identity);
	if (ret != 0)
		return ret;
	return dest->uid < source->uid ? -1 : dest->uid > source->uid ? 1 : 0;
}

/* Two sides of one GUID become one mail. */
static void planner_link(struct planner *p, unsigned int idx)
{
	struct new_mail *mail = array_idx_modifiable(&p->new_mails, idx);
	struct new_mail *other;
	const char *identity;
	unsigned int i;

	if (!p->guids || mail->link != 0)
		return;
	identity = mail->dest != NULL ? mail->dest->identity :
		mail->source->identity;
	for (i = 0; i < idx; i++) {
		other = array_idx_modifiable(&p->new_mails, i);
		if (other->link != 0 ||
		    (other->dest != NULL) == (mail->dest != NULL) ||
		    strcmp(identity, other->dest != NULL ?
			   other->dest->identity : other->source->identity) != 0)
			continue;
		other->link = idx + 1;
		mail->link = i + 1;
		return;
	}
}

/* Gives a place to the present mail of the destination or to the source's,
   whichever comes first. TRUE if it was the source's. */
static bool
planner_place(struct planner *p, const struct dsync_plan_mail *source)
{
	const struct dsync_plan_mail *dest =
		p->cur == p->dest_count ? NULL : &p->dest_mails[p->cur];
	int ret = mail_cmp(dest, source);
	struct new_mail *mail;

	if (ret < 0 && p->mode == DSYNC_PLAN_BACKUP) {
		plan_add(p, DSYNC_PLAN_MAIL_DELETE, dest, 0,
			 "the source does not have it");
		p->cur_done = TRUE;
		p->next++;
		return FALSE;
	}
	mail = array_append_space(&p->new_mails);
	if (ret <= 0) {
		mail->dest = dest;
		mail->final_uid = dest->uid;
		mail->usable = ret == 0 || dest->uid >= p->source->uid_next;
		p->cur_done = TRUE;
		p->next++;
	}
	if (ret >= 0)
		mail->source = source;
	if (ret > 0) {
		mail->final_uid = source->uid;
		mail->usable = source->uid >= p->dest->uid_next;
		if (!mail->usable && p->mode == DSYNC_PLAN_BACKUP)
			p->conflict = "UIDs of new mails are taken here";
	}
	if (ret == 0)
		mail->link = array_count(&p->new_mails);
	planner_link(p, array_count(&p->new_mails) - 1);
	return ret >= 0;
}

static void
planner_save(struct planner *p, const struct dsync_plan_mail *source)
{
	bool placed;

	do {
		if (p->cur_done)
			(void)planner_next(p, 0);
		placed = planner_place(p, source);
	} while (!placed);
}

static void planner_common_found(struct planner *p)
{
	const struct dsync_plan_mail *source;
	unsigned int i;

	p->last_common_found = TRUE;
	if (p->cur == p->dest_count ||
	    p->dest_mails[p->cur].uid > p->last_common_uid + 1)
		planner_rewind(p);
	for (i = 0; i < p->dest_count; i++) {
		if (p->dest_mails[i].uid <= p->last_common_uid &&
		    seq_range_exists(&p->maybe_expunges, p->dest_mails[i].uid)) {
			plan_add(p, DSYNC_PLAN_MAIL_DELETE, &p->dest_mails[i],
				 0, "the source does not have it, but later ones");
		}
	}
	array_foreach_elem(&p->maybe_saves, source) {
		if (source->uid > p->last_common_uid)
			planner_save(p, source);
	}
}

static void
planner_find_common(struct planner *p, const struct dsync_plan_mail *source)
{
	bool backup = p->mode == DSYNC_PLAN_BACKUP;

	if (!planner_next(p, source->uid)) {
		if (source->uid < p->dest->uid_next && backup)
			p->conflict = "a mail of the source is missing here, "
				"and its UID is past";
		else
			planner_common_found(p);
	} else if (p->dest_mails[p->cur].uid == source->uid) {
		if (strcmp(p->dest_mails[p->cur].identity,
			   source->identity) == 0)
			p->last_common_uid = source->uid;
		else if (backup)
			p->conflict = "a UID is another mail's here";
		else
			planner_common_found(p);
	} else if (backup) {
		p->conflict = "a mail of the source is missing here between "
			"others";
	}
}

static void
planner_change(struct planner *p, const struct dsync_plan_mail *source)
{
	if (!p->last_common_found)
		planner_find_common(p, source);
	if (p->conflict != NULL)
		return;
	if (source->uid == p->last_common_uid)
		plan_flags(p, source, &p->dest_mails[p->cur]);
	else if (p->last_common_found)
		planner_save(p, source);
	else
		array_push_back(&p->maybe_saves, &source);
}

static void planner_finish(struct planner *p)
{
	if (!p->last_common_found)
		planner_common_found(p);
	(void)planner_next(p, p->last_common_uid + 1);
	while (p->cur < p->dest_count && p->conflict == NULL) {
		if (p->cur_done && !planner_next(p, 0))
			break;
		(void)planner_place(p, NULL);
	}
}

/*
 * Final UIDs
 */

static void
planner_assign(struct planner *p, struct new_mail *mail, uint32_t *next_uid)
{
	struct new_mail *link = mail->link == 0 ? NULL :
		array_idx_modifiable(&p->new_mails, mail->link - 1);
	const struct dsync_plan_mail *dest = mail->dest;

	if (mail->done)
		return;
	if (!mail->usable) {
		mail->final_uid = link != NULL && link->usable ?
			link->final_uid : (*next_uid)++;
	}
	if (link != NULL && link != mail) {
		link->done = TRUE;
		if (dest == NULL)
			dest = link->dest;
	}
	if (dest == NULL) {
		plan_add(p, DSYNC_PLAN_MAIL_COPY, mail->source, mail->final_uid,
			 mail->usable ? "not at the destination" :
			 "not at the destination, where its UID is taken");
	} else if (dest->uid != mail->final_uid) {
		plan_add(p, DSYNC_PLAN_MAIL_RENUMBER, dest, mail->final_uid,
			 "the source has, or may have, its UID for another mail");
	}
}

static void planner_assign_all(struct planner *p)
{
	struct new_mail *mail;
	uint32_t next_uid = I_MAX(p->dest->uid_next, p->source->uid_next);

	array_foreach_modifiable(&p->new_mails, mail)
		planner_assign(p, mail, &next_uid);
}

static void plan_mails(struct planner *p)
{
	const struct dsync_plan_mail *source;

	i_array_init(&p->maybe_expunges, 16);
	i_array_init(&p->maybe_saves, 16);
	i_array_init(&p->new_mails, 64);
	planner_rewind(p);
	array_foreach(&p->source->mails, source) {
		planner_change(p, source);
		if (p->conflict != NULL)
			break;
	}
	if (p->conflict == NULL)
		planner_finish(p);
	if (p->conflict == NULL)
		planner_assign_all(p);
	array_free(&p->new_mails);
	array_free(&p->maybe_saves);
	array_free(&p->maybe_expunges);
}

/*
 * The mailbox
 */

static void plan_copy_all(struct planner *p)
{
	const struct dsync_plan_mail *mail;

	array_foreach(&p->source->mails, mail) {
		plan_add(p, DSYNC_PLAN_MAIL_COPY, mail, mail->uid,
			 "not at the destination");
	}
}

static void plan_delete_all(struct planner *p)
{
	const struct dsync_plan_mail *mail;

	array_foreach(&p->dest->mails, mail) {
		plan_add(p, DSYNC_PLAN_MAIL_DELETE, mail, 0,
			 "its mailbox is deleted");
	}
}

static void plan_replace(struct planner *p, const char *reason)
{
	const struct dsync_plan_change *change;

	array_foreach(&p->plan->changes, change) {
		if (change->action == DSYNC_PLAN_MAIL_UPDATE)
			array_push_back(&p->plan->early_updates, change);
	}
	p->plan->fate = DSYNC_PLAN_REPLACE;
	p->plan->reason = reason;
	i_zero(&p->plan->counts);
	p->plan->copied_bytes = 0;
	array_clear(&p->plan->changes);
	plan_delete_all(p);
	plan_copy_all(p);
}

/* What backup deletes before it looks at mails, or NULL. */
static const char *wrong_mailbox(const struct planner *p)
{
	if (p->mode != DSYNC_PLAN_BACKUP)
		return NULL;
	if (p->dest->uid_validity != p->source->uid_validity)
		return "its UIDVALIDITY is not the source's";
	if (p->dest->uid_next > p->source->uid_next)
		return "it has given UIDs that the source has not given yet";
	if (strcmp(p->dest->guid, p->source->guid) != 0)
		return "it is another mailbox, made here under the same name";
	return NULL;
}

static void plan_both(struct planner *p)
{
	const char *reason = wrong_mailbox(p);
	unsigned int i;

	if (reason != NULL) {
		plan_replace(p, reason);
		return;
	}
	plan_mails(p);
	if (p->conflict != NULL) {
		plan_replace(p, p->conflict);
		return;
	}
	p->plan->reason = "everything is the same";
	for (i = 0; i < DSYNC_PLAN_ACTION_COUNT; i++) {
		if (p->plan->counts[i] > 0) {
			p->plan->fate = DSYNC_PLAN_UPDATE;
			p->plan->reason = "mails differ";
		}
	}
}

static void plan_dest_only(struct planner *p)
{
	if (p->mode == DSYNC_PLAN_SYNC_ONCE) {
		p->plan->fate = DSYNC_PLAN_KEEP;
		p->plan->reason = "only the destination has it";
	} else {
		p->plan->fate = DSYNC_PLAN_DELETE;
		p->plan->reason = "the source does not have it";
		plan_delete_all(p);
	}
}

static void plan_source_only(struct planner *p)
{
	if (p->dest->was_deleted && p->mode == DSYNC_PLAN_SYNC_ONCE) {
		p->plan->fate = DSYNC_PLAN_SKIP;
		p->plan->reason = "it was deleted at the destination";
	} else {
		p->plan->fate = DSYNC_PLAN_CREATE;
		p->plan->reason = "the destination does not have it";
		plan_copy_all(p);
	}
}

void dsync_plan_mailbox(enum dsync_plan_mode mode, bool guids,
			const struct dsync_plan_side *source,
			const struct dsync_plan_side *dest, pool_t pool,
			struct dsync_plan *plan_r)
{
	struct planner planner = {
		.mode = mode, .guids = guids, .source = source, .dest = dest,
		.pool = pool, .plan = plan_r,
	};

	i_zero(plan_r);
	plan_r->reason = "it is nowhere";
	p_array_init(&plan_r->changes, pool, 16);
	p_array_init(&plan_r->early_updates, pool, 1);
	if (dest->exists) {
		planner.dest_mails = array_get(&dest->mails,
					       &planner.dest_count);
	}
	if (source->exists && dest->exists)
		plan_both(&planner);
	else if (source->exists)
		plan_source_only(&planner);
	else if (dest->exists)
		plan_dest_only(&planner);
}

/*
 * The guard
 */

bool dsync_plan_question(const struct dsync_plan *plan,
			 const struct dsync_plan_side *dest, bool completed,
			 unsigned int elsewhere,
			 struct delete_question *question_r)
{
	unsigned int deleted = plan->counts[DSYNC_PLAN_MAIL_DELETE];

	i_zero(question_r);
	if (deleted == 0)
		return FALSE;
	question_r->mails = array_count(&dest->mails);
	question_r->wanted = deleted - I_MIN(deleted, elsewhere);
	question_r->completed = completed;
	return TRUE;
}

static const struct reuse_pair *
find_pair(const ARRAY_TYPE(reuse_pair) *pairs,
	  const struct dsync_plan_change *change)
{
	const struct reuse_pair *pair;

	array_foreach(pairs, pair) {
		if ((change->action == DSYNC_PLAN_MAIL_DELETE &&
		     pair->here_uid == change->uid) ||
		    (change->action == DSYNC_PLAN_MAIL_COPY &&
		     pair->there_uid == change->uid))
			return pair;
	}
	return NULL;
}

void dsync_plan_reuse(struct dsync_plan *plan,
		      const ARRAY_TYPE(reuse_pair) *pairs)
{
	struct dsync_plan_change *change;
	const struct reuse_pair *pair;
	unsigned int i = 0;

	while (i < array_count(&plan->changes)) {
		change = array_idx_modifiable(&plan->changes, i);
		pair = find_pair(pairs, change);
		if (pair == NULL) {
			i++;
			continue;
		}
		plan->counts[change->action]--;
		if (change->action == DSYNC_PLAN_MAIL_COPY) {
			plan->copied_bytes -= change->size;
			array_delete(&plan->changes, i, 1);
			continue;
		}
		change->action = DSYNC_PLAN_MAIL_RENUMBER;
		change->new_uid = pair->there_uid;
		change->reason = "its mailbox is made again with the source's "
			"UIDs";
		plan->counts[change->action]++;
		i++;
	}
}

void dsync_plan_leave_out(struct dsync_plan *plan, const char *reason)
{
	plan->fate = DSYNC_PLAN_REFUSE;
	plan->reason = reason;
	plan->refused = 0;
	array_clear(&plan->changes);
	i_zero(&plan->counts);
	plan->copied_bytes = 0;
}

void dsync_plan_refuse(struct dsync_plan *plan, const char *reason)
{
	const struct dsync_plan_change *change;
	unsigned int i = 0;

	plan->refused = plan->counts[DSYNC_PLAN_MAIL_DELETE];
	plan->reason = reason;
	if (plan->fate == DSYNC_PLAN_REPLACE ||
	    plan->fate == DSYNC_PLAN_DELETE) {
		plan->fate = DSYNC_PLAN_REFUSE;
		array_clear(&plan->changes);
		array_append_array(&plan->changes, &plan->early_updates);
	}
	i_zero(&plan->counts);
	plan->copied_bytes = 0;
	while (i < array_count(&plan->changes)) {
		change = array_idx(&plan->changes, i);
		if (change->action == DSYNC_PLAN_MAIL_DELETE) {
			array_delete(&plan->changes, i, 1);
			continue;
		}
		plan->counts[change->action]++;
		if (change->action == DSYNC_PLAN_MAIL_COPY)
			plan->copied_bytes += change->size;
		i++;
	}
}
