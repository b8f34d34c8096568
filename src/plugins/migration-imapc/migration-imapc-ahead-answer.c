/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the answers to the commands sent ahead mean. See
   migration-imapc-ahead.h. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "time-util.h"
#include "compat-imapc.h"
#include "fetch-ahead.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* From here on imapc does everything, one mailbox after the other. */
void
migration_imapc_ahead_give_up(struct migration_imapc_ahead *ahead,
			      const char *reason)
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
			migration_imapc_ahead_mailbox_clear_mails(ahead,
								  mailbox);
		break;
	case AHEAD_COMMAND_TEXTS:
		for (i = command->first_idx; i <= command->last_idx; i++) {
			mail = array_idx_modifiable(&mailbox->mails, i);
			if (mail->text != AHEAD_TEXT_ASKED ||
			    mail->asked_by != command->number)
				continue;
			migration_imapc_ahead_text_forget(ahead, mailbox, mail);
			mail->text = AHEAD_TEXT_WANTED;
		}
		mailbox->next_wanted = I_MIN(mailbox->next_wanted,
					     command->first_idx);
		break;
	}
}

/* quirk: fetch-limit. The server gave a part of what it was asked for, by
   itself or with an error: RFC 9738's MESSAGELIMIT, Yahoo's and others'
   LIMIT. */
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
			migration_imapc_ahead_ask_range(ahead, mailbox,
							command->parts,
							command->items,
							command->uid1,
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
	migration_imapc_ahead_ask_range(ahead, mailbox, command->parts,
					command->items, command->uid1,
					command->uid2);
	return TRUE;
}

/* What changed does not fit what is known: everything is asked for. Nobody
   needs to wait for it yet, and what else is wanted goes on. */
static void
ahead_ask_everything(struct migration_imapc_ahead *ahead,
		     struct ahead_mailbox *mailbox, const char *reason)
{
	enum ahead_part parts = migration_imapc_changes_forget(mailbox, 0);

	migration_imapc_changes_doubted(ahead, mailbox, reason);
	migration_imapc_ahead_mailbox_clear_mails(ahead, mailbox);
	T_BEGIN {
		migration_imapc_ahead_ask_parts(ahead, mailbox, parts);
	} T_END;
}

/* All of the mailbox's mails were listed: do the numbers agree? */
static void
ahead_listed(struct migration_imapc_ahead *ahead,
	     struct ahead_mailbox *mailbox)
{
	const char *reason;

	migration_imapc_ahead_mails_finish(mailbox);
	if (migration_imapc_changes_only(mailbox) &&
	    !migration_imapc_changes_apply(mailbox, &reason)) {
		ahead_ask_everything(ahead, mailbox, reason);
		return;
	}
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

	if (command->changes && (reply->state != IMAPC_COMMAND_STATE_OK ||
				 ahead_reply_is_limit(reply))) {
		migration_imapc_changes_refused(ahead, mailbox,
						reply->text_full);
	} else if (command->parts == AHEAD_PART_METADATA) {
		migration_imapc_metadata_answered(ahead, mailbox, reply);
	} else if ((reply->state != IMAPC_COMMAND_STATE_OK ||
	     ahead_reply_is_limit(reply)) &&
	    (!ahead_reply_is_limit(reply) ||
	     !ahead_parts_limited(command, reply))) {
		ahead_refuse(ahead, mailbox, t_strdup_printf(
			"the server answers: %s", reply->text_full));
		return;
	}
	for (part = 1; part <= AHEAD_PART_LAST; part <<= 1) {
		if ((command->parts & part) == 0 ||
		    migration_imapc_ahead_parts_are_pending(mailbox, part))
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
		migration_imapc_ahead_text_forget(ahead, mailbox, mail);
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
			session->mailbox->refusal =
				p_strdup(ahead->pool, reply->text_full);
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

void migration_imapc_ahead_mixed_up(struct migration_imapc_ahead *ahead)
{
	struct ahead_session *session;

	ahead->mixed_up = TRUE;
	array_foreach_elem(&ahead->sessions, session) {
		if (session->pending > 0) {
			ahead_refuse(ahead, session->mailbox,
				     "commands of two mailboxes are mixed up");
		}
	}
	migration_imapc_ahead_give_up(ahead, "the server answers the commands "
		"for a mailbox before those for the one before it");
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
void migration_imapc_ahead_sessions_clean(struct migration_imapc_ahead *ahead,
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

void
migration_imapc_ahead_command_callback(const struct imapc_command_reply *reply,
				       void *context)
{
	struct ahead_command *command = context;
	struct migration_imapc_ahead *ahead = command->ahead;
	struct ahead_session *session = command->session;
	bool lost = reply->state == IMAPC_COMMAND_STATE_DISCONNECTED;

	ahead->texts_asked = FALSE;
	/* imapc closes the connection at a BAD reply */
	if (reply->state == IMAPC_COMMAND_STATE_BAD)
		ahead->lost = TRUE;
	if (!lost && session != ahead_oldest_pending(ahead))
		migration_imapc_ahead_mixed_up(ahead);
	if (command->type == AHEAD_COMMAND_PARTS)
		migration_imapc_ahead_parts_count(session->mailbox,
						  command->parts, -1);
	if (command->type == AHEAD_COMMAND_TEXTS)
		ahead->texts_pending--;
	if (!lost) {
		fetch_pace_answered(&ahead->pace,
				    i_microseconds() - command->sent_usecs);
		ahead_command_answered(command, reply);
	} else {
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
		migration_imapc_ahead_sessions_clean(ahead, TRUE);
	} else {
		migration_imapc_ahead_sessions_clean(ahead, FALSE);
	}
	i_free(command->items);
	i_free(command);
	imapc_client_stop(ahead->client);
}
