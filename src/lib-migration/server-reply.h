/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

/* What the words of an IMAP server mean: of a refused command, of an untagged
   BYE or NO, of a refused login. Response codes (RFC 3501, 5530, 9738) where
   there are any, and otherwise the sentences by which large providers are
   known. A refused login is no proof of a wrong password: every provider says
   the same things there as anywhere else. */

enum server_reply_meaning {
	/* nothing is known of these words */
	SERVER_REPLY_UNKNOWN,
	/* not now: try again */
	SERVER_REPLY_TEMPORARY,
	/* too much at once: wait, then go on */
	SERVER_REPLY_SLOW_DOWN,
	/* a budget for hours or a day is spent */
	SERVER_REPLY_QUOTA,
	/* too many connections of this user or address */
	SERVER_REPLY_TOO_MANY_CONNECTIONS,
	/* the session's or the token's time is over: log in again, nobody did
	   anything wrong */
	SERVER_REPLY_SESSION_OVER,
	/* Microsoft: logged in, but no mailbox behind. Throttling, too many
	   connections, or a missing permission */
	SERVER_REPLY_NOT_CONNECTED,
	/* more messages than the server answers for in one command */
	SERVER_REPLY_MESSAGE_LIMIT,
	/* the mailbox or the mail is not there any more */
	SERVER_REPLY_GONE,
	/* this user with this secret is refused */
	SERVER_REPLY_REFUSED,
	/* the account's owner or administrator has to do something */
	SERVER_REPLY_POLICY,
};

struct server_reply {
	enum server_reply_meaning meaning;
	/* How long the server asks to wait, 0 if it does not say. */
	uint64_t wait_msecs;
	/* The words that decided, for logs: a constant. "" if none did */
	const char *because;
};

/* text is what follows "A1 NO", "* BYE" or "* NO", with or without its response
   code. Never fails: what is not known is SERVER_REPLY_UNKNOWN. */
void server_reply_understand(const char *text, struct server_reply *reply_r);

/* TRUE if trying the same thing again later can help. */
bool server_reply_is_temporary(enum server_reply_meaning meaning);

/* It is about the whole account or connection, whatever was asked for. */
bool server_reply_is_general(enum server_reply_meaning meaning);

/* For logs, reports and events: "throttled", "quota", ... */
const char *server_reply_meaning_name(enum server_reply_meaning meaning);

#endif
