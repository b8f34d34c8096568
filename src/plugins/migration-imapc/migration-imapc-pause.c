/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the server says when it has enough, where nobody else listens. */

#include "lib.h"
#include "imap-arg.h"
#include "imap-util.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead.h"

static struct migration_run *list_run(struct migration_imapc_list *mlist)
{
	return migration_run_find(mlist->list->list.ns->user);
}

bool migration_imapc_pause(struct migration_imapc_list *mlist,
			   struct retry_state *state,
			   enum retry_failure failure, const char *words)
{
	return source_pause(list_run(mlist), state, failure, words);
}

void migration_imapc_stop(struct migration_imapc_list *mlist,
			  struct mailbox *box, const char *words)
{
	const char *text = source_stop(list_run(mlist), words);

	if (box != NULL)
		mail_storage_set_error(box->storage, MAIL_ERROR_TEMP, text);
	else
		mailbox_list_set_error(&mlist->list->list, MAIL_ERROR_TEMP, text);
}

/* imapc connects again at once. What the server asked for in its farewell has
   to be waited for before. */
static void
migration_imapc_untagged_bye(const struct imapc_untagged_reply *reply,
			     struct imapc_storage_client *client)
{
	struct migration_imapc_list *mlist;
	struct server_reply meaning;
	const char *words;

	if (client->_list == NULL || client->client->logging_out)
		return;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(&client->_list->list);
	if (mlist == NULL)
		return;
	words = imap_args_to_str(reply->args);
	server_reply_understand(words, &meaning);
	i_free(mlist->bye);
	mlist->bye = i_strdup(words);
	if (server_reply_is_temporary(meaning.meaning) && mlist->login_count > 0) {
		(void)migration_imapc_pause(mlist, &mlist->byes,
					    RETRY_FAILURE_CONNECTION, words);
	}
}

void migration_imapc_pause_init(struct migration_imapc_list *mlist)
{
	struct migration_run *run = list_run(mlist);

	run->patience_msecs = (uint64_t)mlist->muser->set->patience * 1000;
	run->source = p_strdup(run->pool, migration_imapc_list_source(mlist));
	imapc_storage_client_register_untagged(mlist->list->client, "BYE",
					       migration_imapc_untagged_bye);
}

const char *migration_imapc_lost_words(struct migration_imapc_list *mlist)
{
	return mlist->bye != NULL ? mlist->bye : migration_imapc_log_words();
}

void migration_imapc_open_failed(struct migration_imapc_list *mlist,
				 struct mailbox *box)
{
	struct server_reply reply;
	enum mail_error error;
	const char *words = mailbox_get_last_internal_error(box, &error);

	server_reply_understand(words, &reply);
	/* stock has cut the response code off */
	if (error == MAIL_ERROR_INUSE)
		words = t_strconcat("[INUSE] ", words, NULL);
	else if (error == MAIL_ERROR_UNAVAILABLE)
		words = t_strconcat("[UNAVAILABLE] ", words, NULL);
	else if (error == MAIL_ERROR_LIMIT)
		words = t_strconcat("[LIMIT] ", words, NULL);
	else if (!server_reply_is_temporary(reply.meaning))
		return;
	source_failed(list_run(mlist), words);
}

static void pause_check_list(struct migration_imapc_list *mlist)
{
	struct imapc_client *client = mlist->list->client->client;
	struct imapc_client_connection *conn;

	if (mlist->login_failed)
		return;
	array_foreach_elem(&client->conns, conn) {
		if (imapc_connection_get_state(conn->conn) ==
		    IMAPC_CONNECTION_STATE_DISCONNECTED)
			source_failed(list_run(mlist),
				      migration_imapc_lost_words(mlist));
	}
}

void migration_imapc_pause_check(struct mail_user *user)
{
	struct migration_imapc_list *mlist;
	struct mail_namespace *ns;

	for (ns = user->namespaces; ns != NULL; ns = ns->next) {
		mlist = MIGRATION_IMAPC_LIST_CONTEXT(ns->list);
		if (mlist == NULL)
			continue;
		pause_check_list(mlist);
		if (mlist->ahead != NULL)
			migration_imapc_ahead_stop(mlist->ahead);
	}
}
