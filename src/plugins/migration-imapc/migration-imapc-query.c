/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queries of commands that copy, such as that of `doveadm import`: which mails
   are wanted has to be known before their texts can be asked for. In a mailbox
   that was fetched ahead, what is known of all mails decides if it can;
   otherwise the server searches. */

#include "lib.h"
#include "array.h"
#include "seq-range-array.h"
#include "mail-search-build.h"
#include "index-storage.h"
#include "imapc-client-private.h"
#include "compat-imapc.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

ARRAY_DEFINE_TYPE(mail_search_arg, struct mail_search_arg *);

/* TRUE if flags, dates and sizes decide these conditions. */
static bool query_is_of_metadata(const struct mail_search_arg *arg)
{
	switch (arg->type) {
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE:
		return arg->value.date_type != MAIL_SEARCH_DATE_TYPE_SENT;
	case SEARCH_SMALLER:
	case SEARCH_LARGER:
		return TRUE;
	default:
		return FALSE;
	}
}

/* TRUE if these conditions are decided without asking the server. known: dates
   and sizes of all mails are known as soon as they are asked for. */
static bool query_is_local(const struct mail_search_arg *arg, bool known)
{
	for (; arg != NULL; arg = arg->next) {
		switch (arg->type) {
		case SEARCH_OR:
		case SEARCH_SUB:
			if (!query_is_local(arg->value.subargs, known))
				return FALSE;
			break;
		case SEARCH_ALL:
		case SEARCH_SEQSET:
		case SEARCH_UIDSET:
		case SEARCH_FLAGS:
		case SEARCH_KEYWORDS:
		case SEARCH_MODSEQ:
		case SEARCH_MAILBOX:
		case SEARCH_MAILBOX_GUID:
		case SEARCH_MAILBOX_GLOB:
		case SEARCH_REAL_UID:
			break;
		default:
			if (!known || !query_is_of_metadata(arg))
				return FALSE;
			break;
		}
	}
	return TRUE;
}

/* imapc-search-mailbox, "mailbox INBOX since 2020-01-01": imapc does not hand a query with a
   mailbox's name to the server. The name says nothing about the mails of the
   mailbox that is being searched. Returns the conditions that became ALL; they
   must get their type back. */
static void
query_drop_names(struct mailbox *box, struct mail_search_args *args,
		 ARRAY_TYPE(mail_search_arg) *dropped_r)
{
	struct mail_search_arg *arg;

	for (arg = args->args; arg != NULL; arg = arg->next) {
		if (arg->type != SEARCH_MAILBOX || arg->match_not ||
		    strcmp(arg->value.str, box->vname) != 0)
			continue;
		arg->type = SEARCH_ALL;
		array_push_back(dropped_r, &arg);
	}
}

/* Fills seqs with the mails that the query finds in a mailbox that was fetched
   ahead. Returns -1 and the storage's error if it could not be decided. */
static int
query_decide(struct mailbox_transaction_context *t,
	     struct mail_search_args *args, ARRAY_TYPE(seq_range) *seqs)
{
	struct mail_search_context *ctx;
	struct mail *mail;
	bool tryagain;

	/* neither the server nor what is planned for texts has a part in it */
	ctx = index_storage_search_init(t, args, NULL, 0, NULL);
	ctx->max_mails = 1;
	do {
		while (index_storage_search_next_nonblock(ctx, &mail, &tryagain))
			seq_range_array_add(seqs, mail->seq);
	} while (tryagain);
	return index_storage_search_deinit(ctx);
}

static struct mail_search_context *
query_init_served(struct migration_imapc_mailbox *mmbox,
		  struct mailbox_transaction_context *t,
		  struct mail_search_args *args,
		  const enum mail_sort_type *sort_program,
		  enum mail_fetch_field wanted_fields,
		  struct mailbox_header_lookup_ctx *wanted_headers)
{
	struct mail_search_args *found_args = mail_search_build_init();
	struct mail_search_context *ctx;
	struct mail_search_arg *arg;

