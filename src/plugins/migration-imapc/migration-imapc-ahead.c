/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What to ask for ahead, when, and what the answers to the commands mean. See
   migration-imapc-ahead.h. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "ioloop.h"
#include "str.h"
#include "seq-range-array.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "compat-imapc.h"
#include "fetch-ahead.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead.h"

/* imapc-connection.c: larger literals go to a temporary file */
#define AHEAD_MAX_INLINE_LITERAL_SIZE (1024*32)
/* Descriptors that texts ahead may hold. The usual limit of a process is 1024,
   and the destination needs some, too. */
#define AHEAD_WINDOW_FILES 200
/* What a mail is taken for whose size the server does not tell */
#define AHEAD_UNKNOWN_SIZE (1024*1024)
/* One command: small enough that a lost connection or a refusal concerns few
   mails, large enough that commands are no traffic to speak of */
#define AHEAD_COMMAND_MAILS 250
#define AHEAD_COMMAND_BYTES (4*1024*1024)
#define AHEAD_COMMAND_LINE 900
/* UIDs in one command that asks for flags and such */
#define AHEAD_COMMAND_UIDS UINT_MAX
/* Mails of which flags and such are known ahead: some 100 bytes each, 250 with
   header fields. One mailbox may always be ahead. */
#define AHEAD_MAX_LISTED 20000
/* Connections that were lost one after the other, without an answer to any
   command between them, before the run ends */
#define AHEAD_MAX_LOSSES 2
/* the socket is read again when so much was used */
#define AHEAD_READ_EVERY (256*1024)

enum ahead_command_type {
	AHEAD_COMMAND_EXAMINE,
	AHEAD_COMMAND_PARTS,
	AHEAD_COMMAND_TEXTS,
};

struct ahead_command {
	struct migration_imapc_ahead *ahead;
	struct ahead_session *session;
	enum ahead_command_type type;
	unsigned int number;
	/* AHEAD_COMMAND_PARTS: what was asked of UIDs uid1..uid2, where 0 is
	   the last one */
	enum ahead_part parts;
	char *items;
	uint32_t uid1, uid2;
	/* AHEAD_COMMAND_TEXTS: indexes of mails between which all of them are;
	   how many there are */
	unsigned int first_idx, last_idx, mails;
};

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

	if (hash_table_lookup(ahead->by_vname, vname) != NULL)
		return;
	mailbox = p_new(ahead->pool, struct ahead_mailbox, 1);
	mailbox->vname = p_strdup(ahead->pool, vname);
	mailbox->remote_name = p_strdup(ahead->pool, remote_name);
	mailbox->source = *source;
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
	(void)migration_imapc_sides_get_dest(ahead->muser, mailbox->vname,
					     &mailbox->dest);
	mailbox->new_uid = fetch_ahead_new_uid(&mailbox->source,
					       &mailbox->dest);
}

static void
ahead_mailbox_begin(struct migration_imapc_ahead *ahead,
		    struct ahead_mailbox *mailbox)
{
	if (mailbox->pool != NULL)
		return;
	mailbox->pool = pool_alloconly_create("migration imapc ahead", 2048);
	i_array_init(&mailbox->mails, I_MIN(mailbox->source.messages, 4096));
	hash_table_create(&mailbox->flags, default_pool, 0, str_hash, strcmp);
	mailbox->asked = mailbox->known = 0;
	mailbox->exists = mailbox->uidvalidity = mailbox->uidnext = 0;
	mailbox->highestmodseq = 0;
	mailbox->next_wanted = 0;
	mailbox->texts_exact = FALSE;
	ahead_mailbox_learn_dest(ahead, mailbox);
}

static void
ahead_text_forget(struct migration_imapc_ahead *ahead,
		  struct ahead_mailbox *mailbox, struct ahead_mail *mail)
{
	if (mail->text == AHEAD_TEXT_ASKED || mail->text == AHEAD_TEXT_HERE) {
		fetch_window_remove(&ahead->window, mail->taken_size);
		i_assert(mailbox->texts_held > 0);
		mailbox->texts_held--;
	}
	migration_imapc_ahead_mail_clear(mail);
	mail->text = AHEAD_TEXT_UNWANTED;
}

static void
ahead_mailbox_clear_mails(struct migration_imapc_ahead *ahead,
			  struct ahead_mailbox *mailbox)
{
	struct ahead_mail *mail;

