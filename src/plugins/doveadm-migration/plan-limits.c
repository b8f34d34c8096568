/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "time-util.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "migration-report.h"
#include "plan-estimate.h"
#include "quota-room.h"
#include "plan-dsync.h"
#include "plan-limits.h"
#include "doveadm-plan-private.h"

/* Mails that are read to measure the source's speed */
#define PLAN_SAMPLE_MAILS 20
#define PLAN_SAMPLE_BYTES (4*1024*1024)
#define PLAN_SAMPLE_DAILY_PART 10

struct plan_limits {
	struct plan_context *pctx;
	struct plan_estimate_input input;
	struct plan_estimate estimate;
	/* no mail of this size or a larger one is taken here */
	uoff_t refused_size;
};

struct plan_limits *plan_limits_init(struct plan_context *pctx, pool_t pool)
{
	struct plan_limits *limits = p_new(pool, struct plan_limits, 1);

	limits->pctx = pctx;
	limits->refused_size = UOFF_T_MAX;
	return limits;
}

/*
 * Speed
 */

static void
sample_text_failed(struct mailbox *box ATTR_UNUSED, uint32_t uid ATTR_UNUSED,
		   const char *error ATTR_UNUSED, void *context ATTR_UNUSED)
{
	/* the run will tell, and try harder */
}

/* How many bytes the sample may have: little of what a daily limit leaves. */
static uint64_t sample_room(const struct plan_limits *limits)
{
	const struct migration_run *run = limits->pctx->run;
	uint64_t room = PLAN_SAMPLE_BYTES, left;

	if (run->source_daily_bytes > 0) {
		left = run->source_daily_bytes -
			I_MIN(run->source_daily_bytes, run->source_used_bytes);
		room = I_MIN(room, left / PLAN_SAMPLE_DAILY_PART);
	}
	return room - I_MIN(room, limits->input.sample_bytes);
}

/* The first mails of the plan. Returns what they have in bytes. */
static uint64_t
sample_choose(const struct plan_limits *limits, const struct dsync_plan *plan,
	      ARRAY_TYPE(seq_range) *uids)
{
	const struct dsync_plan_change *change;
	uint64_t bytes = 0, room = sample_room(limits);

	array_foreach(&plan->changes, change) {
		if (change->action != DSYNC_PLAN_MAIL_COPY ||
		    change->size > room - bytes)
			continue;
		if (limits->input.sample_mails + seq_range_count(uids) >=
		    PLAN_SAMPLE_MAILS)
			break;
		seq_range_array_add(uids, change->uid);
		bytes += change->size;
	}
	return bytes;
}

static void
sample_read(struct plan_limits *limits, const struct plan_dsync_pair *pair,
	    const ARRAY_TYPE(seq_range) *uids, uint64_t bytes, pool_t pool)
{
	struct parity_mailbox data;
	struct verify_error error;
	struct timeval start, end;
	struct mailbox *box;
	int ret;

	i_zero(&data);
	p_array_init(&data.mails, pool, 1);
	if (verify_mailbox_open(pair->source, &box, &error) < 0)
		return;
	i_gettimeofday(&start);
	ret = verify_mailbox_read_texts(box, uids, pool, &data,
					sample_text_failed, NULL, &error);
	i_gettimeofday(&end);
	mailbox_free(&box);
	if (ret < 0)
		return;
	limits->input.sample_mails += seq_range_count(uids);
	limits->input.sample_bytes += bytes;
	limits->input.sample_msecs += timeval_diff_msecs(&end, &start);
}

static void
sample_add(struct plan_limits *limits, const struct plan_dsync_pair *pair,
	   const struct dsync_plan *plan)
{
	ARRAY_TYPE(seq_range) uids;
	uint64_t bytes;
	pool_t pool;

	if (plan->counts[DSYNC_PLAN_MAIL_COPY] == 0 ||
	    limits->input.sample_mails >= PLAN_SAMPLE_MAILS)
		return;
	pool = pool_alloconly_create("plan sample", 1024);
	p_array_init(&uids, pool, 16);
	bytes = sample_choose(limits, plan, &uids);
	if (array_count(&uids) > 0)
		sample_read(limits, pair, &uids, bytes, pool);
	pool_unref(&pool);
}

/*
 * Sizes
 */

static bool
size_is_refused(struct plan_limits *limits, struct mailbox *box, uoff_t size)
{
	if (size >= limits->refused_size)
		return TRUE;
	if (!quota_room_size_is_refused(box, size))
		return FALSE;
	limits->refused_size = size;
	return TRUE;
}

