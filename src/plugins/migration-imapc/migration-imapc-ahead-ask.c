/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What to ask for ahead, and when: from what is wanted of each mailbox to the
   commands. See migration-imapc-ahead.h. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "time-util.h"
#include "compat-imapc.h"
#include "fetch-ahead.h"
#include "parity.h"
#include "migration-budget.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* Mails of which flags and such are known ahead: some 100 bytes each, 250 with
   header fields. One mailbox may always be ahead. */
#define AHEAD_MAX_LISTED 20000

/* imapc has a mailbox of its own selected: commands would go there. */
bool migration_imapc_ahead_connection_is_taken(
	struct migration_imapc_ahead *ahead)
{
	struct imapc_client_connection *conn;

	if (array_count(&ahead->client->conns) == 0)
		return FALSE;
	conn = array_idx_elem(&ahead->client->conns, 0);
	return imapc_connection_get_mailbox(conn->conn) != NULL;
}

static struct ahead_command *
ahead_command_begin(struct migration_imapc_ahead *ahead,
		    struct ahead_session *session,
		    enum ahead_command_type type, struct imapc_command **cmd_r)
{
	struct ahead_command *command;

	command = i_new(struct ahead_command, 1);
	command->ahead = ahead;
	command->session = session;
	command->type = type;
	command->number = ++ahead->command_count;
	command->sent_usecs = i_microseconds();
	session->pending++;
	session->mailbox->pending++;
	ahead->pending++;
	migration_run_count(migration_run_find(ahead->mlist->list->list.ns->user),
			    MIGRATION_COUNTER_IMAP_COMMANDS, 1);
	*cmd_r = imapc_client_cmd(ahead->client,
				  migration_imapc_ahead_command_callback,
				  command);
	return command;
}

/* TRUE if the connection is still the one on which the EXAMINE was sent. */
static bool
ahead_session_is_current(struct migration_imapc_ahead *ahead,
			 const struct ahead_session *session)
{
	struct imapc_client_connection *conn;

	if (array_count(&ahead->client->conns) == 0)
		return FALSE;
	conn = array_idx_elem(&ahead->client->conns, 0);
	return session->login_count == ahead->mlist->login_count &&
		imapc_connection_get_state(conn->conn) ==
		IMAPC_CONNECTION_STATE_DONE;
}

/* The mailbox is selected when the next command arrives at the server. */
static struct ahead_session *
ahead_select(struct migration_imapc_ahead *ahead, struct ahead_mailbox *mailbox)
{
	struct ahead_session *session = NULL;
	struct imapc_command *cmd;

	if (array_count(&ahead->sessions) > 0)
		session = *array_back(&ahead->sessions);
	if (session != NULL && session->mailbox == mailbox &&
	    ahead_session_is_current(ahead, session))
		return session;

	session = i_new(struct ahead_session, 1);
	session->mailbox = mailbox;
	session->login_count = ahead->mlist->login_count;
	array_push_back(&ahead->sessions, &session);
	(void)ahead_command_begin(ahead, session, AHEAD_COMMAND_EXAMINE, &cmd);
	imapc_command_sendf(cmd, "EXAMINE %s", mailbox->remote_name);
	return session;
}

bool
migration_imapc_ahead_parts_are_pending(struct ahead_mailbox *mailbox,
					enum ahead_part part)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(mailbox->part_commands); i++) {
		if ((part & (1U << i)) != 0 && mailbox->part_commands[i] > 0)
			return TRUE;
	}
	return FALSE;
}

void
migration_imapc_ahead_parts_count(struct ahead_mailbox *mailbox,
				  enum ahead_part parts, int add)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(mailbox->part_commands); i++) {
		if ((parts & (1U << i)) != 0)
			mailbox->part_commands[i] += add;
	}
}

static struct ahead_command *
ahead_send_parts(struct migration_imapc_ahead *ahead,
		 struct ahead_mailbox *mailbox, enum ahead_part parts,
		 const char *text)
{
	struct ahead_session *session = ahead_select(ahead, mailbox);
	struct ahead_command *command;
	struct imapc_command *cmd;

	command = ahead_command_begin(ahead, session, AHEAD_COMMAND_PARTS, &cmd);
	command->parts = parts;
	mailbox->asked |= parts;
	migration_imapc_ahead_parts_count(mailbox, parts, 1);
	imapc_command_send(cmd, text);
	return command;
}