	array_foreach_modifiable(&mailbox->mails, mail) {
		ahead_text_forget(ahead, mailbox, mail);
		buffer_free(&mail->header);
	}
	array_clear(&mailbox->mails);
	hash_table_destroy(&mailbox->by_uid);
}

static void
ahead_mailbox_end(struct migration_imapc_ahead *ahead,
		  struct ahead_mailbox *mailbox)
{
	if (mailbox->pool == NULL)
		return;
	i_assert(mailbox->pending == 0);
	ahead_mailbox_clear_mails(ahead, mailbox);
	array_free(&mailbox->mails);
	hash_table_destroy(&mailbox->flags);
	pool_unref(&mailbox->pool);
}

/* ---- sending ---- */

bool migration_imapc_ahead_is_over(const struct migration_imapc_ahead *ahead)
{
	return ahead->over;
}

/* imapc has a mailbox of its own selected: commands would go there. */
static bool ahead_connection_is_taken(struct migration_imapc_ahead *ahead)
{
	struct imapc_client_connection *conn;

	if (array_count(&ahead->client->conns) == 0)
		return FALSE;
	conn = array_idx_elem(&ahead->client->conns, 0);
	return imapc_connection_get_mailbox(conn->conn) != NULL;
}

static void
ahead_command_callback(const struct imapc_command_reply *reply, void *context);

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
	session->pending++;
	session->mailbox->pending++;
	ahead->pending++;
	migration_run_count(migration_run_find(ahead->mlist->list->list.ns->user),
			    MIGRATION_COUNTER_IMAP_COMMANDS, 1);
	*cmd_r = imapc_client_cmd(ahead->client, ahead_command_callback,
				  command);
	return command;
}

bool migration_imapc_ahead_is_lost(const struct migration_imapc_ahead *ahead)
{
	return ahead->over && ahead->answered &&
		ahead->losses >= AHEAD_MAX_LOSSES;
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

static bool
ahead_parts_are_pending(struct ahead_mailbox *mailbox, enum ahead_part part)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(mailbox->part_commands); i++) {
		if ((part & (1U << i)) != 0 && mailbox->part_commands[i] > 0)
			return TRUE;
	}
	return FALSE;
}

static void
ahead_parts_count(struct ahead_mailbox *mailbox, enum ahead_part parts,
		  int add)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(mailbox->part_commands); i++) {
		if ((parts & (1U << i)) != 0)
			mailbox->part_commands[i] += add;
	}
}

static void
ahead_send_range(struct migration_imapc_ahead *ahead,
		 struct ahead_mailbox *mailbox, enum ahead_part parts,
		 const char *items, uint32_t uid1, uint32_t uid2)
{
	struct ahead_session *session = ahead_select(ahead, mailbox);
	struct ahead_command *command;
	struct imapc_command *cmd;

	command = ahead_command_begin(ahead, session, AHEAD_COMMAND_PARTS, &cmd);
	command->parts = parts;
	command->items = i_strdup(items);
	command->uid1 = uid1;
	command->uid2 = uid2;
	mailbox->asked |= parts;
	ahead_parts_count(mailbox, parts, 1);
	imapc_command_send(cmd, uid2 == 0 ?
		t_strdup_printf("UID FETCH %u:* (%s)", uid1, items) :
		t_strdup_printf("UID FETCH %u:%u (%s)", uid1, uid2, items));
}

static void
ahead_ask_range(struct migration_imapc_ahead *ahead,
		struct ahead_mailbox *mailbox, enum ahead_part parts,
		const char *items, uint32_t uid1, uint32_t uid2)
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

static void
ahead_append_details(struct migration_imapc_ahead *ahead, string_t *items)
{
	str_append(items, " INTERNALDATE RFC822.SIZE");
	if (ahead->have_savedate)
		str_append(items, " SAVEDATE");
}

static void
ahead_append_headers(struct ahead_mailbox *mailbox, string_t *items)
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

static void
ahead_ask_parts(struct migration_imapc_ahead *ahead,
		struct ahead_mailbox *mailbox, enum ahead_part parts)
{
	const enum ahead_part both = AHEAD_PART_OLD_DETAILS |
		AHEAD_PART_NEW_DETAILS;
	enum ahead_part all = parts &
		(AHEAD_PART_FLAGS | AHEAD_PART_HEADERS);
	uint32_t uid1 = 1, uid2 = 0;
	string_t *items = t_str_new(128);

