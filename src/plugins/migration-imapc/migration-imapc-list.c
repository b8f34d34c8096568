/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "mailbox-tree.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "compat-imapc.h"
#include "imapc-greeting.h"
#include "connection-slot.h"
#include "migration-budget.h"
#include "secret-mask.h"
#include "migration-run.h"
#include "source-filter.h"
#include "migration-imapc-private.h"
#include "migration-imapc-names.h"
#include "migration-imapc-slots.h"
#include "migration-imapc-spare.h"
#include "migration-imapc-ahead.h"

/* How often a connection may be made again in one run, after the login. imapc
   itself stops when a new connection did not get further than the one before,
   so this number is reached only by a server that drops connections all the
   time, yet answers in between. imapc-retry-count: stock has 1, and on 2.4.1,
   which counts every reconnection and never forgets any, the second drop ends
   the run. */
#define MIGRATION_IMAPC_RETRY_COUNT 1000
/* imapc's own limit for connecting and logging in */
#define MIGRATION_IMAPC_CONNECT_TIMEOUT_MSECS (30*1000)

const char *migration_imapc_list_source(struct migration_imapc_list *mlist)
{
	const struct imapc_settings *set = mlist->list->set;

	return t_strdup_printf("%s:%u", set->imapc_host, set->imapc_port);
}

/* ---- names ---- */

static const char *
migration_imapc_list_get_vname(struct mailbox_list *list,
			       const char *storage_name)
{
	return migration_imapc_names_get_vname(
		MIGRATION_IMAPC_LIST_CONTEXT(list), storage_name);
}

static const char *
migration_imapc_list_get_storage_name(struct mailbox_list *list,
				      const char *vname)
{
	return migration_imapc_names_get_storage_name(
		MIGRATION_IMAPC_LIST_CONTEXT(list), vname);
}

/* ---- connection ---- */

static void
migration_imapc_list_state_changed(void *context,
				   enum imapc_state_change_event state,
				   const char *error)
{
	struct migration_imapc_list *mlist = context;
	struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);
	struct event_passthrough *e = event_create_passthrough(mlist->muser->event)->
		add_str("host", mlist->list->set->imapc_host)->
		add_int("port", mlist->list->set->imapc_port);

	switch (state) {
	case IMAPC_STATE_CHANGE_AUTH_OK:
		e->set_name("migration_imapc_login_finished");
		if (mlist->login_count++ > 0) {
			migration_run_count(run, MIGRATION_COUNTER_RECONNECTS, 1);
			e_debug(e->event(), "logged in to %s again, after %u "
				"connections", migration_imapc_list_source(mlist),
				mlist->login_count - 1);
		} else {
			e_debug(e->event(), "logged in to %s",
				migration_imapc_list_source(mlist));
		}
		break;
	case IMAPC_STATE_CHANGE_AUTH_FAILED:
		/* imapc logs the error itself */
		e->set_name("migration_imapc_login_finished")->
			add_str("error", error);
		e_debug(e->event(), "login to %s failed: %s",
			migration_imapc_list_source(mlist), error);
		break;
	}
}

static void
migration_imapc_list_set_limits(struct migration_imapc_list *mlist)
{
	struct imapc_client *client = mlist->list->client->client;
	unsigned int msecs = mlist->muser->set->timeout * 1000;

	if (msecs != 0) {
		compat_imapc_client_set_timeouts(client,
			I_MIN(msecs, MIGRATION_IMAPC_CONNECT_TIMEOUT_MSECS),
			msecs);
		e_debug(mlist->muser->event, "a server that is silent for %u "
			"seconds counts as lost", msecs / 1000);
	}
}

/* Commands that were queued before there was a connection keep imapc 2.3 from
   ever connecting again before a mailbox is selected: it counts them as those
   of the lost connection. The one that the list queued is the question for the
   separator, which is asked again when it is needed. */
