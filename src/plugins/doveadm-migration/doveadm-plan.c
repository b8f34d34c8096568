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
#include "settings-loader.h"
#include "migration-report.h"
#include "migration-run.h"
#include "provider.h"
#include "migration-settings.h"
#include "doveadm-migration-run.h"
#include "plan-import.h"
#include "plan-limits.h"
#include "plan-pop3.h"
#include "doveadm-plan.h"
#include "doveadm-plan-private.h"

#include <sysexits.h>

void plan_failed(struct plan_context *pctx, const char *mailbox,
		 const char *side, const struct verify_error *error)
{
	migration_run_finding(pctx->run, MIGRATION_SEVERITY_ERROR, mailbox, 0,
			      FINDING_NOT_PLANNED, "%s: %s", side, error->text);
	e_error(pctx->run->event, "%s: %s", side, error->text);
	doveadm_mail_failed_error(&pctx->cmd->ctx, error->error);
}

/*
 * Output
 */

static void plan_print_headers(void)
{
	static const char *const numbers[] = {
		"source", "destination", "present", "new", "bytes",
		"uids-kept", "uids-changed", NULL
	};
	const char *const *name;
	enum import_way way;

	doveadm_print_header("mailbox", "Mailbox",
			     DOVEADM_PRINT_HEADER_FLAG_EXPAND);
	for (name = numbers; *name != NULL; name++) {
		doveadm_print_header(*name, *name,
				     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	}
	plan_pop3_print_headers();
	doveadm_print_header_simple("uidvalidity");
	for (way = 0; way < IMPORT_WAY_COUNT; way++) {
		doveadm_print_header(import_way_name(way), import_way_name(way),
				     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	}
}

static unsigned int plan_side_count(const struct import_plan_side *side)
{
	return side->exists ? array_count(&side->mails) : 0;
}

static const char *
plan_uid_validity_text(const struct import_plan_side *dest,
		       const struct import_plan_mailbox *plan)
{
	if (plan->takes_uid_validity)
		return "taken over";
	return dest->exists ? "kept" : "-";
}

static void
plan_print_row(const struct plan_context *pctx, const char *name,
	       const struct import_plan_side *source,
	       const struct import_plan_side *dest,
	       const struct import_plan_mailbox *plan)
{
	enum import_way way;

	doveadm_print(name);
	doveadm_print_num(plan_side_count(source));
	doveadm_print_num(plan_side_count(dest));
	doveadm_print_num(plan->present);
	doveadm_print_num(plan->saved);
	doveadm_print_num(plan->saved_bytes);
	doveadm_print_num(plan->uids_kept);
	doveadm_print_num(plan->uids_changed);
	plan_pop3_print(pctx, name);
	doveadm_print(plan_uid_validity_text(dest, plan));
	for (way = 0; way < IMPORT_WAY_COUNT; way++) {
		doveadm_print_num(plan->costs[way].fetched_again +
				  plan->costs[way].pop3_again);
	}
}

static void
plan_append_costs(string_t *dest,
		  const struct import_plan_cost costs[IMPORT_WAY_COUNT])
{
	enum import_way way;

	for (way = 0; way < IMPORT_WAY_COUNT; way++) {
		str_printfa(dest, "%s\"%s\": {\"fetched_again\": %u, "
			    "\"pop3_again\": %u, \"disordered\": %u, "
			    "\"unsafe\": %u}", way == 0 ? "" : ", ",
			    import_way_name(way), costs[way].fetched_again,
			    costs[way].pop3_again, costs[way].disordered,
			    costs[way].unsafe);
	}
}

static void
plan_append_mailbox(string_t *dest, const char *name,
		    const struct import_plan_side *source,
		    const struct import_plan_side *dest_side,
		    const struct import_plan_mailbox *plan)
{
	str_append(dest, str_len(dest) == 0 ? "\n    " : ",\n    ");
	str_append(dest, "{\"mailbox\": ");
	migration_report_append_string(dest, name);
	str_printfa(dest, ", \"source\": %u, \"destination\": %u, "
		    "\"present\": %u, \"new\": %u, \"bytes\": %"PRIuUOFF_T", "
		    "\"uids_kept\": %u, \"uids_changed\": %u, "
		    "\"takes_uidvalidity\": %s, \"ways\": {",
		    plan_side_count(source), plan_side_count(dest_side),
		    plan->present, plan->saved,
		    plan->saved_bytes, plan->uids_kept, plan->uids_changed,
		    plan->takes_uid_validity ? "true" : "false");
	plan_append_costs(dest, plan->costs);
	str_append(dest, "}}");
}

static void plan_finish(struct plan_context *pctx)
{
	string_t *json = t_str_new(1024);
	const char *reason;
	enum import_way way = import_plan_choose(pctx->costs, &reason);

	str_printfa(json, "{\n   \"mode\": \"import\",\n   \"way\": \"%s\",\n"
		    "   \"ways\": {", import_way_name(way));
	plan_append_costs(json, pctx->costs);
	str_append(json, "},");
	plan_pop3_append_json(pctx, json);
	str_append_c(json, ',');
	plan_source_append_json(pctx->run, json);
	str_printfa(json, ",\n   \"mailboxes\": [%s\n   ]\n  }",
		    str_c(pctx->mailboxes_json));
	migration_run_add_section(pctx->run, "plan", str_c(json));
	plan_source_tell(pctx->run);
	plan_pop3_finish(pctx);
	/* under a parent it is the third way already */
	if (pctx->cmd->ctx.exit_code == 0 && *pctx->cmd->parent == '\0') {
		e_info(pctx->run->event, "%s costs clients least: %s. "
		       "That is: %s", import_way_name(way), reason,
		       import_way_hint(way));
	}
}

/*
 * One mailbox
 */

static void
plan_tell_findings(struct plan_context *pctx,
		   const struct plan_import_pair *pair,
		   const struct import_plan_mailbox *plan)
{
	unsigned int unsafe = plan->costs[IMPORT_WAY_NEW_ON_RECOVERED].unsafe;

	if (pair->rival != NULL) {
		migration_run_finding(pctx->run, MIGRATION_SEVERITY_WARNING,
			pair->name, 0, FINDING_NAMES_COLLIDE,
			"The source's mailbox "
			"%s would have the same name as %s, because the "
			"separators differ: it will be imported into this one",
			pair->source->name, pair->rival);
	}
	if (unsafe > 0) {
		migration_run_finding(pctx->run, MIGRATION_SEVERITY_WARNING,
			pair->name, 0, FINDING_UID_UNSAFE,
			"%u UIDs mean one mail "
			"at the source and another one here, under the same "
			"UIDVALIDITY: clients would take one for the other if "
			"the recovered storage were put back into its place",
			unsafe);
	}
}

/* An import leaves no mailbox out. */
static void
plan_ask_pop3(struct plan_context *pctx, const struct plan_import_pair *pair,
	      const struct import_plan_mailbox *plan)
{
	struct verify_error error;

	if (pair->source != NULL &&
	    plan_pop3_mailbox(pctx, pair->source, plan->saved, plan->saved,
			      &error) < 0)
		plan_failed(pctx, pair->name, "Source", &error);
}

static void
plan_mailbox(struct plan_context *pctx, const struct plan_import_pair *pair)
{
	struct import_plan_side source, dest;
	struct import_plan_mailbox plan;
	struct verify_error error;
	const char *side;
	enum import_way way;
	pool_t pool;

	pool = pool_alloconly_create("plan mailbox", 4096);
	if (plan_import_read(pair, pool, &source, &dest, &error, &side) < 0)
		plan_failed(pctx, pair->name, side, &error);
	else {
		import_plan_mailbox(&source, &dest, pctx->cmd->pop3 &&
				    strcmp(pair->name, "INBOX") == 0, &plan);
		for (way = 0; way < IMPORT_WAY_COUNT; way++) {
			import_plan_cost_add(&pctx->costs[way],
					     &plan.costs[way]);
		}
		plan_tell_findings(pctx, pair, &plan);
		plan_ask_pop3(pctx, pair, &plan);
		plan_print_row(pctx, pair->name, &source, &dest, &plan);
		plan_append_mailbox(pctx->mailboxes_json, pair->name, &source,
				    &dest, &plan);
	}
	pool_unref(&pool);
}

/*
 * One user
 */

static int plan_both_users(struct plan_context *pctx, pool_t pool)
{
	ARRAY_TYPE(verify_name) source_names, dest_names;
	ARRAY_TYPE(plan_import_pair) pairs;
	const struct plan_import_pair *pair;
	struct verify_error error;

	p_array_init(&source_names, pool, 64);
	p_array_init(&dest_names, pool, 64);
	p_array_init(&pairs, pool, 64);
	if (plan_import_list_source(pctx->source_user, &pctx->cmd->filter,
				    pool, &source_names, &error) < 0) {
		plan_failed(pctx, NULL, "Source", &error);
		return -1;
	}
	if (verify_list_names(pctx->dest_user, &pctx->cmd->filter, pool,
			      &dest_names, &error) < 0) {
		plan_failed(pctx, NULL, "Destination", &error);
		return -1;
	}
	plan_import_pair_names(pctx->dest_user->namespaces, pctx->cmd->parent,
			       &source_names, &dest_names, pool, &pairs);
	array_foreach(&pairs, pair) T_BEGIN {
		if (!doveadm_is_killed())
			plan_mailbox(pctx, pair);
	} T_END;
	if (doveadm_is_killed())
		doveadm_mail_failed_error(&pctx->cmd->ctx, MAIL_ERROR_TEMP);
	return 0;
}

static void plan_get_limit(struct plan_context *pctx)
{
	const struct migration_settings *set;
	const void *_set;
	const char *error;

	/* both were checked when the run began */
	if (migration_settings_get(pctx->dest_user,
				   &migration_setting_parser_info,
				   &_set, &error) < 0)
		i_unreached();
	set = _set;
	if (delete_limit_parse(set->max_deletes, &pctx->limit, &error) < 0)
		i_unreached();
	migration_settings_free(set);
}

static int plan_make(struct plan_context *pctx, pool_t pool)
{
	int ret;

	if (pctx->cmd->mode == PLAN_MODE_IMPORT) {
		ret = plan_both_users(pctx, pool);
		plan_finish(pctx);
		return ret;
	}
	plan_get_limit(pctx);
	ret = plan_dsync_run(pctx, pool);
	plan_dsync_finish(pctx);
	return ret;
}

/* What the source was taken for, and what follows from it. */
static void plan_say_provider(const struct migration_run *run)
{
	ARRAY_TYPE(provider_value) values;
	const struct provider_value *value;
	string_t *text = t_str_new(256);

	if (run->provider == NULL)
		return;
	t_array_init(&values, 8);
	provider_describe(run->provider, &values);
	array_foreach(&values, value) {
		str_printfa(text, "%s%s %s", str_len(text) == 0 ? "" : ", ",
			    value->name,
			    value->value[0] == '\0' ? "none" : value->value);
		if (value->setting[0] != '\0')
			str_printfa(text, " (%s)", value->setting);
	}
	e_info(run->event, "The source is taken for %s, because %s: %s",
	       run->provider->title, run->provider_reason, str_c(text));
}

static int
plan_run_user(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct plan_cmd_context *ctx =
		container_of(_ctx, struct plan_cmd_context, ctx);
	struct plan_context pctx;
	pool_t pool;
	int ret;

	i_zero(&pctx);
	pctx.cmd = ctx;
	pctx.run = migration_run_find(user);
	pctx.dest_user = user;
	pctx.run->planning = TRUE;
	pctx.run->ahead.wanted = ctx->mode != PLAN_MODE_IMPORT;
	if (ctx->mode == PLAN_MODE_BACKUP) {
		p_array_init(&pctx.run->ahead.dest_names, pctx.run->pool,
			     64);
	}
	if (plan_source_init(_ctx, user, ctx->mode == PLAN_MODE_IMPORT,
			     ctx->source_username, ctx->location, ctx->options,
			     &pctx.source_user) < 0)
		return -1;

	pool = pool_alloconly_create("plan", 4096);
	pctx.mailboxes_json = str_new(default_pool, 1024);
	ret = plan_make(&pctx, pool);
	plan_say_provider(pctx.run);
	str_free(&pctx.mailboxes_json);
	pool_unref(&pool);
	mail_user_deinit(&pctx.source_user);
	return ret < 0 || _ctx->exit_code != 0 ? -1 : 0;
}

static int
cmd_plan_run(struct doveadm_mail_cmd_context *ctx, struct mail_user *user)
{
	return doveadm_migration_run_user(ctx, user, plan_run_user);
}

/*
 * The command
 */

static void
plan_parse_mode(struct plan_cmd_context *ctx,
		const struct doveadm_cmd_context *cctx)
{
	static const char *const import_only[] = {
		"pop3", "source-user", "parent", NULL
	};
	const char *mode, *const *name, *value;
	bool flag;

	if (!doveadm_cmd_param_str(cctx, "mode", &mode) ||
	    strcmp(mode, "backup") == 0)
		ctx->mode = PLAN_MODE_BACKUP;
	else if (strcmp(mode, "sync") == 0)
		ctx->mode = PLAN_MODE_SYNC;
	else if (strcmp(mode, "import") == 0)
		ctx->mode = PLAN_MODE_IMPORT;
	else {
		i_fatal_status(EX_USAGE, "--mode %s: must be backup, sync or "
			       "import", mode);
	}
	for (name = import_only; *name != NULL; name++) {
		if (ctx->mode != PLAN_MODE_IMPORT &&
		    (doveadm_cmd_param_bool(cctx, *name, &flag) ||
		     doveadm_cmd_param_str(cctx, *name, &value))) {
			i_fatal_status(EX_USAGE, "--%s is for --mode import "
				       "only", *name);
		}
	}
	if (!doveadm_cmd_param_bool(cctx, "details", &ctx->details))
		ctx->details = doveadm_verbose;
	if (ctx->mode == PLAN_MODE_IMPORT)
		plan_print_headers();
	else
		plan_dsync_print_headers(ctx->details);
}

DOVEADM_COMPAT_INIT(cmd_plan_init, _ctx)
{
	struct plan_cmd_context *ctx =
		container_of(_ctx, struct plan_cmd_context, ctx);
	const struct doveadm_cmd_context *cctx = _ctx->cctx;

	if (!doveadm_cmd_param_str(cctx, "source-location", &ctx->location))
		doveadm_mail_help_name("migration plan");
	plan_parse_mode(ctx, cctx);
	if (!doveadm_cmd_param_str(cctx, "source-user", &ctx->source_username))
		ctx->source_username = NULL;
	if (!doveadm_cmd_param_str(cctx, "parent", &ctx->parent))
		ctx->parent = "";
	ctx->options = doveadm_param_words(cctx, "source-option");
	doveadm_param_filter(cctx, &ctx->filter);
	(void)doveadm_cmd_param_bool(cctx, "pop3", &ctx->pop3);
}

static struct doveadm_mail_cmd_context *cmd_plan_alloc(void)
{
	struct plan_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc(struct plan_cmd_context);
	ctx->ctx.v.init = cmd_plan_init;
	ctx->ctx.v.run = cmd_plan_run;
	doveadm_compat_accept_options(&ctx->ctx);
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &ctx->ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_migration_plan = {
	.name = "migration plan",
	.mail_cmd = cmd_plan_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX
		"[-M backup|sync|import] [-d] [-3] [-U <source user>] "
		"[-P <parent mailbox>] [-p <setting>=<value>] "
		"[-n <namespace prefix>] [-m <mailbox mask>] "
		"[-x <mailbox mask>] <source location>",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('M', "mode", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('d', "details", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('n', "namespace", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('3', "pop3", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('U', "source-user", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('P', "parent", CMD_PARAM_STR, 0)
DOVEADM_CMD_PARAM('p', "source-option", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('m', "mailbox-mask", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('x', "exclude", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('\0', "source-location", CMD_PARAM_STR, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
};
