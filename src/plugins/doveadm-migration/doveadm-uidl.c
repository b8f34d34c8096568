/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Puts the UIDLs and the order of the POP3 server that migration_pop3 knows onto
   mail that is already here: migrated before without the plugin, or wrongly.
   The mail's own mailboxes are what the maildrop is matched with, so no IMAP
   server is asked, and no text is downloaded unless headers leave a doubt. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-storage-hooks.h"
#include "mail-user.h"
#include "index-mail.h"
#include "pop3c-settings.h"
#include "pop3c-storage.h"
#include "doveadm-mail.h"
#include "doveadm-cmd.h"
#include "doveadm-print.h"
#include "doveadm-cmd-compat.h"
#include "second-user.h"
#include "settings-loader.h"
#include "migration-run.h"
#include "migration-user.h"
#include "oauth2-user.h"
#include "pop3-source.h"
#include "migration-pop3-settings.h"
#include "uidl-gather.h"
#include "uidl-plan.h"
#include "uidl-store.h"
#include "doveadm-migration-run.h"
#include "maildrop-mailboxes.h"
#include "doveadm-uidl.h"

#include <sysexits.h>

struct uidl_cmd_context {
	struct doveadm_mail_cmd_context ctx;
	/* NULL: the POP3 server is that of migration_pop3_mailbox */
	const char *location;
	bool dry_run;
};

struct uidl_mailbox {
	struct mailbox *box;
	/* its mails are a part of all plan mails */
	unsigned int first_idx, count;
};

/* One user's run. */
struct uidl_context {
	struct uidl_cmd_context *cmd;
	struct migration_run *run;
	struct mail_user *user;
	/* who has the command's location, or NULL */
	struct mail_user *source_user;
	const struct migration_pop3_settings *set;
	struct uidl_gather *gather;
	pool_t pool;

	ARRAY(struct uidl_mailbox) mailboxes;
	/* mailbox by mailbox, in UID order */
	ARRAY(struct uidl_plan_mail) mails;
	unsigned int totals[UIDL_PLAN_ACTION_COUNT];
};

static int
uidl_failed(struct uidl_context *uctx, struct mailbox *box, int exit_code,
	    const char *error)
{
	const char *name = box == NULL ? NULL : mailbox_get_vname(box);

	migration_run_finding(uctx->run, MIGRATION_SEVERITY_ERROR, name, 0,
			      FINDING_UIDL_FAILED, "%s", error);
	if (name == NULL)
		e_error(uctx->run->event, "%s", error);
	else
		e_error(uctx->run->event, "Mailbox %s: %s", name, error);
	uctx->cmd->ctx.exit_code = exit_code;
	return -1;
}

/*
 * The POP3 server
 */

static struct pop3c_storage *uidl_get_pop3c(struct mail_namespace *ns)
{
	struct mail_storage *storage = mail_namespace_get_default_storage(ns);

	return storage == NULL ||
		strcmp(storage->name, POP3C_STORAGE_NAME) != 0 ? NULL :
		POP3C_STORAGE(storage);
}

/* The command's location, or the namespace that migration_pop3_mailbox names,
   or if it is not set, the first one with a pop3c location. */
static struct pop3c_storage *uidl_find_pop3c(struct uidl_context *uctx)
{
	struct mail_namespace *ns = uctx->user->namespaces;
	struct pop3c_storage *storage;

	if (uctx->source_user != NULL) {
		return uidl_get_pop3c(mail_namespace_find_inbox(
			uctx->source_user->namespaces));
	}
	if (uctx->set->mailbox[0] != '\0')
		ns = mail_namespace_find(ns, uctx->set->mailbox);
	for (; ns != NULL; ns = ns->next) {
		storage = uidl_get_pop3c(ns);
		if (storage != NULL)
			return storage;
		if (uctx->set->mailbox[0] != '\0')
			break;
	}
	return NULL;
}

