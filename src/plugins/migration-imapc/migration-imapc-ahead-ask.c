/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What to ask for ahead, and when: from what is wanted of each mailbox to the
   commands. Texts have a file of their own. See migration-imapc-ahead.h. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "time-util.h"
#include "compat-imapc.h"
#include "fetch-ahead.h"
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
ahead_session_command(struct migration_imapc_ahead *ahead,
		      struct ahead_session *session,
		      enum ahead_command_type type,
		      struct imapc_command **cmd_r)
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
	(void)ahead_session_command(ahead, session, AHEAD_COMMAND_EXAMINE, &cmd);
	imapc_command_sendf(cmd, "EXAMINE %s", mailbox->remote_name);
	return session;
}

struct ahead_command *
migration_imapc_ahead_command_begin(struct migration_imapc_ahead *ahead,
				    struct ahead_mailbox *mailbox,
				    enum ahead_command_type type,
				    struct imapc_command **cmd_r)
{
	return ahead_session_command(ahead, ahead_select(ahead, mailbox), type,
				     cmd_r);
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
	struct ahead_command *command;
	struct imapc_command *cmd;

	command = migration_imapc_ahead_command_begin(ahead, mailbox,
						      AHEAD_COMMAND_PARTS, &cmd);
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

void migration_imapc_ahead_append_dates(struct migration_imapc_ahead *ahead,
					string_t *items)
{
	str_append(items, " INTERNALDATE");
	if (ahead->have_savedate)
		str_append(items, " SAVEDATE");
}

void migration_imapc_ahead_append_details(struct migration_imapc_ahead *ahead,
					  string_t *items)
{
	migration_imapc_ahead_append_dates(ahead, items);
	str_append(items, " RFC822.SIZE");
}

/* Adds these details to the list of all mails. Returns which of them are told
   then: the dates of new mails are better told with their texts, since Dovecot's
   parser takes more memory for a reply of more than ten words, and it has to be
   cleared. */
static enum ahead_part
ahead_append_listed_details(struct migration_imapc_ahead *ahead,
			    struct ahead_mailbox *mailbox,
			    enum ahead_part details, string_t *items)
{
	mailbox->dates_with_texts = ahead->dates_with_texts &&
		(details & AHEAD_PART_OLD_DETAILS) == 0 &&
		!ahead->guess_wrong &&
		fetch_ahead_can_guess(&mailbox->source, &mailbox->dest);
	if (mailbox->dates_with_texts) {
		str_append(items, " RFC822.SIZE");
		return 0;
	}
	migration_imapc_ahead_append_details(ahead, items);
	return details;
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
		all |= ahead_append_listed_details(ahead, mailbox,
						   parts & both, items);
		parts &= ENUM_NEGATE(both);
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
		migration_imapc_ahead_topup_texts(ahead);
		ahead_topup_parts(ahead);
	} T_END;
}
