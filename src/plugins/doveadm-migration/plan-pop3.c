/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "module-dir.h"
#include "mail-storage-private.h"
#include "mail-storage-service.h"
#include "doveadm-print.h"
#include "migration-run.h"
#include "doveadm-pop3-settings.h"
#include "plan-pop3.h"
#include "doveadm-plan-private.h"

/*
 * Asking
 */

static bool is_loaded(const char *plugin)
{
	return module_dir_find(mail_storage_service_modules, plugin) != NULL;
}

/* Returns 1 if the run matches at all, 0 if not, or -1 and error_r. */
static int
pop3_is_wanted(struct plan_context *pctx, bool *all_mailboxes_r,
	       struct verify_error *error_r)
{
	struct doveadm_pop3_settings set;

	/* stock's import saves no UIDLs */
	if (!is_loaded("migration_pop3") ||
	    (pctx->cmd->mode == PLAN_MODE_IMPORT &&
	     !is_loaded("migration_import")))
		return 0;
	if (doveadm_pop3_settings_get(pctx->dest_user, pool_datastack_create(),
				     &set, error_r) < 0)
		return -1;
	*all_mailboxes_r = set.all_mailboxes;
	return *set.mailbox == '\0' ? 0 : 1;
}

static int
source_error(struct mailbox *box, struct verify_error *error_r)
{
	error_r->text = t_strdup_printf("Mailbox %s: %s",
		mailbox_get_vname(box),
		mailbox_get_last_internal_error(box, &error_r->error));
	return -1;
}

/* What dsync asks for before it writes anything of a mailbox. */
static int ask_as_dsync(struct mailbox *box, struct verify_error *error_r)
{
	struct mailbox_metadata metadata;

	if (mailbox_get_metadata(box, MAILBOX_METADATA_CACHE_FIELDS,
				 &metadata) == 0)
		return 1;
	(void)source_error(box, error_r);
	return error_r->error == MAIL_ERROR_NOTPOSSIBLE ? 0 : -1;
}

/* What saving a mail asks for. */
static int ask_as_copy(struct mailbox *box, struct verify_error *error_r)
{
	struct mailbox_transaction_context *trans;
	struct mail *mail;
	const char *uidl;
	int ret = 1;

	if (mail_index_view_get_messages_count(box->view) == 0)
		return 1;
	trans = mailbox_transaction_begin(box, 0, "migration plan");
	mail = mail_alloc(trans, 0, NULL);
	mail_set_seq(mail, 1);
	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0)
		ret = source_error(box, error_r);
	mail_free(&mail);
	mailbox_transaction_rollback(&trans);
	return ret;
}

int plan_pop3_mailbox(struct plan_context *pctx,
		      const struct verify_name *source, unsigned int mails,
		      unsigned int copied, struct verify_error *error_r)
{
	bool is_inbox = strcmp(source->name, "INBOX") == 0;
	bool all_mailboxes;
	struct mailbox *box;
	int ret;

	if (mails == 0 || pctx->run->pop3.asked)
		return 1;
	ret = pop3_is_wanted(pctx, &all_mailboxes, error_r);
	if (ret <= 0)
		return ret < 0 ? -1 : 1;
	if (!is_inbox && (!all_mailboxes || copied == 0))
		return 1;
	if (verify_mailbox_open(source, &box, error_r) < 0)
		return -1;
	if (is_inbox && pctx->cmd->mode != PLAN_MODE_IMPORT)
		ret = ask_as_dsync(box, error_r);
	if (ret > 0 && copied > 0)
		ret = ask_as_copy(box, error_r);
	mailbox_free(&box);
	return ret;
}

/*
 * Output
 */

void plan_pop3_print_headers(void)
{
	static const char *const names[] = {
		"pop3-matched", "pop3-unmatched", "pop3-none"
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(names); i++) {
		doveadm_print_header(names[i], names[i],
				     DOVEADM_PRINT_HEADER_FLAG_RIGHT_JUSTIFY);
	}
}

void plan_pop3_print(const struct plan_context *pctx, const char *mailbox)
{
	const struct migration_run_pop3 *pop3 = &pctx->run->pop3;
	bool is_inbox = strcmp(mailbox, "INBOX") == 0;

	doveadm_print_num(is_inbox ? pop3->matched : 0);
	doveadm_print_num(is_inbox ? pop3->unmatched : 0);
	doveadm_print_num(is_inbox ? pop3->imap_unmatched : 0);
}

void plan_pop3_finish(struct plan_context *pctx)
{
	const struct migration_run_pop3 *pop3 = &pctx->run->pop3;

	if (!pop3->asked)
		return;
	e_info(pctx->run->event, "POP3: %u of %u mails have their IMAP mail, "
	       "%u have none; %u IMAP mails are not listed by POP3",
	       pop3->matched, pop3->mails, pop3->unmatched,
	       pop3->imap_unmatched);
}

void plan_pop3_append_json(const struct plan_context *pctx, string_t *dest)
{
	const struct migration_run_pop3 *pop3 = &pctx->run->pop3;

	str_printfa(dest, "\n   \"pop3\": {\"asked\": %s, \"mails\": %u, "
		    "\"matched\": %u, \"unmatched\": %u, \"none\": %u}",
		    pop3->asked ? "true" : "false", pop3->mails, pop3->matched,
		    pop3->unmatched, pop3->imap_unmatched);
}