	arg = mail_search_build_add(found_args, SEARCH_SEQSET);
	p_array_init(&arg->value.seqset, found_args->pool, 16);
	if (query_decide(t, args, &arg->value.seqset) < 0) {
		/* found again, one mail after the other */
		mail_search_args_unref(&found_args);
		return NULL;
	}
	ctx = mmbox->module_ctx.super.search_init(t, found_args, sort_program,
						  wanted_fields, wanted_headers);
	/* the search owns a reference to its arguments, which are these now */
	mail_search_args_unref(&args);
	/* nothing is to be compared before the next mailboxes are asked for */
	if (!mmbox->served->holds_texts) {
		migration_imapc_ahead_go_on(mmbox->mlist->ahead);
		migration_imapc_ahead_topup(mmbox->mlist->ahead);
	}
	return ctx;
}

static struct mail_search_context *
query_init_stock(struct migration_imapc_mailbox *mmbox,
		 struct mailbox_transaction_context *t,
		 struct mail_search_args *args,
		 const enum mail_sort_type *sort_program,
		 enum mail_fetch_field wanted_fields,
		 struct mailbox_header_lookup_ctx *wanted_headers,
		 bool *known_r)
{
	struct imapc_storage *storage = mmbox->mbox->storage;
	const struct imapc_settings *set = storage->set;
	unsigned int tag_counter = imapc_client_cmd_tag_counter;
	struct mail_search_context *ctx;

	storage->set = compat_imapc_settings_with_search(set,
						pool_datastack_create());
	ctx = mmbox->module_ctx.super.search_init(t, args, sort_program,
						  wanted_fields, wanted_headers);
	storage->set = set;

	/* a command was sent: that was SEARCH */
	*known_r = imapc_client_cmd_tag_counter != tag_counter ||
		query_is_local(args->args, FALSE);
	return ctx;
}

/* ---- what an import has already ---- */

void migration_imapc_query_compare(struct migration_imapc_ahead *ahead,
				   struct ahead_mailbox *mailbox,
				   const ARRAY_TYPE(seq_range) *uids)
{
	struct ahead_mail *mail;

	mailbox->holds_texts = FALSE;
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (mail->text != AHEAD_TEXT_HELD)
			continue;
		if (uids == NULL || !seq_range_exists(uids, mail->uid))
			mail->text = AHEAD_TEXT_WANTED;
		else {
			/* so it will probably be in the other mailboxes */
			ahead->guess_wrong = TRUE;
			ahead->wanted->headers = TRUE;
		}
	}
	mailbox->next_wanted = 0;
	migration_imapc_ahead_go_on(ahead);
	migration_imapc_ahead_topup(ahead);
}

bool migration_imapc_query_compared(struct mailbox *box,
				    const ARRAY_TYPE(seq_range) *uids,
				    const char *const *headers)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT(box);

	if (mmbox == NULL || mmbox->served == NULL ||
	    !mmbox->served->holds_texts)
		return FALSE;
	if (array_count(uids) > 0) {
		migration_imapc_ahead_set_headers(mmbox->mlist->ahead,
						  mmbox->served, headers);
	}
	migration_imapc_query_compare(mmbox->mlist->ahead, mmbox->served, uids);
	return TRUE;
}

/* The server has to search: it will have to in each mailbox. */
static void query_leave(struct migration_imapc_mailbox *mmbox)
{
	migration_imapc_ahead_give_up(mmbox->mlist->ahead,
				      "the server has to search");
	/* a failure comes back from the search */
	(void)migration_imapc_virtual_leave(mmbox, "the server has to search");
}

struct mail_search_context *
migration_imapc_query_init(struct migration_imapc_mailbox *mmbox,
			   struct mailbox_transaction_context *t,
			   struct mail_search_args *args,
			   const enum mail_sort_type *sort_program,
			   enum mail_fetch_field wanted_fields,
			   struct mailbox_header_lookup_ctx *wanted_headers,
			   bool *known_r)
{
	struct mail_search_context *ctx = NULL;
	ARRAY_TYPE(mail_search_arg) dropped;
	struct mail_search_arg *arg;

	t_array_init(&dropped, 4);
	query_drop_names(t->box, args, &dropped);
	if (mmbox->served != NULL) {
		if (!query_is_local(args->args, TRUE))
			query_leave(mmbox);
		else {
			*known_r = TRUE;
			ctx = query_init_served(mmbox, t, args, sort_program,
						wanted_fields, wanted_headers);
		}
	}
	if (ctx == NULL) {
		ctx = query_init_stock(mmbox, t, args, sort_program,
				       wanted_fields, wanted_headers, known_r);
	}
	array_foreach_elem(&dropped, arg)
		arg->type = SEARCH_MAILBOX;
	return ctx;
}
