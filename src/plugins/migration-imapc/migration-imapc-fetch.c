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
#include "istream.h"
#include "str.h"
#include "seq-range-array.h"
#include "imap-arg.h"
#include "imap-util.h"
#include "mail-search.h"
#include "index-mail.h"
#include "imapc-client-private.h"
#include "imapc-mail.h"
#include "compat-imapc.h"
#include "fetch-window.h"
#include "migration-budget.h"
#include "migration-run.h"
#include "migration-imapc-private.h"

/* imapc-connection.c: larger literals go to a temporary file */
#define IMAPC_MAX_INLINE_LITERAL_SIZE (1024*32)
/* Descriptors that mails ahead may hold. The usual limit of a process is 1024,
   and the destination needs some, too. */
#define MIGRATION_IMAPC_WINDOW_FILES 200
/* What a mail is taken for whose size is not known yet: the first mails of a
   large mailbox. A small number makes a large first command. */
#define MIGRATION_IMAPC_UNKNOWN_SIZE (4*1024*1024)
/* The sizes of up to so many mails are asked for together with their flags when
   the mailbox is opened: some 50 bytes each, and no wait. */
#define MIGRATION_IMAPC_SIZES_AT_OPEN 1000
/* A mail of which only metadata is fetched */
#define MIGRATION_IMAPC_METADATA_SIZE 1024
/* How many sizes are asked for in one command: enough to have the next ones
   before they are needed, few enough that a server which has to look into each
   mail for its size does not keep us waiting. */
#define MIGRATION_IMAPC_SIZES_CHUNK 2000
/* ... and in how many parts their set may fall: servers refuse long lines, some
   of them from 8 kB on */
#define MIGRATION_IMAPC_SIZES_MAX_RANGES 300
/* There is nothing to limit in fewer mails than these */
#define MIGRATION_IMAPC_SIZES_MIN_MAILS 4

#define MIGRATION_IMAPC_LEARNABLE_FIELDS \
	(MAIL_FETCH_RECEIVED_DATE | MAIL_FETCH_PHYSICAL_SIZE | \
	 MAIL_FETCH_VIRTUAL_SIZE)

struct migration_imapc_search {
	union mail_search_module_context module_ctx;
	struct mail_search_context *ctx;
	struct migration_imapc_mailbox *mmbox;
	struct fetch_window window;

	/* added to what each mail wants, because it was asked of the first */
	enum mail_fetch_field learned_fields;
	struct mailbox_header_lookup_ctx *learned_headers;
	/* the mail that was returned latest */
	struct mail *returned_mail;

	/* mails whose sizes are still to be asked for */
	ARRAY_TYPE(seq_range) size_seqs;
	/* the last mail whose size was asked for, and how far it was ahead */
	uint32_t sizes_asked_seq, sizes_ahead;
	/* it is dsync's list of all mails */
	bool dsync_list;
	/* a text was not asked for, so none after it is */
	bool over_budget;
	/* the mailbox is only there to be found unchanged */
	bool must_fail;
};

