/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Logging in to the source with OAuth2 tokens, and going on when they expire.

   imapc knows one password for the whole run. Here its SASL mechanism asks for
   a token at each login (oauth2-mechanism.h). What is left to do:
   - the token is got before the first connection is made, so that what is
     wrong with it is told in the administrator's words and not by the server;
   - a refused token is replaced once;
   - a session is ended by ourselves shortly before its token expires, while
     nothing is on its way: providers end it in the middle of a mail. */

#include "lib.h"
#include "lib-event.h"
#include "array.h"
#include "time-util.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "compat-imapc.h"
#include "compat-oauth2.h"
#include "oauth2-mechanism.h"
#include "oauth2-sasl.h"
#include "oauth2-token.h"
#include "server-reply.h"
#include "migration-run.h"
#include "migration-user.h"
#include "migration-imapc-private.h"

/* Says to ourselves, in imapc's warning, that a reconnection was wanted. */
#define RECONNECT_REASON "the OAuth2 token expires soon"
/* imapc's own limit for connecting and logging in, to which the time for
   getting a token is added */
#define LOGIN_TIMEOUT_MSECS (30*1000)

struct migration_imapc_oauth2 {
	struct migration_oauth2_source *source;
	struct event *event;
	const char *login_user;
};

/* --- the log --- */

/* a refused login is not the end yet */
static bool login_may_fail = FALSE;

static bool log_line_is_needless(const char *line)
{
	/* imapc warns of a reconnection that we want */
	if (strstr(line, RECONNECT_REASON" - ") != NULL)
		return TRUE;
	return login_may_fail && strstr(line, "Authentication failed: ") != NULL;
}

/* imapc-quotes-authenticate: imapc quotes a command that timed out or was
   answered with BAD, AUTHENTICATE with its token as well. */
static const char *oauth2_log_filter(const char *text)
{
	return log_line_is_needless(text) ? NULL :
		migration_oauth2_mask_command(text);
}

/* --- setting up --- */

static void
oauth2_set_timeout(struct migration_imapc_list *mlist, unsigned int secs)
{
	compat_imapc_client_add_connect_timeout(mlist->list->client->client,
						LOGIN_TIMEOUT_MSECS,
						secs * 1000);
}

void migration_imapc_oauth2_list_init(struct migration_imapc_list *mlist)
{
	struct mailbox_list *list = &mlist->list->list;
	struct imapc_client *client = mlist->list->client->client;
	const struct imapc_settings *set = mlist->list->set;
	struct migration_imapc_oauth2 *oauth2;
	struct migration_oauth2_source *source;
	const char *error;
	int ret;

	ret = migration_oauth2_source_init(list->ns->user, &source, &error);
	if (ret < 0)
		migration_user_fail(list->ns->user, error);
	if (ret <= 0)
		return;
	oauth2 = p_new(list->pool, struct migration_imapc_oauth2, 1);
	oauth2->source = source;
	oauth2->login_user = set->imapc_user[0] != '\0' ? set->imapc_user :
		list->ns->user->username;
	oauth2->event = event_create(mlist->muser->event);
	migration_oauth2_source_set_server(source, set->imapc_host,
					   set->imapc_port);
	compat_oauth2_client_set_password(client,
		migration_oauth2_source_get_password(source));
	oauth2_set_timeout(mlist,
			   migration_oauth2_source_get_timeout_secs(source));
	migration_imapc_log_set_filter(oauth2_log_filter);
	mlist->oauth2 = oauth2;
	e_debug(oauth2->event, "logging in with OAuth2 tokens (%s, %s)",
		migration_oauth2_source_get_provider(source),
		migration_oauth2_grant_name(
			migration_oauth2_source_get_grant(source)));
}

void migration_imapc_oauth2_list_deinit(struct migration_imapc_list *mlist)
{
	struct migration_imapc_oauth2 *oauth2 = mlist->oauth2;

	if (oauth2 == NULL)
		return;
	mlist->oauth2 = NULL;
	event_unref(&oauth2->event);
	migration_oauth2_source_deinit(&oauth2->source);
}

void migration_imapc_oauth2_init(void)
{
	migration_oauth2_mechanisms_init();
}

