/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_SPARE_H
#define MIGRATION_IMAPC_SPARE_H

/* A second connection to the source, made only when something went wrong: for
   mails that the server does not give on the connection where all the others
   are on their way. What breaks it breaks nothing else, and it knows nothing
   but one mailbox and one FETCH at a time. */

struct migration_imapc_list;
struct migration_imapc_spare;

enum spare_result {
	SPARE_OK,
	/* the server answered OK, and without what was asked for */
	SPARE_NO_DATA,
	/* NO or BAD: see the words */
	SPARE_REFUSED,
	/* the connection was lost, or the server was silent */
	SPARE_LOST,
};

/* What one FETCH brought. Fields that did not come are NULL or -1. */
struct spare_reply {
	/* the section that was asked for; unref'ed by the caller */
	struct istream *text;
	uoff_t size;
	time_t internaldate, save_date;
	/* how many parts BODYSTRUCTURE has at the top, 0 if it is no
	   multipart, -1 if it did not come */
	int parts_count;
	/* the mail's UID came back, with whatever items */
	bool exists;
};

/* The spare connection of the list's server and login, which lives as long as the
   list. Nothing is sent. */
struct migration_imapc_spare *
migration_imapc_spare_get(struct migration_imapc_list *mlist);
void migration_imapc_spare_deinit(struct migration_imapc_spare **spare);

/* Connects, logs in and opens the mailbox, as far as that is not so already.
   SPARE_REFUSED if login or mailbox are refused; *login_r tells them apart.
   *uidvalidity_r is valid with SPARE_OK. */
enum spare_result
migration_imapc_spare_open(struct migration_imapc_spare *spare,
			   const char *remote_name, bool examine,
			   uint32_t *uidvalidity_r, bool *login_r);
/* What it was wanted for is done. If there may be only one connection at a time
   (migration-imapc-slots.h), this one ends. */
void migration_imapc_spare_rest(struct migration_imapc_list *mlist);
/* Closes the connection: the next open makes a new one. */
void migration_imapc_spare_close(struct migration_imapc_spare *spare);

/* UID FETCH of one mail of the open mailbox. items is what stands between the
   parentheses, with at most one BODY[] section. */
enum spare_result
migration_imapc_spare_fetch(struct migration_imapc_spare *spare, uint32_t uid,
			    const char *items, struct spare_reply *reply_r);

/* The server's words about the latest result that was not SPARE_OK. */
const char *migration_imapc_spare_words(struct migration_imapc_spare *spare);

#endif