struct migration_imapc_mail {
	union mail_module_context module_ctx;
	/* the search in whose window the mail is, or NULL */
	struct migration_imapc_search *search;
	uint64_t taken_size;
	/* the mail that was last got in other ways than imapc's, or 0 */
	uint32_t replaced_uid;
	/* its header fields, if imapc does not have them; or NULL */
	struct istream *header;
};

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
static void
migration_imapc_search_learn(struct migration_imapc_search *search,
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

/* Returns TRUE if something of this was not asked for by the search. */
static bool
migration_imapc_search_is_new(struct migration_imapc_search *search,
			      enum mail_fetch_field fields,
			      struct mailbox_header_lookup_ctx *headers)
{
	return (fields & ~(search->ctx->wanted_fields |
			   search->learned_fields)) != 0 ||
		(headers != NULL && headers != search->learned_headers &&
		 headers != search->ctx->wanted_headers);
}

static void
migration_imapc_mail_add_temp_wanted_fields(struct mail *mail,
					    enum mail_fetch_field fields,
					    struct mailbox_header_lookup_ctx *headers)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
	struct migration_imapc_search *search = mmbox->returned;
	enum mail_fetch_field new_fields =
		fields & MIGRATION_IMAPC_LEARNABLE_FIELDS;
	struct mail *other;
	unsigned int i;

	mmail->module_ctx.super.add_temp_wanted_fields(mail, fields, headers);
	if (mmbox->served != NULL || search == NULL || search->returned_mail != mail ||
	    !migration_imapc_search_is_new(search, new_fields, headers))
		return;
	migration_imapc_search_learn(search, new_fields, headers);

	/* those that were asked for before this was known */
	for (i = 0; i < search->ctx->unused_mail_idx; i++) {
		other = array_idx_elem(&search->ctx->mails, i);
		mmail = MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(
			(struct mail_private *)other);
		mmail->module_ctx.super.add_temp_wanted_fields(other,
			new_fields, headers);
		(void)mmail->module_ctx.super.prefetch(other);
	}
}

/* ---- sizes ---- */

static bool migration_imapc_flags_have_recent(const struct imap_arg *flags)
{
	const char *flag;

	for (; imap_arg_get_atom(flags, &flag); flags++) {
		if (strcasecmp(flag, "\\Recent") == 0)
			return TRUE;
	}
	return FALSE;
}

static void
migration_imapc_sizes_untagged(const struct imapc_untagged_reply *reply,
			       struct imapc_mailbox *mbox)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(&mbox->box);
	const struct imap_arg *list, *flags;
	const char *key, *value;
	uint32_t num, uid = 0, size = 0;
	bool have_size = FALSE, nonrecent = FALSE;

	if (mmbox->sizes_pending == 0 ||
	    !imap_arg_get_list(&reply->args[0], &list))
		return;
	for (; list[0].type != IMAP_ARG_EOL && list[1].type != IMAP_ARG_EOL;
	     list += 2) {
		if (!imap_arg_get_atom(&list[0], &key))
			return;
		if (strcasecmp(key, "FLAGS") == 0 &&
		    imap_arg_get_list(&list[1], &flags))
			nonrecent = !migration_imapc_flags_have_recent(flags);
		if (!imap_arg_get_atom(&list[1], &value) ||
		    str_to_uint32(value, &num) < 0)
			continue;
		if (strcasecmp(key, "UID") == 0)
			uid = num;
		else if (strcasecmp(key, "RFC822.SIZE") == 0) {
			size = num;
			have_size = TRUE;
		}
	}
	if (uid != 0 && have_size) {
		hash_table_update(mmbox->sizes, POINTER_CAST(uid),
				  POINTER_CAST(size));
	}
	if (nonrecent && uid > mmbox->highest_nonrecent_uid)
		mmbox->highest_nonrecent_uid = uid;
}

static void
migration_imapc_sizes_callback(const struct imapc_command_reply *reply ATTR_UNUSED,
			       void *context)
{
	struct migration_imapc_mailbox *mmbox = context;

	/* A size that is not known is no error: the mail is taken for a large
	   one. */
	i_assert(mmbox->sizes_pending > 0);
	mmbox->sizes_pending--;
	/* the opening of the mailbox may be waiting for this */
	imapc_client_stop(mmbox->mbox->storage->client->client);
}

static void
migration_imapc_sizes_send(struct migration_imapc_mailbox *mmbox,
			   const char *uids)
{
	struct imapc_command *cmd;

	mmbox->sizes_pending++;
	cmd = imapc_client_mailbox_cmd(mmbox->mbox->client_box,
				       migration_imapc_sizes_callback, mmbox);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	imapc_command_send(cmd, t_strdup_printf("UID FETCH %s (RFC822.SIZE)",
						uids));
	migration_run_count(migration_run_find(mmbox->mbox->box.storage->user),
			    MIGRATION_COUNTER_IMAP_COMMANDS, 1);
}

