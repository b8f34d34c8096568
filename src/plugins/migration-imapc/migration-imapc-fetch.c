/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is fetched, and how far ahead.

   Stock imapc fetches ahead for a search what the search asked for, up to
   mail_prefetch_count mails, as one command at a time: nothing is on its way
   while the mails of one command are being used. What the caller asks for only
   after it got a mail costs a round trip for this mail.

   So here:
   - a search is told up front what its caller will ask for (fetch-plan.h).
     What cannot be foreseen is learned from the first mail.
   - mails are requested in halves of a window, one on its way while the other
     is used. The window is limited in mails, bytes and temporary files
     (fetch-window.h). For the bytes, sizes are asked for ahead of the bodies,
     in the same burst. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "imapc-client-private.h"
#include "imapc-mail.h"
#include "mail-search.h"
#include "compat-imapc.h"
#include "mail-opening.h"
#include "migration-imapc-fetch-private.h"

/* imapc-connection.c: larger literals go to a temporary file */
#define IMAPC_MAX_INLINE_LITERAL_SIZE (1024*32)
/* Descriptors that mails ahead may hold. The usual limit of a process is 1024,
   and the destination needs some, too. */
#define MIGRATION_IMAPC_WINDOW_FILES 200
/* What a mail is taken for whose size is not known yet: the first mails of a
   large mailbox. A small number makes a large first command. */
#define MIGRATION_IMAPC_UNKNOWN_SIZE (4*1024*1024)

/* ---- what to ask for ---- */

static enum fetch_plan_item
migration_imapc_fields_to_items(enum mail_fetch_field fields)
{
	enum fetch_plan_item items = 0;

	if ((fields & MAIL_FETCH_STREAM_BODY) != 0)
		items |= FETCH_PLAN_ITEM_BODY;
	if ((fields & MAIL_FETCH_STREAM_HEADER) != 0)
		items |= FETCH_PLAN_ITEM_HEADER;
	if ((fields & MAIL_FETCH_RECEIVED_DATE) != 0)
		items |= FETCH_PLAN_ITEM_INTERNALDATE;
	if ((fields & (MAIL_FETCH_PHYSICAL_SIZE | MAIL_FETCH_VIRTUAL_SIZE)) != 0)
		items |= FETCH_PLAN_ITEM_SIZE;
	if ((fields & MAIL_FETCH_GUID) != 0)
		items |= FETCH_PLAN_ITEM_GUID;
	return items;
}

static enum mail_fetch_field
migration_imapc_items_to_fields(enum fetch_plan_item items)
{
	enum mail_fetch_field fields = 0;

	if ((items & FETCH_PLAN_ITEM_BODY) != 0)
		fields |= MAIL_FETCH_STREAM_HEADER | MAIL_FETCH_STREAM_BODY;
	if ((items & FETCH_PLAN_ITEM_HEADER) != 0)
		fields |= MAIL_FETCH_STREAM_HEADER;
	if ((items & FETCH_PLAN_ITEM_INTERNALDATE) != 0)
		fields |= MAIL_FETCH_RECEIVED_DATE;
	if ((items & FETCH_PLAN_ITEM_SIZE) != 0)
		fields |= MAIL_FETCH_VIRTUAL_SIZE;
	return fields;
}

/* Returns the fields to add to the wanted ones. */
static enum mail_fetch_field
migration_imapc_plan(struct migration_imapc_mailbox *mmbox,
		     struct mailbox_transaction_context *t,
		     enum mail_fetch_field wanted, bool dsync_list,
		     bool matches_known)
{
	struct fetch_plan_search plan = {
		.command = t->reason,
		.wanted = migration_imapc_fields_to_items(wanted),
		.guid_from_header = mmbox->mbox->guid_fetch_field_name == NULL &&
			compat_imapc_has_feature(mmbox->mbox->storage->set,
				COMPAT_IMAPC_FEATURE_GUID_FORCED),
		.learned = mmbox->muser->learned,
		.dsync_list = dsync_list,
		.matches_known = matches_known,
	};
	enum fetch_plan_item add;
	const char *reason;

	add = fetch_plan_extend(&plan, &reason);
	if (add != 0) {
		e_debug(mmbox->muser->event, "mailbox %s: asking for %s in the "
			"same FETCH: %s", t->box->vname,
			fetch_plan_items_to_str(add), reason);
	}
	return migration_imapc_items_to_fields(add);
}

