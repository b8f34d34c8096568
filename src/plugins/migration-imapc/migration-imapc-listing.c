/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What dsync asks at its beginning, one question after the other: the hierarchy
   separator, the mailboxes, the state of each of them, the subscriptions. None
   of the answers depends on another one's, so all questions go out in one
   burst. Stock imapc reads the answers as usual, and finds that it has nothing
   to ask any more. */

#include "lib.h"
#include "ioloop.h"
#include "str.h"
#include "imap-arg.h"
#include "mailbox-tree.h"
#include "imapc-client-private.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-names.h"
#include "migration-imapc-ahead.h"

struct listing {
	struct migration_imapc_list *mlist;
	unsigned int pending;
	bool failed;
	/* the server is gone */
	bool lost;
};

static void
listing_callback(const struct imapc_command_reply *reply, void *context)
{
	struct listing *listing = context;

	if (reply->state != IMAPC_COMMAND_STATE_OK)
		listing->failed = TRUE;
	if (reply->state == IMAPC_COMMAND_STATE_DISCONNECTED)
		listing->lost = TRUE;
	if (--listing->pending == 0)
		imapc_client_stop(listing->mlist->list->client->client);
}

static void
listing_separator_callback(const struct imapc_command_reply *reply,
			   void *context)
{
	struct listing *listing = context;

	/* imapc took, or will take, the first mailbox for the answer */
	if (listing->mlist->list->root_sep == '\0')
		listing->failed = TRUE;
	listing_callback(reply, context);
}

/* imapc's own handler came first: the separator is known. */
static void
listing_untagged_list(const struct imapc_untagged_reply *reply ATTR_UNUSED,
		      struct imapc_storage_client *client)
{
	struct imapc_mailbox_list *list = client->_list;
	struct migration_imapc_list *mlist;
	char sep;

	if (list == NULL)
		return;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(&list->list);
	if (mlist == NULL || list->root_sep == '\0')
		return;
	if (!mlist->listing_needs_separator) {
		mlist->listed_count++;
		return;
	}
	mlist->listing_needs_separator = FALSE;
	sep = mail_namespace_get_sep(list->list.ns);
	mailbox_tree_set_separator(list->mailboxes, sep);
	mailbox_tree_set_separator(list->tmp_subscriptions, sep);
}

static void
listing_send(struct listing *listing, imapc_command_callback_t *callback,
	     const char *text)
{
	struct imapc_command *cmd;

	listing->pending++;
	cmd = imapc_client_cmd(listing->mlist->list->client->client, callback,
			       listing);
	imapc_command_set_flags(cmd, IMAPC_COMMAND_FLAG_RETRIABLE);
	imapc_command_send(cmd, text);
}

/* A server that does not answer has no prefix. */
static void
listing_namespace_callback(const struct imapc_command_reply *reply,
			   void *context)
{
	struct listing *listing = context;
	bool failed = listing->failed;

	listing_callback(reply, context);
	listing->failed = failed || listing->lost;
}

static void listing_send_namespace(struct listing *listing)
{
	enum imapc_capability capabilities;

	if (imapc_client_get_capabilities(
			listing->mlist->list->client->client,
			&capabilities) == 0 &&
	    (capabilities & IMAPC_CAPABILITY_NAMESPACE) != 0) {
		listing_send(listing, listing_namespace_callback,
			     "NAMESPACE");
	}
}

void migration_imapc_listing_ask_namespace(struct migration_imapc_list *mlist)
{
	struct listing listing = { .mlist = mlist };

	if (!mlist->list->client->auth_returned ||
	    imapc_storage_client_handle_auth_failure(mlist->list->client))
		return;
	listing_send_namespace(&listing);
	while (listing.pending > 0)
		imapc_client_run(mlist->list->client->client);
}

static bool listing_is_of_all(const char *const *patterns)
{
	return patterns[0] != NULL && strcmp(patterns[0], "*") == 0 &&
		patterns[1] == NULL;
}

/* With LIST-STATUS (RFC 5819) the state of all mailboxes comes along. What a
   plain LIST tells unasked has to be asked for then. */