/* Stock asks for all flags at this reply, both go out once the mailbox is
   selected. */
static void
migration_imapc_sizes_untagged_exists(const struct imapc_untagged_reply *reply ATTR_UNUSED,
				      struct imapc_mailbox *mbox)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(&mbox->box);

	if (!mbox->selecting || mmbox->sizes_at_open ||
	    mbox->exists_count < MIGRATION_IMAPC_SIZES_MIN_MAILS ||
	    mbox->exists_count > MIGRATION_IMAPC_SIZES_AT_OPEN)
		return;
	mmbox->sizes_at_open = TRUE;
	migration_imapc_sizes_send(mmbox, "1:*");
}

void migration_imapc_fetch_mailbox_opened(struct migration_imapc_mailbox *mmbox)
{
	if (!mmbox->sizes_at_open)
		return;
	/* they come right beside the flags */
	while (mmbox->sizes_pending > 0)
		imapc_mailbox_run_nofetch(mmbox->mbox);
	/* imapc takes a mail for not recent at any FETCH reply without \Recent,
	   also at one without FLAGS */
	mmbox->mbox->highest_nonrecent_uid = mmbox->highest_nonrecent_uid;
}

/* Moves the next mails out of size_seqs; their UIDs go to uids. */
static void
migration_imapc_search_next_uids(struct migration_imapc_search *search,
				 ARRAY_TYPE(seq_range) *uids)
{
	struct mail_index_view *view = search->ctx->transaction->view;
	struct seq_range_iter iter;
	unsigned int n;
	uint32_t seq, uid;

	seq_range_array_iter_init(&iter, &search->size_seqs);
	for (n = 0; n < MIGRATION_IMAPC_SIZES_CHUNK; n++) {
		if (!seq_range_array_iter_nth(&iter, n, &seq) ||
		    array_count(uids) >= MIGRATION_IMAPC_SIZES_MAX_RANGES)
			break;
		mail_index_lookup_uid(view, seq, &uid);
		seq_range_array_add(uids, uid);
		search->sizes_asked_seq = seq;
	}
	seq_range_array_remove_range(&search->size_seqs, 1,
				     search->sizes_asked_seq);
}

/* Asks for the sizes of the mails that follow this one, unless enough of them
   were asked for. */
static void
migration_imapc_search_ask_sizes(struct migration_imapc_search *search,
				 uint32_t seq)
{
	struct migration_imapc_mailbox *mmbox = search->mmbox;
	ARRAY_TYPE(seq_range) uids;
	string_t *str;

	if (array_is_empty(&search->size_seqs) || !mmbox->mbox->selected ||
	    mmbox->served != NULL ||
	    seq + search->sizes_ahead / 2 <= search->sizes_asked_seq)
		return;
	/* what the search left out is not wanted */
	if (seq > 1)
		seq_range_array_remove_range(&search->size_seqs, 1, seq - 1);
	if (array_is_empty(&search->size_seqs))
		return;

	t_array_init(&uids, 64);
	migration_imapc_search_next_uids(search, &uids);
	search->sizes_ahead = search->sizes_asked_seq - seq;

	str = t_str_new(256);
	imap_write_seq_range(str, &uids);
	migration_imapc_sizes_send(mmbox, str_c(str));
}

static uint64_t
migration_imapc_search_take_size(struct migration_imapc_search *search,
				 uint32_t uid)
{
	void *key, *value;

	if (!hash_table_lookup_full(search->mmbox->sizes, POINTER_CAST(uid),
				    &key, &value))
		return FETCH_WINDOW_SIZE_UNKNOWN;
	if (!search->mmbox->sizes_at_open)
		hash_table_remove(search->mmbox->sizes, key);
	return POINTER_CAST_TO(value, uint32_t);
}

