/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* dsync asks for UIDVALIDITY and UIDNEXT of each mailbox that it listed, one
   after the other: a round trip for each. The first time that it does so, all
   listed mailboxes are asked in one burst. Each answer is given once: who asks
   again wants to know how things are then. */

#include "lib.h"
#include "hash.h"
#include "imap-arg.h"
#include "imap-match.h"
#include "mailbox-tree.h"
#include "mailbox-rename.h"
#include "imapc-client-private.h"
#include "compat-imapc.h"
#include "migration-run.h"
#include "source-filter.h"
#include "source-mailbox.h"
#include "special-use.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead.h"
#include "migration-imapc-names-private.h"
#include "migration-imapc-placeholders.h"

/* commands in one burst: each costs 2 kB of memory */
#define MIGRATION_IMAPC_STATUS_BURST 1000

struct migration_imapc_status {
	pool_t pool;
	/* remote name -> answer; only what was received in full */
	HASH_TABLE(char *, struct sync_side *) answers;
	/* remote name -> the mailbox's id, with the item that told it */
	HASH_TABLE(char *, char *) ids;
	unsigned int pending;
	bool collecting;
};

/* INBOX is the one name that a server may spell as it likes */
static const char *migration_imapc_status_key(const char *remote_name)
{
	return strcasecmp(remote_name, "INBOX") == 0 ? "INBOX" : remote_name;
}

static bool
migration_imapc_status_parse(const struct imap_arg *items,
			     struct sync_side *side, const char **id_r)
{
	const struct imap_arg *list;
	const char *key, *value;
	uint64_t num;

	i_zero(side);
	*id_r = NULL;
	for (; items[0].type != IMAP_ARG_EOL &&
	       items[1].type != IMAP_ARG_EOL; items += 2) {
		if (!imap_arg_get_atom(&items[0], &key))
			continue;
		/* RFC 8474: MAILBOXID (F2212ea87) */
		if (!imap_arg_get_list(&items[1], &list))
			list = &items[1];
		if (!imap_arg_get_astring(list, &value))
			continue;
		if (strcasecmp(key, "MAILBOXID") == 0 ||
		    strcasecmp(key, "X-GUID") == 0) {
			if (mailbox_rename_id_is_valid(value)) {
				*id_r = t_strdup_printf("%s %s",
							t_str_ucase(key), value);
			}
			continue;
		}
		if (str_to_uint64(value, &num) < 0)
			continue;
		if (strcasecmp(key, "HIGHESTMODSEQ") == 0)
			side->highestmodseq = num;
		else if (num > UINT32_MAX)
			continue;
		else if (strcasecmp(key, "UIDVALIDITY") == 0)
			side->uidvalidity = num;
		else if (strcasecmp(key, "UIDNEXT") == 0)
			side->uidnext = num;
		else if (strcasecmp(key, "MESSAGES") == 0)
			side->messages = num;
	}
	return side->uidvalidity != 0 && side->uidnext != 0;
}

static void
migration_imapc_status_untagged(const struct imapc_untagged_reply *reply,
				struct imapc_storage_client *client)
{
	struct migration_imapc_list *mlist;
	struct migration_imapc_status *status;
	struct sync_side answer, *copy;
	const struct imap_arg *items;
	const char *name, *id;
	bool complete;

	if (client->_list == NULL)
		return;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(&client->_list->list);
	status = mlist == NULL ? NULL : mlist->status;
	if (status == NULL || !status->collecting)
		return;
	if (!imap_arg_get_astring(&reply->args[0], &name) ||
	    !imap_arg_get_list(&reply->args[1], &items))
		return;
	complete = migration_imapc_status_parse(items, &answer, &id);

	name = migration_imapc_status_key(name);
	if (id != NULL && hash_table_lookup(status->ids, name) == NULL) {
		hash_table_insert(status->ids, p_strdup(status->pool, name),
				  p_strdup(status->pool, id));
	}
	if (!complete || hash_table_lookup(status->answers, name) != NULL)
		return;
	copy = p_new(status->pool, struct sync_side, 1);
	*copy = answer;
	hash_table_insert(status->answers, p_strdup(status->pool, name), copy);
}