void migration_imapc_oauth2_deinit(void)
{
	migration_imapc_log_set_filter(NULL);
	migration_oauth2_mechanisms_deinit();
}

/* --- logging in --- */

static void
oauth2_set_login_failure(struct migration_imapc_list *mlist, bool temporary,
			 const char *reason)
{
	struct imapc_storage_client *sclient = mlist->list->client;

	sclient->auth_returned = TRUE;
	sclient->auth_failed_state = temporary ?
		IMAPC_COMMAND_STATE_DISCONNECTED :
		IMAPC_COMMAND_STATE_AUTH_FAILED;
	i_free(sclient->auth_failed_reason);
	sclient->auth_failed_reason = i_strdup(reason);
}

/* Returns FALSE if there is no token: then the login has failed. */
static bool oauth2_get_token(struct migration_imapc_list *mlist)
{
	struct migration_imapc_oauth2 *oauth2 = mlist->oauth2;
	const struct migration_oauth2_token *token;
	const struct migration_oauth2_failure *failure;

	if (migration_oauth2_source_get(oauth2->source, oauth2->login_user,
					&token, &failure) == 0)
		return TRUE;
	e_error(oauth2->event, "%s", failure->text);
	oauth2_set_login_failure(mlist,
		migration_oauth2_problem_is_temporary(failure->problem),
		failure->text);
	return FALSE;
}

bool migration_imapc_oauth2_login_begin(struct migration_imapc_list *mlist)
{
	if (mlist->oauth2 == NULL)
		return TRUE;
	login_may_fail = TRUE;
	return oauth2_get_token(mlist);
}

/* TRUE if the server's words can be about the token. */
static bool oauth2_login_is_refused(struct imapc_storage_client *sclient)
{
	struct server_reply reply;

	if (sclient->auth_failed_state != IMAPC_COMMAND_STATE_AUTH_FAILED)
		return FALSE;
	server_reply_understand(sclient->auth_failed_reason, &reply);
	return !server_reply_is_temporary(reply.meaning);
}

bool migration_imapc_oauth2_login_again(struct migration_imapc_list *mlist)
{
	struct migration_imapc_oauth2 *oauth2 = mlist->oauth2;
	struct imapc_storage_client *sclient = mlist->list->client;
	const char *challenge;

	if (oauth2 == NULL)
		return FALSE;
	login_may_fail = FALSE;
	if (!oauth2_login_is_refused(sclient))
		return FALSE;
	challenge = migration_oauth2_source_get_challenge(oauth2->source);
	e_debug(oauth2->event, "%s: trying once more with a new token",
		sclient->auth_failed_reason);
	migration_run_count(migration_run_find(mlist->list->list.ns->user),
			    MIGRATION_COUNTER_RETRIES, 1);
	migration_oauth2_source_refused(oauth2->source, t_strdup(challenge));
	if (oauth2_get_token(mlist))
		return TRUE;
	/* the login has already failed with the server's words: say both */
	oauth2_set_login_failure(mlist,
		sclient->auth_failed_state == IMAPC_COMMAND_STATE_DISCONNECTED,
		t_strdup_printf("%s%s%s", sclient->auth_failed_reason,
			challenge == NULL ? "" : "; the server said of the "
			"token: ", challenge == NULL ? "" : challenge));
	return FALSE;
}

void migration_imapc_oauth2_login_end(struct migration_imapc_list *mlist)
{
	struct migration_imapc_oauth2 *oauth2 = mlist->oauth2;
	struct imapc_storage_client *sclient = mlist->list->client;
	const char *challenge;

	login_may_fail = FALSE;
	if (oauth2 == NULL || !oauth2_login_is_refused(sclient) ||
	    migration_oauth2_source_get_failure(oauth2->source) != NULL)
		return;
	challenge = migration_oauth2_source_get_challenge(oauth2->source);
	oauth2_set_login_failure(mlist, FALSE, t_strdup_printf(
		"%s (also with a new token%s%s): the token is good, but %s "
		"does not let it into the mailbox of %s. Does the mailbox "
		"exist, is IMAP switched on for it, and may the application "
		"open it?", sclient->auth_failed_reason,
		challenge == NULL ? "" : "; the server said of it: ",
		challenge == NULL ? "" : challenge,
		migration_imapc_list_source(mlist), oauth2->login_user));
}