void
migration_imapc_ahead_send_changes(struct migration_imapc_ahead *ahead,
				   struct ahead_mailbox *mailbox,
				   const char *text)
{
	struct ahead_command *command =
		ahead_send_parts(ahead, mailbox, AHEAD_PART_FLAGS, text);

	command->changes = TRUE;
}

void migration_imapc_ahead_send_metadata(struct migration_imapc_ahead *ahead,
					 struct ahead_mailbox *mailbox,
					 const char *text)
{
	(void)ahead_send_parts(ahead, mailbox, AHEAD_PART_METADATA, text);
}

static void
ahead_send_range(struct migration_imapc_ahead *ahead,
		 struct ahead_mailbox *mailbox, enum ahead_part parts,
		 const char *items, uint32_t uid1, uint32_t uid2)
{
	struct ahead_command *command;

	command = ahead_send_parts(ahead, mailbox, parts, uid2 == 0 ?
		t_strdup_printf("UID FETCH %u:* (%s)", uid1, items) :
		t_strdup_printf("UID FETCH %u:%u (%s)", uid1, uid2, items));
	command->items = i_strdup(items);
	command->uid1 = uid1;
	command->uid2 = uid2;
}

void
migration_imapc_ahead_ask_range(struct migration_imapc_ahead *ahead,
				struct ahead_mailbox *mailbox,
				enum ahead_part parts, const char *items,
				uint32_t uid1, uint32_t uid2)
{
	uint32_t end, last = uid2 != 0 ? uid2 : mailbox->source.uidnext - 1;

	/* more in one command than this server takes? */
	while (last > uid1 && last - uid1 >= ahead->command_uids) {
		end = uid1 + ahead->command_uids - 1;
		ahead_send_range(ahead, mailbox, parts, items, uid1, end);
		uid1 = end + 1;
	}
	ahead_send_range(ahead, mailbox, parts, items, uid1, uid2);
}

void migration_imapc_ahead_append_details(struct migration_imapc_ahead *ahead,
					  string_t *items)
{
	str_append(items, " INTERNALDATE RFC822.SIZE");
	if (ahead->have_savedate)
		str_append(items, " SAVEDATE");
}

void migration_imapc_ahead_append_headers(struct ahead_mailbox *mailbox,
					  string_t *items)
{
	const char *const *name;

	str_append(items, " BODY.PEEK[HEADER.FIELDS (");
	for (name = mailbox->header_names; *name != NULL; name++) {
		if (name != mailbox->header_names)
			str_append_c(items, ' ');
		str_append(items, t_str_ucase(*name));
	}
	str_append(items, ")]");
}

void
migration_imapc_ahead_ask_parts(struct migration_imapc_ahead *ahead,
				struct ahead_mailbox *mailbox,
				enum ahead_part parts)
{
	const enum ahead_part both = AHEAD_PART_OLD_DETAILS |
		AHEAD_PART_NEW_DETAILS;
	enum ahead_part all;
	uint32_t uid1 = 1, uid2 = 0;
	string_t *items = t_str_new(128);

	if ((parts & AHEAD_PART_HEADERS) != 0)
		mailbox->header_names = ahead->header_names;
	if ((parts & AHEAD_PART_METADATA) != 0)
		migration_imapc_metadata_ask(ahead, mailbox);
	parts = migration_imapc_changes_ask(ahead, mailbox, parts) &
		ENUM_NEGATE(AHEAD_PART_METADATA);
	all = parts & (AHEAD_PART_FLAGS | AHEAD_PART_HEADERS);
	if ((parts & AHEAD_PART_FLAGS) != 0) {
		str_append(items, " FLAGS");
		if (ahead->have_modseqs)
			str_append(items, " MODSEQ");
		if (ahead->extra_items[0] != '\0')
			str_printfa(items, " %s", ahead->extra_items);
	}
	if ((parts & AHEAD_PART_HEADERS) != 0)
		migration_imapc_ahead_append_headers(mailbox, items);
	if (mailbox->new_uid == 1) {
		/* all mails are new: there are no old ones to ask for */
		mailbox->known |= AHEAD_PART_OLD_DETAILS;
		parts &= ENUM_NEGATE(AHEAD_PART_OLD_DETAILS);
	} else if (mailbox->new_uid >= mailbox->source.uidnext) {
		mailbox->known |= AHEAD_PART_NEW_DETAILS;
		parts &= ENUM_NEGATE(AHEAD_PART_NEW_DETAILS);
	}
	if (all != 0 && ((parts & both) == both ||
	    ((parts & both) != 0 && (mailbox->known & both) != 0))) {
		all |= parts & both;
		migration_imapc_ahead_append_details(ahead, items);
	}
	if (all != 0) {
		migration_imapc_ahead_ask_range(ahead, mailbox, all,
						str_c(items) + 1, 1, 0);
		parts &= ENUM_NEGATE(all);
	}
	parts &= both;
	if (parts == 0)
		return;
	if (parts == AHEAD_PART_NEW_DETAILS)
		uid1 = mailbox->new_uid;
	else if (parts == AHEAD_PART_OLD_DETAILS)
		uid2 = mailbox->new_uid - 1;
	str_truncate(items, 0);
	migration_imapc_ahead_append_details(ahead, items);
	migration_imapc_ahead_ask_range(ahead, mailbox, parts, str_c(items) + 1,
					uid1, uid2);
}