static void migration_imapc_list_drop_queue(struct migration_imapc_list *mlist)
{
	struct imapc_client *client = mlist->list->client->client;
	struct imapc_client_connection *conn;

	array_foreach_elem(&client->conns, conn)
		imapc_connection_abort_commands(conn->conn, NULL, FALSE);
	imapc_client_disconnect(client);
	mlist->list->root_sep_pending = FALSE;
	mailbox_list_clear_error(&mlist->list->list);
}

/* The same as imapc's own callback, which is gone after one login. */
static void
migration_imapc_list_login_callback(const struct imapc_command_reply *reply,
				    void *context)
{
	struct imapc_storage_client *sclient = context;
	struct migration_imapc_list *mlist;

	sclient->auth_returned = TRUE;
	imapc_client_stop(sclient->client);
	if (reply->state == IMAPC_COMMAND_STATE_OK) {
		mlist = MIGRATION_IMAPC_LIST_CONTEXT(&sclient->_list->list);
		migration_imapc_listing_login(mlist, reply);
		return;
	}
	sclient->auth_failed_state = reply->state;
	i_free(sclient->auth_failed_reason);
	sclient->auth_failed_reason = i_strdup(reply->text_full);
}

static void migration_imapc_list_try_login(struct migration_imapc_list *mlist)
{
	struct imapc_storage_client *sclient = mlist->list->client;
	string_t *greeting = t_str_new(128);

	migration_imapc_list_drop_queue(mlist);
	/* imapc-starttls-loop: after a refused certificate imapc 2.3 would take
	   the answer to STARTTLS for progress and try again for ever. */
	compat_imapc_client_set_retry_count(sclient->client, 0);
	sclient->auth_returned = FALSE;
	sclient->auth_failed_state = IMAPC_COMMAND_STATE_OK;
	imapc_client_set_login_callback(sclient->client,
		migration_imapc_list_login_callback, sclient);
	imapc_client_login(sclient->client);
	while (!sclient->auth_returned)
		imapc_client_run_greeted(sclient->client, greeting);
	mlist->greeting = p_strdup(mlist->list->list.pool, str_c(greeting));
	compat_imapc_client_set_retry_count(sclient->client,
					    MIGRATION_IMAPC_RETRY_COUNT);
}

/* A refused login is no proof of a wrong password. If it is not one, the next
   run may succeed, and the exit code must say so. */
static void
migration_imapc_list_login_failed(struct migration_imapc_list *mlist,
				  const char *words)
{
	struct imapc_storage_client *sclient = mlist->list->client;
	struct server_reply reply;

	server_reply_understand(words, &reply);
	if (!server_reply_is_temporary(reply.meaning))
		return;
	/* stock's word for everything but a refusal */
	sclient->auth_failed_state = IMAPC_COMMAND_STATE_DISCONNECTED;
	(void)source_stop(migration_run_find(mlist->list->list.ns->user),
			  words);
}

static bool
migration_imapc_list_token_is_refused(struct migration_imapc_list *mlist,
				      const char *words)
{
	struct server_reply reply;

	server_reply_understand(words, &reply);
	return mlist->oauth2 != NULL &&
		mlist->list->client->auth_failed_state !=
			IMAPC_COMMAND_STATE_DISCONNECTED &&
		!server_reply_is_temporary(reply.meaning);
}

/* Stock's raw logs have the login in them. With OAuth2 they are refused
   earlier. Returns FALSE if they are wanted. */
static bool
migration_imapc_list_check_rawlog(struct migration_imapc_list *mlist)
{
	struct imapc_storage_client *sclient = mlist->list->client;
	const char *dir = mlist->list->set->imapc_rawlog_dir;

	if (dir[0] == '\0')
		return TRUE;
	sclient->auth_returned = TRUE;
	sclient->auth_failed_state = IMAPC_COMMAND_STATE_NO;
	i_free(sclient->auth_failed_reason);
	sclient->auth_failed_reason = i_strdup_printf("imapc_rawlog_dir=%s "
		"would write the password to files: leave it out, or leave "
		"migration_imapc out of mail_plugins for a run that only "
		"debugs", dir);
	e_error(mlist->muser->event, "%s", sclient->auth_failed_reason);
	return FALSE;
}