	if ((parts & AHEAD_PART_FLAGS) != 0) {
		str_append(items, " FLAGS");
		if (ahead->have_modseqs)
			str_append(items, " MODSEQ");
	}
	if ((parts & AHEAD_PART_HEADERS) != 0) {
		mailbox->header_names = ahead->header_names;
		ahead_append_headers(mailbox, items);
	}
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
		ahead_append_details(ahead, items);
	}
	if (all != 0) {
		ahead_ask_range(ahead, mailbox, all, str_c(items) + 1, 1, 0);
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
	ahead_append_details(ahead, items);
	ahead_ask_range(ahead, mailbox, parts, str_c(items) + 1, uid1, uid2);
}

static enum ahead_part
ahead_probable_parts(struct migration_imapc_ahead *ahead,
		     const struct ahead_mailbox *mailbox)
{
	enum ahead_part parts = AHEAD_PART_FLAGS | AHEAD_PART_NEW_DETAILS;

	if (ahead->want_old_details)
		parts |= AHEAD_PART_OLD_DETAILS;
	/* dsync compares headers only if there is something to compare with */
	if (mailbox->dest.uidnext > 1)
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
	for (i = first_idx; i <= last_idx; i++) {
		mail = array_idx_modifiable(&mailbox->mails, i);
		if (mail->text != AHEAD_TEXT_WANTED)
			continue;
		mail->text = AHEAD_TEXT_ASKED;
		mail->asked_by = command->number;
		mail->taken_size = fetch_window_add(&ahead->window,
						    ahead_mail_size(mail));
		mailbox->texts_held++;
	}
	imapc_command_send(cmd, t_strdup_printf("UID FETCH %s (BODY.PEEK[])",
						uids));
}

/* Asks for the next wanted texts of the mailbox by one command. Returns FALSE
   if there are none. */
static bool
ahead_ask_texts(struct migration_imapc_ahead *ahead,
		struct ahead_mailbox *mailbox)
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

/* The texts that are probably wanted: those of all mails that the destination
   does not have, unless this run already showed that it is not so. */
static void
ahead_guess_texts(struct migration_imapc_ahead *ahead,
		  struct ahead_mailbox *mailbox)
{
	struct ahead_mail *mail;

	if (!ahead->guess_right || ahead->guess_wrong || mailbox->texts_exact ||
	    !fetch_ahead_can_guess(&mailbox->source, &mailbox->dest))
		return;
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (mail->uid >= mailbox->new_uid &&
		    mail->text == AHEAD_TEXT_UNWANTED)
			mail->text = AHEAD_TEXT_WANTED;
	}
}

static bool
ahead_mailbox_is_listed(const struct ahead_mailbox *mailbox)
{
	return mailbox->pool != NULL && !mailbox->refused &&
		(mailbox->known & AHEAD_PART_FLAGS) != 0;
}

static void ahead_topup_texts(struct migration_imapc_ahead *ahead)
{
	struct ahead_mailbox *mailbox;
	const char *reason;

	if (!fetch_ahead_should_fill(&ahead->window))
		return;
	array_foreach_elem(&ahead->mailboxes, mailbox) {
		if (!ahead_mailbox_is_listed(mailbox) ||
		    (mailbox->visited && !mailbox->open))
			continue;
		if (!mailbox->texts_exact && !mailbox->open)
			ahead_guess_texts(ahead, mailbox);
		while (fetch_window_has_room(&ahead->window, &reason)) {
			if (!ahead_ask_texts(ahead, mailbox))
				break;
		}
		if (!fetch_window_has_room(&ahead->window, &reason))
			break;
	}
}

static void ahead_topup_parts(struct migration_imapc_ahead *ahead)
{
	struct ahead_mailbox *mailbox;
	unsigned int listed = 0;

	array_foreach_elem(&ahead->mailboxes, mailbox) {
		if (mailbox->pool != NULL)
			listed += mailbox->source.messages;
		else if (!mailbox->visited &&
			 !migration_imapc_record_source_is_same(ahead->mlist,
								mailbox) &&
			 !mailbox->refused && mailbox->source.messages > 0) {
			if (listed > 0 && listed + mailbox->source.messages >
			    AHEAD_MAX_LISTED)
				break;
			listed += mailbox->source.messages;
			ahead_mailbox_begin(ahead, mailbox);
			ahead_ask_parts(ahead, mailbox,
				ahead_probable_parts(ahead, mailbox));
		}
	}
}

static void ahead_sessions_clean(struct migration_imapc_ahead *ahead,
				 bool lost);

/* FALSE if nothing more is to be sent in this session, because its OAuth2 token
   expires soon: when all answers are there, a new one is begun. */