static const char *
listing_command(struct migration_imapc_list *mlist, const char *const *patterns)
{
	if (!mlist->have_list_status || !listing_is_of_all(patterns) ||
	    migration_run_find(mlist->list->list.ns->user)->states_lost)
		return "LIST \"\" \"*\"";
	migration_imapc_status_expect(mlist);
	return t_strdup_printf("LIST \"\" \"*\" RETURN (CHILDREN %sSTATUS (%s))",
			       mlist->have_special_use ? "SPECIAL-USE " : "",
			       migration_imapc_status_items(mlist));
}

static bool listing_is_possible(struct migration_imapc_list *mlist)
{
	struct mailbox_list *list = &mlist->list->list;
	const char *path;

	return migration_imapc_user_is_source(list->ns->user) &&
		(list->ns->flags & NAMESPACE_FLAG_UNUSABLE) == 0 &&
		!mlist->list->root_sep_pending &&
		mlist->list->last_refreshed_mailboxes == 0 &&
		mlist->list->client->auth_returned &&
		!imapc_storage_client_handle_auth_failure(mlist->list->client) &&
		/* stock would clean up in that folder */
		(!mailbox_list_get_root_path(list,
				MAILBOX_LIST_PATH_TYPE_INDEX, &path) ||
		 path[0] == '\0');
}

/* What stock does at the end of a listing. */
static void listing_finish(struct migration_imapc_list *mlist)
{
	struct imapc_mailbox_list *list = mlist->list;

	list->refreshed_mailboxes = TRUE;
	list->refreshed_mailboxes_recently = TRUE;
	list->last_refreshed_mailboxes = ioloop_time;
	if (migration_imapc_user_is_imported(list->list.ns->user))
		mailbox_tree_deinit(&list->tmp_subscriptions);
	else
		mlist->have_subscriptions = TRUE;
	T_BEGIN {
		migration_imapc_names_build(mlist);
	} T_END;
}

static void listing_drop(struct migration_imapc_list *mlist, bool lost)
{
	if (lost) {
		mlist->connection_lost = TRUE;
		migration_run_find(mlist->list->list.ns->user)->states_lost =
			TRUE;
	}
	mlist->listing_needs_separator = FALSE;
	mailbox_tree_deinit(&mlist->list->tmp_subscriptions);
	migration_imapc_status_free(mlist);
	e_debug(mlist->muser->event, "the server did not answer what was asked "
		"of all mailboxes at once: asking one thing after the other");
}

void migration_imapc_listing_ask(struct migration_imapc_list *mlist,
				 const char *const *patterns)
{
	struct imapc_mailbox_list *list = mlist->list;
	struct listing listing = { .mlist = mlist };
	char sep;

	if (!listing_is_possible(mlist))
		return;
	imapc_storage_client_register_untagged(list->client, "LIST",
					       listing_untagged_list);
	/* The separators of these trees are set as soon as it is known. */
	sep = list->root_sep == '\0' ? '\0' :
		mail_namespace_get_sep(list->list.ns);
	mailbox_tree_deinit(&list->mailboxes);
	list->mailboxes = mailbox_tree_init(sep);
	mailbox_tree_set_parents_nonexistent(list->mailboxes);
	list->tmp_subscriptions = mailbox_tree_init(sep);
	mlist->listing_needs_separator = list->root_sep == '\0';

	T_BEGIN {
		if (mlist->listing_needs_separator) {
			listing_send(&listing, listing_separator_callback,
				     "LIST \"\" \"\"");
		}
		listing_send_namespace(&listing);
		listing_send(&listing, listing_callback,
			     listing_command(mlist, patterns));
		if (mlist->status != NULL && mlist->have_objectid &&
		    list->list.ns->user->dsyncing) {
			listing_send(&listing, listing_callback,
				     "LIST \"\" \"*\" RETURN (STATUS ("
				     MIGRATION_IMAPC_STATUS_ID_ITEMS"))");
		}
		/* an import leaves subscriptions alone */
		if (!migration_imapc_user_is_imported(list->list.ns->user)) {
			listing_send(&listing, listing_callback,
				     "LSUB \"\" \"*\"");
		}
	} T_END;
	while (listing.pending > 0)
		imapc_client_run(list->client->client);
	migration_run_count(migration_run_find(list->list.ns->user),
			    MIGRATION_COUNTER_WAITS, 1);
	/* every account has an INBOX at least: a server that shows nothing has
	   not understood the question */
	if (listing.failed || mlist->listed_count == 0)
		listing_drop(mlist, listing.lost);
	else {
		listing_finish(mlist);
		/* others ask for the states of mailboxes by themselves */
		if (migration_imapc_user_is_imported(list->list.ns->user))
			migration_imapc_status_collect(mlist);
	}
}

