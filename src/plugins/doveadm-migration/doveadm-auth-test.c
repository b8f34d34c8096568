/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The first thing that an administrator runs: gets a token, if there is OAuth2,
   logs in to the old servers, reads and writes nothing there, and says what it
   found. Works with passwords, too. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "imap-arg.h"
#include "module-dir.h"
#include "time-util.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-storage-service.h"
#include "mail-user.h"
#include "imapc-client-private.h"
#include "imapc-list.h"
#include "imapc-settings.h"
#include "imapc-storage.h"
#include "index-mail.h"
#include "pop3c-settings.h"
#include "pop3c-storage.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "doveadm-print.h"
#include "doveadm-cmd-compat.h"
#include "doveadm-params.h"
#include "second-user.h"
#include "oauth2-token.h"
#include "pop3-source.h"
#include "doveadm-pop3-settings.h"
#include "doveadm-auth-test.h"

#include <sysexits.h>

struct auth_test_cmd_context {
	struct doveadm_mail_cmd_context ctx;
	const char *location;
	const char *const *options;
};

struct auth_test {
	struct auth_test_cmd_context *cmd;
	struct event *event;
	/* of CAPABILITY */
	string_t *capabilities;
};

static void
auth_test_row(const char *part, const char *item, const char *value)
{
	doveadm_print(part);
	doveadm_print(item);
	doveadm_print(value);
}

static void
auth_test_fail(struct auth_test *test, int exit_code, const char *part,
	       const char *item, const char *error)
{
	auth_test_row(part, item, str_sanitize(error, 1000));
	/* one that may pass says more: run it again */
	if (test->cmd->ctx.exit_code == 0 || exit_code == EX_TEMPFAIL)
		test->cmd->ctx.exit_code = exit_code;
}

/*
 * Token
 */

static int problem_exit_code(enum migration_oauth2_problem problem)
{
	return migration_oauth2_problem_is_temporary(problem) ?
		EX_TEMPFAIL : EX_NOPERM;
}

static void
auth_test_show_token(struct migration_oauth2_source *source, const char *user,
		     const struct migration_oauth2_token *token)
{
	struct timeval now;
	long long left;

	i_gettimeofday(&now);
	left = (long long)(token->expires_msecs / 1000) - now.tv_sec;
	auth_test_row("token", "source", t_strdup_printf("%s, %s",
		migration_oauth2_source_get_provider(source),
		migration_oauth2_grant_name(
			migration_oauth2_source_get_grant(source))));
	auth_test_row("token", "user", str_sanitize(user, 200));
	auth_test_row("token", "scopes", token->scope[0] == '\0' ?
		      "(the server does not say)" :
		      str_sanitize(token->scope, 500));
	auth_test_row("token", "expires in", t_strdup_printf("%lld seconds",
							     left));
}

/* Returns FALSE if there should be a token and is none: a login is no use. */
static bool
auth_test_token(struct auth_test *test, struct mail_user *user,
		const char *login_user)
{
	struct migration_oauth2_source *source;
	const struct migration_oauth2_token *token;
	const struct migration_oauth2_failure *failure;
	const char *error;
	int ret;

	ret = migration_oauth2_source_init(user, &source, &error);
	if (ret < 0) {
		auth_test_fail(test, EX_CONFIG, "token", "settings", error);
		return FALSE;
	}
	if (ret == 0) {
		auth_test_row("token", "source", "none, a password is used "
			      "(migration_oauth2_provider is not set)");
		return TRUE;
	}
	ret = migration_oauth2_source_get(source, login_user, &token, &failure);
	if (ret < 0) {
		auth_test_fail(test, problem_exit_code(failure->problem),
			       "token", "error", failure->text);
	} else {
		auth_test_show_token(source, login_user, token);
	}
	migration_oauth2_source_deinit(&source);
	return ret == 0;
}

/*
 * IMAP
 */

static struct auth_test *capability_test;

static void
auth_test_untagged_capability(const struct imapc_untagged_reply *reply,
			      struct imapc_storage_client *client ATTR_UNUSED)
{
	const struct imap_arg *arg;
	const char *word;