static void
migration_imapc_list_add_password(struct migration_imapc_list *mlist)
{
	const struct imapc_settings *set = mlist->list->set;

	if (mlist->oauth2 != NULL)
		return;
	if (set->imapc_master_user[0] == '\0') {
		migration_secrets_add_password("", set->imapc_user,
					       set->imapc_password);
	} else {
		migration_secrets_add_password(set->imapc_user,
					       set->imapc_master_user,
					       set->imapc_password);
	}
}

/* The run may not connect for now. */
static void
migration_imapc_list_refuse_login(struct migration_imapc_list *mlist,
				  const char *why)
{
	struct imapc_storage_client *sclient = mlist->list->client;

	sclient->auth_returned = TRUE;
	/* stock's word for everything but a refusal */
	sclient->auth_failed_state = IMAPC_COMMAND_STATE_DISCONNECTED;
	i_free(sclient->auth_failed_reason);
	sclient->auth_failed_reason = i_strdup(why);
}

/* A connection that is lost at the login itself is not made again by imapc: that
   is done here. A refused password is not tried again, or the account may get
   locked. Returns FALSE if there is no login. */
static bool migration_imapc_list_try_logins(struct migration_imapc_list *mlist)
{
	struct imapc_storage_client *sclient = mlist->list->client;
	struct retry_state failures = { .reached = FALSE };
	const char *words;

	for (;;) {
		migration_imapc_log_forget();
		migration_imapc_list_try_login(mlist);
		if (migration_imapc_oauth2_login_again(mlist))
			migration_imapc_list_try_login(mlist);
		if (sclient->auth_failed_state == IMAPC_COMMAND_STATE_OK)
			return TRUE;
		words = sclient->auth_failed_reason;
		if (sclient->auth_failed_state ==
		    IMAPC_COMMAND_STATE_DISCONNECTED &&
		    migration_imapc_lost_words(mlist) != NULL)
			words = migration_imapc_lost_words(mlist);
		/* courier-maxperip: couriertcpd closes a connection that is
		   too many without a word, and so does a server that is not
		   there. Looking for others is not free: not before a failure. */
		if (migration_imapc_slots_have_neighbour(mlist))
			failures.reached = TRUE;
		/* a new token was tried */
		if (migration_imapc_list_token_is_refused(mlist, words) ||
		    !migration_imapc_pause(mlist, &failures,
				sclient->auth_failed_state ==
				IMAPC_COMMAND_STATE_DISCONNECTED ?
				RETRY_FAILURE_CONNECTION : RETRY_FAILURE_LOGIN,
				words)) {
			migration_imapc_list_login_failed(mlist, words);
			return FALSE;
		}
	}
}

/* Waits until the run may connect, and logs in. */
static bool migration_imapc_list_connect(struct migration_imapc_list *mlist)
{
	const char *why;
	bool ret;

	/* a run that waits for others has no connection itself */
	migration_imapc_list_drop_queue(mlist);
	if (!migration_imapc_slots_take_first(mlist, &why)) {
		migration_imapc_list_refuse_login(mlist, why);
		return FALSE;
	}
	if (!migration_imapc_oauth2_login_begin(mlist))
		return FALSE;
	ret = migration_imapc_list_try_logins(mlist);
	if (ret) {
		migration_run_find(mlist->list->list.ns->user)->source_reached =
			TRUE;
		migration_imapc_provider_detect(mlist);
	}
	migration_imapc_oauth2_login_end(mlist);
	return ret;
}

/* Logs in now, with nothing else under way. A refused login then is an ordinary
   error of everything that follows, and a connection that is lost before a
   mailbox is selected is made again. */
