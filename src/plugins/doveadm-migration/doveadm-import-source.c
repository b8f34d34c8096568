/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str-sanitize.h"
#include "unichar.h"
#include "mail-user.h"
#include "mail-storage-private.h"
#include "mail-storage-hooks.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "doveadm-cmd-compat.h"
#include "mail-search.h"
#include "import-source-user.h"
#include "migration-user.h"
#include "doveadm-import-source.h"

#include <sysexits.h>
#include <unistd.h>

#define DOVEADM_IMPORT_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, doveadm_import_source_module)

struct doveadm_import_cmd {
	union doveadm_mail_cmd_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(doveadm_import_source_module,
				  &doveadm_mail_cmd_module_register);

static const char *const no_options[] = { NULL };

/* The import that is running, and the effective uid of the user who is being
   imported into. */
static struct doveadm_mail_cmd_context *import_ctx;
static uid_t import_euid;

static void doveadm_import_expand(struct mail_user *user)
{
	const char *location, *const *options, *error;

	if (!doveadm_cmd_param_str(import_ctx->cctx, "source-location",
				   &location))
		return;
	if (!doveadm_cmd_param_array(import_ctx->cctx, "source-option",
				     &options))
		options = no_options;
	if (import_source_user_expand(user, location, options, &error) < 0)
		migration_user_fail(user, error);
}

/* The source's user has been looked up; nothing is written yet. */
static void doveadm_import_mail_user_created(struct mail_user *user)
{
	if (!user->autocreated)
		doveadm_import_expand(user);
	if (geteuid() == import_euid)
		return;
	e_debug(user->event, "Import: back to effective uid %s, "
		"after the lookup of the source's user", dec2str(import_euid));
	if (seteuid(import_euid) < 0)
		i_fatal("seteuid(%s) failed: %m", dec2str(import_euid));
}

static struct mail_storage_hooks doveadm_import_mail_storage_hooks = {
	.mail_user_created = doveadm_import_mail_user_created,
};

/* Makes the location this user's. */
static int
doveadm_import_set_location(struct doveadm_mail_cmd_context *ctx,
			    struct mail_user *user)
{
	const char *location, *username, *expanded, *error;

	if (!doveadm_cmd_param_str(ctx->cctx, "source-location", &location) ||
	    strchr(location, '%') == NULL)
		return 0;
	if (!doveadm_cmd_param_str(ctx->cctx, "source-user", &username))
		username = NULL;
	if (import_source_location_expand(user, username, location, &expanded,
					  &error) < 0) {
		e_error(user->event, "Source %s: %s", location, error);
		ctx->exit_code = EX_USAGE;
		return -1;
	}
	doveadm_compat_set_first_arg(ctx, expanded);
	return 0;
}

/* Stock ends with an assertion, or a segmentation fault, on these words of the
   command line. */
static int doveadm_import_check(struct doveadm_mail_cmd_context *ctx,
				struct mail_user *user)
{
	const char *value;

	if (doveadm_cmd_param_str(ctx->cctx, "source-location", &value) &&
	    *value == '\0') {
		e_error(user->event, "%s", IMPORT_SOURCE_LOCATION_MISSING);
		ctx->exit_code = EX_USAGE;
		return -1;
	}
	if (doveadm_cmd_param_str(ctx->cctx, "dest-parent-mailbox", &value) &&
	    !uni_utf8_str_is_valid(value)) {
		e_error(user->event, "The parent mailbox %s is not UTF-8: "
			"write its name as `doveadm mailbox list` shows it",
			str_sanitize(value, 80));
		ctx->exit_code = EX_USAGE;
		return -1;
	}
	if (doveadm_cmd_param_str(ctx->cctx, "source-user", &value) &&
	    !import_source_user_exists(ctx->storage_service,
				       ctx->cur_service_user, value)) {
		e_error(user->event, IMPORT_SOURCE_USER_UNKNOWN, value);
		ctx->exit_code = EX_NOUSER;
		return -1;
	}
	return 0;
}

static int doveadm_import_run(struct doveadm_mail_cmd_context *ctx,
			      struct mail_user *user)
{
	struct doveadm_import_cmd *icmd = DOVEADM_IMPORT_CONTEXT_REQUIRE(ctx);
	int ret;

	if (doveadm_import_check(ctx, user) < 0 ||
	    doveadm_import_set_location(ctx, user) < 0)
		return -1;

	/* internal hooks need no word in mail_plugins */
	mail_storage_hooks_add_internal(&doveadm_import_mail_storage_hooks);
	import_ctx = ctx;
	import_euid = geteuid();
	ret = icmd->module_ctx.super.run(ctx, user);
	mail_storage_hooks_remove_internal(&doveadm_import_mail_storage_hooks);
	/* stock's deinit() forgets the source, and does nothing if it is
	   called again; with -U the next source is the same one */
	icmd->module_ctx.super.deinit(ctx);
	return ret;
}

void doveadm_import_source_wrap(struct doveadm_mail_cmd_context *ctx)
{
	struct doveadm_import_cmd *icmd;

	if (strcmp(ctx->cmd->name, "import") != 0)
		return;
	icmd = p_new(ctx->pool, struct doveadm_import_cmd, 1);
	icmd->module_ctx.super = ctx->v;
	ctx->v.run = doveadm_import_run;
	MODULE_CONTEXT_SET(ctx, doveadm_import_source_module, icmd);
}