	if (capability_test == NULL)
		return;
	str_truncate(capability_test->capabilities, 0);
	for (arg = reply->args; imap_arg_get_atom(arg, &word); arg++) {
		if (arg != reply->args)
			str_append_c(capability_test->capabilities, ' ');
		str_append(capability_test->capabilities, word);
	}
}

static void
auth_test_ask_capabilities(struct auth_test *test,
			   struct imapc_storage_client *sclient)
{
	struct imapc_simple_context sctx;
	struct imapc_command *cmd;

	capability_test = test;
	imapc_storage_client_register_untagged(sclient, "CAPABILITY",
		auth_test_untagged_capability);
	imapc_simple_context_init(&sctx, sclient);
	cmd = imapc_client_cmd(sclient->client, imapc_simple_callback, &sctx);
	imapc_command_send(cmd, "CAPABILITY");
	imapc_simple_run(&sctx, &cmd);
	capability_test = NULL;
	if (sctx.ret < 0) {
		auth_test_fail(test, EX_TEMPFAIL, "imap", "capabilities",
			"the connection was lost after the login");
	} else {
		auth_test_row("imap", "capabilities",
			      str_sanitize(str_c(test->capabilities), 1000));
	}
}

static void
auth_test_imap_login(struct auth_test *test, struct imapc_mailbox_list *list)
{
	struct imapc_storage_client *sclient = list->client;
	const struct imapc_settings *set = list->set;
	const char *user = list->list.ns->user->username;

	if (set->imapc_user[0] != '\0')
		user = set->imapc_user;
	if (!auth_test_token(test, list->list.ns->user, user))
		return;
	auth_test_row("imap", "server", t_strdup_printf("%s:%u",
		set->imapc_host, set->imapc_port));
	switch (sclient->auth_failed_state) {
	case IMAPC_COMMAND_STATE_OK:
		auth_test_row("imap", "login",
			      t_strdup_printf("ok, %s", user));
		auth_test_ask_capabilities(test, sclient);
		break;
	case IMAPC_COMMAND_STATE_DISCONNECTED:
		auth_test_fail(test, EX_TEMPFAIL, "imap", "login",
			       sclient->auth_failed_reason);
		break;
	default:
		auth_test_fail(test, EX_NOPERM, "imap", "login",
			       sclient->auth_failed_reason);
		break;
	}
}

static void auth_test_imap(struct auth_test *test, struct mail_user *source)
{
	struct mail_namespace *ns =
		mail_namespace_find_inbox(source->namespaces);
	struct mailbox_list *list = ns->list;

	if (strcmp(list->name, MAILBOX_LIST_NAME_IMAPC) != 0) {
		auth_test_fail(test, EX_USAGE, "imap", "location",
			t_strdup_printf("%s is not an imapc location",
					test->cmd->location));
		return;
	}
	/* the plugin's login has already been tried */
	auth_test_imap_login(test, (struct imapc_mailbox_list *)list);
}

/*
 * POP3
 */

static void
auth_test_pop3_login(struct auth_test *test,
		     const struct pop3_source_settings *set)
{
	struct pop3_source *source = pop3_source_init(set);
	enum pop3_client_error type;
	const char *error;

	auth_test_row("pop3", "server", t_strdup_printf("%s:%u",
		set->client.host, set->client.port));
	if (pop3_source_login(source, &error, &type) == 0) {
		auth_test_row("pop3", "login",
			      t_strdup_printf("ok, %s", set->client.username));
		auth_test_row("pop3", "capabilities", str_sanitize(
			pop3_client_get_capabilities(
				pop3_source_get_client(source)), 1000));
	} else {
		auth_test_fail(test, type == POP3_CLIENT_ERROR_TEMP ||
			       type == POP3_CLIENT_ERROR_BUSY ?
			       EX_TEMPFAIL : EX_NOPERM, "pop3", "login", error);
	}
	pop3_source_deinit(&source);
}