static void
migration_imapc_status_callback(const struct imapc_command_reply *reply,
				void *context)
{
	struct migration_imapc_list *mlist = context;

	/* If the server refuses there is no answer: imapc asks again when the
	   mailbox's turn comes, and words the error. */
	if (reply->state == IMAPC_COMMAND_STATE_DISCONNECTED) {
		mlist->connection_lost = TRUE;
		migration_run_find(mlist->list->list.ns->user)->states_lost =
			TRUE;
	}
	i_assert(mlist->status->pending > 0);
	if (--mlist->status->pending == 0)
		imapc_client_stop(mlist->list->client->client);
}

const char *migration_imapc_status_items(struct migration_imapc_list *mlist)
{
	enum imapc_capability capabilities;
	const char *modseq = "";

	if (imapc_client_get_capabilities(mlist->list->client->client,
					  &capabilities) == 0 &&
	    (capabilities & (IMAPC_CAPABILITY_CONDSTORE |
			     IMAPC_CAPABILITY_QRESYNC)) != 0)
		modseq = " HIGHESTMODSEQ";
	return t_strdup_printf("MESSAGES UIDNEXT UIDVALIDITY%s%s", modseq,
			       !mlist->have_objectid &&
			       mlist->profile.mailbox_guids ? " X-GUID" : "");
}

static void
migration_imapc_status_send(struct migration_imapc_list *mlist,
			    const char *remote_name, const char *items)
{
	struct imapc_command *cmd;

	mlist->status->pending++;
	cmd = imapc_client_cmd(mlist->list->client->client,
			       migration_imapc_status_callback, mlist);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	imapc_command_sendf(cmd, "STATUS %s (%1s)", remote_name, items);
}

static void migration_imapc_status_wait(struct migration_imapc_list *mlist)
{
	while (mlist->status->pending > 0)
		imapc_client_run(mlist->list->client->client);
}

static bool
migration_imapc_status_wants(struct migration_imapc_list *mlist,
			     const struct mailbox_node *node, const char *vname,
			     struct imap_match_glob *glob)
{
	const char *reason;

	if (source_filter_hides(mlist->muser->user, &mlist->list->list, vname,
				&reason))
		return FALSE;
	return (node->flags & (MAILBOX_NOSELECT | MAILBOX_NONEXISTENT)) == 0 &&
		(glob == NULL || imap_match(glob, vname) == IMAP_MATCH_YES);
}

static unsigned int
migration_imapc_status_ask_all(struct migration_imapc_list *mlist)
{
	struct mailbox_list *list = &mlist->list->list;
	struct migration_run *run = migration_run_find(list->ns->user);
	struct mailbox_tree_iterate_context *iter;
	struct imap_match_glob *glob = NULL;
	struct mailbox_node *node;
	const char *vname, *name;
	unsigned int count = 0;

	if (mlist->patterns != NULL) {
		glob = imap_match_init_multiple(pool_datastack_create(),
			mlist->patterns, TRUE,
			mail_namespace_get_sep(list->ns));
	}
	iter = mailbox_tree_iterate_init(mlist->list->mailboxes, NULL, 0);
	while ((node = mailbox_tree_iterate_next(iter, &vname)) != NULL) {
		if (!migration_imapc_status_wants(mlist, node, vname, glob) ||
		    mlist->connection_lost || run->states_lost ||
		    source_mailbox_is_left_out(run, vname))
			continue;
		T_BEGIN {
			name = imapc_list_storage_to_remote_name(mlist->list,
				mailbox_list_get_storage_name(list, vname));
			if (hash_table_lookup(mlist->status->answers,
				migration_imapc_status_key(name)) == NULL) {
				migration_imapc_status_send(mlist, name,
					migration_imapc_status_items(mlist));
				count++;
			}
			if (mlist->have_objectid &&
			    (list->ns->user->dsyncing ||
			     array_is_created(&run->ahead.dest_names)) &&
			    hash_table_lookup(mlist->status->ids,
				migration_imapc_status_key(name)) == NULL) {
				migration_imapc_status_send(mlist, name,
						MIGRATION_IMAPC_STATUS_ID_ITEMS);
				count++;
			}
		} T_END;
		if (mlist->status->pending >= MIGRATION_IMAPC_STATUS_BURST)
			migration_imapc_status_wait(mlist);
	}
	mailbox_tree_iterate_deinit(&iter);
	migration_imapc_status_wait(mlist);
	return count;
}