static void
sizes_check(struct plan_limits *limits, const struct plan_dsync_pair *pair,
	    const struct dsync_plan *plan)
{
	struct mail_namespace *ns = mail_namespace_find(
		limits->pctx->dest_user->namespaces, pair->name);
	const struct dsync_plan_change *change;
	struct mailbox *box;
	uoff_t largest = 0;

	array_foreach(&plan->changes, change) {
		if (change->action == DSYNC_PLAN_MAIL_COPY)
			largest = I_MAX(largest, change->size);
	}
	box = mailbox_alloc(ns->list, pair->name, MAILBOX_FLAG_READONLY);
	if (largest > 0 && size_is_refused(limits, box, largest)) {
		array_foreach(&plan->changes, change) {
			if (change->action != DSYNC_PLAN_MAIL_COPY ||
			    !size_is_refused(limits, box, change->size))
				continue;
			migration_run_finding(limits->pctx->run,
				MIGRATION_SEVERITY_WARNING, pair->name,
				change->uid, FINDING_MAIL_TOO_LARGE,
				"It has %"PRIuUOFF_T" bytes, and the "
				"destination takes no mail so large: backup "
				"and sync bring it all the same, import does "
				"not", change->size);
		}
	}
	mailbox_free(&box);
}

void plan_limits_add(struct plan_limits *limits,
		     const struct plan_dsync_pair *pair,
		     const struct dsync_plan *plan)
{
	limits->input.mails += plan->counts[DSYNC_PLAN_MAIL_COPY];
	limits->input.bytes += plan->copied_bytes;
	sizes_check(limits, pair, plan);
	sample_add(limits, pair, plan);
}

/*
 * The source
 */

static void append_words(string_t *dest, const char *name, const char *words)
{
	const char *const *word = t_strsplit_spaces(words == NULL ? "" : words,
						    " ");
	bool first = TRUE;

	str_printfa(dest, ", \"%s\": [", name);
	for (; *word != NULL; word++) {
		if (!first)
			str_append(dest, ", ");
		first = FALSE;
		migration_report_append_string(dest, *word);
	}
	str_append_c(dest, ']');
}

void plan_source_append_json(const struct migration_run *run, string_t *dest)
{
	str_append(dest, "\n   \"source\": {\"server\": ");
	migration_report_append_string(dest, run->source);
	append_words(dest, "capabilities", run->source_capabilities);
	append_words(dest, "auth", run->source_auth);
	str_printfa(dest, ", \"daily_bytes\": %"PRIu64"}",
		    run->source_daily_bytes);
}

void plan_source_tell(const struct migration_run *run)
{
	if (run->source_capabilities == NULL)
		return;
	e_info(run->event, "Source %s: %s", run->source,
	       run->source_capabilities);
	if (run->source_auth != NULL) {
		e_info(run->event, "Source %s: authentication by %s",
		       run->source, run->source_auth);
	}
}

/*
 * The end
 */

static void quota_check(struct plan_limits *limits)
{
	struct plan_context *pctx = limits->pctx;
	struct quota_room room;
	const char *error;
	int ret;

	ret = quota_room_read(pctx->dest_user, &room, &error);
	if (ret < 0) {
		migration_run_finding(pctx->run, MIGRATION_SEVERITY_WARNING,
				      NULL, 0, FINDING_QUOTA_UNKNOWN,
				      "The quota can't be read: %s", error);
	} else if (ret > 0 && (limits->input.bytes > room.bytes ||
			       limits->input.mails > room.mails)) {
		migration_run_finding(pctx->run, MIGRATION_SEVERITY_WARNING,
			NULL, 0, FINDING_QUOTA_EXCEEDED, "%"PRIu64" mails with "
			"%"PRIu64" bytes would come, and the quota has room "
			"for %s mails and %s bytes: backup and sync bring them "
			"all the same, import and new mail are refused then",
			limits->input.mails, limits->input.bytes,
			room.mails == UINT64_MAX ? "any number of" :
			dec2str(room.mails), room.bytes == UINT64_MAX ?
			"any number of" : dec2str(room.bytes));
	}
}

void plan_limits_finish(struct plan_limits *limits)
{
	struct migration_run *run = limits->pctx->run;

	quota_check(limits);
	limits->input.daily_bytes = run->source_daily_bytes;
	limits->input.used_bytes = run->source_used_bytes;
	plan_estimate(&limits->input, &limits->estimate);
	e_info(run->event, "Copying: %s",
	       plan_estimate_text(&limits->input, &limits->estimate));
	plan_source_tell(run);
}

void plan_limits_append_json(const struct plan_limits *limits, string_t *dest)
{
	plan_source_append_json(limits->pctx->run, dest);
	str_printfa(dest, ",\n   \"estimate\": "
		    "{\"seconds\": %"PRIu64", \"days\": %u, "
		    "\"sample_mails\": %"PRIu64", \"sample_bytes\": %"PRIu64", "
		    "\"sample_msecs\": %"PRIu64", \"text\": ",
		    limits->estimate.secs, limits->estimate.days,
		    limits->input.sample_mails,
		    limits->input.sample_bytes, limits->input.sample_msecs);
	migration_report_append_string(dest, plan_estimate_text(
				&limits->input, &limits->estimate));
	str_append_c(dest, '}');
}