static void
auth_test_pop3_storage(struct auth_test *test, struct mail_user *user,
		       struct mail_storage *storage)
{
	const struct pop3c_storage *pop3c_storage = POP3C_STORAGE(storage);
	struct doveadm_pop3_settings pop3_set;
	struct pop3_source_settings set;
	struct verify_error error;

	if (doveadm_pop3_settings_get(user, user->pool, &pop3_set, &error) < 0) {
		auth_test_fail(test, EX_CONFIG, "pop3", "settings", error.text);
		return;
	}
	pop3_source_fill_settings(pop3c_storage->set, user, &pop3_set.limits,
				  test->event, &set);
	auth_test_pop3_login(test, &set);
}

static void auth_test_pop3(struct auth_test *test, struct mail_user *user)
{
	struct mail_namespace *ns;
	struct mail_storage *storage;

	for (ns = user->namespaces; ns != NULL; ns = ns->next) {
		storage = mail_namespace_get_default_storage(ns);
		if (storage == NULL ||
		    strcmp(storage->name, POP3C_STORAGE_NAME) != 0)
			continue;
		auth_test_pop3_storage(test, user, storage);
		return;
	}
	auth_test_row("pop3", "login", "not tried, there is no namespace with "
		      "a pop3c location");
}

/*
 * One user
 */

static int
cmd_auth_test_run(struct doveadm_mail_cmd_context *_ctx,
		  struct mail_user *user)
{
	struct auth_test_cmd_context *ctx =
		container_of(_ctx, struct auth_test_cmd_context, ctx);
	struct auth_test test = { .cmd = ctx, .event = user->event };
	struct mail_user *source;
	const char *error;
	int ret;

	if (module_dir_find(mail_storage_service_modules,
			    "migration_imapc") == NULL) {
		e_error(user->event, "mail_plugins lacks migration_imapc");
		_ctx->exit_code = EX_CONFIG;
		return -1;
	}
	ret = second_user_init(_ctx->storage_service, _ctx->cur_service_user,
			       ctx->location, ctx->options, &source, &error);
	if (ret < 0) {
		e_error(user->event, "Source %s: %s", ctx->location, error);
		_ctx->exit_code = ret == -1 ? EX_TEMPFAIL : EX_CONFIG;
		second_user_restore_context(_ctx->cur_service_user);
		return -1;
	}
	test.capabilities = str_new(default_pool, 256);
	auth_test_imap(&test, source);
	auth_test_pop3(&test, user);
	str_free(&test.capabilities);
	mail_user_deinit(&source);
	second_user_restore_context(_ctx->cur_service_user);
	return _ctx->exit_code == 0 ? 0 : -1;
}

/*
 * The command
 */

DOVEADM_COMPAT_INIT(cmd_auth_test_init, _ctx)
{
	struct auth_test_cmd_context *ctx =
		container_of(_ctx, struct auth_test_cmd_context, ctx);

	if (!doveadm_cmd_param_str(_ctx->cctx, "source-location",
				   &ctx->location))
		ctx->location = "imapc:";
	ctx->options = doveadm_param_words(_ctx->cctx, "source-option");
	doveadm_print_header("part", "Part", 0);
	doveadm_print_header("item", "Item", 0);
	doveadm_print_header("value", "Value",
			     DOVEADM_PRINT_HEADER_FLAG_EXPAND);
}

static struct doveadm_mail_cmd_context *cmd_auth_test_alloc(void)
{
	struct auth_test_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc(struct auth_test_cmd_context);
	ctx->ctx.v.init = cmd_auth_test_init;
	ctx->ctx.v.run = cmd_auth_test_run;
	doveadm_compat_accept_options(&ctx->ctx);
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &ctx->ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_migration_auth_test = {
	.name = "migration auth-test",
	.mail_cmd = cmd_auth_test_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX
		"[-p <setting>=<value>] [<source location>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('p', "source-option", CMD_PARAM_ARRAY, 0)
DOVEADM_CMD_PARAM('\0', "source-location", CMD_PARAM_STR, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
};