void migration_imapc_status_find_renames(struct migration_imapc_list *mlist)
{
	/* A mailbox whose state the server does not tell is still there: what it
	   is at the destination is no other one. */
	static const struct sync_side unknown = { .uidvalidity = 0 };
	struct mailbox_list *list = &mlist->list->list;
	struct mailbox_tree_iterate_context *iter;
	const struct mailbox_node *node;
	const struct sync_side *answer;
	const char *vname, *name, *id;

	iter = mailbox_tree_iterate_init(mlist->list->mailboxes, NULL, 0);
	while ((node = mailbox_tree_iterate_next(iter, &vname)) != NULL) T_BEGIN {
		if (migration_imapc_status_wants(mlist, node, vname, NULL)) {
			name = migration_imapc_status_key(
				imapc_list_storage_to_remote_name(mlist->list,
				mailbox_list_get_storage_name(list, vname)));
			answer = hash_table_lookup(mlist->status->answers, name);
			id = hash_table_lookup(mlist->status->ids, name);
			migration_imapc_renames_add_source(mlist, vname,
				id == NULL ? "" : id,
				answer == NULL ? &unknown : answer);
		}
	} T_END;
	mailbox_tree_iterate_deinit(&iter);
	T_BEGIN {
		migration_imapc_renames_find(mlist);
	} T_END;
}

/* What is known of the mailboxes now is what they are fetched ahead by. */
static void migration_imapc_status_init_ahead(struct migration_imapc_list *mlist)
{
	struct mailbox_list *list = &mlist->list->list;
	struct mailbox_tree_iterate_context *iter;
	const struct migration_run *run = migration_run_find(list->ns->user);
	const struct sync_side *answer;
	struct mailbox_node *node;
	const char *vname, *name, *reason;

	if (mlist->ahead == NULL) {
		if (compat_imapc_enable_modseqs(mlist->list->set)) {
			e_debug(mlist->muser->event,
				"adding to imapc_features: modseq");
		}
		mlist->ahead = migration_imapc_ahead_init(mlist, &reason);
		if (mlist->ahead == NULL) {
			e_debug(mlist->muser->event, "mailboxes are not "
				"fetched before they are opened: %s", reason);
			return;
		}
		migration_imapc_record_init(mlist);
	}
	iter = mailbox_tree_iterate_init(mlist->list->mailboxes, NULL, 0);
	while ((node = mailbox_tree_iterate_next(iter, &vname)) != NULL) T_BEGIN {
		name = imapc_list_storage_to_remote_name(mlist->list,
				mailbox_list_get_storage_name(list, vname));
		answer = hash_table_lookup(mlist->status->answers,
					   migration_imapc_status_key(name));
		if (answer != NULL &&
		    !migration_imapc_names_is_excluded(run, vname,
				special_use_names(node->flags)) &&
		    !source_filter_hides(list->ns->user, list, vname,
					 &reason) &&
		    !source_mailbox_is_left_out(run, vname)) {
			migration_imapc_ahead_add(mlist->ahead, vname, name,
						  answer);
		}
	} T_END;
	mailbox_tree_iterate_deinit(&iter);
	migration_imapc_ahead_sort(mlist->ahead);
}