static bool ahead_session_goes_on(struct migration_imapc_ahead *ahead)
{
	if (!migration_imapc_oauth2_session_ends(ahead->mlist))
		return TRUE;
	if (ahead->pending > 0)
		return FALSE;
	ahead_sessions_clean(ahead, TRUE);
	migration_imapc_oauth2_reconnect_idle(ahead->mlist);
	return TRUE;
}

static void ahead_topup(struct migration_imapc_ahead *ahead)
{
	if (ahead->over || ahead_connection_is_taken(ahead) ||
	    !ahead_session_goes_on(ahead))
		return;
	T_BEGIN {
		ahead_topup_texts(ahead);
		ahead_topup_parts(ahead);
	} T_END;
}

/* ---- answers ---- */

/* From here on imapc does everything, one mailbox after the other. */
static void
ahead_give_up(struct migration_imapc_ahead *ahead, const char *reason)
{
	if (ahead->over)
		return;
	ahead->over = TRUE;
	e_debug(ahead->muser->event, "mailboxes are not asked for ahead any "
		"more: %s", reason);
}

static void
ahead_refuse(struct migration_imapc_ahead *ahead,
	     struct ahead_mailbox *mailbox, const char *reason)
{
	if (!mailbox->refused) {
		e_debug(ahead->muser->event, "mailbox %s: not served ahead, %s",
			mailbox->vname, reason);
	}
	mailbox->refused = TRUE;
}

static void
ahead_command_lost(struct ahead_command *command)
{
	struct migration_imapc_ahead *ahead = command->ahead;
	struct ahead_mailbox *mailbox = command->session->mailbox;
	struct ahead_mail *mail;
	unsigned int i;

	switch (command->type) {
	case AHEAD_COMMAND_EXAMINE:
		break;
	case AHEAD_COMMAND_PARTS:
		mailbox->asked &= ENUM_NEGATE(command->parts);
		if ((command->parts & AHEAD_PART_FLAGS) != 0)
			ahead_mailbox_clear_mails(ahead, mailbox);
		break;
	case AHEAD_COMMAND_TEXTS:
		for (i = command->first_idx; i <= command->last_idx; i++) {
			mail = array_idx_modifiable(&mailbox->mails, i);
			if (mail->text != AHEAD_TEXT_ASKED ||
			    mail->asked_by != command->number)
				continue;
			ahead_text_forget(ahead, mailbox, mail);
			mail->text = AHEAD_TEXT_WANTED;
		}
		mailbox->next_wanted = I_MIN(mailbox->next_wanted,
					     command->first_idx);
		break;
	}
}

/* The server gave a part of what it was asked for, by itself or with an error:
   RFC 9738's MESSAGELIMIT, Yahoo's and others' LIMIT. */
static bool ahead_reply_is_limit(const struct imapc_command_reply *reply)
{
	return reply->resp_text_key != NULL &&
		(strcasecmp(reply->resp_text_key, "MESSAGELIMIT") == 0 ||
		 strcasecmp(reply->resp_text_key, "LIMIT") == 0 ||
		 strcasecmp(reply->resp_text_key, "TOOBIG") == 0);
}

/* OK [MESSAGELIMIT 1000 23221]: the mails from the latest down to UID 23221.
   Returns 0 if it does not say. */
static uint32_t
ahead_reply_lowest_uid(const struct imapc_command_reply *reply)
{
	const char *const *words;
	uint32_t uid;

	if (reply->resp_text_value == NULL)
		return 0;
	words = t_strsplit_spaces(reply->resp_text_value, " ");
	if (words[0] == NULL || words[1] == NULL ||
	    str_to_uint32(words[1], &uid) < 0)
		return 0;
	return uid;
}

/* Returns FALSE if there is nothing smaller to ask for. */
static bool
ahead_parts_limited(struct ahead_command *command,
		    const struct imapc_command_reply *reply)
{
	struct migration_imapc_ahead *ahead = command->ahead;
	struct ahead_mailbox *mailbox = command->session->mailbox;
	uint32_t lowest = ahead_reply_lowest_uid(reply);
	uint32_t last = command->uid2 != 0 ? command->uid2 :
		mailbox->source.uidnext - 1;
	unsigned int uids;

	if (reply->state == IMAPC_COMMAND_STATE_OK && lowest > 0) {
		if (lowest > command->uid1) {
			ahead_ask_range(ahead, mailbox, command->parts,
					command->items, command->uid1,
					lowest - 1);
		}
		return TRUE;
	}
	if (last <= command->uid1)
		return FALSE;
	uids = fetch_chunk_halve(last - command->uid1 + 1);
	if (uids == 0)
		return FALSE;
	ahead->command_uids = I_MIN(ahead->command_uids, uids);
	e_debug(ahead->muser->event, "mailbox %s: the server has a limit (%s), "
		"asking for %u UIDs at once", mailbox->vname, reply->text_full,
		ahead->command_uids);
	ahead_ask_range(ahead, mailbox, command->parts, command->items,
			command->uid1, command->uid2);
	return TRUE;
}

