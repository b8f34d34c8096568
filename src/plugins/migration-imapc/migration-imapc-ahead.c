/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The mailboxes that are asked for ahead, and whoever waits for one. See
   migration-imapc-ahead.h. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "time-util.h"
#include "compat-imapc.h"
#include "fetch-ahead.h"
#include "migration-budget.h"
#include "migration-metadata.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-mail-filter-private.h"
#include "migration-imapc-names.h"
#include "migration-imapc-ahead-private.h"

/* One command: small enough that a lost connection or a refusal concerns few
   mails, large enough that commands are no traffic to speak of */
#define AHEAD_COMMAND_MAILS 250
#define AHEAD_COMMAND_BYTES (4*1024*1024)
/* quirk: command-line-limit. The set of UIDs; the rest of a command has less
   than 100 characters. */
#define AHEAD_COMMAND_LINE 900
/* Bytes of texts that are asked for ahead, until the line was measured, and at
   least. The least is what a line of 4 Mbit/s carries in 2 seconds. */
#define AHEAD_WINDOW_START (4*1024*1024)
#define AHEAD_WINDOW_MIN (1024*1024)
/* UIDs in one command that asks for flags and such */
#define AHEAD_COMMAND_UIDS UINT_MAX
/* Connections that were lost one after the other, without an answer to any
   command or a text between them, before the run ends */
#define AHEAD_MAX_LOSSES 2

/* ---- mailboxes ---- */

struct ahead_mailbox *
migration_imapc_ahead_find(struct migration_imapc_ahead *ahead,
			   const char *vname)
{
	return hash_table_lookup(ahead->by_vname, vname);
}

void migration_imapc_ahead_add(struct migration_imapc_ahead *ahead,
			       const char *vname, const char *remote_name,
			       const struct sync_side *source)
{
	struct ahead_mailbox *mailbox;

	enum migration_metadata_when when = ahead->extra_items[0] == '\0' ?
		MIGRATION_METADATA_AHEAD :
		migration_metadata_when(&ahead->mlist->list->list, vname,
					remote_name);

	if (hash_table_lookup(ahead->by_vname, vname) != NULL ||
	    when == MIGRATION_METADATA_LAST)
		return;
	mailbox = p_new(ahead->pool, struct ahead_mailbox, 1);
	mailbox->vname = p_strdup(ahead->pool, vname);
	mailbox->remote_name = p_strdup(ahead->pool, remote_name);
	mailbox->dest_name = p_strdup(ahead->pool,
		migration_imapc_names_unescape(&ahead->mlist->list->list,
					       vname));
	mailbox->source = *source;
	mailbox->refused = when != MIGRATION_METADATA_AHEAD;
	array_push_back(&ahead->mailboxes, &mailbox);
	hash_table_insert(ahead->by_vname, mailbox->vname, mailbox);
}

/* dsync goes through the tree of names: children come before a neighbour whose
   name only begins with the same letters. */
static char sorting_separator;

static int
ahead_mailbox_cmp(struct ahead_mailbox *const *mailbox1,
		  struct ahead_mailbox *const *mailbox2)
{
	return fetch_ahead_name_cmp((*mailbox1)->vname, (*mailbox2)->vname,
				    sorting_separator);
}

void migration_imapc_ahead_sort(struct migration_imapc_ahead *ahead)
{
	sorting_separator = mail_namespace_get_sep(ahead->mlist->list->list.ns);
	array_sort(&ahead->mailboxes, ahead_mailbox_cmp);
}

static void
ahead_mailbox_learn_dest(struct migration_imapc_ahead *ahead,
			 struct ahead_mailbox *mailbox)
{
	(void)migration_imapc_sides_get_dest(ahead->muser, mailbox->dest_name,
					     &mailbox->dest);
	mailbox->new_uid = fetch_ahead_new_uid(&mailbox->source,
					       &mailbox->dest);
}

void
migration_imapc_ahead_mailbox_begin(struct migration_imapc_ahead *ahead,
				    struct ahead_mailbox *mailbox)
{
	if (mailbox->pool != NULL)
		return;
	mailbox->pool = pool_alloconly_create("migration imapc ahead", 2048);
	i_array_init(&mailbox->mails, I_MIN(mailbox->source.messages, 4096));
	hash_table_create(&mailbox->flags, default_pool, 0, str_hash, strcmp);
	mailbox->asked = mailbox->known = 0;
	mailbox->found_idx = 0;
	mailbox->exists = mailbox->uidvalidity = mailbox->uidnext = 0;
	mailbox->highestmodseq = 0;
	mailbox->next_wanted = 0;
	mailbox->texts_exact = mailbox->sampled = FALSE;
	mailbox->dates_with_texts = FALSE;
	mailbox->holds_texts = FALSE;
	mailbox->doubt = NULL;
	i_zero(&mailbox->metadata);
	mailbox->metadata_refused = FALSE;
	ahead_mailbox_learn_dest(ahead, mailbox);
	migration_imapc_changes_begin(ahead, mailbox);
}