void migration_imapc_listing_ask_mailbox(struct migration_imapc_list *mlist,
					 const char *vname)
{
	const char *patterns[] = { vname, NULL };

	if (mlist->ahead != NULL &&
	    migration_imapc_ahead_find(mlist->ahead, vname) != NULL)
		return;
	migration_imapc_list_remember_patterns(mlist, patterns);
	if (mlist->list->last_refreshed_mailboxes == 0)
		migration_imapc_listing_ask(mlist, patterns);
	else if (mlist->ahead != NULL)
		migration_imapc_status_collect(mlist);
}

bool migration_imapc_listing_take_subscriptions(struct migration_imapc_list *mlist,
						struct mailbox_list *dest_list)
{
	struct imapc_mailbox_list *list = mlist->list;

	if (!mlist->have_subscriptions)
		return FALSE;
	mlist->have_subscriptions = FALSE;
	mailbox_tree_deinit(&list->tmp_subscriptions);
	migration_imapc_names_fill_subscriptions(mlist, dest_list);
	list->refreshed_subscriptions = TRUE;
	return TRUE;
}

/* ---- what the server can do ---- */

/* Most servers name them only before the login, and what the greeting says imapc
   does not hand on. */
static void listing_add_auth(struct migration_run *run, const char *mechanism)
{
	if (run->source_auth == NULL)
		run->source_auth = p_strdup(run->pool, mechanism);
	else if (!str_array_icase_find(t_strsplit_spaces(run->source_auth, " "),
				       mechanism)) {
		run->source_auth = p_strdup_printf(run->pool, "%s %s",
						   run->source_auth, mechanism);
	}
}

static void
listing_read_capabilities(struct migration_imapc_list *mlist, const char *text)
{
	struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);
	const char *const *words, *value;

	run->source_capabilities = p_strdup(run->pool, text);
	mlist->message_limit = 0;
	mlist->have_list_status = mlist->have_special_use = FALSE;
	mlist->have_objectid = FALSE;
	for (words = t_strsplit_spaces(text, " "); *words != NULL; words++) {
		if (strcasecmp(*words, "LIST-STATUS") == 0)
			mlist->have_list_status = TRUE;
		else if (strcasecmp(*words, "OBJECTID") == 0)
			mlist->have_objectid = TRUE;
		else if (strcasecmp(*words, "SPECIAL-USE") == 0)
			mlist->have_special_use = TRUE;
		else if (strncasecmp(*words, "AUTH=", 5) == 0)
			listing_add_auth(run, *words + 5);
		else if (strncasecmp(*words, "MESSAGELIMIT=", 13) == 0) {
			value = *words + 13;
			if (str_to_uint(value, &mlist->message_limit) < 0)
				mlist->message_limit = 0;
		}
	}
}

void migration_imapc_listing_login(struct migration_imapc_list *mlist,
				   const struct imapc_command_reply *reply)
{
	if (reply->resp_text_key != NULL && reply->resp_text_value != NULL &&
	    strcasecmp(reply->resp_text_key, "CAPABILITY") == 0)
		listing_read_capabilities(mlist, reply->resp_text_value);
}

static void
listing_untagged_capability(const struct imapc_untagged_reply *reply,
			    struct imapc_storage_client *client)
{
	struct migration_imapc_list *mlist;
	const struct imap_arg *arg = reply->args;
	const char *word;
	string_t *text;

	if (client->_list == NULL)
		return;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(&client->_list->list);
	if (mlist == NULL)
		return;
	text = t_str_new(256);
	for (; imap_arg_get_atom(arg, &word); arg++)
		str_printfa(text, "%s ", word);
	listing_read_capabilities(mlist, str_c(text));
}

void migration_imapc_listing_init(struct migration_imapc_list *mlist)
{
	imapc_storage_client_register_untagged(mlist->list->client, "CAPABILITY",
					       listing_untagged_capability);
}