/* Bodies of these mails may be fetched. */
static void
migration_imapc_search_init_sizes(struct migration_imapc_search *search,
				  const struct mail_search_args *args)
{
	const struct mail_search_arg *arg = args->args;
	uint32_t messages_count = mail_index_view_get_messages_count(
		search->ctx->transaction->view);

	if (messages_count == 0 || search->mmbox->sizes_at_open)
		return;
	if (arg != NULL && arg->next == NULL && !arg->match_not &&
	    arg->type == SEARCH_SEQSET) {
		array_append_array(&search->size_seqs, &arg->value.seqset);
		/* a set may go up to the highest number there can be */
		seq_range_array_remove_range(&search->size_seqs,
					     messages_count + 1, (uint32_t)-1);
	} else {
		seq_range_array_add_range(&search->size_seqs, 1, messages_count);
	}
	if (seq_range_count(&search->size_seqs) < MIGRATION_IMAPC_SIZES_MIN_MAILS)
		array_clear(&search->size_seqs);
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
	search->must_fail = mmbox->unchanged;
	if ((ctx->wanted_fields & MAIL_FETCH_STREAM_BODY) == 0)
		;
	else if (mmbox->served != NULL)
		migration_imapc_serve_search(mmbox, t, ctx->args);
	else
		migration_imapc_search_init_sizes(search, args);
	return ctx;
}