/* All of the mailbox's mails were listed: do the numbers agree? */
static void
ahead_listed(struct migration_imapc_ahead *ahead,
	     struct ahead_mailbox *mailbox)
{
	migration_imapc_ahead_mails_finish(mailbox);
	if (mailbox->uidvalidity != mailbox->source.uidvalidity) {
		ahead_refuse(ahead, mailbox, "EXAMINE tells another "
			     "UIDVALIDITY than STATUS did");
	} else if (array_count(&mailbox->mails) < mailbox->exists) {
		ahead_refuse(ahead, mailbox, t_strdup_printf(
			"the server listed %u of %u mails",
			array_count(&mailbox->mails), mailbox->exists));
	}
}

static void
ahead_parts_answered(struct ahead_command *command,
		     const struct imapc_command_reply *reply)
{
	struct migration_imapc_ahead *ahead = command->ahead;
	struct ahead_mailbox *mailbox = command->session->mailbox;
	enum ahead_part part;

	if ((reply->state != IMAPC_COMMAND_STATE_OK ||
	     ahead_reply_is_limit(reply)) &&
	    (!ahead_reply_is_limit(reply) ||
	     !ahead_parts_limited(command, reply))) {
		ahead_refuse(ahead, mailbox, t_strdup_printf(
			"the server answers: %s", reply->text_full));
		return;
	}
	for (part = 1; part <= AHEAD_PART_HEADERS; part <<= 1) {
		if ((command->parts & part) == 0 ||
		    ahead_parts_are_pending(mailbox, part))
			continue;
		mailbox->known |= part;
		if (part == AHEAD_PART_FLAGS)
			ahead_listed(ahead, mailbox);
	}
}

/* What was not sent is asked for again if the server has a limit. Otherwise it
   is missing, and whoever wants it finds out why. */
static void
ahead_texts_answered(struct ahead_command *command,
		     const struct imapc_command_reply *reply)
{
	struct migration_imapc_ahead *ahead = command->ahead;
	struct ahead_mailbox *mailbox = command->session->mailbox;
	bool limit = ahead_reply_is_limit(reply);
	struct ahead_mail *mail;
	unsigned int i, mails;

	if (limit) {
		mails = fetch_chunk_halve(command->mails);
		limit = mails > 0;
		if (limit && mails < ahead->chunk.mails) {
			ahead->chunk.mails = mails;
			e_debug(ahead->muser->event, "mailbox %s: the server "
				"has a limit (%s), asking for %u mails at once",
				mailbox->vname, reply->text_full, mails);
		}
	}
	for (i = command->first_idx; i <= command->last_idx; i++) {
		mail = array_idx_modifiable(&mailbox->mails, i);
		if (mail->text != AHEAD_TEXT_ASKED ||
		    mail->asked_by != command->number)
			continue;
		ahead_text_forget(ahead, mailbox, mail);
		mail->text = limit ? AHEAD_TEXT_WANTED : AHEAD_TEXT_MISSING;
	}
	if (limit) {
		mailbox->next_wanted = I_MIN(mailbox->next_wanted,
					     command->first_idx);
	}
}

static void
ahead_command_answered(struct ahead_command *command,
		       const struct imapc_command_reply *reply)
{
	struct migration_imapc_ahead *ahead = command->ahead;
	struct ahead_session *session = command->session;

	if (command->type != AHEAD_COMMAND_EXAMINE) {
		/* this one will not be sent again */
		ahead->answered = TRUE;
		ahead->losses = 0;
	}
	switch (command->type) {
	case AHEAD_COMMAND_EXAMINE:
		if (reply->state == IMAPC_COMMAND_STATE_OK)
			session->examined = TRUE;
		else {
			ahead_refuse(ahead, session->mailbox, t_strdup_printf(
				"EXAMINE answers: %s", reply->text_full));
		}
		break;
	case AHEAD_COMMAND_PARTS:
		ahead_parts_answered(command, reply);
		break;
	case AHEAD_COMMAND_TEXTS:
		ahead_texts_answered(command, reply);
		break;
	}
}

