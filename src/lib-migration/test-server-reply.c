/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "server-reply.h"
#include "check-suite.h"

#define MINUTES (60*1000ULL)

static const struct {
	const char *text;
	enum server_reply_meaning meaning;
	uint64_t wait_msecs;
} replies[] = {
	{ "", SERVER_REPLY_UNKNOWN, 0 },
	{ "Something is wrong", SERVER_REPLY_UNKNOWN, 0 },
	{ "[ALERT] Server goes down at 3", SERVER_REPLY_UNKNOWN, 0 },

	/* Gmail */
	{ "Success [THROTTLED]", SERVER_REPLY_SLOW_DOWN, 0 },
	{ "[OVERQUOTA] Account exceeded command or bandwidth limits. x2si1",
	  SERVER_REPLY_QUOTA, 0 },
	{ "[ALERT] Account exceeded command or bandwidth limits. (Failure)",
	  SERVER_REPLY_QUOTA, 0 },
	{ "[AUTHENTICATIONFAILED] Account exceeded command or bandwidth "
	  "limits. (Failure)", SERVER_REPLY_QUOTA, 0 },
	{ "[ALERT] Too many simultaneous connections. (Failure)",
	  SERVER_REPLY_TOO_MANY_CONNECTIONS, 0 },
	{ "Session expired, please login again. q3si", SERVER_REPLY_SESSION_OVER,
	  0 },
	{ "[WEBALERT https://accounts.google.com/x] Web login required.",
	  SERVER_REPLY_POLICY, 0 },
	{ "[ALERT] Please log in via your web browser: https://x",
	  SERVER_REPLY_POLICY, 0 },
	{ "[ALERT] Application-specific password required: https://x",
	  SERVER_REPLY_POLICY, 0 },
	{ "[ALERT] IMAP access is disabled for your domain.",
	  SERVER_REPLY_POLICY, 0 },
	{ "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
	  SERVER_REPLY_REFUSED, 0 },
	{ "[NONEXISTENT] Unknown Mailbox: Rate limit (Failure)",
	  SERVER_REPLY_GONE, 0 },

	/* Cyrus, Dovecot, UW */
	{ "Mailbox does not exist", SERVER_REPLY_GONE, 0 },
	{ "Mailbox doesn't exist: Work", SERVER_REPLY_GONE, 0 },
	{ "SELECT failed: No such mailbox", SERVER_REPLY_GONE, 0 },
	/* Courier says this of damaged ones as well */
	{ "Unable to open this mailbox.", SERVER_REPLY_UNKNOWN, 0 },

	/* Microsoft */
	{ "Request is throttled. Suggested Backoff Time: 92415 milliseconds",
	  SERVER_REPLY_SLOW_DOWN, 92415 },
	{ "Request is throttled. Suggested Backoff Time: 3000000 milliseconds",
	  SERVER_REPLY_SLOW_DOWN, 50*MINUTES },
	{ "Request is throttled.", SERVER_REPLY_SLOW_DOWN, 0 },
	{ "User is authenticated but not connected.",
	  SERVER_REPLY_NOT_CONNECTED, 0 },
	{ "AUTHENTICATE failed. Error=\"AccessTokenExpired\"",
	  SERVER_REPLY_SESSION_OVER, 0 },

	/* Yahoo */
	{ "[LIMIT] UID FETCH Rate limit hit.", SERVER_REPLY_SLOW_DOWN, 0 },
	{ "[MESSAGELIMIT 1000 23007] Too many messages",
	  SERVER_REPLY_MESSAGE_LIMIT, 0 },
	{ "[UNAVAILABLE] UID FETCH Server error while fetching messages",
	  SERVER_REPLY_TEMPORARY, 0 },

	/* RFC 5530 */
	{ "[INUSE] Mailbox is locked", SERVER_REPLY_TEMPORARY, 0 },
	{ "[SERVERBUG] Internal error occurred.", SERVER_REPLY_TEMPORARY, 0 },
	{ "[LIMIT] Too many things", SERVER_REPLY_SLOW_DOWN, 0 },
	{ "[UNAVAILABLE] User's backend is down for maintenance, try again in "
	  "2 minutes", SERVER_REPLY_TEMPORARY, 2*MINUTES },
	{ "[EXPIRED] Password has expired", SERVER_REPLY_REFUSED, 0 },
	{ "[AUTHORIZATIONFAILED] No such authorization-ID",
	  SERVER_REPLY_REFUSED, 0 },
	{ "[EXPUNGEISSUED] Some messages were expunged", SERVER_REPLY_GONE, 0 },
	{ "[CONTACTADMIN]", SERVER_REPLY_POLICY, 0 },
	{ "[unavailable] lower case", SERVER_REPLY_TEMPORARY, 0 },

	/* Dovecot, Cyrus, Exchange */
	{ "[UNAVAILABLE] Maximum number of connections from user+IP exceeded "
	  "(mail_max_userip_connections=10)",
	  SERVER_REPLY_TOO_MANY_CONNECTIONS, 0 },
	{ "[LOGIN-DELAY] Logins must be at least 5 minutes apart",
	  SERVER_REPLY_SLOW_DOWN, 5*MINUTES },
	{ "Server Busy. Retry after 15s.", SERVER_REPLY_TEMPORARY, 15000 },

	/* a number too large to be meant, and one that is none */
	{ "Request is throttled. Suggested Backoff Time: 99999999999999999999 "
	  "milliseconds", SERVER_REPLY_SLOW_DOWN, 0 },
	{ "Request is throttled. Suggested Backoff Time: 900 hours",
	  SERVER_REPLY_SLOW_DOWN, 24*60*MINUTES },
	{ "Request is throttled, rule 7", SERVER_REPLY_SLOW_DOWN, 0 },
	/* a wait is for what can pass */
	{ "[AUTHENTICATIONFAILED] 3 seconds", SERVER_REPLY_REFUSED, 0 },
};

START_TEST(test_understand)
{
	struct server_reply reply;

	server_reply_understand(replies[_i].text, &reply);
	ck_assert_str_eq(server_reply_meaning_name(reply.meaning),
			 server_reply_meaning_name(replies[_i].meaning));
	ck_assert_uint_eq(reply.wait_msecs, replies[_i].wait_msecs);
	ck_assert_int_eq(reply.because[0] == '\0',
			 reply.meaning == SERVER_REPLY_UNKNOWN);
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "server-reply");

	tcase_add_loop_test(tc, test_understand, 0, N_ELEMENTS(replies));
	return check_suite_run(s);
}