static void migration_imapc_list_login(struct migration_imapc_list *mlist)
{
	if (mlist->list->client->auth_returned)
		return;
	if (!migration_imapc_list_check_rawlog(mlist)) {
		migration_imapc_list_drop_queue(mlist);
		mlist->login_failed = TRUE;
		return;
	}
	migration_imapc_list_add_password(mlist);
	do {
		if (!migration_imapc_list_connect(mlist)) {
			mlist->login_failed = TRUE;
			return;
		}
	} while (!migration_imapc_slots_keep_first(mlist));
	e_debug(mlist->muser->event, "a lost connection is made again as long "
		"as each one gets further than the one before");
}

/* ---- listing ---- */

void
migration_imapc_list_remember_patterns(struct migration_imapc_list *mlist,
				       const char *const *patterns)
{
	pool_unref(&mlist->patterns_pool);
	mlist->patterns_pool =
		pool_alloconly_create("migration imapc patterns", 256);
	mlist->patterns = p_strarray_dup(mlist->patterns_pool, patterns);
}

static struct mailbox_list_iterate_context *
migration_imapc_list_iter_init(struct mailbox_list *_list,
			       const char *const *patterns,
			       enum mailbox_list_iter_flags flags)
{
	struct migration_imapc_list *mlist =
		MIGRATION_IMAPC_LIST_CONTEXT(_list);
	struct mailbox_list_iterate_context *ctx;

	/* dsync lists again to find a mailbox by its GUID, which imapc makes
	   from the name, an import to see which names become one: the server
	   has nothing new to say. */
	if (migration_imapc_user_is_source(_list->ns->user) &&
	    mlist->list->last_refreshed_mailboxes != 0)
		mlist->list->refreshed_mailboxes = TRUE;
	else if ((flags & MAILBOX_LIST_ITER_SELECT_SUBSCRIBED) == 0) {
		migration_imapc_list_remember_patterns(mlist, patterns);
		migration_imapc_listing_ask(mlist, patterns);
		migration_imapc_names_refresh(mlist);
	}
	ctx = mlist->module_ctx.super.iter_init(_list, patterns, flags);
	if ((flags & MAILBOX_LIST_ITER_SELECT_SUBSCRIBED) != 0 || ctx->failed ||
	    migration_imapc_names_are_known(mlist))
		return ctx;
	/* imapc has just listed the mailboxes itself */
	if (migration_imapc_names_ensure(mlist) < 0) {
		ctx->failed = TRUE;
		return ctx;
	}
	(void)mlist->module_ctx.super.iter_deinit(ctx);
	return mlist->module_ctx.super.iter_init(_list, patterns, flags);
}

/* dsync asks each mailbox for its state while it lists them. If there is no
   server any more, one error says as much as one for each mailbox. */
/* Returns TRUE if the mailbox is left alone, and says so once. */
static bool
migration_imapc_list_is_hidden(struct migration_imapc_list *mlist,
			       const char *vname)
{
	struct mailbox_list *list = &mlist->list->list;
	const char *reason, *name;

	if (!source_filter_hides(list->ns->user, list, vname, &reason))
		return FALSE;
	if (!array_is_created(&mlist->hidden))
		p_array_init(&mlist->hidden, list->pool, 4);
	array_foreach_elem(&mlist->hidden, name) {
		if (strcmp(name, vname) == 0)
			return TRUE;
	}
	name = p_strdup(list->pool, vname);
	array_push_back(&mlist->hidden, &name);
	migration_run_finding(migration_run_find(list->ns->user),
			      MIGRATION_SEVERITY_INFO, vname, 0,
			      FINDING_MAILBOX_EXCLUDED,
			      "it is left alone on both "
			      "sides: %s", reason);
	return TRUE;
}

