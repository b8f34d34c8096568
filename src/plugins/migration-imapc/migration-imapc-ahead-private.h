/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_AHEAD_PRIVATE_H
#define MIGRATION_IMAPC_AHEAD_PRIVATE_H

/* Between the files of what is fetched ahead, and those that serve it. */

#include "fetch-budget.h"
#include "fetch-pace.h"
#include "migration-imapc-ahead.h"

/* imapc-connection.c: larger literals go to a temporary file */
#define AHEAD_MAX_INLINE_LITERAL_SIZE (1024*32)
/* Descriptors that texts ahead may hold. The usual limit of a process is 1024,
   and the destination needs some, too. */
#define AHEAD_WINDOW_FILES 200
/* What a mail is taken for whose size the server does not tell */
#define AHEAD_UNKNOWN_SIZE (1024*1024)

struct migration_imapc_ahead {
	struct migration_imapc_list *mlist;
	struct migration_imapc_user *muser;
	struct imapc_client *client;
	pool_t pool;

	ARRAY(struct ahead_mailbox *) mailboxes;
	HASH_TABLE(const char *, struct ahead_mailbox *) by_vname;
	/* EXAMINEs that the server has not gone past yet, oldest first; the
	   last one is the mailbox that the next command will find selected */
	ARRAY(struct ahead_session *) sessions;

	struct fetch_window window;
	/* how many bytes the window may hold */
	struct fetch_pace pace;
	/* commands for texts that were not answered yet */
	unsigned int texts_pending;
	/* what may be downloaded, NULL without any limit; and what was asked for
	   and has not come yet */
	struct migration_budget *budget;
	struct fetch_budget_ahead on_its_way;
	/* limits of one command */
	struct fetch_chunk_limits chunk;
	unsigned int command_uids;
	unsigned int command_count, pending;
	/* connections lost since a command was last answered, or a text came */
	unsigned int losses;
	/* bytes that were used since the socket was read the last time */
	uoff_t used_bytes;
	/* somebody waits for the text of this mail */
	const struct ahead_mail *awaited;
	const char *const *header_names;
	/* what plugins want of all mails, "" if nothing: migration-metadata.h */
	const char *extra_items;
	/* what the command said of itself */
	struct migration_run_ahead *wanted;

	/* a sync that changes the source, too */
	bool both_directions:1;
	/* every mailbox's dates and sizes were wanted of all mails */
	bool want_old_details:1;
	/* what is probably wanted was exactly what was wanted; or not */
	bool guess_right:1;
	bool guess_wrong:1;
	/* nothing is asked of mailboxes that are not open: it may be in vain */
	bool hold_next:1;
	bool is_import:1;
	/* a command was answered */
	bool answered:1;
	/* nothing that arrives is certain to be of the mailbox that it is
	   expected of */
	bool mixed_up:1;
	/* the connection broke, its commands are just being given back */
	bool lost:1;
	/* the window was full when texts were last asked for */
	bool filled:1;
	/* the next text has to wait for its part of the limits, and so have all
	   that follow it */
	bool budget_is_full:1;
	/* a text was needed that must not be asked for: the run ends */
	bool budget_is_spent:1;
	/* what is wanted of the texts was asked for: only an answer changes that,
	   or somebody who wants more */
	bool texts_asked:1;
	/* nobody wants the date of a mail before its text */
	bool dates_with_texts:1;
	/* nothing is asked for any more */
	bool over:1;
	enum imapc_capability capabilities;
	bool have_modseqs:1;
	bool have_savedate:1;
	/* the METADATA of the mailboxes is wanted, and the server has it */
	bool want_metadata:1;
	/* the server does not tell what changed since a MODSEQ */
	bool no_changes:1;
	/* what plugins want changes without a trace in a mailbox's state */
	bool extra_is_unsteady:1;
};

