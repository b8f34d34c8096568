/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may be downloaded from the source: migration_imapc_daily_limit,
   migration_imapc_max_rate and migration_imapc_max_mail_rate. A run whose budget is spent goes on with what it
   has, also with mails that other plugins give without asking the source, and
   ends at the first mail that it would have to ask for. */

#include "lib.h"
#include "index-mail.h"
#include "imapc-client.h"
#include "compat-imapc.h"
#include "fetch-window.h"
#include "migration-budget.h"
#include "migration-imapc-private.h"

static void
migration_imapc_budget_init(struct migration_imapc_list *mlist)
{
	struct migration_imapc_user *muser = mlist->muser;
	struct fetch_budget_limits limits = {
		.rate = muser->set->max_rate,
		.mail_rate = muser->set->max_mail_rate,
	};
	const char *source;

	source = t_strdup_printf("%s/%s", migration_imapc_list_source(mlist),
				 mlist->list->set->imapc_user);
	if (strcmp(muser->set->daily_limit, "auto") != 0)
		limits.daily = mlist->profile.daily_limit;
	mlist->budget = migration_budget_init(mlist->list->list.ns->user,
					      source, &limits);
	if (strcmp(muser->set->daily_limit, "auto") == 0 &&
	    mlist->profile.daily_limit != 0) {
		migration_budget_set_daily_limit(mlist->budget,
			mlist->profile.daily_limit, t_strdup_printf(
			"%s's, see migration_imapc_daily_limit",
			mlist->profile.title));
	}
}

struct migration_budget *
migration_imapc_budget_get(struct migration_imapc_list *mlist)
{
	if (mlist->budget == NULL) T_BEGIN {
		migration_imapc_budget_init(mlist);
	} T_END;
	return mlist->budget;
}

void migration_imapc_budget_mailbox_opened(struct migration_imapc_mailbox *mmbox)
{
	struct mailbox *box = &mmbox->mbox->box;
	struct migration_imapc_list *mlist;

	if (strcmp(box->list->name, MAILBOX_LIST_NAME_IMAPC) != 0)
		return;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(box->list);
	if (mlist != NULL)
		mmbox->budget = migration_imapc_budget_get(mlist);
}

bool migration_imapc_budget_allows(struct migration_imapc_mailbox *mmbox,
				   const struct fetch_window *window,
				   uint64_t size)
{
	struct fetch_budget_ahead ahead = { .bytes = 0 };
	bool allowed;

	if (mmbox->budget == NULL)
		return TRUE;
	if (window != NULL) {
		ahead.bytes = window->bytes;
		ahead.mails = window->mails;
	}
	T_BEGIN {
		allowed = migration_budget_ask(mmbox->budget, &ahead, size);
	} T_END;
	return allowed;
}

/* imapc sends no FETCH for a mail that must not be read, but uses what it has
   of it. */
bool migration_imapc_budget_prefetch(const struct mail_vfuncs *super,
				     struct mail *mail)
{
	enum mail_lookup_abort old_abort = mail->lookup_abort;
	bool ret;

	mail->lookup_abort = MAIL_LOOKUP_ABORT_READ_MAIL;
	ret = super->prefetch(mail);
	mail->lookup_abort = old_abort;
	return ret;
}

int migration_imapc_budget_get_stream(struct migration_imapc_mailbox *mmbox,
				      const struct mail_vfuncs *super,
				      struct mail *mail, uint64_t size,
				      struct message_size *hdr_size,
				      struct message_size *body_size,
				      struct istream **stream_r)
{
	enum mail_lookup_abort old_abort = mail->lookup_abort;
	enum mail_error error;
	int ret;

	mail->lookup_abort = MAIL_LOOKUP_ABORT_READ_MAIL;
	ret = super->get_stream(mail, TRUE, hdr_size, body_size, stream_r);
	mail->lookup_abort = old_abort;
	if (ret == 0)
		return 0;
	(void)mailbox_get_last_error(mail->box, &error);
	if (error == MAIL_ERROR_LOOKUP_ABORTED) {
		mail_storage_set_error(mail->box->storage, MAIL_ERROR_TEMP,
			migration_budget_stop(mmbox->budget, size));
	}
	return -1;
}
