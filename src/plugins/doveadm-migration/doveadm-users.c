/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "wildcard-match.h"
#include "mail-storage-service.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "doveadm-settings.h"
#include "doveadm-cmd.h"
#include "exit-code.h"
#include "migration-user.h"
#include "users-summary.h"
#include "doveadm-users.h"

#include <sysexits.h>

#define DOVEADM_USERS_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, doveadm_users_module)

struct doveadm_users {
	union doveadm_mail_cmd_module_context module_ctx;
	struct users_summary *summary;
	/* -u with wildcards, or NULL */
	const char *mask;
	/* somebody has a plugin of ours, or did not end well */
	bool worth_telling;
	/* who was handed to stock; NULL once his run() has ended */
	char *pending;
};

static MODULE_CONTEXT_DEFINE_INIT(doveadm_users_module,
				  &doveadm_mail_cmd_module_register);

static void users_add(struct doveadm_mail_cmd_context *ctx,
		      struct doveadm_users *users, const char *username,
		      int exit_code)
{
	users_summary_add(users->summary, username, exit_code);
	if (exit_code != 0)
		users->worth_telling = TRUE;
	ctx->exit_code = migration_exit_code_worse(ctx->exit_code, exit_code);
}

/* Stock logs why it could not begin with a user, and goes on as if nothing had
   been. A single user's exit code is this one then. */
static void users_finish_pending(struct doveadm_mail_cmd_context *ctx,
				 struct doveadm_users *users)
{
	if (users->pending == NULL)
		return;
	users_add(ctx, users, users->pending, EX_TEMPFAIL);
	i_free(users->pending);
}

/* Stock ends the whole command if the lookup fails, and passes over a user who
   does not exist. */
static bool users_exists(struct doveadm_mail_cmd_context *ctx,
			 struct doveadm_users *users, const char *username)
{
	struct mail_storage_service_input input = ctx->storage_service_input;
	struct mail_storage_service_user *service_user;
	const char *error;
	int ret;

	input.username = username;
	ret = mail_storage_service_lookup(ctx->storage_service, &input,
					  &service_user, &error);
	if (ret > 0) {
		mail_storage_service_user_unref(&service_user);
		return TRUE;
	}
	if (ret < 0) {
		i_error("User %s: lookup failed: %s", username, error);
		users_add(ctx, users, username, EX_TEMPFAIL);
	} else {
		i_error("User %s doesn't exist", username);
		users_add(ctx, users, username, EX_NOUSER);
	}
	return FALSE;
}

static int users_get_next_user(struct doveadm_mail_cmd_context *ctx,
			       const char **username_r)
{
	struct doveadm_users *users = DOVEADM_USERS_CONTEXT_REQUIRE(ctx);
	bool found = FALSE;
	int ret;

	users_finish_pending(ctx, users);
	while (!found) {
		ret = users->module_ctx.super.get_next_user(ctx, username_r);
		if (ret <= 0)
			return ret;
		if (users->mask != NULL &&
		    !wildcard_match_icase(*username_r, users->mask))
			continue;
		T_BEGIN {
			found = users_exists(ctx, users, *username_r);
		} T_END;
	}
	users->pending = i_strdup(*username_r);
	return 1;
}

static int users_run(struct doveadm_mail_cmd_context *ctx,
		     struct mail_user *user)
{
	struct doveadm_users *users = DOVEADM_USERS_CONTEXT_REQUIRE(ctx);
	int ret, exit_code, earlier_exit_code = ctx->exit_code;

	ctx->exit_code = 0;
	ret = users->module_ctx.super.run(ctx, user);
	exit_code = ctx->exit_code;
	ctx->exit_code = earlier_exit_code;
	i_free(users->pending);
	if (migration_user_has_plugin(user))
		users->worth_telling = TRUE;
	users_add(ctx, users, user->username, exit_code);
	return ret;
}

static void users_deinit(struct doveadm_mail_cmd_context *ctx)
{
	struct doveadm_users *users = DOVEADM_USERS_CONTEXT_REQUIRE(ctx);
	string_t *text = t_str_new(256);

	users_finish_pending(ctx, users);
	users_summary_append(text, users->summary);
	if (users->worth_telling || doveadm_verbose)
		i_info("%s: %s", ctx->cmd->name, str_c(text));
	users_summary_deinit(&users->summary);
	users->module_ctx.super.deinit(ctx);
}

void doveadm_users_wrap(struct doveadm_mail_cmd_context *ctx)
{
	struct doveadm_users *users;
	const char *mask;

	/* what other processes and servers do is not seen here */
	if (ctx->iterate_single_user || doveadm_server ||
	    ctx->set->doveadm_worker_count != 0 || ctx->set->doveadm_port != 0)
		return;
	users = p_new(ctx->pool, struct doveadm_users, 1);
	users->summary = users_summary_init();
	if (doveadm_cmd_param_str(ctx->cctx, "user", &mask) &&
	    strpbrk(mask, "*?") != NULL)
		users->mask = p_strdup(ctx->pool, mask);
	users->module_ctx.super = ctx->v;
	ctx->v.get_next_user = users_get_next_user;
	ctx->v.run = users_run;
	ctx->v.deinit = users_deinit;
	MODULE_CONTEXT_SET(ctx, doveadm_users_module, users);
}