static const struct mailbox_info *
migration_imapc_list_iter_next(struct mailbox_list_iterate_context *ctx)
{
	struct migration_imapc_list *mlist =
		MIGRATION_IMAPC_LIST_CONTEXT(ctx->list);
	const struct mailbox_info *info;
	bool hidden;

	if (mlist->connection_lost &&
	    (ctx->flags & MAILBOX_LIST_ITER_SELECT_SUBSCRIBED) == 0) {
		ctx->failed = TRUE;
		return NULL;
	}
	do {
		info = mlist->module_ctx.super.iter_next(ctx);
		if (info == NULL)
			return NULL;
		T_BEGIN {
			hidden = migration_imapc_list_is_hidden(mlist,
								info->vname);
		} T_END;
	} while (hidden);
	return info;
}

/* Stock says "Internal error occurred. Refer to server log" when it could not
   log in or lost the connection. */
static void migration_imapc_list_explain(struct migration_imapc_list *mlist)
{
	struct imapc_storage_client *sclient = mlist->list->client;
	const char *source = migration_imapc_list_source(mlist);

	if (sclient->auth_failed_state == IMAPC_COMMAND_STATE_DISCONNECTED) {
		mailbox_list_set_error(&mlist->list->list, MAIL_ERROR_TEMP,
			t_strdup_printf("Can't log in to %s: %s", source,
					sclient->auth_failed_reason));
	} else if (sclient->auth_failed_state == IMAPC_COMMAND_STATE_OK &&
		   (mlist->list->list.last_error_is_internal ||
		    mlist->connection_lost)) {
		mailbox_list_set_error(&mlist->list->list, MAIL_ERROR_TEMP,
			t_strdup_printf("Lost the connection to %s", source));
		source_failed(migration_run_find(mlist->list->list.ns->user),
			      migration_imapc_lost_words(mlist));
	}
}

static int
migration_imapc_list_iter_deinit(struct mailbox_list_iterate_context *ctx)
{
	struct mailbox_list *ctx_list = ctx->list;
	struct migration_imapc_list *mlist =
		MIGRATION_IMAPC_LIST_CONTEXT(ctx_list);
	const char *refusal;

	if (mlist->module_ctx.super.iter_deinit(ctx) == 0) {
		refusal = migration_imapc_mail_filter_refusal(mlist);
		if (refusal == NULL)
			return 0;
		mailbox_list_set_error(ctx_list, MAIL_ERROR_PARAMS, refusal);
		mlist->listing_failed = TRUE;
		return -1;
	}
	mlist->listing_failed = TRUE;
	if (migration_imapc_names_error(mlist) != NULL) {
		mailbox_list_set_error(ctx_list, MAIL_ERROR_PARAMS,
				       migration_imapc_names_error(mlist));
	} else {
		migration_imapc_list_explain(mlist);
	}
	return -1;
}

/* dsync asks for the subscriptions although it could not list the mailboxes,
   and says the same once more. */
static int
migration_imapc_list_subscriptions_refresh(struct mailbox_list *src_list,
					   struct mailbox_list *dest_list)
{
	struct migration_imapc_list *mlist =
		MIGRATION_IMAPC_LIST_CONTEXT(src_list);

	if (mlist->listing_failed && src_list->ns->user->dsyncing) {
		if (dest_list->subscriptions == NULL)
			dest_list->subscriptions = mailbox_tree_init('/');
		return 0;
	}
	if (migration_imapc_listing_take_subscriptions(mlist, dest_list))
		return 0;
	if (migration_imapc_names_ensure(mlist) == 0 &&
	    !mlist->list->refreshed_subscriptions)
		migration_imapc_names_forget_subscriptions(mlist);
	if (mlist->module_ctx.super.subscriptions_refresh(src_list,
							  dest_list) < 0) {
		migration_imapc_list_explain(mlist);
		return -1;
	}
	migration_imapc_names_fill_subscriptions(mlist, dest_list);
	return 0;
}