enum ahead_part
migration_imapc_ahead_probable_parts(struct migration_imapc_ahead *ahead,
				     const struct ahead_mailbox *mailbox)
{
	enum ahead_part parts = AHEAD_PART_FLAGS | AHEAD_PART_NEW_DETAILS;

	if (ahead->want_metadata)
		parts |= AHEAD_PART_METADATA;
	if (mailbox->source.messages == 0)
		return parts & AHEAD_PART_METADATA;
	if (ahead->want_old_details)
		parts |= AHEAD_PART_OLD_DETAILS;
	/* dsync compares headers only if there is something to compare with and
	   no id to do it by, or if it looks for what the source lacks */
	if ((mailbox->dest.uidnext > 1 && ahead->extra_items[0] == '\0') ||
	    ahead->wanted->headers ||
	    ahead->both_directions)
		parts |= AHEAD_PART_HEADERS;
	return parts;
}

/* ---- texts ---- */

static uint64_t ahead_mail_size(const struct ahead_mail *mail)
{
	return mail->size == UOFF_T_MAX ? AHEAD_UNKNOWN_SIZE : mail->size;
}

static void
ahead_send_texts(struct migration_imapc_ahead *ahead,
		 struct ahead_mailbox *mailbox, const char *uids,
		 unsigned int first_idx, unsigned int last_idx,
		 unsigned int mails)
{
	struct ahead_session *session = ahead_select(ahead, mailbox);
	struct ahead_command *command;
	struct ahead_mail *mail;
	struct imapc_command *cmd;
	unsigned int i;

	command = ahead_command_begin(ahead, session, AHEAD_COMMAND_TEXTS, &cmd);
	command->first_idx = first_idx;
	command->last_idx = last_idx;
	command->mails = mails;
	ahead->texts_pending++;
	for (i = first_idx; i <= last_idx; i++) {
		mail = array_idx_modifiable(&mailbox->mails, i);
		if (mail->text != AHEAD_TEXT_WANTED)
			continue;
		mail->text = AHEAD_TEXT_ASKED;
		mail->asked_by = command->number;
		mail->taken_size = fetch_window_add(&ahead->window,
						    ahead_mail_size(mail));
		ahead->on_its_way.bytes += mail->taken_size;
		ahead->on_its_way.mails++;
		mailbox->texts_held++;
	}
	imapc_command_send(cmd, t_strdup_printf("UID FETCH %s (BODY.PEEK[])",
						uids));
}

/* TRUE if one more mail may be asked for without a pause. */
static bool
ahead_budget_has_room(const struct migration_imapc_ahead *ahead,
		      const struct fetch_chunk *chunk,
		      const struct ahead_mail *mail)
{
	const struct fetch_budget_ahead asked = {
		.bytes = ahead->on_its_way.bytes + chunk->bytes,
		.mails = ahead->on_its_way.mails + chunk->mails,
	};

	return ahead->budget == NULL ||
		migration_budget_has_room(ahead->budget, &asked,
			mail->size == UOFF_T_MAX ? 0 : mail->size);
}

bool
migration_imapc_ahead_ask_texts(struct migration_imapc_ahead *ahead,
				struct ahead_mailbox *mailbox, bool must_ask)
{
	const struct fetch_window *window = &ahead->window;
	struct fetch_chunk_limits limits = ahead->chunk;
	struct fetch_chunk chunk;
	const struct ahead_mail *mail;
	unsigned int i, first_idx = UINT_MAX, last_idx = 0;
	unsigned int count = array_count(&mailbox->mails);
	uint64_t files = 0;
	bool file;

