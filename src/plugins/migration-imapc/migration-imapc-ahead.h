/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_AHEAD_H
#define MIGRATION_IMAPC_AHEAD_H

/* What the source's mailboxes hold, fetched ahead of its use.

   Stock selects one mailbox after the other and waits for each answer. Here
   EXAMINE goes out like any other command, followed by the FETCHes for that
   mailbox and by the EXAMINE of the next one, so that many mailboxes are on
   their way at once on one connection. The replies are sorted into tables, and
   whoever opens a mailbox is served from its table (migration-imapc-virtual.c
   and migration-imapc-serve.c). No reply reaches stock imapc.

   All of it is driven by state: what is wanted and was neither asked for nor
   received is asked for when there is room. A lost connection only turns
   "asked" back into "wanted". */

#include "fetch-chunk.h"
#include "fetch-window.h"
#include "sync-record.h"

struct migration_imapc_changes_reader;
struct ahead_session;
struct migration_imapc_list;
struct migration_metadata_tables;

enum ahead_text {
	AHEAD_TEXT_UNWANTED,
	/* an import may have the mail already */
	AHEAD_TEXT_HELD,
	AHEAD_TEXT_WANTED,
	AHEAD_TEXT_ASKED,
	AHEAD_TEXT_HERE,
	/* the server answered without it: gone, or refused */
	AHEAD_TEXT_MISSING,
	/* it is needed now, and the limit of what may be downloaded is used up */
	AHEAD_TEXT_REFUSED,
	AHEAD_TEXT_USED,
};

struct ahead_mail {
	uint32_t uid;
	enum ahead_text text;
	/* number of the command that asked for the text */
	unsigned int asked_by;
	/* the text: either in memory or in an unlinked file, -1 if not */
	int fd;
	buffer_t *body;
	/* the header fields that were asked for, as they came */
	buffer_t *header;
	/* UOFF_T_MAX if the server did not say */
	uoff_t size;
	/* what the window took the mail for */
	uint64_t taken_size;
	/* (time_t)-1 if not known */
	time_t received_date, save_date;
	/* 0 if the server has none */
	uint64_t modseq;
	/* as the server wrote them, separated by spaces */
	const char *flags;
	/* it is not to be migrated (migration-imapc-mail-filter.c) */
	bool left_out;
};
ARRAY_DEFINE_TYPE(ahead_mail, struct ahead_mail);

/* What is known of all mails of a mailbox */
enum ahead_part {
	/* which mails there are, with flags and modseqs */
	AHEAD_PART_FLAGS	= 0x01,
	/* date and size of the mails from new_uid on */
	AHEAD_PART_NEW_DETAILS	= 0x02,
	/* ... and of the others */
	AHEAD_PART_OLD_DETAILS	= 0x04,
	/* the header fields by which dsync compares mails */
	AHEAD_PART_HEADERS	= 0x08,
	/* what is said of the mailbox itself (migration-imapc-metadata.c) */
	AHEAD_PART_METADATA	= 0x10,
	AHEAD_PART_LAST		= AHEAD_PART_METADATA,
};

struct ahead_mailbox {
	const char *vname, *remote_name;
	/* its name at the destination: vname without what dsync has escaped */
	const char *dest_name;
	/* what STATUS said at the beginning of the run */
	struct sync_side source;
	/* what the destination had at the beginning of the run; all 0 if it has
	   no such mailbox */
	struct sync_side dest;

	/* Everything from here on is empty until something was asked for, and
	   again after migration_imapc_ahead_leave(). */
	pool_t pool;
	/* ascending by UID once AHEAD_PART_FLAGS is known */
	ARRAY_TYPE(ahead_mail) mails;
	/* the mail that was looked up last, for the next time */
	unsigned int found_idx;
	/* UID -> index + 1, only while mails come in another order */
	HASH_TABLE(void *, void *) by_uid;
	/* what plugins keep of them, NULL before the first answer */
	struct migration_metadata_tables *extra;
	/* flags -> the one copy of them */
	HASH_TABLE(char *, char *) flags;
	uint32_t uidvalidity, uidnext, exists;
	uint64_t highestmodseq;
	/* mails from here on are probably not at the destination */
	uint32_t new_uid;
	enum ahead_part asked, known;
	/* commands that were not answered yet, for each bit of ahead_part */
	unsigned int part_commands[5];
	/* AHEAD_PART_METADATA */
	ARRAY(struct ahead_metadata) metadata;
	/* the header fields that were asked for */
	const char *const *header_names;
	/* What the source was when the destination became the same: what did
	   not change since then is taken from there
	   (migration-imapc-changes.c). All 0 if everything is asked for. */
	struct sync_side then;
	/* what SEARCH found of such a mailbox */
	ARRAY_TYPE(seq_range) found;
	/* why its changes alone are not to be believed, or NULL */
	const char *doubt;
	/* the destination's mailbox while headers are read from it, or NULL */
	struct migration_imapc_changes_reader *reader;
	/* no mail before this index has a wanted text */
	unsigned int next_wanted;
	/* texts that are ahead of their use */
	unsigned int texts_held;
	/* commands that were not answered yet */
	unsigned int pending;
	/* what the server answered to EXAMINE if it refused it, or NULL */
	const char *refusal;