/* The index of imapc:~/dir keeps header fields for the next run, and stock
   selects each mailbox for it. What the record keeps makes more of the next run
   unnecessary, and mailboxes that are served from what was fetched ahead begin
   with an empty index: a command's source has one in memory. */
static int
migration_imapc_list_get_path(struct mailbox_list *_list, const char *name,
			      enum mailbox_list_path_type type,
			      const char **path_r)
{
	struct migration_imapc_list *mlist =
		MIGRATION_IMAPC_LIST_CONTEXT(_list);

	if (migration_imapc_user_is_source(_list->ns->user)) {
		/* as stock's without a directory */
		*path_r = NULL;
		return 0;
	}
	return mlist->module_ctx.super.get_path(_list, name, type, path_r);
}

static void migration_imapc_list_deinit(struct mailbox_list *_list)
{
	struct migration_imapc_list *mlist =
		MIGRATION_IMAPC_LIST_CONTEXT(_list);
	pool_t patterns_pool = mlist->patterns_pool;
	struct connection_slot *slot;

	migration_imapc_record_deinit(mlist);
	migration_imapc_mail_filter_deinit(mlist);
	if (mlist->ahead != NULL)
		migration_imapc_ahead_deinit(&mlist->ahead);
	i_free(mlist->bye);
	migration_imapc_log_unwatch();
	migration_imapc_status_free(mlist);
	migration_imapc_renames_deinit(mlist);
	migration_imapc_reuse_deinit(mlist);
	migration_imapc_sides_forget(mlist->muser);
	migration_budget_deinit(&mlist->budget);
	if (mlist->spare != NULL)
		migration_imapc_spare_deinit(&mlist->spare);
	/* frees mlist, too */
	migration_imapc_oauth2_list_deinit(mlist);
	migration_imapc_names_deinit(mlist);
	slot = mlist->slot;
	mlist->module_ctx.super.deinit(_list);
	/* the connection is closed now */
	connection_slot_release(&slot);
	pool_unref(&patterns_pool);
}

void migration_imapc_list_created(struct mailbox_list *_list)
{
	struct migration_imapc_user *muser =
		MIGRATION_IMAPC_USER_CONTEXT(_list->ns->user);
	struct mailbox_list_vfuncs *v = _list->vlast;
	struct migration_imapc_list *mlist;

	if (muser == NULL)
		return;
	if (strcmp(_list->name, MAILBOX_LIST_NAME_IMAPC) != 0) {
		migration_imapc_filter_dest_list(_list);
		return;
	}

	mlist = p_new(_list->pool, struct migration_imapc_list, 1);
	mlist->muser = muser;
	mlist->list = (struct imapc_mailbox_list *)_list;
	migration_imapc_log_watch();
	mlist->module_ctx.super = *v;
	_list->vlast = &mlist->module_ctx.super;
	v->deinit = migration_imapc_list_deinit;
	v->get_path = migration_imapc_list_get_path;
	v->iter_init = migration_imapc_list_iter_init;
	v->iter_next = migration_imapc_list_iter_next;
	v->iter_deinit = migration_imapc_list_iter_deinit;
	v->subscriptions_refresh = migration_imapc_list_subscriptions_refresh;
	v->get_storage_name = migration_imapc_list_get_storage_name;
	v->get_vname = migration_imapc_list_get_vname;
	MODULE_CONTEXT_SET(_list, migration_imapc_list_module, mlist);
	migration_imapc_names_init(mlist);

	if (mlist->list->set->imapc_host[0] == '\0')
		return;
	if (mlist->list->client->client->state_change_callback == NULL) {
		imapc_client_register_state_change_callback(
			mlist->list->client->client,
			migration_imapc_list_state_changed, mlist);
	}
	migration_imapc_listing_init(mlist);
	migration_imapc_provider_init(mlist);
	migration_imapc_pause_init(mlist);
	migration_imapc_list_set_limits(mlist);
	migration_imapc_oauth2_list_init(mlist);
	migration_imapc_list_login(mlist);
}