static struct ahead_session *
ahead_oldest_pending(struct migration_imapc_ahead *ahead)
{
	struct ahead_session *session;

	array_foreach_elem(&ahead->sessions, session) {
		if (session->pending > 0)
			return session;
	}
	return NULL;
}

/* Forgets what the server has gone past. */
static void ahead_sessions_clean(struct migration_imapc_ahead *ahead,
				 bool lost)
{
	struct ahead_session *session;

	while (array_count(&ahead->sessions) > (lost ? 0 : 1)) {
		session = array_idx_elem(&ahead->sessions, 0);
		if (session->pending > 0)
			return;
		array_pop_front(&ahead->sessions);
		i_free(session);
	}
}

static void
ahead_command_callback(const struct imapc_command_reply *reply, void *context)
{
	struct ahead_command *command = context;
	struct migration_imapc_ahead *ahead = command->ahead;
	struct ahead_session *session = command->session;
	bool lost = reply->state == IMAPC_COMMAND_STATE_DISCONNECTED;

	/* imapc closes the connection at a BAD reply */
	if (reply->state == IMAPC_COMMAND_STATE_BAD)
		ahead->lost = TRUE;
	if (!lost && session != ahead_oldest_pending(ahead)) {
		/* what belongs to which mailbox is anybody's guess */
		ahead_refuse(ahead, session->mailbox,
			     "commands of two mailboxes are mixed up");
		ahead_give_up(ahead, "the server answers the commands for a "
			      "mailbox before those for the one before it");
	}
	if (command->type == AHEAD_COMMAND_PARTS)
		ahead_parts_count(session->mailbox, command->parts, -1);
	if (!lost)
		ahead_command_answered(command, reply);
	else {
		if (!ahead->lost)
			ahead->losses++;
		ahead->lost = TRUE;
		ahead_command_lost(command);
	}
	session->pending--;
	session->mailbox->pending--;
	ahead->pending--;
	if (ahead->pending == 0 && ahead->lost) {
		ahead->lost = FALSE;
		ahead_sessions_clean(ahead, TRUE);
	} else {
		ahead_sessions_clean(ahead, FALSE);
	}
	i_free(command->items);
	i_free(command);
	imapc_client_stop(ahead->client);
}

/* ---- waiting ---- */

/* Returns FALSE if there is nothing to wait for. */
static bool ahead_wait(struct migration_imapc_ahead *ahead)
{
	if (ahead->losses >= AHEAD_MAX_LOSSES) {
		ahead_give_up(ahead, ahead->answered ?
			"the connection breaks again and again" :
			"the server does not answer what is sent ahead");
	}
	ahead_topup(ahead);
	if (ahead->pending == 0 || imapc_client_is_running(ahead->client))
		return FALSE;
	migration_run_count(migration_run_find(ahead->mlist->list->list.ns->user),
			    MIGRATION_COUNTER_WAITS, 1);
	imapc_client_run(ahead->client);
	return TRUE;
}

static void ahead_read_stop(struct imapc_client *client)
{
	imapc_client_stop(client);
}

/* Reads what the server sent meanwhile, without waiting: imapc has no function
   for that, this is its imapc_client_run() with a timeout of nothing. */
static void ahead_read(struct migration_imapc_ahead *ahead)
{
	struct imapc_client *client = ahead->client;
	struct ioloop *prev_ioloop = current_ioloop, *ioloop;
	struct imapc_client_connection *conn;
	struct timeout *to;

	if (ahead->pending == 0 || imapc_client_is_running(client))
		return;
	ioloop = client->ioloop = io_loop_create();
	array_foreach_elem(&client->conns, conn)
		imapc_connection_ioloop_changed(conn->conn);
	to = timeout_add_short(0, ahead_read_stop, client);
	io_loop_run(ioloop);
	timeout_remove(&to);
	io_loop_set_current(prev_ioloop);
	client->ioloop = NULL;
	array_foreach_elem(&client->conns, conn)
		imapc_connection_ioloop_changed(conn->conn);
	io_loop_set_current(ioloop);
	io_loop_destroy(&ioloop);
}

bool migration_imapc_ahead_wait_parts(struct migration_imapc_ahead *ahead,
				      struct ahead_mailbox *mailbox,
				      enum ahead_part parts)
{
	enum ahead_part missing;