static int uidl_gather_begin(struct uidl_context *uctx)
{
	struct uidl_gather_settings gather_set;
	struct pop3_source_limits limits;
	struct pop3c_storage *storage = uidl_find_pop3c(uctx);

	if (storage == NULL && uctx->source_user != NULL) {
		return uidl_failed(uctx, NULL, EX_USAGE, t_strdup_printf(
			"The location %s is no POP3 server's: it must be "
			"pop3c:", uctx->cmd->location));
	}
	if (storage == NULL) {
		return uidl_failed(uctx, NULL, EX_CONFIG, t_strdup_printf(
			"migration_pop3_mailbox=%s: there is no namespace with "
			"a pop3c location at this name: add the namespace for "
			"the old POP3 server, or name its mailbox",
			uctx->set->mailbox));
	}
	i_zero(&gather_set);
	migration_pop3_settings_limits(uctx->set, &limits);
	pop3_source_fill_settings(storage->set, uctx->user, &limits,
				  uctx->run->event, &gather_set.pop3);
	gather_set.skip_sizes = uctx->set->skip_size_check;
	gather_set.max_body_bytes = uctx->set->body_limit;
	gather_set.user = uctx->user;
	gather_set.event = uctx->run->event;
	uctx->gather = uidl_gather_init(&gather_set);
	return 0;
}

static int uidl_gather_exit_code(enum pop3_client_error type)
{
	switch (type) {
	case POP3_CLIENT_ERROR_NONE:
	case POP3_CLIENT_ERROR_TEMP:
	case POP3_CLIENT_ERROR_BUSY:
		break;
	case POP3_CLIENT_ERROR_AUTH:
	case POP3_CLIENT_ERROR_UNSUPPORTED:
		return EX_NOPERM;
	}
	return EX_TEMPFAIL;
}

/*
 * Mailboxes
 */