void
migration_imapc_ahead_mailbox_clear_mails(struct migration_imapc_ahead *ahead,
					  struct ahead_mailbox *mailbox)
{
	struct ahead_mail *mail;

	array_foreach_modifiable(&mailbox->mails, mail) {
		migration_imapc_ahead_text_forget(ahead, mailbox, mail);
		buffer_free(&mail->header);
	}
	array_clear(&mailbox->mails);
	hash_table_destroy(&mailbox->by_uid);
	mailbox->filtered = FALSE;
	migration_metadata_end(&mailbox->extra);
}

static void
ahead_mailbox_end(struct migration_imapc_ahead *ahead,
		  struct ahead_mailbox *mailbox)
{
	if (mailbox->pool == NULL)
		return;
	i_assert(mailbox->pending == 0);
	migration_imapc_changes_end(mailbox);
	migration_imapc_ahead_mailbox_clear_mails(ahead, mailbox);
	array_free(&mailbox->mails);
	hash_table_destroy(&mailbox->flags);
	pool_unref(&mailbox->pool);
}

/* ---- waiting ---- */

bool migration_imapc_ahead_is_over(const struct migration_imapc_ahead *ahead)
{
	return ahead->over;
}

bool migration_imapc_ahead_is_lost(const struct migration_imapc_ahead *ahead)
{
	return ahead->over && ahead->answered &&
		ahead->losses >= AHEAD_MAX_LOSSES;
}

bool migration_imapc_ahead_wait(struct migration_imapc_ahead *ahead)
{
	uint64_t begin_usecs;

	if (ahead->losses >= AHEAD_MAX_LOSSES) {
		migration_imapc_ahead_give_up(
			ahead,
			ahead->answered ?
			"the connection breaks again and again" :
			"the server does not answer what is sent ahead");
	}
	migration_imapc_ahead_topup(ahead);
	if (ahead->pending == 0 || imapc_client_is_running(ahead->client))
		return FALSE;
	migration_run_count(migration_run_find(ahead->mlist->list->list.ns->user),
			    MIGRATION_COUNTER_WAITS, 1);
	begin_usecs = i_microseconds();
	imapc_client_run(ahead->client);
	fetch_pace_waited(&ahead->pace, begin_usecs, i_microseconds(),
			  ahead->pending > 0);
	return TRUE;
}

static void ahead_read_timeout(struct imapc_client *client ATTR_UNUSED)
{
}

/* imapc has no function for that, this is its imapc_client_run() for one turn of
   its loop that waits for nothing. The timeout must not stop the loop: timeouts
   come before input, which would be left alone then. */
void migration_imapc_ahead_read(struct migration_imapc_ahead *ahead)
{
	struct imapc_client *client = ahead->client;
	struct ioloop *prev_ioloop;
	struct timeout *to;

	if (ahead->pending == 0 || imapc_client_is_running(client))
		return;
	prev_ioloop = compat_imapc_loop_begin(client);
	to = timeout_add_short(0, ahead_read_timeout, client);
	io_loop_handler_run(client->ioloop);
	timeout_remove(&to);
	compat_imapc_loop_end(client, prev_ioloop);
}

void migration_imapc_ahead_go_on(struct migration_imapc_ahead *ahead)
{
	ahead->hold_next = FALSE;
}

bool migration_imapc_ahead_wait_parts(struct migration_imapc_ahead *ahead,
				      struct ahead_mailbox *mailbox,
				      enum ahead_part parts)
{
	enum ahead_part missing;

	while ((mailbox->known & parts) != parts && !mailbox->refused &&
	       !ahead->over && !migration_imapc_ahead_connection_is_taken(
		       ahead)) {
		migration_imapc_ahead_mailbox_begin(ahead, mailbox);
		missing = parts & ENUM_NEGATE(mailbox->asked) &
			ENUM_NEGATE(mailbox->known);
		if (missing != 0 && ahead->losses < AHEAD_MAX_LOSSES) {
			/* what is not known of it yet comes along */
			if (mailbox->asked == 0)
				missing |= migration_imapc_ahead_probable_parts(
					ahead, mailbox);
			T_BEGIN {
				migration_imapc_ahead_ask_parts(ahead, mailbox,
								missing);
			} T_END;
			continue;
		}
		if (!migration_imapc_ahead_wait(ahead))
			break;
	}
	return (mailbox->known & parts) == parts && !mailbox->refused;
}