/* --- reconnecting before the token expires --- */

static uint64_t now_msecs(void)
{
	struct timeval tv;

	i_gettimeofday(&tv);
	return tv.tv_sec * 1000ULL + tv.tv_usec / 1000;
}

bool migration_imapc_oauth2_session_ends(struct migration_imapc_list *mlist)
{
	const struct migration_oauth2_token *token;

	if (mlist == NULL || mlist->oauth2 == NULL)
		return FALSE;
	token = migration_oauth2_source_get_latest(mlist->oauth2->source);
	return token != NULL &&
		migration_oauth2_session_should_end(token, now_msecs());
}

static void oauth2_log_reconnect(struct migration_imapc_list *mlist)
{
	struct event_passthrough *e =
		event_create_passthrough(mlist->oauth2->event)->
		set_name("migration_oauth2_reconnect_started")->
		add_str("host", mlist->list->set->imapc_host)->
		add_int("port", mlist->list->set->imapc_port);

	e_debug(e->event(), "%s: logging in again with a new one, before the "
		"server ends the session", RECONNECT_REASON);
}

static struct migration_imapc_list *
oauth2_mailbox_list(struct migration_imapc_mailbox *mmbox)
{
	struct mailbox_list *list = mmbox->mbox->box.list;

	return strcmp(list->name, MAILBOX_LIST_NAME_IMAPC) != 0 ? NULL :
		MIGRATION_IMAPC_LIST_CONTEXT(list);
}

bool migration_imapc_oauth2_wants_reconnect(struct migration_imapc_mailbox *mmbox)
{
	return mmbox->mbox->client_box != NULL &&
		migration_imapc_oauth2_session_ends(oauth2_mailbox_list(mmbox));
}

static bool oauth2_is_connecting(struct migration_imapc_list *mlist)
{
	struct imapc_client_connection *conn;

	array_foreach_elem(&mlist->list->client->client->conns, conn) {
		if (imapc_connection_get_state(conn->conn) !=
		    IMAPC_CONNECTION_STATE_DISCONNECTED)
			return TRUE;
	}
	return FALSE;
}

void migration_imapc_oauth2_reconnect(struct migration_imapc_mailbox *mmbox)
{
	struct migration_imapc_list *mlist = oauth2_mailbox_list(mmbox);
	struct imapc_client_mailbox *client_box = mmbox->mbox->client_box;

	if (!imapc_client_mailbox_is_opened(client_box) ||
	    !imapc_client_mailbox_can_reconnect(client_box))
		return;
	oauth2_log_reconnect(mlist);
	imapc_client_mailbox_reconnect(client_box, RECONNECT_REASON);
	/* imapc sends no FETCH before the mailbox is selected again */
	do {
		imapc_mailbox_run_nofetch(mmbox->mbox);
	} while (!mmbox->mbox->selected && oauth2_is_connecting(mlist));
	/* imapc allows the next reconnection when commands of before this one
	   were answered, and there were none */
	if (mmbox->mbox->selected)
		client_box->reconnect_ok = TRUE;
}

void migration_imapc_oauth2_reconnect_idle(struct migration_imapc_list *mlist)
{
	struct imapc_client_connection *conn;

	array_foreach_elem(&mlist->list->client->client->conns, conn) {
		if (imapc_connection_get_mailbox(conn->conn) != NULL ||
		    imapc_connection_get_state(conn->conn) !=
		    IMAPC_CONNECTION_STATE_DONE)
			continue;
		oauth2_log_reconnect(mlist);
		imapc_connection_try_reconnect(conn->conn, RECONNECT_REASON,
					       0, FALSE);
	}
}

void migration_imapc_oauth2_mailbox_opening(struct migration_imapc_mailbox *mmbox)
{
	struct migration_imapc_list *mlist = oauth2_mailbox_list(mmbox);

	if (migration_imapc_oauth2_session_ends(mlist))
		migration_imapc_oauth2_reconnect_idle(mlist);
}