/* What was asked of one mail now will be asked of all. */
void migration_imapc_search_learn(struct migration_imapc_search *search,
				  enum mail_fetch_field fields,
				  struct mailbox_header_lookup_ctx *headers)
{
	struct migration_imapc_mailbox *mmbox = search->mmbox;
	enum fetch_plan_item items;

	search->learned_fields |= fields;
	if (headers != NULL && search->learned_headers == NULL) {
		search->learned_headers = headers;
		mailbox_header_lookup_ref(headers);
	}
	items = migration_imapc_fields_to_items(fields);
	if (search->dsync_list)
		mmbox->muser->learned |= items;
	e_debug(mmbox->muser->event, "mailbox %s: asking for %s%s of all mails "
		"at once: it was asked of the first mail",
		search->ctx->transaction->box->vname,
		fetch_plan_items_to_str(items),
		headers == NULL ? "" : items == 0 ? "header fields" :
		" and header fields");
}

bool migration_imapc_search_is_new(struct migration_imapc_search *search,
				   enum mail_fetch_field fields,
				   struct mailbox_header_lookup_ctx *headers)
{
	return (fields & ~(search->ctx->wanted_fields |
			   search->learned_fields)) != 0 ||
		(headers != NULL && headers != search->learned_headers &&
		 headers != search->ctx->wanted_headers);
}

/* ---- search ---- */

static void
migration_imapc_search_init_window(struct migration_imapc_search *search)
{
	const struct migration_imapc_settings *set = search->mmbox->muser->set;
	const struct fetch_window_limits limits = {
		/* what is served holds its own window */
		.mails = search->mmbox->served != NULL ? 1 :
			I_MIN(set->prefetch, MIGRATION_IMAPC_STOCK_PREFETCH),
		.bytes = set->prefetch_size,
		.files = MIGRATION_IMAPC_WINDOW_FILES,
		.file_min_size = IMAPC_MAX_INLINE_LITERAL_SIZE,
		.unknown_size = MIGRATION_IMAPC_UNKNOWN_SIZE,
	};

	fetch_window_init(&search->window, &limits);
}

static struct migration_imapc_search *
migration_imapc_search_alloc(struct migration_imapc_mailbox *mmbox,
			     struct mail_search_context *ctx, bool dsync_list)
{
	struct migration_imapc_search *search;

	search = i_new(struct migration_imapc_search, 1);
	search->ctx = ctx;
	search->mmbox = mmbox;
	search->dsync_list = dsync_list;
	i_array_init(&search->size_seqs, 4);
	migration_imapc_search_init_window(search);
	MODULE_CONTEXT_SET(ctx, migration_imapc_storage_module, search);
	return search;
}

static struct mail_search_context *
migration_imapc_search_init(struct mailbox_transaction_context *t,
			    struct mail_search_args *args,
			    const enum mail_sort_type *sort_program,
			    enum mail_fetch_field wanted_fields,
			    struct mailbox_header_lookup_ctx *wanted_headers)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(t->box);
	struct migration_imapc_search *search;
	struct mail_search_context *ctx;
	bool known = TRUE, dsync_list = t->box->storage->user->dsyncing &&
		(t->flags & MAILBOX_TRANSACTION_FLAG_SYNC) != 0 &&
		(wanted_fields & MAIL_FETCH_STREAM_BODY) == 0;
	bool failed = migration_imapc_mail_filter_search(mmbox) < 0;

	mmbox->unheard = mail_opening_is_unheard(t->box->event);
	if (fetch_plan_command_copies(t->reason)) {
		T_BEGIN {
			ctx = migration_imapc_query_init(mmbox, t, args,
				sort_program, wanted_fields, wanted_headers,
				&known);
		} T_END;
	} else {
		ctx = mmbox->module_ctx.super.search_init(t, args,
			sort_program, wanted_fields, wanted_headers);
	}
	/* the search makes its mails later, and with these */
	ctx->wanted_fields |=
		migration_imapc_plan(mmbox, t, wanted_fields, dsync_list, known);

	search = migration_imapc_search_alloc(mmbox, ctx, dsync_list);
	if (mmbox->unchanged) {
		/* no mails are to be seen here: nobody may conclude that there
		   are none */
		search->failure = i_strdup("The mailbox changed at the "
			"destination while it was compared, run again");
	} else if (failed) {
		search->failure = i_strdup(
			mailbox_get_last_error(&mmbox->mbox->box, NULL));
	}
	if ((ctx->wanted_fields & MAIL_FETCH_STREAM_BODY) == 0)
		;
	else if (mmbox->served != NULL)
		migration_imapc_serve_search(mmbox, t, ctx->args);
	else
		migration_imapc_sizes_search(search, args);
	return ctx;
}