/* One EXAMINE and the commands that follow it. */
struct ahead_session {
	struct ahead_mailbox *mailbox;
	unsigned int pending;
	/* which login the EXAMINE was sent after */
	unsigned int login_count;
	/* EXAMINE was answered */
	bool examined;
};

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
	uint64_t sent_usecs;
	/* AHEAD_COMMAND_PARTS: what was asked of UIDs uid1..uid2, where 0 is
	   the last one */
	enum ahead_part parts;
	char *items;
	uint32_t uid1, uid2;
	/* ... or only of those that changed (migration-imapc-changes.c) */
	bool changes;
	/* AHEAD_COMMAND_TEXTS: indexes of mails between which all of them are;
	   how many there are */
	unsigned int first_idx, last_idx, mails;
};
/* migration-imapc-ahead.c: the mailbox's tables come into being */
void migration_imapc_ahead_mailbox_begin(struct migration_imapc_ahead *ahead,
					 struct ahead_mailbox *mailbox);
void migration_imapc_ahead_mailbox_clear_mails(
	struct migration_imapc_ahead *ahead, struct ahead_mailbox *mailbox);
/* Waits for any answer. FALSE if there is nothing to wait for. */
bool migration_imapc_ahead_wait(struct migration_imapc_ahead *ahead);
/* Reads what the server sent meanwhile, without waiting. */
void migration_imapc_ahead_read(struct migration_imapc_ahead *ahead);

/* migration-imapc-ahead-texts.c: the mail's text is neither here nor asked for
   any more */
void migration_imapc_ahead_text_forget(struct migration_imapc_ahead *ahead,
				       struct ahead_mailbox *mailbox,
				       struct ahead_mail *mail);
/* TRUE if a plugin knows that the text need not come with this mailbox. */
bool migration_imapc_ahead_has_text(struct ahead_mailbox *mailbox, uint32_t uid);
/* The text is not on its way any more: it came, or it will not come. */
void migration_imapc_ahead_text_came(struct migration_imapc_ahead *ahead,
				     const struct ahead_mail *mail);
/* Asks for texts that are wanted, as far as there is room. */
void migration_imapc_ahead_topup_texts(struct migration_imapc_ahead *ahead);

/* migration-imapc-ahead-ask.c: asks for what is wanted as far as there is
   room */
void migration_imapc_ahead_topup(struct migration_imapc_ahead *ahead);
/* Asks for these parts of all mails, whatever room there is. */
void migration_imapc_ahead_ask_parts(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     enum ahead_part parts);
/* ... of the mails uid1..uid2, where 0 is the last one. */
void migration_imapc_ahead_ask_range(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     enum ahead_part parts, const char *items,
				     uint32_t uid1, uint32_t uid2);
/* Sends a command whose answers belong to AHEAD_PART_FLAGS. */
void migration_imapc_ahead_send_changes(struct migration_imapc_ahead *ahead,
					struct ahead_mailbox *mailbox,
					const char *text);
/* Sends a command whose answers are AHEAD_PART_METADATA. */
void migration_imapc_ahead_send_metadata(struct migration_imapc_ahead *ahead,
					 struct ahead_mailbox *mailbox,
					 const char *text);
/* Adds dates, dates and sizes, or the mailbox's header_names, to what is
   fetched. */
void migration_imapc_ahead_append_dates(struct migration_imapc_ahead *ahead,
					string_t *items);
void migration_imapc_ahead_append_details(struct migration_imapc_ahead *ahead,
					  string_t *items);
void migration_imapc_ahead_append_headers(struct ahead_mailbox *mailbox,
					  string_t *items);
/* A command that the server will take for one of this mailbox: EXAMINE goes out
   before it if it has to. The command's other fields are for the caller to fill
   in before he sends cmd_r. */
struct ahead_command *
migration_imapc_ahead_command_begin(struct migration_imapc_ahead *ahead,
				    struct ahead_mailbox *mailbox,
				    enum ahead_command_type type,
				    struct imapc_command **cmd_r);
/* What dsync will probably want to know of the mailbox. */
enum ahead_part
migration_imapc_ahead_probable_parts(struct migration_imapc_ahead *ahead,
				     const struct ahead_mailbox *mailbox);
/* imapc has a mailbox of its own selected: commands would go there. */
bool migration_imapc_ahead_connection_is_taken(
	struct migration_imapc_ahead *ahead);
bool migration_imapc_ahead_parts_are_pending(struct ahead_mailbox *mailbox,
					     enum ahead_part part);
/* Adds to the number of commands that ask for these parts. */
void migration_imapc_ahead_parts_count(struct ahead_mailbox *mailbox,
				       enum ahead_part parts, int add);

/* migration-imapc-query.c: texts that were held, but those of these UIDs, are asked
   for. NULL for none. */