void migration_imapc_status_expect(struct migration_imapc_list *mlist)
{
	struct migration_imapc_status *status;
	pool_t pool = pool_alloconly_create("migration imapc status", 4096);

	status = p_new(pool, struct migration_imapc_status, 1);
	status->pool = pool;
	hash_table_create(&status->answers, pool, 0, str_hash, strcmp);
	hash_table_create(&status->ids, pool, 0, str_hash, strcmp);
	mlist->status = status;

	/* Cannot be unregistered: imapc finds the handler by name, and would
	   find its own. */
	imapc_storage_client_register_untagged(mlist->list->client, "STATUS",
					       migration_imapc_status_untagged);
	status->collecting = TRUE;
}

void migration_imapc_status_collect(struct migration_imapc_list *mlist)
{
	unsigned int count, answers;

	if (mlist->status == NULL)
		migration_imapc_status_expect(mlist);
	mlist->status->collecting = TRUE;
	/* mailboxes that LIST told something of are not asked again */
	T_BEGIN {
		count = migration_imapc_status_ask_all(mlist);
	} T_END;
	mlist->status->collecting = FALSE;
	if (mlist->list->list.ns->user->dsyncing) {
		migration_imapc_placeholders_begin(mlist->muser);
		migration_imapc_reuse_init(mlist);
	}
	migration_run_count(migration_run_find(mlist->list->list.ns->user),
			    MIGRATION_COUNTER_IMAP_COMMANDS, count);
	answers = hash_table_count(mlist->status->answers);
	e_debug(mlist->muser->event, "asked STATUS of %u mailboxes in one burst, "
		"state of %u mailboxes is known", count, answers);
	if (mlist->list->list.ns->user->dsyncing && !mlist->connection_lost &&
	    mlist->renames == NULL)
		migration_imapc_status_find_renames(mlist);
	if (migration_imapc_user_is_source(mlist->list->list.ns->user) &&
	    !mlist->connection_lost)
		migration_imapc_status_init_ahead(mlist);
}

bool migration_imapc_status_prepare(struct migration_imapc_list *mlist)
{
	/* nothing is known of the mailboxes before they were listed */
	if (mlist->list->last_refreshed_mailboxes == 0 ||
	    imapc_storage_client_handle_auth_failure(mlist->list->client))
		return FALSE;
	if (mlist->status == NULL || mlist->status->collecting)
		migration_imapc_status_collect(mlist);
	return TRUE;
}

int migration_imapc_status_get(struct migration_imapc_list *mlist,
			       struct mailbox *box,
			       struct mailbox_status *status_r)
{
	struct sync_side *answer;
	const char *name;

	if (!migration_imapc_status_prepare(mlist))
		return 0;
	if (mlist->connection_lost) {
		mail_storage_set_error(box->storage, MAIL_ERROR_TEMP,
			t_strdup_printf("Lost the connection to %s",
				migration_imapc_list_source(mlist)));
		return -1;
	}

	name = migration_imapc_status_key(
		imapc_mailbox_get_remote_name(IMAPC_MAILBOX(box)));
	answer = hash_table_lookup(mlist->status->answers, name);
	if (answer == NULL)
		return 0;
	hash_table_remove(mlist->status->answers, name);
	migration_progress_expect(
		migration_run_find(mlist->list->list.ns->user),
		answer->messages);
	status_r->uidvalidity = answer->uidvalidity;
	status_r->uidnext = answer->uidnext;
	return 1;
}

void migration_imapc_status_free(struct migration_imapc_list *mlist)
{
	pool_t pool;

	if (mlist->status == NULL)
		return;
	/* the connection is still there, no command of ours is */
	i_assert(mlist->status->pending == 0);
	pool = mlist->status->pool;
	hash_table_destroy(&mlist->status->answers);
	hash_table_destroy(&mlist->status->ids);
	mlist->status = NULL;
	pool_unref(&pool);
}