	/* the dates of its mails come with their texts */
	bool dates_with_texts:1;
	/* the server did not give its METADATA, or not all of it */
	bool metadata_refused:1;
	/* it was opened in this run */
	bool visited:1;
	/* it is open now, and served from here */
	bool open:1;
	/* the server refused something or contradicted itself: imapc has to
	   look at the mailbox itself */
	bool refused:1;
	/* what the caller wants of the texts is known, not guessed */
	bool texts_exact:1;
	/* what a comparison will want of the texts was marked as wanted */
	bool sampled:1;
	/* nothing of it is wanted: it is the same as in the last run */
	bool unchanged:1;
	/* left_out of all mails is set */
	bool filtered:1;
	/* imapc has selected it after all, and what was fetched of its headers
	   is still used */
	bool kept:1;
	/* it is not known yet which texts the import has */
	bool holds_texts:1;
};

/* NULL if this server or these settings do not allow to fetch ahead; reason_r
   is set then. */
struct migration_imapc_ahead *
migration_imapc_ahead_init(struct migration_imapc_list *mlist,
			   const char **reason_r);
/* The user's work is done: commands that were not answered are given up. To be
   called while there are connections: imapc forgets what it never sent when it
   logs out, and tells nobody. */
void migration_imapc_ahead_stop(struct migration_imapc_ahead *ahead);
void migration_imapc_ahead_deinit(struct migration_imapc_ahead **ahead);

/* A mailbox that the source has. */
void migration_imapc_ahead_add(struct migration_imapc_ahead *ahead,
			       const char *vname, const char *remote_name,
			       const struct sync_side *source);
/* All were added: they are in the order now in which dsync visits them. */
void migration_imapc_ahead_sort(struct migration_imapc_ahead *ahead);
struct ahead_mailbox *
migration_imapc_ahead_find(struct migration_imapc_ahead *ahead,
			   const char *vname);

/* TRUE if the server was seen to mishandle what is sent ahead. */
bool migration_imapc_ahead_is_over(const struct migration_imapc_ahead *ahead);

/* TRUE if the server is gone: it took what was sent ahead, and then connections
   broke without an answer. */
bool migration_imapc_ahead_is_lost(const struct migration_imapc_ahead *ahead);

/* The first mailbox can be served from here, so probably all of them can: from
   now on the next ones are fetched ahead, too. Those of an import wait for
   that. */
void migration_imapc_ahead_go_on(struct migration_imapc_ahead *ahead);

/* Waits until these parts of the mailbox are known. FALSE if that is not to be:
   let imapc do it. */
bool migration_imapc_ahead_wait_parts(struct migration_imapc_ahead *ahead,
				      struct ahead_mailbox *mailbox,
				      enum ahead_part parts);
/* What was asked for of the mailbox is not enough: everything is asked for when
   the next part of it is wanted. */
void migration_imapc_ahead_list_anew(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox);
/* The fields that are wanted as AHEAD_PART_HEADERS, of this mailbox and of
   those that follow. */
void migration_imapc_ahead_set_headers(struct migration_imapc_ahead *ahead,
				       struct ahead_mailbox *mailbox,
				       const char *const *names);
/* The texts of these mails, and no others, are wanted. Does not wait. */
void migration_imapc_ahead_want_texts(struct migration_imapc_ahead *ahead,
				      struct ahead_mailbox *mailbox,
				      const ARRAY_TYPE(seq_range) *uids);
/* Waits for the text of one mail, and before that until it may be downloaded.
   TRUE if it is here. */
bool migration_imapc_ahead_wait_text(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     struct ahead_mail *mail);
/* The text was taken out of mail->fd or mail->body. */
void migration_imapc_ahead_text_used(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     struct ahead_mail *mail);
/* NULL if the mailbox has no such mail. */
struct ahead_mail *
migration_imapc_ahead_mail(struct ahead_mailbox *mailbox, uint32_t uid);

/* The mailbox was closed, or is not served any more: then its tables stay if it
   is kept, until this is called without. */
void migration_imapc_ahead_leave(struct migration_imapc_ahead *ahead,
				 struct ahead_mailbox *mailbox);
/* Waits until nothing is on its way: imapc wants the connection for itself. */
void migration_imapc_ahead_drain(struct migration_imapc_ahead *ahead);

#endif
