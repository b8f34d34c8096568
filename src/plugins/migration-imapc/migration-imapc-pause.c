/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the server says when it has enough, where nobody else listens. */

#include "lib.h"
#include "imap-arg.h"
#include "imap-util.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "source-mailbox.h"
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

static bool list_is_disconnected(struct migration_imapc_list *mlist)
{
	struct imapc_client_connection *conn;

	array_foreach_elem(&mlist->list->client->client->conns, conn) {
		if (imapc_connection_get_state(conn->conn) ==
		    IMAPC_CONNECTION_STATE_DISCONNECTED)
			return TRUE;
	}
	return FALSE;
}

/* Stock has cut the response code off, and takes what has none for a mailbox
   that does not exist. What was answered to the EXAMINE that was sent ahead is
   complete. */
static enum source_refusal
open_refusal(enum mail_error error, const char *words)
{
	struct server_reply reply;

	server_reply_understand(words, &reply);
	if (reply.meaning == SERVER_REPLY_GONE)
		return SOURCE_REFUSAL_GONE;
	if (server_reply_is_temporary(reply.meaning) ||
	    error == MAIL_ERROR_TEMP || error == MAIL_ERROR_INUSE ||
	    error == MAIL_ERROR_UNAVAILABLE || error == MAIL_ERROR_LIMIT)
		return SOURCE_REFUSAL_TEMPORARY;
	return SOURCE_REFUSAL_PERMANENT;
}

static const char *
open_words(struct migration_imapc_list *mlist, struct mailbox *box,
	   const char *words, enum mail_error error)
{
	const struct ahead_mailbox *mailbox = mlist->ahead == NULL ? NULL :
		migration_imapc_ahead_find(mlist->ahead, box->vname);

	if (mailbox != NULL && mailbox->refusal != NULL)
		return mailbox->refusal;
	switch (error) {
	case MAIL_ERROR_INUSE:
		return t_strconcat("[INUSE] ", words, NULL);
	case MAIL_ERROR_UNAVAILABLE:
		return t_strconcat("[UNAVAILABLE] ", words, NULL);
	case MAIL_ERROR_LIMIT:
		return t_strconcat("[LIMIT] ", words, NULL);
	default:
		return words;
	}
}

void migration_imapc_mailbox_failed(struct migration_imapc_list *mlist,
				    struct mailbox *box)
{
	enum mail_error error;
	const char *words = mailbox_get_last_internal_error(box, &error);

	source_failed(list_run(mlist), open_words(mlist, box, words, error));
}

bool migration_imapc_was_refused(struct migration_imapc_list *mlist,
				 struct mailbox *box)
{
	enum mail_error error;
	const char *words = mailbox_get_last_internal_error(box, &error);
	struct server_reply reply;
	bool lost;

	words = open_words(mlist, box, words, error);
	server_reply_understand(words, &reply);
	lost = mlist->login_failed || mlist->connection_lost;
	if (server_reply_is_general(reply.meaning) &&
	    (lost || list_is_disconnected(mlist) ||
	     !source_mailbox_throttled(list_run(mlist), box->vname, words))) {
		source_failed(list_run(mlist), words);
		return FALSE;
	}
	if (lost)
		return FALSE;
	if (list_is_disconnected(mlist)) {
		/* by the end of the command there may be a connection again */
		source_failed(list_run(mlist),
			      migration_imapc_lost_words(mlist));
		return FALSE;
	}
	source_mailbox_refused(list_run(mlist), box->vname,
			       open_refusal(error, words), words);
	return TRUE;
}

static void pause_check_list(struct migration_imapc_list *mlist)
{
	if (!mlist->login_failed && list_is_disconnected(mlist)) {
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
		if (mlist != NULL)
			pause_check_list(mlist);
	}
}