	/* the first mail always fits */
	if (window->mails < window->limits.mails) {
		limits.mails = I_MIN(limits.mails,
				     window->limits.mails - window->mails);
	} else {
		limits.mails = 1;
	}
	limits.bytes = window->bytes >= window->limits.bytes ? 0 :
		I_MIN(limits.bytes, window->limits.bytes - window->bytes);
	fetch_chunk_init(&chunk, &limits, t_str_new(256));
	for (i = mailbox->next_wanted; i < count; i++) {
		mail = array_idx(&mailbox->mails, i);
		if (mail->text != AHEAD_TEXT_WANTED)
			continue;
		file = ahead_mail_size(mail) > AHEAD_MAX_INLINE_LITERAL_SIZE;
		if (!(must_ask && chunk.mails == 0) &&
		    !ahead_budget_has_room(ahead, &chunk, mail)) {
			ahead->budget_is_full = TRUE;
			break;
		}
		if ((file && ahead->window.files + files >= AHEAD_WINDOW_FILES) ||
		    !fetch_chunk_add(&chunk, mail->uid, ahead_mail_size(mail)))
			break;
		if (file)
			files++;
		if (first_idx == UINT_MAX)
			first_idx = i;
		last_idx = i;
	}
	mailbox->next_wanted = i;
	if (chunk.mails == 0)
		return FALSE;
	fetch_chunk_finish(&chunk);
	ahead_send_texts(ahead, mailbox, str_c(chunk.uids), first_idx, last_idx,
			 chunk.mails);
	return TRUE;
}

/* The texts of the sample, as if the destination had all mails: what it does not
   have is asked for in vain. */
static void
ahead_guess_sample(struct migration_imapc_ahead *ahead,
		   struct ahead_mailbox *mailbox)
{
	ARRAY_TYPE(seq_range) all, uids;
	struct ahead_mail *mail;

	if (mailbox->sampled ||
	    (ahead->wanted->sample_percent == 0 && ahead->wanted->sample_min == 0) ||
	    !migration_imapc_mail_filter_mark(ahead->mlist, mailbox))
		return;
	mailbox->sampled = TRUE;
	if (array_is_created(&ahead->wanted->without_texts) &&
	    array_bsearch(&ahead->wanted->without_texts, &mailbox->vname,
			  i_strcmp_p) != NULL)
		return;
	t_array_init(&all, 16);
	t_array_init(&uids, 64);
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (!mail->left_out)
			seq_range_array_add(&all, mail->uid);
	}
	parity_sample_texts(mailbox->source.uidvalidity, &all,
			    ahead->wanted->sample_percent,
			    ahead->wanted->sample_min, &uids);
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (mail->text == AHEAD_TEXT_UNWANTED &&
		    seq_range_exists(&uids, mail->uid))
			mail->text = AHEAD_TEXT_WANTED;
	}
}

/* The texts that are probably wanted: those of all mails that the destination
   does not have, unless this run already showed that it is not so. */
static void
ahead_guess_texts(struct migration_imapc_ahead *ahead,
		  struct ahead_mailbox *mailbox)
{
	struct ahead_mail *mail;

	if (!ahead->guess_right || ahead->guess_wrong || mailbox->texts_exact ||
	    !fetch_ahead_can_guess(&mailbox->source, &mailbox->dest) ||
	    !migration_imapc_mail_filter_mark(ahead->mlist, mailbox))
		return;
	/* it may have been looked through before anything was guessed */
	mailbox->next_wanted = 0;
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (mail->uid >= mailbox->new_uid && !mail->left_out &&
		    mail->text == AHEAD_TEXT_UNWANTED &&
		    !migration_imapc_reuse_has(ahead->mlist, mailbox,
					       mail->uid) &&
		    !migration_imapc_ahead_has_text(mailbox, mail->uid))
			mail->text = AHEAD_TEXT_WANTED;
	}
}

static bool
ahead_mailbox_is_listed(const struct ahead_mailbox *mailbox)
{
	return mailbox->pool != NULL && !mailbox->refused &&
		(mailbox->known & AHEAD_PART_FLAGS) != 0;
}

/* As many bytes as the line is seen to need. */
static void ahead_set_window(struct migration_imapc_ahead *ahead)
{
	uint64_t bytes, old_bytes = ahead->window.limits.bytes;

	if (ahead->filled && ahead->texts_pending == 0)
		fetch_pace_ran_dry(&ahead->pace);
	ahead->filled = FALSE;
	bytes = fetch_pace_window(&ahead->pace);
	ahead->window.limits.bytes = bytes;
	if (bytes > old_bytes + old_bytes / 8 ||
	    bytes < old_bytes - old_bytes / 8) {
		e_debug(ahead->muser->event, "asking for %"PRIu64" kB of texts "
			"ahead, the line carries %"PRIu64" kB/s",
			bytes / 1024, fetch_pace_rate(&ahead->pace) / 1024);
	}
}

