/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mail-namespace.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "doveadm-print.h"
#include "doveadm-cmd-compat.h"
#include "doveadm-params.h"
#include "provider.h"
#include "plan-import.h"
#include "migration-report.h"
#include "doveadm-migration-run.h"
#include "doveadm-verify.h"
#include "doveadm-verify-private.h"
#include "verify-proof.h"

#include <sysexits.h>

/* Texts compared by default: a percentage of each mailbox, and at least so
   many of it. A text that is wrong in 5 % of the mails is found with 99 %
   probability in a mailbox of 2000. */
#define VERIFY_SAMPLE_PERCENT 5
#define VERIFY_SAMPLE_MIN 10
/* of what the sample is said to prove */
#define VERIFY_CONFIDENCE 95

/*
 * Output
 */

static void verify_print_headers(bool details)
{
	doveadm_print_header("mailbox", "Mailbox",
			     DOVEADM_PRINT_HEADER_FLAG_EXPAND);
	if (details) {
		doveadm_print_header_simple("uid");
		doveadm_print_header_simple("what");
		doveadm_print_header_simple("weight");
		doveadm_print_header_simple("source");
		doveadm_print_header_simple("destination");
		doveadm_print_header_simple("reason");
		return;
	}
	doveadm_print_header("source", "Source",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("destination", "Dest",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("texts", "Texts",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("result", "Result", 0);
}

static void verify_print_result(const struct verify_result *result)
{
	doveadm_print(result->name);
	doveadm_print_num(result->source_count);
	doveadm_print_num(result->dest_count);
	doveadm_print_num(result->text_count);
	doveadm_print(verify_result_text(result));
}

static void
verify_print_differences(const struct verify_result *result,
			 const ARRAY_TYPE(parity_difference) *differences)
{
	const struct parity_difference *diff;

	array_foreach(differences, diff) T_BEGIN {
		doveadm_print(result->name);
		doveadm_print_num(diff->uid);
		doveadm_print(parity_kind_name(diff->kind));
		doveadm_print(diff->weight == PARITY_WEIGHT_DIFFERENT ?
			      "different" : "expected");
		doveadm_print(diff->source);
		doveadm_print(diff->dest);
		doveadm_print(diff->reason);
	} T_END;
}

void verify_finish_result(struct verify_context *vctx,
			  struct verify_result *result,
			  const ARRAY_TYPE(parity_difference) *differences)
{
	unsigned int i;

	verify_result_add(result, vctx->run, differences);
	if (vctx->cmd->details)
		verify_print_differences(result, differences);
	else
		verify_print_result(result);

	str_append(vctx->results_json,
		   str_len(vctx->results_json) == 0 ? "\n    " : ",\n    ");
	verify_result_append_json(vctx->results_json, result);
	if (verify_result_is_equal(result))
		vctx->equal_count++;
	else
		vctx->different_count++;
	for (i = 0; i < PARITY_KIND_COUNT; i++) {
		vctx->kind_counts[i] +=
			result->counts[PARITY_WEIGHT_DIFFERENT][i];
	}
	e_debug(vctx->run->event, "Mailbox %s: %u mails at the source, %u at "
		"the destination, %u texts compared: %s", result->name,
		result->source_count, result->dest_count, result->text_count,
		verify_result_text(result));
}

/*
 * What could not be compared
 */

void verify_failed(struct verify_context *vctx, const char *mailbox,
		   const char *side, const struct verify_error *error)
{
	migration_run_finding(vctx->run, MIGRATION_SEVERITY_ERROR, mailbox, 0,
			      FINDING_NOT_COMPARED,
			      "%s: %s", side, error->text);
	e_error(vctx->run->event, "%s: %s", side, error->text);
	doveadm_mail_failed_error(&vctx->cmd->ctx, error->error);
}

void verify_text_failed(struct mailbox *box, uint32_t uid, const char *error,
		   void *context)
{
	struct verify_text_context *tctx = context;

	migration_run_finding(tctx->vctx->run, MIGRATION_SEVERITY_ERROR,
			      mailbox_get_vname(box), uid,
			      FINDING_TEXT_UNREADABLE,
			      "%s: %s", tctx->side, error);
	e_error(tctx->vctx->run->event, "%s: Mailbox %s: UID %u: Can't read "
		"the text: %s", tctx->side, mailbox_get_vname(box), uid, error);
	doveadm_mail_failed_error(&tctx->vctx->cmd->ctx, MAIL_ERROR_TEMP);
}

/*
 * One mailbox
 */

static int
verify_side_read(struct verify_context *vctx, struct verify_side *side,
		 const struct verify_name *name, pool_t pool,
		 struct verify_result *result)
{
	struct verify_error error;

	if (verify_mailbox_open(name, &side->box, &error) < 0 &&
	    error.error == MAIL_ERROR_NOTFOUND) {
		/* Maildir lists names that are only parents of others like
		   mailboxes; and a mailbox can be deleted while we compare */
		side->data.exists = FALSE;
		side->data.noselect = TRUE;
		return 0;
	}
	if (side->box == NULL || verify_mailbox_read(side->box, pool, &side->data, &error) < 0) {
		verify_failed(vctx, name->name, side->what, &error);
		result->error = p_strdup(pool, error.text);
		return -1;
	}
	return 0;
}

static int
verify_side_read_texts(struct verify_context *vctx, struct verify_side *side,
		       const ARRAY_TYPE(seq_range) *uids, pool_t pool,
		       struct verify_result *result)
{
	struct verify_text_context tctx = { vctx, side->what };
	struct verify_error error;
	int ret;

	ret = verify_mailbox_read_texts(side->box, uids, pool, &side->data,
					verify_text_failed, &tctx, &error);
	if (ret < 0) {
		verify_failed(vctx, side->data.name, side->what, &error);
		result->error = p_strdup(pool, error.text);
		return -1;
	}
	result->text_count = ret;
	return 0;
}

static int
verify_read_both(struct verify_context *vctx, struct verify_side *source,
		 struct verify_side *dest, const struct verify_name *source_name,
		 const struct verify_name *dest_name, pool_t pool,
		 struct verify_result *result,
		 const struct parity_proof_mailbox **held_r)
{
	const struct provider_profile *provider;
	ARRAY_TYPE(seq_range) uids;

	if (source->data.exists &&
	    verify_side_read(vctx, source, source_name, pool, result) < 0)
		return -1;
	provider = vctx->run->provider;
	source->data.sizes_estimated = provider != NULL &&
		provider->sizes_estimated;
	if (dest->data.exists &&
	    verify_side_read(vctx, dest, dest_name, pool, result) < 0)
		return -1;
	if (!source->data.exists || !dest->data.exists)
		return 0;

	p_array_init(&uids, pool, 64);
	*held_r = verify_proof_held(vctx, &source->data, &dest->data, pool);
	parity_want_texts(&source->data, &dest->data,
			  *held_r != NULL ? 0 : vctx->cmd->sample_percent,
			  *held_r != NULL ? 0 : vctx->cmd->sample_min, &uids);
	if (array_count(&uids) == 0)
		return 0;
	if (verify_side_read_texts(vctx, source, &uids, pool, result) < 0)
		return -1;
	return verify_side_read_texts(vctx, dest, &uids, pool, result);
}

static void
verify_result_fill(struct verify_result *result,
		   const struct parity_mailbox *source,
		   const struct parity_mailbox *dest)
{
	result->source_count = array_count(&source->mails);
	result->dest_count = array_count(&dest->mails);
	if (source->exists) {
		result->source_uid_validity = source->uid_validity;
		result->source_digest = parity_mailbox_digest(source);
	}
	if (dest->exists) {
		result->dest_uid_validity = dest->uid_validity;
		result->dest_digest = parity_mailbox_digest(dest);
	}
}

static void
verify_side_init(struct verify_side *side, const char *what, const char *name,
		 const struct verify_name *listed, pool_t pool)
{
	i_zero(side);
	side->what = what;
	side->data.name = name;
	p_array_init(&side->data.mails, pool, 16);
	if (listed != NULL) {
		side->data.exists = listed->exists;
		side->data.noselect = listed->noselect;
		side->data.subscribed = listed->subscribed;
	}
}

static void
verify_count_sample(struct verify_context *vctx,
		    const struct verify_result *result,
		    const struct parity_mailbox *source,
		    const struct parity_mailbox *dest)
{
	if (!source->exists || !dest->exists || result->error != NULL)
		return;
	parity_sample_sum_add(&vctx->sample, parity_common_count(source, dest),
		result->text_count,
		result->counts[PARITY_WEIGHT_DIFFERENT][PARITY_TEXT]);
}

static void
verify_mailbox(struct verify_context *vctx,
	       const struct verify_name *source_name,
	       const struct verify_name *dest_name)
{
	const char *name = source_name != NULL ?
		source_name->name : dest_name->name;
	ARRAY_TYPE(parity_difference) differences;
	struct verify_side source, dest;
	struct verify_result result;
	const struct parity_proof_mailbox *held = NULL;
	pool_t pool = pool_alloconly_create("verify mailbox", 16384);

	i_zero(&result);
	result.name = name;
	p_array_init(&differences, pool, 16);
	verify_side_init(&source, "Source", name, source_name, pool);
	verify_side_init(&dest, "Destination", name, dest_name, pool);

	if (verify_read_both(vctx, &source, &dest, source_name, dest_name,
			     pool, &result, &held) == 0) {
		parity_compare(&source.data, &dest.data, &vctx->cmd->policy,
			       pool, &differences);
	}
	verify_result_fill(&result, &source.data, &dest.data);
	if (held != NULL)
		result.text_count = held->texts;
	migration_run_count(vctx->run, MIGRATION_COUNTER_MAILS_COMPARED,
			    result.source_count);
	migration_run_count(vctx->run, MIGRATION_COUNTER_BODIES_COMPARED,
			    result.text_count);
	verify_finish_result(vctx, &result, &differences);
	verify_count_sample(vctx, &result, &source.data, &dest.data);
	verify_proof_add(vctx, &result, &source.data, &dest.data, held);

	if (source.box != NULL)
		mailbox_free(&source.box);
	if (dest.box != NULL)
		mailbox_free(&dest.box);
	pool_unref(&pool);
}

/* Names without a mailbox on either side, and without a subscription that
   could differ, are no row of the table. */
static bool
verify_name_is_worth_a_row(const struct verify_name *source,
			   const struct verify_name *dest)
{
	return (source != NULL && (source->exists || source->subscribed)) ||
		(dest != NULL && (dest->exists || dest->subscribed));
}

static void verify_mailboxes(struct verify_context *vctx)
{
	const struct verify_name *source, *dest, *s_name, *d_name;
	unsigned int s = 0, d = 0, source_count, dest_count;
	int cmp;

	source = array_get(&vctx->source_names, &source_count);
	dest = array_get(&vctx->dest_names, &dest_count);
	while ((s < source_count || d < dest_count) &&
	       !doveadm_is_killed()) T_BEGIN {
		if (s == source_count)
			cmp = 1;
		else if (d == dest_count)
			cmp = -1;
		else
			cmp = strcmp(source[s].name, dest[d].name);
		s_name = cmp <= 0 ? &source[s++] : NULL;
		d_name = cmp >= 0 ? &dest[d++] : NULL;
		if (verify_name_is_worth_a_row(s_name, d_name))
			verify_mailbox(vctx, s_name, d_name);
	} T_END;
	if (doveadm_is_killed())
		doveadm_mail_failed_error(&vctx->cmd->ctx, MAIL_ERROR_TEMP);
}

/*
 * One user
 */
static bool verify_is_equal(const struct verify_context *vctx)
{
	return vctx->different_count == 0 && vctx->cmd->ctx.exit_code == 0;
}

static void verify_append_hints(struct verify_context *vctx, string_t *dest)
{
	bool first = TRUE;
	unsigned int i;

	for (i = 0; i < PARITY_KIND_COUNT; i++) {
		if (vctx->kind_counts[i] == 0)
			continue;
		str_printfa(dest, "%s\"%s\": ", first ? "" : ", ",
			    parity_kind_name(i));
		migration_report_append_string(dest, parity_kind_hint(i));
		first = FALSE;
	}
}

static void verify_add_section(struct verify_context *vctx)
{
	const struct verify_cmd_context *cmd = vctx->cmd;
	string_t *json = t_str_new(1024);

	str_printfa(json, "{\n   \"equal\": %s,\n   \"sample_percent\": %u,\n"
		    "   \"allow_extra\": %s,\n   \"texts\": ",
		    verify_is_equal(vctx) ? "true" : "false",
		    cmd->sample_percent,
		    cmd->policy.allow_extra ? "true" : "false");
	migration_report_append_string(json,
		parity_sample_sentence(&vctx->sample, cmd->confidence));
	str_append(json, ",\n   \"hints\": {");
	verify_append_hints(vctx, json);
	str_printfa(json, "},\n   \"mailboxes\": [%s\n   ]\n  }",
		    str_c(vctx->results_json));
	migration_run_add_section(vctx->run, "verify", str_c(json));
}

/* One line that says it, and what to do about each kind of difference. */
static void verify_show_verdict(struct verify_context *vctx)
{
	unsigned int i, rows = vctx->equal_count + vctx->different_count;

	e_info(vctx->run->event, "%s",
	       parity_sample_sentence(&vctx->sample, vctx->cmd->confidence));
	if (verify_is_equal(vctx)) {
		e_info(vctx->run->event, "Everything that was compared is equal");
		return;
	}
	if (vctx->different_count > 0) {
		e_info(vctx->run->event, "NOT equal: %u of %u",
		       vctx->different_count, rows);
	}
	for (i = 0; i < PARITY_KIND_COUNT; i++) {
		if (vctx->kind_counts[i] == 0)
			continue;
		e_info(vctx->run->event, "%s (%u): %s", parity_kind_name(i),
		       vctx->kind_counts[i], parity_kind_hint(i));
	}
}

static int verify_both_users(struct verify_context *vctx, pool_t pool)
{
	struct verify_filter *filter = &vctx->cmd->filter;
	struct verify_error error;

	/* the pool of an earlier user's is gone */
	i_zero(&filter->special_names);
	p_array_init(&vctx->source_names, pool, 64);
	p_array_init(&vctx->dest_names, pool, 64);
	if (verify_check_places(vctx->source_user, vctx->dest_user, filter,
				&error) < 0) {
		verify_failed(vctx, NULL, "Source", &error);
		return -1;
	}
	if (verify_list_names(vctx->source_user, filter, pool,
			      &vctx->source_names, &error) < 0) {
		verify_failed(vctx, NULL, "Source", &error);
		return -1;
	}
	if (verify_list_names(vctx->dest_user, filter, pool,
			      &vctx->dest_names, &error) < 0) {
		verify_failed(vctx, NULL, "Destination", &error);
		return -1;
	}
	e_debug(vctx->run->event, "Comparing %u names at the source with %u at "
		"the destination, %u%% of the texts (at least %u per mailbox)",
		array_count(&vctx->source_names),
		array_count(&vctx->dest_names), vctx->cmd->sample_percent,
		vctx->cmd->sample_min);
	verify_read_ahead(&vctx->source_names, vctx->run);
	verify_mailboxes(vctx);
	verify_pairing(vctx);
	verify_pop3(vctx);
	return 0;
}

static int
verify_run_user(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct verify_cmd_context *ctx =
		container_of(_ctx, struct verify_cmd_context, ctx);
	struct verify_context vctx;
	pool_t pool;
	int ret;

	i_zero(&vctx);
	vctx.cmd = ctx;
	vctx.run = migration_run_find(user);
	vctx.dest_user = user;
	vctx.run->ahead.wanted = !ctx->import;
	vctx.run->ahead.sample_percent = ctx->sample_percent;
	vctx.run->ahead.sample_min = ctx->sample_min;
	if (plan_source_init(_ctx, user, ctx->import, ctx->source_username,
			     ctx->location, ctx->options,
			     &vctx.source_user) < 0)
		return -1;

	pool = pool_alloconly_create("verify", 4096);
	vctx.results_json = str_new(default_pool, 1024);
	parity_sample_sum_init(&vctx.sample);
	ret = verify_proof_init(&vctx, pool);
	if (ret == 0) {
		ret = ctx->import ? verify_import(&vctx, pool) :
			verify_both_users(&vctx, pool);
		verify_proof_finish(&vctx, ret == 0 && !doveadm_is_killed(),
				    verify_is_equal(&vctx));
	}
	verify_add_section(&vctx);
	verify_show_verdict(&vctx);
	str_free(&vctx.results_json);
	pool_unref(&pool);
	mail_user_deinit(&vctx.source_user);
	return ret < 0 || _ctx->exit_code != 0 ? -1 : 0;
}

static int
cmd_verify_run(struct doveadm_mail_cmd_context *ctx, struct mail_user *user)
{
	return doveadm_migration_run_user(ctx, user, verify_run_user);
}

/*
 * The command
 */

static void
verify_parse_sample(struct verify_cmd_context *ctx,
		    const struct doveadm_cmd_context *cctx)
{
	int64_t percent;

	ctx->sample_percent = VERIFY_SAMPLE_PERCENT;
	ctx->sample_min = VERIFY_SAMPLE_MIN;
	if (doveadm_cmd_param_int64(cctx, "sample", &percent)) {
		if (percent < 0 || percent > 100) {
			i_fatal_status(EX_USAGE, "--sample must be a percentage "
				       "from 0 to 100");
		}
		ctx->sample_percent = percent;
		/* 0 means no texts, except where sizes differ */
		if (percent == 0)
			ctx->sample_min = 0;
	}
	bool full;
	if (doveadm_cmd_param_bool(cctx, "full", &full) && full)
		ctx->sample_percent = 100;
	ctx->confidence = VERIFY_CONFIDENCE;
	if (doveadm_cmd_param_int64(cctx, "confidence", &percent)) {
		if (percent < 1 || percent > 99) {
			i_fatal_status(EX_USAGE, "--confidence must be a "
				       "percentage from 1 to 99");
		}
		ctx->confidence = percent;
	}
}

static void
verify_parse_mode(struct verify_cmd_context *ctx,
		  const struct doveadm_cmd_context *cctx)
{
	const char *mode;

	if (doveadm_cmd_param_str(cctx, "mode", &mode)) {
		ctx->import = strcmp(mode, "import") == 0;
		if (!ctx->import && strcmp(mode, "backup") != 0) {
			i_fatal_status(EX_USAGE, "--mode %s: must be backup or "
				       "import", mode);
		}
	}
	if (!doveadm_cmd_param_str(cctx, "source-user", &ctx->source_username))
		ctx->source_username = NULL;
	if (!doveadm_cmd_param_str(cctx, "parent", &ctx->parent))
		ctx->parent = "";
	if (!ctx->import &&
	    (ctx->source_username != NULL || *ctx->parent != '\0')) {
		i_fatal_status(EX_USAGE, "--source-user and --parent are for "
			       "--mode import only");
	}
	if (ctx->import)
		ctx->policy.allow_extra = ctx->policy.allow_more_flags = TRUE;
}

static void
verify_parse_proof(struct verify_cmd_context *ctx,
		   const struct doveadm_cmd_context *cctx)
{
	if (!doveadm_cmd_param_str(cctx, "proof", &ctx->proof_path))
		ctx->proof_path = NULL;
	(void)doveadm_cmd_param_bool(cctx, "resume", &ctx->resume);
	if (ctx->resume && ctx->proof_path == NULL) {
		i_fatal_status(EX_USAGE, "--resume goes on from a proof: "
			       "--proof is needed");
	}
}

DOVEADM_COMPAT_INIT(cmd_verify_init, _ctx)
{
	struct verify_cmd_context *ctx =
		container_of(_ctx, struct verify_cmd_context, ctx);
	const struct doveadm_cmd_context *cctx = _ctx->cctx;

	if (!doveadm_cmd_param_str(cctx, "source-location", &ctx->location))
		doveadm_mail_help_name("migration verify");
	ctx->options = doveadm_param_words(cctx, "source-option");
	doveadm_param_filter(cctx, &ctx->filter);
	(void)doveadm_cmd_param_bool(cctx, "allow-extra",
				     &ctx->policy.allow_extra);
	(void)doveadm_cmd_param_bool(cctx, "details", &ctx->details);
	verify_parse_mode(ctx, cctx);
	verify_parse_sample(ctx, cctx);
	verify_parse_proof(ctx, cctx);
	verify_print_headers(ctx->details);
}

static struct doveadm_mail_cmd_context *cmd_verify_alloc(void)
{
	struct verify_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc(struct verify_cmd_context);
	ctx->ctx.v.init = cmd_verify_init;
	ctx->ctx.v.run = cmd_verify_run;
	doveadm_compat_accept_options(&ctx->ctx);
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &ctx->ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_migration_verify = {
	.name = "migration verify",
	.mail_cmd = cmd_verify_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX
		"[-a] [-d] [-f | -s <percent>] [-c <percent>] "
		"[-P <proof file> [-R]] [-M backup|import] "
		"[-U <source user>] [-B <parent mailbox>] "
		"[-p <setting>=<value>] "
		"[-n <namespace prefix>] [-m <mailbox mask>] "
		"[-x <mailbox mask>] <source location>",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('a', "allow-extra", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('d', "details", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('f', "full", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('s', "sample", CMD_PARAM_INT64, 0)
DOVEADM_CMD_PARAM('c', "confidence", CMD_PARAM_INT64, 0)
DOVEADM_CMD_PARAM('P', "proof", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('M', "mode", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('U', "source-user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('B', "parent", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('R', "resume", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('p', "source-option", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('n', "namespace", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('m', "mailbox-mask", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('x', "exclude", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('\0', "source-location", CMD_PARAM_STR, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
};