static int migration_imapc_search_deinit(struct mail_search_context *ctx)
{
	struct migration_imapc_search *search =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(ctx);
	struct migration_imapc_mailbox *mmbox = search->mmbox;
	bool must_fail;
	int ret;

	if (mmbox->returned == search)
		mmbox->returned = NULL;
	/* closes the mails, which leave the window */
	must_fail = search->must_fail;
	ret = mmbox->module_ctx.super.search_deinit(ctx);
	/* no mails are to be seen here: nobody may conclude that there are
	   none */
	if (must_fail) {
		mail_storage_set_error(mmbox->mbox->box.storage,
			MAIL_ERROR_TEMP, "The mailbox changed at the "
			"destination while it was compared, run again");
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

/* Tells the search how many mails it may hold, counting the one that it is
   about to get as one more than held_count says. */
static void
migration_imapc_search_set_room(struct migration_imapc_search *search,
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
   there is no room for another one, used mails would fill the window. */
static void
migration_imapc_search_close_returned(struct migration_imapc_search *search)
{
	struct mail_private *pmail =
		(struct mail_private *)search->returned_mail;

	if (pmail != NULL) {
		search->returned_mail = NULL;
		pmail->v.close(&pmail->mail);
	}
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
migration_imapc_search_next_nonblock(struct mail_search_context *ctx,
				     struct mail **mail_r, bool *tryagain_r)
{
	struct migration_imapc_search *search =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(ctx);
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

/* ---- mails ---- */

static void
migration_imapc_mail_enter_window(struct migration_imapc_mail *mmail,
				  struct migration_imapc_search *search,
				  struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);
	uint64_t size = MIGRATION_IMAPC_METADATA_SIZE;

	if ((imail->fetching_fields & MAIL_FETCH_STREAM_BODY) != 0) T_BEGIN {
		migration_imapc_search_ask_sizes(search, mail->seq);
		size = migration_imapc_search_take_size(search, mail->uid);
	} T_END;
	mmail->taken_size = fetch_window_add(&search->window, size);
	mmail->search = search;

	if (fetch_window_should_send(&search->window)) {
		imapc_mail_fetch_flush(search->mmbox->mbox);
		fetch_window_sent(&search->window);
	}
}

/* 0 if it is not known */
static uint64_t
migration_imapc_mail_known_size(struct migration_imapc_mailbox *mmbox,
				struct mail *mail)
{
	return POINTER_CAST_TO(hash_table_lookup(mmbox->sizes,
						 POINTER_CAST(mail->uid)),
			       uint32_t);
}

/* FALSE if the mail's text is wanted, and has to wait for another day. */
static bool
migration_imapc_mail_may_prefetch(struct migration_imapc_search *search,
				  struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);

	if ((imail->imail.data.wanted_fields & MAIL_FETCH_STREAM_BODY) == 0)
		return TRUE;
	if (!search->over_budget) {
		search->over_budget = !migration_imapc_budget_allows(
			search->mmbox, search->window.bytes,
			migration_imapc_mail_known_size(search->mmbox, mail));
	}
	return !search->over_budget;
}

/* FALSE if the mail's text would have to be asked for, and must not be. */
static bool
migration_imapc_mail_may_read(struct migration_imapc_mailbox *mmbox,
			      struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);
	bool allowed;

	if (imail->body_fetched ||
	    (imail->fetching_fields & MAIL_FETCH_STREAM_BODY) != 0)
		return TRUE;
	allowed = migration_imapc_budget_allows(mmbox, 0,
			migration_imapc_mail_known_size(mmbox, mail));
	if (allowed && mmbox->returned != NULL)
		mmbox->returned->over_budget = FALSE;
	return allowed;
}

static bool migration_imapc_mail_prefetch(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
	struct migration_imapc_search *search = mmbox->searching;

	if (search == NULL || mmbox->served != NULL)
		return mmail->module_ctx.super.prefetch(mail);

	if (search->learned_fields != 0 || search->learned_headers != NULL) {
		mmail->module_ctx.super.add_temp_wanted_fields(mail,
			search->learned_fields, search->learned_headers);
	}
	/* stock sends what is collected whenever it waits for something */
	if (mmbox->mbox->pending_fetch_request == NULL)
		fetch_window_sent(&search->window);
	if (!migration_imapc_mail_may_prefetch(search, mail))
		return migration_imapc_budget_prefetch(&mmail->module_ctx.super,
						       mail);
	if (mmail->module_ctx.super.prefetch(mail))
		return TRUE;
	if (mmail->search == NULL)
		migration_imapc_mail_enter_window(mmail, search, mail);
	migration_imapc_search_set_room(search, search->ctx->unused_mail_idx + 1);
	return FALSE;
}

static void
migration_imapc_mail_count(struct migration_imapc_mailbox *mmbox,
			   struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);
	uoff_t size = imail->imail.data.physical_size;
	struct migration_run *run;

	if (!imail->body_fetched || mail->uid == mmbox->counted_uid)
		return;
	/* closed and opened again: imapc kept the text of the latest mail */
	mmbox->counted_uid = mail->uid;
	run = migration_run_find(mail->box->storage->user);
	migration_run_count(run, MIGRATION_COUNTER_MAILS_FETCHED, 1);
	if (size == UOFF_T_MAX)
		return;
	migration_run_count(run, MIGRATION_COUNTER_BYTES_FETCHED, size);
	if (mmbox->budget != NULL)
		migration_budget_count(mmbox->budget, size);
}

/* imapc could not get something of the mail. TRUE if it shall be tried in other
   ways: the mail is to be copied, and that was not tried before. */
static bool migration_imapc_mail_wants_other_ways(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);

	return mail->lookup_abort == MAIL_LOOKUP_ABORT_NEVER &&
		mail->box->storage->user->dsyncing &&
		mail->uid != mmail->replaced_uid;
}

static int migration_imapc_mail_replace(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);

	mmail->replaced_uid = mail->uid;
	return migration_imapc_unreadable_replace(mmbox, mail);
}

static int
migration_imapc_mail_get_stream(struct mail *mail, bool get_body,
				struct message_size *hdr_size,
				struct message_size *body_size,
				struct istream **stream_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);

	if (get_body && !migration_imapc_mail_may_read(mmbox, mail)) {
		return migration_imapc_budget_get_stream(mmbox,
			&mmail->module_ctx.super, mail,
			migration_imapc_mail_known_size(mmbox, mail),
			hdr_size, body_size, stream_r);
	}
	if (mmail->module_ctx.super.get_stream(mail, get_body, hdr_size,
					       body_size, stream_r) == 0)
		return 0;
	if (!migration_imapc_mail_wants_other_ways(mail) ||
	    migration_imapc_mail_replace(mail) < 0)
		return -1;
	return mmail->module_ctx.super.get_stream(mail, get_body, hdr_size,
						  body_size, stream_r);
}