void migration_imapc_query_compare(struct migration_imapc_ahead *ahead,
				   struct ahead_mailbox *mailbox,
				   const ARRAY_TYPE(seq_range) *uids);

/* migration-imapc-ahead-answer.c: the callback of each command */
void migration_imapc_ahead_command_callback(
	const struct imapc_command_reply *reply, void *context);
/* Forgets the sessions that the server has gone past; lost: all of them. */
void migration_imapc_ahead_sessions_clean(struct migration_imapc_ahead *ahead,
					  bool lost);
/* From here on imapc does everything, one mailbox after the other. */
void migration_imapc_ahead_give_up(struct migration_imapc_ahead *ahead,
				   const char *reason);

/* pipelined-examine: the server handled an EXAMINE before what was asked of the
   mailbox before it. What is still to come may be of any of them. */
void migration_imapc_ahead_mixed_up(struct migration_imapc_ahead *ahead);

/* migration-imapc-ahead-reply.c: sorts untagged replies into the tables */
void migration_imapc_ahead_register(struct imapc_storage_client *client);
/* A mail that the mailbox does not have yet. */
struct ahead_mail *
migration_imapc_ahead_mail_add(struct ahead_mailbox *mailbox, uint32_t uid);
/* The one copy of these flags that the mailbox keeps */
const char *migration_imapc_ahead_flags(struct ahead_mailbox *mailbox,
					const char *flags);
/* All mails of the mailbox are there. */
void migration_imapc_ahead_mails_finish(struct ahead_mailbox *mailbox);
/* Frees a text. */
void migration_imapc_ahead_mail_clear(struct ahead_mail *mail);

/* migration-imapc-metadata.c: what is said of mailboxes */
void migration_imapc_metadata_ask(struct migration_imapc_ahead *ahead,
				  struct ahead_mailbox *mailbox);
void migration_imapc_metadata_reply(struct ahead_mailbox *mailbox,
				    const struct imap_arg *args);
void migration_imapc_metadata_answered(struct migration_imapc_ahead *ahead,
				       struct ahead_mailbox *mailbox,
				       const struct imapc_command_reply *reply);

/* migration-imapc-changes.c: only the changes of a mailbox that the destination
   has as it was */
/* TRUE if that is how the mailbox is asked for. */
static inline bool
migration_imapc_changes_only(const struct ahead_mailbox *mailbox)
{
	return mailbox->then.messages > 0;
}
/* The mailbox's tables come into being: is it to be done so? */
void migration_imapc_changes_begin(struct migration_imapc_ahead *ahead,
				   struct ahead_mailbox *mailbox);
/* Asks for the parts that changed, if the destination still has what did not;
   returns those that are to be asked for in the usual way. */
enum ahead_part migration_imapc_changes_ask(struct migration_imapc_ahead *ahead,
					    struct ahead_mailbox *mailbox,
					    enum ahead_part parts);
/* All mails are to be asked for. Returns which parts of them: these and those
   that had been asked for. */
enum ahead_part migration_imapc_changes_forget(struct ahead_mailbox *mailbox,
					       enum ahead_part parts);
/* Says why all mails are asked for. */
void migration_imapc_changes_doubted(struct migration_imapc_ahead *ahead,
				     const struct ahead_mailbox *mailbox,
				     const char *reason);
/* The server does not do that. */
void migration_imapc_changes_refused(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     const char *reason);
/* All was answered: the mailbox's mails become what the source has. FALSE and
   reason_r if that is not certain. */
bool migration_imapc_changes_apply(struct ahead_mailbox *mailbox,
				   const char **reason_r);
/* dsync says what the destination is. FALSE if it is not what the source's
   mails were taken from. */
bool migration_imapc_changes_dest_is_same(struct migration_imapc_ahead *ahead,
					  struct ahead_mailbox *mailbox);
/* migration-imapc-changes-headers.c: fills mail->header with the mailbox's
   header_names from the destination, if it can be had there. */
void migration_imapc_changes_read_header(struct migration_imapc_ahead *ahead,
					 struct ahead_mailbox *mailbox,
					 struct ahead_mail *mail);
/* Closes the destination's mailbox. */
void migration_imapc_changes_end(struct ahead_mailbox *mailbox);

#endif