void migration_imapc_ahead_list_anew(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox)
{
	i_zero(&mailbox->then);
	mailbox->doubt = NULL;
	/* what is on its way would be taken for an answer to what comes now */
	while (mailbox->pending > 0 && migration_imapc_ahead_wait(ahead)) ;
	mailbox->asked = mailbox->known = 0;
	migration_imapc_ahead_mailbox_clear_mails(ahead, mailbox);
}

static bool
ahead_names_are_equal(const char *const *names1, const char *const *names2)
{
	for (; *names1 != NULL && *names2 != NULL; names1++, names2++) {
		if (strcasecmp(*names1, *names2) != 0)
			return FALSE;
	}
	return *names1 == *names2;
}

void migration_imapc_ahead_set_headers(struct migration_imapc_ahead *ahead,
				       struct ahead_mailbox *mailbox,
				       const char *const *names)
{
	struct ahead_mail *mail;

	if (!ahead_names_are_equal(ahead->header_names, names))
		ahead->header_names = p_strarray_dup(ahead->pool, names);
	if ((mailbox->asked & AHEAD_PART_HEADERS) == 0 ||
	    ahead_names_are_equal(mailbox->header_names, names))
		return;
	/* others were asked for: once more */
	while ((mailbox->known & AHEAD_PART_HEADERS) == 0 && !mailbox->refused &&
	       mailbox->pending > 0 && migration_imapc_ahead_wait(ahead)) ;
	mailbox->asked &= ENUM_NEGATE(AHEAD_PART_HEADERS);
	mailbox->known &= ENUM_NEGATE(AHEAD_PART_HEADERS);
	array_foreach_modifiable(&mailbox->mails, mail)
		buffer_free(&mail->header);
}

void migration_imapc_ahead_leave(struct migration_imapc_ahead *ahead,
				 struct ahead_mailbox *mailbox)
{
	mailbox->open = FALSE;
	/* its texts were used up, or it failed */
	while (mailbox->pending > 0 && migration_imapc_ahead_wait(ahead)) ;
	if (mailbox->pending == 0 && !mailbox->kept)
		ahead_mailbox_end(ahead, mailbox);
	migration_imapc_ahead_topup(ahead);
}

static void ahead_sessions_forget(struct migration_imapc_ahead *ahead)
{
	struct ahead_session *session;

	array_foreach_elem(&ahead->sessions, session)
		i_free(session);
	array_clear(&ahead->sessions);
}

void migration_imapc_ahead_drain(struct migration_imapc_ahead *ahead)
{
	while (ahead->pending > 0 && !imapc_client_is_running(ahead->client))
		imapc_client_run(ahead->client);
	if (ahead->pending == 0)
		ahead_sessions_forget(ahead);
}

/* ---- life ---- */

static const char *const ahead_default_headers[] = {
	"Date", "Message-ID", NULL
};

/* TRUE if dsync has no use for a mail's date before it has its text. */
static bool ahead_dates_are_late(const struct migration_imapc_ahead *ahead)
{
	struct mail_user *user = ahead->mlist->list->list.ns->user;
	const struct migration_run *run = migration_run_find(user);

	return user->dsyncing && !ahead->wanted->wanted &&
		/* plugins may have the texts from elsewhere */
		ahead->extra_items[0] == '\0' &&
		!migration_run_has_option(run, "sync-since-time") &&
		!migration_run_has_option(run, "sync-until-time") &&
		migration_imapc_mail_filter_get(ahead->mlist) == NULL;
}