static int
migration_imapc_mail_get_received_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);

	if (mmail->module_ctx.super.get_received_date(mail, date_r) == 0)
		return 0;
	if (!migration_imapc_mail_wants_other_ways(mail) ||
	    migration_imapc_mail_replace(mail) < 0)
		return -1;
	return mmail->module_ctx.super.get_received_date(mail, date_r);
}

static int
migration_imapc_mail_get_save_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	int ret;

	ret = mmail->module_ctx.super.get_save_date(mail, date_r);
	if (ret >= 0)
		return ret;
	if (!migration_imapc_mail_wants_other_ways(mail) ||
	    migration_imapc_mail_replace(mail) < 0)
		return -1;
	return mmail->module_ctx.super.get_save_date(mail, date_r);
}

static int
migration_imapc_mail_get_header_stream(struct mail *mail,
				       struct mailbox_header_lookup_ctx *headers,
				       struct istream **stream_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
	struct istream *input = NULL;

	if (mail->box->storage->user->dsyncing)
		input = migration_imapc_unreadable_known_header(mmbox, mail,
								headers);
	if (input == NULL) {
		if (mmail->module_ctx.super.get_header_stream(mail, headers,
							      stream_r) == 0)
			return 0;
		if (!migration_imapc_mail_wants_other_ways(mail) ||
		    migration_imapc_unreadable_header(mmbox, mail, headers,
						      &input) < 0)
			return -1;
	}
	i_stream_unref(&mmail->header);
	*stream_r = mmail->header = input;
	return 0;
}

static void migration_imapc_mail_close(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);

	migration_imapc_mail_count(mmbox, mail);
	i_stream_unref(&mmail->header);
	mmail->module_ctx.super.close(mail);
	if (mmail->search != NULL) {
		fetch_window_remove(&mmail->search->window, mmail->taken_size);
		mmail->search = NULL;
	}
}

void migration_imapc_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	struct migration_imapc_mail *mmail;

	if (strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) != 0 ||
	    MIGRATION_IMAPC_CONTEXT(mail->box) == NULL)
		return;

	mmail = p_new(pmail->pool, struct migration_imapc_mail, 1);
	mmail->module_ctx.super = *v;
	pmail->vlast = &mmail->module_ctx.super;
	v->prefetch = migration_imapc_mail_prefetch;
	v->add_temp_wanted_fields = migration_imapc_mail_add_temp_wanted_fields;
	v->get_header_stream = migration_imapc_mail_get_header_stream;
	v->get_stream = migration_imapc_mail_get_stream;
	v->get_received_date = migration_imapc_mail_get_received_date;
	v->get_save_date = migration_imapc_mail_get_save_date;
	v->close = migration_imapc_mail_close;
	MODULE_CONTEXT_SET(pmail, migration_imapc_mail_module, mmail);
}

/* ---- mailbox ---- */

void migration_imapc_fetch_mailbox_init(struct migration_imapc_mailbox *mmbox,
					struct mailbox_vfuncs *v)
{
	v->search_init = migration_imapc_search_init;
	v->search_deinit = migration_imapc_search_deinit;
	v->search_next_nonblock = migration_imapc_search_next_nonblock;
	hash_table_create_direct(&mmbox->sizes, default_pool, 0);
	imapc_mailbox_register_untagged(mmbox->mbox, "FETCH",
					migration_imapc_sizes_untagged);
	imapc_mailbox_register_untagged(mmbox->mbox, "EXISTS",
					migration_imapc_sizes_untagged_exists);
}

void migration_imapc_fetch_mailbox_deinit(struct migration_imapc_mailbox *mmbox)
{
	i_assert(mmbox->sizes_pending == 0);
	hash_table_destroy(&mmbox->sizes);
}