/* Opens the mailbox and gives it to the matcher. */
static int
uidl_add_mailbox(struct uidl_context *uctx, struct mail_namespace *ns,
		 const char *vname)
{
	enum mailbox_flags flags = MAILBOX_FLAG_IGNORE_ACLS;
	struct uidl_mailbox *umbox = array_append_space(&uctx->mailboxes);
	const char *error;

	if (uctx->cmd->dry_run)
		flags |= MAILBOX_FLAG_READONLY;
	umbox->box = mailbox_alloc(ns->list, vname, flags);
	if (mailbox_open(umbox->box) < 0 ||
	    mailbox_sync(umbox->box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		return uidl_failed(uctx, umbox->box, EX_TEMPFAIL,
			mailbox_get_last_internal_error(umbox->box, NULL));
	}
	error = uidl_store_why_not(umbox->box->storage);
	if (error != NULL)
		return uidl_failed(uctx, umbox->box, EX_CONFIG, error);
	if (uidl_gather_add_opened(uctx->gather, umbox->box, &error) < 0)
		return uidl_failed(uctx, umbox->box, EX_TEMPFAIL, error);
	return 0;
}

static int
uidl_add_other_mailboxes(struct uidl_context *uctx, struct mail_namespace *ns)
{
	ARRAY_TYPE(const_string) vnames;
	enum mail_error mail_error;
	const char *vname, *error;

	t_array_init(&vnames, 32);
	if (maildrop_mailboxes_list(ns, &vnames, &error, &mail_error) < 0)
		return uidl_failed(uctx, NULL, EX_TEMPFAIL, error);
	array_foreach_elem(&vnames, vname) {
		if (uidl_add_mailbox(uctx, ns, vname) < 0)
			return -1;
	}
	return 0;
}

static int uidl_add_mailboxes(struct uidl_context *uctx)
{
	struct mail_namespace *ns =
		mail_namespace_find_inbox(uctx->user->namespaces);

	if (uidl_add_mailbox(uctx, ns, "INBOX") < 0)
		return -1;
	return !uctx->set->all_mailboxes ? 0 :
		uidl_add_other_mailboxes(uctx, ns);
}

/*
 * The plan
 */

static int
uidl_read_mailbox(struct uidl_context *uctx, struct uidl_mailbox *umbox)
{
	ARRAY_TYPE(uidl_store_mail) stored;
	const struct uidl_store_mail *smail;
	struct uidl_plan_mail *mail;
	const char *error;

	p_array_init(&stored, uctx->pool, 128);
	if (uidl_store_read(umbox->box, uctx->pool, &stored, &error) < 0)
		return uidl_failed(uctx, umbox->box, EX_TEMPFAIL, error);
	umbox->first_idx = array_count(&uctx->mails);
	umbox->count = array_count(&stored);
	array_foreach(&stored, smail) {
		mail = array_append_space(&uctx->mails);
		mail->mailbox = array_ptr_to_idx(&uctx->mailboxes, umbox);
		mail->uid = smail->uid;
		mail->stored_id = smail->stored_id;
		mail->stored_uidl = smail->stored_uidl;
		mail->stored_order = smail->stored_order;
		mail->served_uidl = smail->served_uidl;
		mail->served_order = smail->served_order;
	}
	return 0;
}

static struct uidl_plan_mail *
uidl_find_mail(struct uidl_context *uctx, unsigned int mailbox, uint32_t uid)
{
	const struct uidl_mailbox *umbox =
		array_idx(&uctx->mailboxes, mailbox);
	struct uidl_plan_mail *mail;
	unsigned int left = umbox->first_idx, middle;
	unsigned int right = left + umbox->count;

	while (left < right) {
		middle = (left + right) / 2;
		mail = array_idx_modifiable(&uctx->mails, middle);
		if (mail->uid == uid)
			return mail;
		if (mail->uid < uid)
			left = middle + 1;
		else
			right = middle;
	}
	return NULL;
}

static int uidl_make_plan(struct uidl_context *uctx)
{
	struct uidl_mailbox *umbox;
	struct uidl_plan_mail *mails, *mail;
	unsigned int i, mailbox, count;
	const char *uidl;
	uint32_t uid;

	array_foreach_modifiable(&uctx->mailboxes, umbox) {
		if (uidl_read_mailbox(uctx, umbox) < 0)
			return -1;
	}
	for (i = 0; i < uidl_gather_pop3_count(uctx->gather); i++) {
		if (!uidl_gather_pop3_mail(uctx->gather, i, &uidl, &mailbox,
					   &uid))
			continue;
		/* it may have been expunged meanwhile */
		mail = uidl_find_mail(uctx, mailbox, uid);
		if (mail != NULL) {
			mail->wanted_uidl = uidl;
			mail->wanted_position = i + 1;
		}
	}
	mails = array_get_modifiable(&uctx->mails, &count);
	uidl_plan_make(mails, count);
	return 0;
}

/* Mails of the maildrop that are not here are no reason to leave the others
   without their UIDLs: unlike a mail that is being saved, they can get theirs
   by another run. */
static void uidl_report_leftovers(struct uidl_context *uctx)
{
	bool is_error = !uctx->set->ignore_missing_uidls;

	if (uctx->set->ignore_extra_uidls &&
	    uidl_gather_unmatched_imap(uctx->gather) == 0)
		is_error = FALSE;
	uidl_gather_report(uctx->gather, is_error);
}

/* The old server lists copies that are one stored mail here. */
static void
uidl_report_copy(struct uidl_context *uctx, const struct uidl_plan_mail *mail,
		 const char *vname)
{
	const struct uidl_mailbox *umbox =
		array_idx(&uctx->mailboxes, mail->owner->mailbox);

	if (mail->wanted_uidl == NULL || mail->owner->wanted_uidl == NULL ||
	    mail->action == UIDL_PLAN_REFUSE)
		return;
	migration_run_finding(uctx->run, MIGRATION_SEVERITY_WARNING,
		vname, mail->uid, FINDING_UIDL_SHARED,
		"It and UID %u of %s are one stored mail, which has room for "
		"one UIDL: POP3 is shown %s only as long as "
		"dovecot.index.cache is there; delete one of the two, or run "
		"this again after the cache was lost", mail->owner->uid,
		mailbox_get_vname(umbox->box), str_sanitize(mail->uidl, 80));
}

static void
uidl_report_mail(struct uidl_context *uctx, const struct uidl_plan_mail *mail)
{
	const struct uidl_mailbox *umbox =
		array_idx(&uctx->mailboxes, mail->mailbox);
	const char *vname = mailbox_get_vname(umbox->box);

	uctx->totals[mail->action]++;
	if (mail->owner != NULL)
		uidl_report_copy(uctx, mail, vname);
	if (mail->action == UIDL_PLAN_KEEP)
		return;
	if (mail->action == UIDL_PLAN_REFUSE) {
		migration_run_finding(uctx->run, MIGRATION_SEVERITY_ERROR,
				      vname, mail->uid, FINDING_UIDL_REFUSED,
				      "%s",
				      uidl_plan_reason(mail));
	}
	e_debug(umbox->box->event, "UID %u: %s: %s", mail->uid,
		uidl_plan_action_name(mail->action), uidl_plan_reason(mail));
	if (!uctx->cmd->dry_run)
		return;
	doveadm_print(vname);
	doveadm_print_num(mail->uid);
	doveadm_print(uidl_plan_action_name(mail->action));
	doveadm_print(uidl_plan_reason(mail));
}

static void uidl_report_plan(struct uidl_context *uctx)
{
	const struct uidl_plan_mail *mail;

	array_foreach(&uctx->mails, mail) T_BEGIN {
		uidl_report_mail(uctx, mail);
	} T_END;
}

/*
 * Writing
 */

static void
uidl_get_changes(struct uidl_context *uctx, const struct uidl_mailbox *umbox,
		 ARRAY_TYPE(uidl_store_change) *changes)
{
	const struct uidl_plan_mail *mail;
	struct uidl_store_change *change;
	unsigned int i;

	for (i = 0; i < umbox->count; i++) {
		mail = array_idx(&uctx->mails, umbox->first_idx + i);
		if (mail->action == UIDL_PLAN_KEEP ||
		    mail->action == UIDL_PLAN_REFUSE)
			continue;
		change = array_append_space(changes);
		change->uid = mail->uid;
		change->uidl = mail->uidl;
		change->order = mail->order;
		change->write = uidl_plan_action_writes(mail->action);
	}
}

static int
uidl_write_mailbox(struct uidl_context *uctx, const struct uidl_mailbox *umbox)
{
	ARRAY_TYPE(uidl_store_change) changes;
	struct uidl_store_result result;
	const char *error;
	int ret;

	i_array_init(&changes, umbox->count + 1);
	uidl_get_changes(uctx, umbox, &changes);
	ret = uidl_store_write(umbox->box, array_count(&changes) == 0 ? NULL :
			       array_front(&changes), array_count(&changes),
			       &result, &error);
	array_free(&changes);
	e_debug(umbox->box->event, "UIDLs: %u mails written, %u shown, "
		"%u vanished", result.written, result.shown, result.vanished);
	if (ret < 0)
		return uidl_failed(uctx, umbox->box, EX_TEMPFAIL, error);
	doveadm_print(mailbox_get_vname(umbox->box));
	doveadm_print_num(umbox->count);
	doveadm_print_num(result.written);
	doveadm_print_num(result.shown);
	doveadm_print("right");
	return 0;
}

static int uidl_write(struct uidl_context *uctx)
{
	const struct uidl_mailbox *umbox;

	array_foreach(&uctx->mailboxes, umbox) {
		if (uidl_write_mailbox(uctx, umbox) < 0)
			return -1;
	}
	return 0;
}

/*
 * One user
 */

static void uidl_add_section(struct uidl_context *uctx)
{
	string_t *json = t_str_new(128);
	unsigned int i;

	str_printfa(json, "{\n   \"dry_run\": %s",
		    uctx->cmd->dry_run ? "true" : "false");
	for (i = 0; i < UIDL_PLAN_ACTION_COUNT; i++) {
		str_printfa(json, ",\n   \"%s\": %u",
			    uidl_plan_action_name(i), uctx->totals[i]);
	}
	str_append(json, "\n  }");
	migration_run_add_section(uctx->run, "uidl", str_c(json));
}

static int uidl_source_init(struct uidl_context *uctx)
{
	struct doveadm_mail_cmd_context *ctx = &uctx->cmd->ctx;
	static const char *const no_options[] = { NULL };
	const char *error;
	int ret;

	if (uctx->cmd->location == NULL)
		return 0;
	ret = second_user_init(ctx->storage_service, ctx->cur_service_user,
			       uctx->cmd->location, no_options,
			       &uctx->source_user, &error);
	if (ret < 0) {
		return uidl_failed(uctx, NULL,
			ret == -1 ? EX_TEMPFAIL : EX_CONFIG,
			t_strdup_printf("Source %s: %s", uctx->cmd->location,
					error));
	}
	return 0;
}

static int uidl_run(struct uidl_context *uctx)
{
	enum pop3_client_error type;
	const char *error;

	if (uidl_source_init(uctx) < 0 || uidl_gather_begin(uctx) < 0 ||
	    uidl_add_mailboxes(uctx) < 0)
		return -1;
	if (uidl_gather_run(uctx->gather, &error, &type) < 0) {
		return uidl_failed(uctx, NULL, uidl_gather_exit_code(type),
				   error);
	}
	uidl_report_leftovers(uctx);
	if (uidl_make_plan(uctx) < 0)
		return -1;
	uidl_report_plan(uctx);
	uidl_add_section(uctx);
	return uctx->cmd->dry_run ? 0 : uidl_write(uctx);
}

static int
uidl_run_user(struct doveadm_mail_cmd_context *_ctx, struct mail_user *user)
{
	struct uidl_cmd_context *ctx =
		container_of(_ctx, struct uidl_cmd_context, ctx);
	struct uidl_context uctx;
	struct uidl_mailbox *umbox;
	const void *set;
	const char *error;
	int ret;

	i_zero(&uctx);
	uctx.cmd = ctx;
	uctx.run = migration_run_find(user);
	uctx.user = user;
	if (migration_settings_get(user, &migration_pop3_setting_parser_info,
				   &set, &error) < 0)
		return uidl_failed(&uctx, NULL, EX_CONFIG, error);
	uctx.set = set;
	uctx.pool = pool_alloconly_create("migration uidl", 4096);
	p_array_init(&uctx.mailboxes, uctx.pool, 8);
	i_array_init(&uctx.mails, 128);
	ret = uidl_run(&uctx);
	if (uctx.gather != NULL)
		uidl_gather_deinit(&uctx.gather);
	array_foreach_modifiable(&uctx.mailboxes, umbox)
		mailbox_free(&umbox->box);
	if (uctx.source_user != NULL)
		mail_user_deinit(&uctx.source_user);
	array_free(&uctx.mails);
	pool_unref(&uctx.pool);
	migration_settings_free(set);
	return ret;
}

static int
cmd_uidl_run(struct doveadm_mail_cmd_context *ctx, struct mail_user *user)
{
	return doveadm_migration_run_user(ctx, user, uidl_run_user);
}

/*
 * The command
 */

/* Nothing of this command needs a plugin, and so neither does a POP3 server
   that wants tokens: without this, stock would miss pop3c_password. */
static void uidl_mail_user_created(struct mail_user *user)
{
	if (migration_user_is_active(user))
		migration_oauth2_user_prepare(user);
}

static struct mail_storage_hooks uidl_mail_storage_hooks = {
	.mail_user_created = uidl_mail_user_created,
};

static void
cmd_uidl_deinit(struct doveadm_mail_cmd_context *ctx ATTR_UNUSED)
{
	mail_storage_hooks_remove_internal(&uidl_mail_storage_hooks);
}

static void uidl_print_headers(bool dry_run)
{
	doveadm_print_header("mailbox", "Mailbox",
			     DOVEADM_PRINT_HEADER_FLAG_EXPAND);
	if (dry_run) {
		doveadm_print_header("uid", "UID",
				     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
		doveadm_print_header("action", "Action", 0);
		doveadm_print_header("reason", "Reason", 0);
		return;
	}
	doveadm_print_header("mails", "Mails",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("written", "Written",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("shown", "Shown",
			     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	doveadm_print_header("result", "Result", 0);
}

DOVEADM_COMPAT_INIT(cmd_uidl_init, _ctx)
{
	struct uidl_cmd_context *ctx =
		container_of(_ctx, struct uidl_cmd_context, ctx);

	(void)doveadm_cmd_param_bool(_ctx->cctx, "dry-run", &ctx->dry_run);
	(void)doveadm_cmd_param_str(_ctx->cctx, "source-location",
				    &ctx->location);
	uidl_print_headers(ctx->dry_run);
	/* internal hooks need no word in mail_plugins */
	mail_storage_hooks_add_internal(&uidl_mail_storage_hooks);
}

static struct doveadm_mail_cmd_context *cmd_uidl_alloc(void)
{
	struct uidl_cmd_context *ctx;

	ctx = doveadm_mail_cmd_alloc(struct uidl_cmd_context);
	ctx->ctx.v.init = cmd_uidl_init;
	ctx->ctx.v.deinit = cmd_uidl_deinit;
	ctx->ctx.v.run = cmd_uidl_run;
	doveadm_compat_accept_options(&ctx->ctx);
	doveadm_print_init(DOVEADM_PRINT_TYPE_TABLE);
	return &ctx->ctx;
}

struct doveadm_cmd_ver2 doveadm_cmd_migration_uidl = {
	.name = "migration uidl",
	.mail_cmd = cmd_uidl_alloc,
	.usage = DOVEADM_CMD_MAIL_USAGE_PREFIX "[-n|--dry-run] [<source location>]",
DOVEADM_CMD_PARAMS_START
DOVEADM_CMD_MAIL_COMMON
DOVEADM_CMD_PARAM('n', "dry-run", CMD_PARAM_BOOL, 0)
DOVEADM_CMD_PARAM('\0', "source-location", CMD_PARAM_STR, CMD_PARAM_FLAG_POSITIONAL)
DOVEADM_CMD_PARAMS_END
};