	while ((mailbox->known & parts) != parts && !mailbox->refused &&
	       !ahead->over && !ahead_connection_is_taken(ahead)) {
		ahead_mailbox_begin(ahead, mailbox);
		missing = parts & ENUM_NEGATE(mailbox->asked) &
			ENUM_NEGATE(mailbox->known);
		if (missing != 0 && ahead->losses < AHEAD_MAX_LOSSES) {
			/* what is not known of it yet comes along */
			if (mailbox->asked == 0)
				missing |= ahead_probable_parts(ahead, mailbox);
			T_BEGIN {
				ahead_ask_parts(ahead, mailbox, missing);
			} T_END;
			continue;
		}
		if (!ahead_wait(ahead))
			break;
	}
	return (mailbox->known & parts) == parts && !mailbox->refused;
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
	       mailbox->pending > 0 && ahead_wait(ahead)) ;
	mailbox->asked &= ENUM_NEGATE(AHEAD_PART_HEADERS);
	mailbox->known &= ENUM_NEGATE(AHEAD_PART_HEADERS);
	array_foreach_modifiable(&mailbox->mails, mail)
		buffer_free(&mail->header);
}

/* Was what is probably wanted what is wanted? If so the next mailboxes' texts
   need not wait for the question. */
static void
ahead_learn_from_texts(struct migration_imapc_ahead *ahead,
		       struct ahead_mailbox *mailbox,
		       const ARRAY_TYPE(seq_range) *uids)
{
	const struct ahead_mail *mail;
	bool probable, wanted;
	unsigned int count = 0;

	if (!fetch_ahead_can_guess(&mailbox->source, &mailbox->dest))
		return;
	array_foreach(&mailbox->mails, mail) {
		probable = mail->uid >= mailbox->new_uid;
		wanted = seq_range_exists(uids, mail->uid);
		if (probable && !wanted) {
			if (!ahead->guess_wrong) {
				e_debug(ahead->muser->event, "mailbox %s: not "
					"all new mails are wanted, so texts of "
					"the next mailboxes wait until they "
					"are", mailbox->vname);
			}
			ahead->guess_wrong = TRUE;
			return;
		}
		if (probable)
			count++;
	}
	if (count > 0)
		ahead->guess_right = TRUE;
}

void migration_imapc_ahead_want_texts(struct migration_imapc_ahead *ahead,
				      struct ahead_mailbox *mailbox,
				      const ARRAY_TYPE(seq_range) *uids)
{
	struct ahead_mail *mail;

	if (!mailbox->texts_exact)
		ahead_learn_from_texts(ahead, mailbox, uids);
	mailbox->texts_exact = TRUE;
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (!seq_range_exists(uids, mail->uid))
			ahead_text_forget(ahead, mailbox, mail);
		else if (mail->text == AHEAD_TEXT_UNWANTED ||
			 mail->text == AHEAD_TEXT_USED)
			mail->text = AHEAD_TEXT_WANTED;
	}
	mailbox->next_wanted = 0;
	ahead_topup(ahead);
}

bool migration_imapc_ahead_wait_text(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     struct ahead_mail *mail)
{
	unsigned int idx;

	if (mail->text == AHEAD_TEXT_UNWANTED || mail->text == AHEAD_TEXT_USED)
		mail->text = AHEAD_TEXT_WANTED;
	ahead->awaited = mail;
	while (mail->text == AHEAD_TEXT_WANTED ||
	       mail->text == AHEAD_TEXT_ASKED) {
		if (ahead->over || ahead_connection_is_taken(ahead))
			break;
		if (mail->text == AHEAD_TEXT_WANTED) {
			/* whatever the window says, this one is needed now */
			idx = array_ptr_to_idx(&mailbox->mails, mail);
			mailbox->next_wanted = I_MIN(mailbox->next_wanted, idx);
			T_BEGIN {
				(void)ahead_ask_texts(ahead, mailbox);
			} T_END;
		}
		if (!ahead_wait(ahead))
			break;
	}
	ahead->awaited = NULL;
	return mail->text == AHEAD_TEXT_HERE;
}

void migration_imapc_ahead_text_used(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     struct ahead_mail *mail)
{
	i_assert(mail->text == AHEAD_TEXT_HERE);

	ahead->used_bytes += mail->taken_size + sizeof(*mail);
	ahead_text_forget(ahead, mailbox, mail);
	mail->text = AHEAD_TEXT_USED;
	ahead_topup(ahead);
	if (ahead->used_bytes >= AHEAD_READ_EVERY) {
		ahead->used_bytes = 0;
		ahead_read(ahead);
	}
}