/* A message that several mailboxes show comes with the first one: no texts of
   those after a mailbox of which it is not known what it will bring. */
static bool
ahead_mailbox_holds_back(struct migration_imapc_ahead *ahead,
			 const struct ahead_mailbox *mailbox)
{
	return ahead->extra_items[0] != '\0' && !mailbox->visited &&
		mailbox->source.messages > 0 &&
		!migration_imapc_record_source_is_same(ahead->mlist, mailbox) &&
		(!ahead_mailbox_is_listed(mailbox) ||
		 !fetch_ahead_can_guess(&mailbox->source, &mailbox->dest));
}

static void ahead_topup_texts(struct migration_imapc_ahead *ahead)
{
	struct ahead_mailbox *mailbox;
	const char *reason;

	if (ahead->budget_is_spent || !fetch_ahead_should_fill(&ahead->window))
		return;
	ahead_set_window(ahead);
	ahead->budget_is_full = FALSE;
	array_foreach_elem(&ahead->mailboxes, mailbox) {
		if (ahead_mailbox_holds_back(ahead, mailbox))
			break;
		if (!ahead_mailbox_is_listed(mailbox) ||
		    (mailbox->visited && !mailbox->open))
			continue;
		if (ahead->wanted->wanted && !mailbox->texts_exact)
			ahead_guess_sample(ahead, mailbox);
		else if (!mailbox->texts_exact && !mailbox->open)
			ahead_guess_texts(ahead, mailbox);
		while (fetch_window_has_room(&ahead->window, &reason)) {
			if (!migration_imapc_ahead_ask_texts(ahead, mailbox,
							     FALSE))
				break;
		}
		if (!fetch_window_has_room(&ahead->window, &reason)) {
			ahead->filled = TRUE;
			break;
		}
		/* a run that ends at the limit has used all that it brought */
		if (ahead->budget_is_full)
			break;
	}
}

static bool
ahead_mailbox_is_wanted(struct migration_imapc_ahead *ahead,
			const struct ahead_mailbox *mailbox)
{
	if (!ahead->wanted->wanted)
		return TRUE;
	/* not before the command has chosen */
	return array_is_created(&ahead->wanted->names) &&
		array_bsearch(&ahead->wanted->names, &mailbox->vname,
			      i_strcmp_p) != NULL;
}

static void ahead_topup_parts(struct migration_imapc_ahead *ahead)
{
	struct ahead_mailbox *mailbox;
	unsigned int listed = 0;

	if (ahead->hold_next)
		return;
	array_foreach_elem(&ahead->mailboxes, mailbox) {
		if (mailbox->pool != NULL)
			listed += mailbox->source.messages;
		else if (!mailbox->visited &&
			 !migration_imapc_record_source_is_same(ahead->mlist,
								mailbox) &&
			 !mailbox->refused &&
			 (mailbox->source.messages > 0 || ahead->want_metadata) &&
			 ahead_mailbox_is_wanted(ahead, mailbox)) {
			if (listed > 0 && listed + mailbox->source.messages >
			    AHEAD_MAX_LISTED)
				break;
			listed += mailbox->source.messages;
			migration_imapc_ahead_mailbox_begin(ahead, mailbox);
			migration_imapc_ahead_ask_parts(
				ahead, mailbox,
				migration_imapc_ahead_probable_parts(ahead, mailbox));
		}
	}
}

/* FALSE if nothing more is to be sent in this session, because its OAuth2 token
   expires soon: when all answers are there, a new one is begun. */
static bool ahead_session_goes_on(struct migration_imapc_ahead *ahead)
{
	if (!migration_imapc_oauth2_session_ends(ahead->mlist))
		return TRUE;
	if (ahead->pending > 0)
		return FALSE;
	migration_imapc_ahead_sessions_clean(ahead, TRUE);
	migration_imapc_oauth2_reconnect_idle(ahead->mlist);
	return TRUE;
}

void migration_imapc_ahead_topup(struct migration_imapc_ahead *ahead)
{
	if (ahead->over || migration_imapc_ahead_connection_is_taken(ahead) ||
	    !ahead_session_goes_on(ahead))
		return;
	T_BEGIN {
		ahead_topup_texts(ahead);
		ahead_topup_parts(ahead);
	} T_END;
}