static int migration_imapc_search_deinit(struct mail_search_context *ctx)
{
	struct migration_imapc_search *search =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(ctx);
	struct migration_imapc_mailbox *mmbox = search->mmbox;
	char *failure = search->failure;
	int ret;

	if (mmbox->returned == search)
		mmbox->returned = NULL;
	/* closes the mails, which leave the window */
	ret = mmbox->module_ctx.super.search_deinit(ctx);
	if (failure != NULL) {
		mail_storage_set_error(mmbox->mbox->box.storage,
				       MAIL_ERROR_TEMP, failure);
		i_free(failure);
		ret = -1;
	}
	if (!mmbox->sizes_at_open)
		hash_table_clear(mmbox->sizes, TRUE);
	if (search->learned_headers != NULL)
		mailbox_header_lookup_unref(&search->learned_headers);
	array_free(&search->size_seqs);
	i_free(search);
	return ret;
}

void migration_imapc_search_set_room(struct migration_imapc_search *search,
				     unsigned int held_count)
{
	const char *reason;

	/* the search stops when it holds exactly this number */
	if (fetch_window_has_room(&search->window, &reason)) {
		search->ctx->max_mails =
			I_MAX(search->window.limits.mails, held_count + 1);
	} else {
		search->ctx->max_mails = I_MAX(held_count, 1);
	}
}

/* Stock closes a used mail when it takes it again for another one. As long as
   there is no room for another one, used mails would fill the window. What is
   served has left its window when it was used. */
static void
migration_imapc_search_close_returned(struct migration_imapc_search *search)
{
	struct mail_private *pmail =
		(struct mail_private *)search->returned_mail;

	if (pmail == NULL)
		return;
	search->returned_mail = NULL;
	if (search->mmbox->served == NULL)
		pmail->v.close(&pmail->mail);
}

/* What is on its way arrives first, so that nothing is fetched twice. */
static void migration_imapc_fetch_reconnect(struct migration_imapc_mailbox *mmbox)
{
	struct imapc_mailbox *mbox = mmbox->mbox;

	imapc_mail_fetch_flush(mbox);
	while (array_count(&mbox->fetch_requests) > 0 ||
	       mmbox->sizes_pending > 0)
		imapc_mailbox_run_nofetch(mbox);
	/* the server may have been faster */
	if (migration_imapc_oauth2_wants_reconnect(mmbox))
		migration_imapc_oauth2_reconnect(mmbox);
}

static bool
search_next_mail(struct migration_imapc_search *search, struct mail **mail_r,
		 bool *tryagain_r)
{
	struct mail_search_context *ctx = search->ctx;
	struct migration_imapc_mailbox *mmbox = search->mmbox;
	bool ret;

	migration_imapc_search_close_returned(search);
	if (migration_imapc_oauth2_wants_reconnect(mmbox))
		migration_imapc_fetch_reconnect(mmbox);
	migration_imapc_search_set_room(search, ctx->unused_mail_idx);
	mmbox->searching = search;
	ret = mmbox->module_ctx.super.search_next_nonblock(ctx, mail_r,
							   tryagain_r);
	mmbox->searching = NULL;
	mmbox->returned = ret ? search : NULL;
	search->returned_mail = ret ? *mail_r : NULL;
	return ret;
}

static bool
migration_imapc_search_next_nonblock(struct mail_search_context *ctx,
				     struct mail **mail_r, bool *tryagain_r)
{
	struct migration_imapc_search *search =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(ctx);
	bool ret;

	do {
		ret = search_next_mail(search, mail_r, tryagain_r);
	} while (ret && migration_imapc_mail_filter_hides(search->mmbox,
							  (*mail_r)->uid));
	return ret;
}

/* ---- mailbox ---- */

void migration_imapc_fetch_mailbox_init(struct migration_imapc_mailbox *mmbox,
					struct mailbox_vfuncs *v)
{
	v->search_init = migration_imapc_search_init;
	v->search_deinit = migration_imapc_search_deinit;
	v->search_next_nonblock = migration_imapc_search_next_nonblock;
	migration_imapc_sizes_init(mmbox);
}

void migration_imapc_fetch_mailbox_deinit(struct migration_imapc_mailbox *mmbox)
{
	migration_imapc_sizes_deinit(mmbox);
}