void migration_imapc_ahead_leave(struct migration_imapc_ahead *ahead,
				 struct ahead_mailbox *mailbox)
{
	mailbox->open = FALSE;
	/* its texts were used up, or it failed */
	while (mailbox->pending > 0 && ahead_wait(ahead)) ;
	if (mailbox->pending == 0)
		ahead_mailbox_end(ahead, mailbox);
	ahead_topup(ahead);
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

struct migration_imapc_ahead *
migration_imapc_ahead_init(struct migration_imapc_list *mlist,
			   const char **reason_r)
{
	const struct migration_imapc_settings *set = mlist->muser->set;
	const struct fetch_window_limits limits = {
		.mails = set->prefetch,
		.bytes = set->prefetch_size,
		.files = AHEAD_WINDOW_FILES,
		.file_min_size = AHEAD_MAX_INLINE_LITERAL_SIZE,
		.unknown_size = AHEAD_UNKNOWN_SIZE,
	};
	struct imapc_client *client = mlist->list->client->client;
	struct migration_imapc_ahead *ahead;
	enum imapc_capability capabilities;
	const char *path;
	pool_t pool;

	if (!compat_imapc_can_read_ahead(mlist->list->set, reason_r))
		return NULL;
	if (set->max_rate > 0 || (strcmp(set->daily_limit, "auto") != 0 &&
				  strcmp(set->daily_limit, "unlimited") != 0)) {
		*reason_r = "there is a limit of what may be downloaded";
		return NULL;
	}
	if (mailbox_list_get_root_path(&mlist->list->list,
				       MAILBOX_LIST_PATH_TYPE_INDEX, &path) &&
	    path[0] != '\0') {
		*reason_r = "the source has an index of its own";
		return NULL;
	}
	if (imapc_client_get_capabilities(client, &capabilities) < 0) {
		*reason_r = "there is no connection";
		return NULL;
	}
	if ((capabilities & IMAPC_CAPABILITY_X_GM_EXT_1) != 0 ||
	    migration_run_find(mlist->list->list.ns->user)->asks_for_ids) {
		*reason_r = "the server's messages have ids and labels";
		return NULL;
	}
	pool = pool_alloconly_create("migration imapc ahead", 4096);
	ahead = p_new(pool, struct migration_imapc_ahead, 1);
	ahead->pool = pool;
	ahead->mlist = mlist;
	ahead->muser = mlist->muser;
	ahead->client = client;
	ahead->have_modseqs = compat_imapc_has_modseqs(mlist->list->set,
						       capabilities);
	ahead->have_savedate = (capabilities & IMAPC_CAPABILITY_SAVEDATE) != 0;
	ahead->capabilities = capabilities;
	ahead->header_names = ahead_default_headers;
	ahead->command_uids = AHEAD_COMMAND_UIDS;
	ahead->chunk.mails = AHEAD_COMMAND_MAILS;
	if (mlist->message_limit > 0) {
		ahead->command_uids = mlist->message_limit;
		ahead->chunk.mails = I_MIN(ahead->chunk.mails,
					   mlist->message_limit);
	}
	ahead->chunk.bytes = AHEAD_COMMAND_BYTES;
	ahead->chunk.line = AHEAD_COMMAND_LINE;
	i_array_init(&ahead->mailboxes, 64);
	i_array_init(&ahead->sessions, 64);
	hash_table_create(&ahead->by_vname, default_pool, 0, str_hash, strcmp);
	fetch_window_init(&ahead->window, &limits);
	migration_imapc_ahead_register(mlist->list->client);
	return ahead;
}

void migration_imapc_ahead_deinit(struct migration_imapc_ahead **_ahead)
{
	struct migration_imapc_ahead *ahead = *_ahead;
	struct imapc_client_connection *conn;
	struct ahead_mailbox *mailbox;

	*_ahead = NULL;
	if (ahead->pending > 0) {
		ahead->over = TRUE;
		array_foreach_elem(&ahead->client->conns, conn)
			imapc_connection_abort_commands(conn->conn, NULL, FALSE);
	}
	i_assert(ahead->pending == 0);
	array_foreach_elem(&ahead->mailboxes, mailbox)
		ahead_mailbox_end(ahead, mailbox);
	ahead_sessions_forget(ahead);
	hash_table_destroy(&ahead->by_vname);
	array_free(&ahead->sessions);
	array_free(&ahead->mailboxes);
	pool_unref(&ahead->pool);
}