struct migration_imapc_ahead *
migration_imapc_ahead_init(struct migration_imapc_list *mlist,
			   const char **reason_r)
{
	const struct migration_imapc_settings *set = mlist->muser->set;
	const struct fetch_pace_limits pace_limits = {
		.start = AHEAD_WINDOW_START,
		.min = AHEAD_WINDOW_MIN,
		.max = set->prefetch_size,
	};
	const struct fetch_window_limits limits = {
		.mails = set->prefetch,
		.bytes = I_MIN(AHEAD_WINDOW_START, set->prefetch_size),
		.files = AHEAD_WINDOW_FILES,
		.file_min_size = AHEAD_MAX_INLINE_LITERAL_SIZE,
		.unknown_size = AHEAD_UNKNOWN_SIZE,
	};
	struct imapc_client *client = mlist->list->client->client;
	struct migration_imapc_ahead *ahead;
	enum imapc_capability capabilities;
	unsigned int message_limit;
	const char *items;
	bool unsteady;
	pool_t pool;

	if (!compat_imapc_can_read_ahead(mlist->list->set, reason_r))
		return NULL;
	if (imapc_client_get_capabilities(client, &capabilities) < 0) {
		*reason_r = "there is no connection";
		return NULL;
	}
	items = migration_metadata_items(&mlist->list->list, &unsteady);
	if ((capabilities & IMAPC_CAPABILITY_X_GM_EXT_1) != 0 &&
	    items[0] == '\0') {
		*reason_r = "the server's messages have ids, which imapc asks "
			"for mail by mail without migration_gmail";
		return NULL;
	}
	pool = pool_alloconly_create("migration imapc ahead", 4096);
	ahead = p_new(pool, struct migration_imapc_ahead, 1);
	ahead->pool = pool;
	ahead->mlist = mlist;
	ahead->muser = mlist->muser;
	ahead->wanted = &migration_run_find(mlist->list->list.ns->user)->ahead;
	ahead->client = client;
	ahead->extra_items = p_strdup(pool, items);
	ahead->extra_is_unsteady = unsteady;
	/* they come together */
	ahead->want_old_details = items[0] != '\0';
	ahead->budget = migration_imapc_budget_get(mlist);
	if (!migration_budget_is_limited(ahead->budget))
		ahead->budget = NULL;
	ahead->want_metadata = ahead->muser->keeps_metadata &&
		mlist->list->list.ns->user->dsyncing &&
		mlist->list->list.ns->owner != NULL &&
		compat_imapc_has_metadata(mlist->list->set, capabilities);
	ahead->have_modseqs = compat_imapc_has_modseqs(mlist->list->set,
						       capabilities);
	ahead->both_directions = migration_imapc_user_is_synced(
		mlist->list->list.ns->user);
	/* an import's query may need the server */
	ahead->is_import = ahead->hold_next = migration_imapc_user_is_imported(
		mlist->list->list.ns->user);
	ahead->have_savedate = (capabilities & IMAPC_CAPABILITY_SAVEDATE) != 0;
	ahead->capabilities = capabilities;
	/* what changed is told without them */
	ahead->no_changes = items[0] != '\0';
	/* -O: flags decide which mails are wanted */
	ahead->guess_wrong = migration_run_has_option(
		migration_run_find(mlist->list->list.ns->user), "sync-flags");
	ahead->dates_with_texts = ahead_dates_are_late(ahead);
	ahead->header_names = ahead_default_headers;
	ahead->command_uids = AHEAD_COMMAND_UIDS;
	ahead->chunk.mails = AHEAD_COMMAND_MAILS;
	message_limit = mlist->message_limit > 0 ? mlist->message_limit :
		mlist->profile.message_limit;
	if (message_limit > 0) {
		ahead->command_uids = message_limit;
		ahead->chunk.mails = I_MIN(ahead->chunk.mails, message_limit);
	}
	ahead->chunk.bytes = AHEAD_COMMAND_BYTES;
	ahead->chunk.line = AHEAD_COMMAND_LINE;
	i_array_init(&ahead->mailboxes, 64);
	i_array_init(&ahead->sessions, 64);
	hash_table_create(&ahead->by_vname, default_pool, 0, str_hash, strcmp);
	fetch_pace_init(&ahead->pace, &pace_limits);
	fetch_window_init(&ahead->window, &limits);
	migration_imapc_ahead_register(mlist->list->client);
	return ahead;
}

void migration_imapc_ahead_stop(struct migration_imapc_ahead *ahead)
{
	struct imapc_client_connection *conn;

	ahead->over = TRUE;
	if (ahead->pending == 0)
		return;
	array_foreach_elem(&ahead->client->conns, conn)
		imapc_connection_abort_commands(conn->conn, NULL, FALSE);
}

void migration_imapc_ahead_deinit(struct migration_imapc_ahead **_ahead)
{
	struct migration_imapc_ahead *ahead = *_ahead;
	struct ahead_mailbox *mailbox;

	*_ahead = NULL;
	migration_imapc_ahead_stop(ahead);
	i_assert(ahead->pending == 0);
	array_foreach_elem(&ahead->mailboxes, mailbox)
		ahead_mailbox_end(ahead, mailbox);
	ahead_sessions_forget(ahead);
	hash_table_destroy(&ahead->by_vname);
	array_free(&ahead->sessions);
	array_free(&ahead->mailboxes);
	pool_unref(&ahead->pool);
}
