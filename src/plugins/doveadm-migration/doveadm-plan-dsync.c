/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mail-namespace.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-print.h"
#include "exit-code.h"
#include "mail-reuse.h"
#include "migration-report.h"
#include "deletion-compare.h"
#include "plan-dsync.h"
#include "plan-limits.h"
#include "plan-pop3.h"
#include "doveadm-plan-private.h"

/* Of all mailboxes. */
struct plan_totals {
	unsigned int counts[DSYNC_PLAN_ACTION_COUNT];
	unsigned int fates[DSYNC_PLAN_FATE_COUNT];
	unsigned int renamed, refused;
	uoff_t copied_bytes;
	struct plan_limits *limits;
};

/* The row of one mailbox. */
struct plan_row {
	const struct plan_dsync_pair *pair;
	const struct plan_dsync_sides *sides;
	const struct dsync_plan *plan;
};

static const char *const mailbox_columns[] = {
	"source", "destination", "copied", "bytes", "deleted", "updated",
	"renumbered", "refused", NULL
};

/*
 * Output
 */

void plan_dsync_print_headers(bool details)
{
	const char *const *name;

	doveadm_print_header("mailbox", "Mailbox",
			     DOVEADM_PRINT_HEADER_FLAG_EXPAND);
	if (details) {
		doveadm_print_header_simple("uid");
		doveadm_print_header_simple("action");
		doveadm_print_header_simple("new-uid");
		doveadm_print_header_simple("size");
		doveadm_print_header_simple("reason");
		return;
	}
	doveadm_print_header_simple("action");
	for (name = mailbox_columns; *name != NULL; name++) {
		doveadm_print_header(*name, *name,
				     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	}
	plan_pop3_print_headers();
	doveadm_print_header_simple("source-name");
	doveadm_print_header_simple("old-name");
	doveadm_print_header_simple("reason");
}

static unsigned int side_count(const struct dsync_plan_side *side)
{
	return side->exists ? array_count(&side->mails) : 0;
}

/* A mailbox whose only change is its name. */
static const char *row_action(const struct plan_row *row)
{
	return *row->pair->old_name != '\0' &&
		row->plan->fate == DSYNC_PLAN_NOTHING ?
		"rename" : dsync_plan_fate_name(row->plan->fate);
}

static void
row_print(const struct plan_context *pctx, const struct plan_row *row)
{
	const struct dsync_plan *plan = row->plan;

	doveadm_print(row->pair->name);
	doveadm_print(row_action(row));
	doveadm_print_num(side_count(&row->sides->source));
	doveadm_print_num(side_count(&row->sides->dest));
	doveadm_print_num(plan->counts[DSYNC_PLAN_MAIL_COPY]);
	doveadm_print_num(plan->copied_bytes);
	doveadm_print_num(plan->counts[DSYNC_PLAN_MAIL_DELETE]);
	doveadm_print_num(plan->counts[DSYNC_PLAN_MAIL_UPDATE]);
	doveadm_print_num(plan->counts[DSYNC_PLAN_MAIL_RENUMBER]);
	doveadm_print_num(plan->refused);
	plan_pop3_print(pctx, row->pair->name);
	doveadm_print(row->pair->source_name);
	doveadm_print(row->pair->old_name);
	doveadm_print(plan->reason);
}

static void row_print_mails(const struct plan_row *row)
{
	const struct dsync_plan_change *change;

	if (row->plan->fate != DSYNC_PLAN_NOTHING ||
	    *row->pair->old_name != '\0') {
		doveadm_print(row->pair->name);
		doveadm_print_num(0);
		doveadm_print(row_action(row));
		doveadm_print_num(0);
		doveadm_print_num(0);
		doveadm_print(row->plan->reason);
	}
	array_foreach(&row->plan->changes, change) {
		doveadm_print(row->pair->name);
		doveadm_print_num(change->uid);
		doveadm_print(dsync_plan_action_name(change->action));
		doveadm_print_num(change->new_uid);
		doveadm_print_num(change->size);
		doveadm_print(change->reason);
	}
}

static void row_append_json(string_t *dest, const struct plan_row *row)
{
	const struct dsync_plan *plan = row->plan;

	str_append(dest, str_len(dest) == 0 ? "\n    " : ",\n    ");
	str_append(dest, "{\"mailbox\": ");
	migration_report_append_string(dest, row->pair->name);
	str_printfa(dest, ", \"action\": \"%s\", \"source\": %u, "
		    "\"destination\": %u, \"copied\": %u, "
		    "\"bytes\": %"PRIuUOFF_T", \"deleted\": %u, "
		    "\"updated\": %u, \"renumbered\": %u, \"refused\": %u, "
		    "\"source_name\": ", row_action(row),
		    side_count(&row->sides->source),
		    side_count(&row->sides->dest),
		    plan->counts[DSYNC_PLAN_MAIL_COPY], plan->copied_bytes,
		    plan->counts[DSYNC_PLAN_MAIL_DELETE],
		    plan->counts[DSYNC_PLAN_MAIL_UPDATE],
		    plan->counts[DSYNC_PLAN_MAIL_RENUMBER], plan->refused);
	migration_report_append_string(dest, row->pair->source_name);
	str_append(dest, ", \"old_name\": ");
	migration_report_append_string(dest, row->pair->old_name);
	str_append(dest, ", \"reason\": ");
	migration_report_append_string(dest, plan->reason);
	str_append_c(dest, '}');
}

static void
row_finish(struct plan_context *pctx, const struct plan_row *row)
{
	struct plan_totals *totals = pctx->totals;
	unsigned int i;

	for (i = 0; i < DSYNC_PLAN_ACTION_COUNT; i++)
		totals->counts[i] += row->plan->counts[i];
	totals->fates[row->plan->fate]++;
	totals->refused += row->plan->refused;
	totals->copied_bytes += row->plan->copied_bytes;
	if (*row->pair->old_name != '\0')
		totals->renamed++;
	if (pctx->cmd->details)
		row_print_mails(row);
	else
		row_print(pctx, row);
	row_append_json(pctx->mailboxes_json, row);
}

/*
 * One mailbox
 */

static void
plan_refuse(struct plan_context *pctx, const struct plan_dsync_pair *pair,
	    struct dsync_plan *plan, const char *reason, pool_t pool)
{
	dsync_plan_refuse(plan, p_strdup_printf(pool, "%s: %s", plan->reason,
						reason));
	migration_run_finding(pctx->run, MIGRATION_SEVERITY_ERROR, pair->name,
			      0, FINDING_DELETION_REFUSED, "%s", plan->reason);
}

/* As the guard does it: what dsync wants to delete is not lost if the source has
   it with another UID, and what both sides have need not be copied. */
static void
plan_ask_guard(struct plan_context *pctx, const struct plan_dsync_pair *pair,
	       const struct plan_dsync_sides *sides, struct dsync_plan *plan,
	       pool_t pool)
{
	const char *vname = *pair->old_name != '\0' ? pair->old_name :
		pair->name;
	struct deletion_comparison comparison;
	struct delete_question question, review;
	const char *reason, *error;
	bool allowed, reuse = plan->fate == DSYNC_PLAN_REPLACE &&
		mail_reuse_is_served();

	if (!dsync_plan_question(plan, &sides->dest, sides->completed, 0,
				 &question))
		return;
	allowed = delete_guard_decide(&pctx->limit, &question, &reason);
	if (allowed && !reuse)
		return;
	if (deletion_compare(pctx->dest_user, pctx->source_user, vname,
			     pair->name, pool, &comparison, &error) == 0) {
		review = question;
		review.mails = comparison.mails;
		review.wanted = comparison.only_here;
		allowed = delete_guard_decide(&pctx->limit, &review, &error);
		if (allowed && reuse)
			dsync_plan_reuse(plan, &comparison.pairs);
	}
	if (!allowed)
		plan_refuse(pctx, pair, plan, reason, pool);
}

/* Returns -1 if it is not known what the run would do. */
static int
plan_ask_pop3(struct plan_context *pctx, const struct plan_dsync_pair *pair,
	      const struct plan_dsync_sides *sides, struct dsync_plan *plan)
{
	struct verify_error error;
	int ret;

	if (pair->source == NULL)
		return 0;
	ret = plan_pop3_mailbox(pctx, pair->source, side_count(&sides->source),
				plan->counts[DSYNC_PLAN_MAIL_COPY], &error);
	if (ret < 0) {
		plan_failed(pctx, pair->name, "Source", &error);
		return -1;
	}
	if (ret == 0) {
		dsync_plan_leave_out(plan, "POP3 mails have no IMAP mail, and "
				     "the mailbox is left out of the run");
	}
	return 0;
}

static void
plan_check_name(struct plan_context *pctx, const struct plan_dsync_pair *pair,
		const struct dsync_plan *plan)
{
	const char *why;

	if (plan->fate != DSYNC_PLAN_CREATE)
		return;
	why = plan_dsync_bad_name(pctx->dest_user->namespaces, pair->name);
	if (why == NULL)
		return;
	migration_run_finding(pctx->run, MIGRATION_SEVERITY_WARNING, pair->name,
		0, FINDING_NAME_INVALID,
		"The destination does not take this name, "
		"so that dsync will change it: %s", why);
}

static void
plan_one_mailbox(struct plan_context *pctx, const struct plan_dsync_pair *pair)
{
	enum dsync_plan_mode mode = pctx->cmd->mode == PLAN_MODE_BACKUP ?
		DSYNC_PLAN_BACKUP : DSYNC_PLAN_SYNC_ONCE;
	struct plan_dsync_sides sides;
	struct dsync_plan plan;
	const struct plan_row row = { pair, &sides, &plan };
	struct verify_error error;
	const char *side;
	pool_t pool;

	pool = pool_alloconly_create("plan mailbox", 16384);
	if (plan_dsync_read(pair, mode == DSYNC_PLAN_SYNC_ONCE, pool, &sides,
			    &error, &side) < 0)
		plan_failed(pctx, pair->name, side, &error);
	else {
		dsync_plan_mailbox(mode, sides.guids, &sides.source,
				   &sides.dest, pool, &plan);
		if (plan_ask_pop3(pctx, pair, &sides, &plan) == 0) {
			plan_ask_guard(pctx, pair, &sides, &plan, pool);
			plan_check_name(pctx, pair, &plan);
			plan_limits_add(pctx->totals->limits, pair, &plan);
			row_finish(pctx, &row);
		}
	}
	pool_unref(&pool);
}

/*
 * One user
 */

/* Header fields are compared only where both sides have mails. */
static bool dest_has_mailboxes(const ARRAY_TYPE(verify_name) *source_names,
			       const ARRAY_TYPE(verify_name) *dest_names)
{
	const struct verify_name *source, *dest;

	array_foreach(dest_names, dest) {
		array_foreach(source_names, source) {
			if (dest->exists && source->exists &&
			    strcmp(source->name, dest->name) == 0 &&
			    verify_mailbox_has_mails(dest))
				return TRUE;
		}
	}
	return FALSE;
}

/* backup renames what was renamed at the source. */
static void tell_dest_names(struct migration_run *run,
			    const ARRAY_TYPE(verify_name) *dest_names)
{
	const struct verify_name *dest;
	const char *name;

	array_foreach(dest_names, dest) {
		if (dest->exists) {
			name = p_strdup(run->pool, dest->name);
			array_push_back(&run->ahead.dest_names, &name);
		}
	}
}

int plan_dsync_run(struct plan_context *pctx, pool_t pool)
{
	struct verify_filter *filter = &pctx->cmd->filter;
	ARRAY_TYPE(verify_name) source_names, dest_names;
	ARRAY_TYPE(plan_dsync_pair) pairs;
	const struct plan_dsync_pair *pair;
	struct verify_error error;

	pctx->totals = p_new(pool, struct plan_totals, 1);
	pctx->totals->limits = plan_limits_init(pctx, pool);
	i_zero(&filter->special_names);
	p_array_init(&source_names, pool, 64);
	p_array_init(&dest_names, pool, 64);
	p_array_init(&pairs, pool, 64);
	if (verify_check_places(pctx->source_user, pctx->dest_user, filter,
				&error) < 0 ||
	    verify_list_names(pctx->source_user, filter, pool, &source_names,
			      &error) < 0) {
		plan_failed(pctx, NULL, "Source", &error);
		return -1;
	}
	if (verify_list_names(pctx->dest_user, filter, pool, &dest_names,
			      &error) < 0) {
		plan_failed(pctx, NULL, "Destination", &error);
		return -1;
	}
	if (pctx->cmd->mode == PLAN_MODE_BACKUP)
		tell_dest_names(pctx->run, &dest_names);
	pctx->run->ahead.headers = dest_has_mailboxes(&source_names,
						      &dest_names);
	verify_read_ahead(&source_names, pctx->run);
	plan_dsync_pair_names(pctx->dest_user->namespaces, &source_names,
			      &dest_names, pool, &pairs);
	array_foreach(&pairs, pair) T_BEGIN {
		if (!doveadm_is_killed())
			plan_one_mailbox(pctx, pair);
	} T_END;
	if (doveadm_is_killed())
		doveadm_mail_failed_error(&pctx->cmd->ctx, MAIL_ERROR_TEMP);
	plan_limits_finish(pctx->totals->limits);
	plan_pop3_finish(pctx);
	return 0;
}

/*
 * The verdict
 */

static const char *plan_verdict(struct plan_context *pctx)
{
	if (pctx->cmd->ctx.exit_code != 0 ||
	    pctx->run->finding_counts[MIGRATION_SEVERITY_ERROR] > 0)
		return "cannot";
	return pctx->totals->counts[DSYNC_PLAN_MAIL_DELETE] > 0 ?
		"would-delete" : "safe";
}

static void plan_append_totals(struct plan_context *pctx, string_t *json)
{
	const struct plan_totals *totals = pctx->totals;
	unsigned int i;

	str_printfa(json, "\"copied\": %u, \"bytes\": %"PRIuUOFF_T", "
		    "\"deleted\": %u, \"updated\": %u, \"renumbered\": %u, "
		    "\"refused\": %u, \"renamed\": %u, \"mailbox_actions\": {",
		    totals->counts[DSYNC_PLAN_MAIL_COPY], totals->copied_bytes,
		    totals->counts[DSYNC_PLAN_MAIL_DELETE],
		    totals->counts[DSYNC_PLAN_MAIL_UPDATE],
		    totals->counts[DSYNC_PLAN_MAIL_RENUMBER], totals->refused,
		    totals->renamed);
	for (i = 0; i < DSYNC_PLAN_FATE_COUNT; i++) {
		str_printfa(json, "%s\"%s\": %u", i == 0 ? "" : ", ",
			    dsync_plan_fate_name(i), totals->fates[i]);
	}
	str_append(json, "}, ");
}

static void plan_say_verdict(struct plan_context *pctx, const char *verdict)
{
	const struct plan_totals *totals = pctx->totals;

	e_info(pctx->run->event, "%s: %u mailboxes made, %u renamed, "
	       "%u replaced, %u deleted; %u mails copied (%"PRIuUOFF_T
	       " bytes), %u updated, %u renumbered, %u deleted; %u deletions "
	       "refused", verdict, totals->fates[DSYNC_PLAN_CREATE],
	       totals->renamed, totals->fates[DSYNC_PLAN_REPLACE],
	       totals->fates[DSYNC_PLAN_DELETE],
	       totals->counts[DSYNC_PLAN_MAIL_COPY], totals->copied_bytes,
	       totals->counts[DSYNC_PLAN_MAIL_UPDATE],
	       totals->counts[DSYNC_PLAN_MAIL_RENUMBER],
	       totals->counts[DSYNC_PLAN_MAIL_DELETE], totals->refused);
}

void plan_dsync_finish(struct plan_context *pctx)
{
	const char *verdict = plan_verdict(pctx);
	string_t *json = t_str_new(1024);

	str_printfa(json, "{\n   \"mode\": \"%s\",\n   \"verdict\": \"%s\",\n"
		    "   ", pctx->cmd->mode == PLAN_MODE_BACKUP ? "backup" :
		    "sync", verdict);
	plan_append_totals(pctx, json);
	plan_pop3_append_json(pctx, json);
	str_append_c(json, ',');
	plan_limits_append_json(pctx->totals->limits, json);
	str_printfa(json, ",\n   \"mailboxes\": [%s\n   ]\n  }",
		    str_c(pctx->mailboxes_json));
	migration_run_add_section(pctx->run, "plan", str_c(json));
	plan_say_verdict(pctx, verdict);
	if (strcmp(verdict, "would-delete") == 0)
		pctx->cmd->ctx.exit_code = MIGRATION_EXIT_WOULD_DELETE;
}
