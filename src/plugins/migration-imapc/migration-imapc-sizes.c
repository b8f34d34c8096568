/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sizes of mails, asked for ahead of their texts in the same burst, so that the
   window of migration-imapc-fetch.c can be filled by bytes. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "imap-arg.h"
#include "imap-util.h"
#include "mail-search.h"
#include "imapc-client-private.h"
#include "compat-imapc.h"
#include "migration-run.h"
#include "migration-imapc-fetch-private.h"

/* The sizes of up to so many mails are asked for together with their flags when
   the mailbox is opened: some 50 bytes each, and no wait. */
#define MIGRATION_IMAPC_SIZES_AT_OPEN 1000
/* How many sizes are asked for in one command: enough to have the next ones
   before they are needed, few enough that a server which has to look into each
   mail for its size does not keep us waiting. */
#define MIGRATION_IMAPC_SIZES_CHUNK 2000
/* ... and in how many parts their set may fall: servers refuse long lines, some
   of them from 8 kB on */
#define MIGRATION_IMAPC_SIZES_MAX_RANGES 300
/* There is nothing to limit in fewer mails than these */
#define MIGRATION_IMAPC_SIZES_MIN_MAILS 4

/* Who has taken them out of imapc_features has a server that is bad at them. */
static bool
migration_imapc_sizes_are_wanted(const struct migration_imapc_mailbox *mmbox)
{
	return compat_imapc_has_feature(mmbox->mbox->storage->set,
					COMPAT_IMAPC_FEATURE_FETCH_SIZE);
}

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
	    !migration_imapc_sizes_are_wanted(mmbox) ||
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

void migration_imapc_sizes_ask(struct migration_imapc_search *search,
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

uint64_t migration_imapc_sizes_take(struct migration_imapc_search *search,
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

void migration_imapc_sizes_search(struct migration_imapc_search *search,
				  const struct mail_search_args *args)
{
	const struct mail_search_arg *arg = args->args;
	uint32_t messages_count = mail_index_view_get_messages_count(
		search->ctx->transaction->view);

	if (messages_count == 0 || search->mmbox->sizes_at_open ||
	    !migration_imapc_sizes_are_wanted(search->mmbox))
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

void migration_imapc_sizes_init(struct migration_imapc_mailbox *mmbox)
{
	hash_table_create_direct(&mmbox->sizes, default_pool, 0);
	imapc_mailbox_register_untagged(mmbox->mbox, "FETCH",
					migration_imapc_sizes_untagged);
	imapc_mailbox_register_untagged(mmbox->mbox, "EXISTS",
					migration_imapc_sizes_untagged_exists);
}

void migration_imapc_sizes_deinit(struct migration_imapc_mailbox *mmbox)
{
	i_assert(mmbox->sizes_pending == 0);
	hash_table_destroy(&mmbox->sizes);
}
