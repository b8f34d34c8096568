/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "server-reply.h"

#include <ctype.h>

/* the longest wait that is taken from a server's words */
#define SERVER_REPLY_WAIT_MAX_MSECS (24ULL*60*60*1000)

struct known_words {
	const char *words;
	enum server_reply_meaning meaning;
};

/* Sentences. They come first: Gmail says [ALERT] or [AUTHENTICATIONFAILED] also
   when a quota is spent. The first that is found decides. */
static const struct known_words known_sentences[] = {
	/* throttled-as-quota: Gmail says this for what is over in minutes and
	   for what lasts a day */
	{ "exceeded command or bandwidth limit", SERVER_REPLY_QUOTA },
	{ "exceeded pop command or bandwidth limit", SERVER_REPLY_QUOTA },
	{ "bandwidth limit exceeded", SERVER_REPLY_QUOTA },
	{ "download limit", SERVER_REPLY_QUOTA },
	{ "suggested backoff time", SERVER_REPLY_SLOW_DOWN },
	{ "request is throttled", SERVER_REPLY_SLOW_DOWN },
	{ "rate limit", SERVER_REPLY_SLOW_DOWN },
	{ "too many requests", SERVER_REPLY_SLOW_DOWN },
	{ "too many login attempts", SERVER_REPLY_SLOW_DOWN },
	{ "too many invalid", SERVER_REPLY_SLOW_DOWN },
	{ "too many simultaneous connections",
	  SERVER_REPLY_TOO_MANY_CONNECTIONS },
	{ "too many open connections", SERVER_REPLY_TOO_MANY_CONNECTIONS },
	{ "too many connections", SERVER_REPLY_TOO_MANY_CONNECTIONS },
	/* Dovecot and others */
	{ "maximum number of connections", SERVER_REPLY_TOO_MANY_CONNECTIONS },
	{ "connection limit", SERVER_REPLY_TOO_MANY_CONNECTIONS },
	{ "authenticated but not connected", SERVER_REPLY_NOT_CONNECTED },
	{ "session expired", SERVER_REPLY_SESSION_OVER },
	{ "session timed out", SERVER_REPLY_SESSION_OVER },
	{ "accesstokenexpired", SERVER_REPLY_SESSION_OVER },
	{ "web login required", SERVER_REPLY_POLICY },
	{ "log in via your web browser", SERVER_REPLY_POLICY },
	{ "application-specific password required", SERVER_REPLY_POLICY },
	{ "imap access is disabled", SERVER_REPLY_POLICY },
	{ "try again later", SERVER_REPLY_TEMPORARY },
	{ "temporarily unavailable", SERVER_REPLY_TEMPORARY },
	{ "temporary", SERVER_REPLY_TEMPORARY },
	{ "server busy", SERVER_REPLY_TEMPORARY },
	{ "server is busy", SERVER_REPLY_TEMPORARY },
	{ "system error", SERVER_REPLY_TEMPORARY },
	/* pop3-in-use */
	{ "maildrop is in use", SERVER_REPLY_TEMPORARY },
};

/* What is gone is gone, whatever else is said: a mailbox may be called "Rate
   limit". */
static const struct known_words known_gone[] = {
	{ "[NONEXISTENT]", SERVER_REPLY_GONE },
	{ "[EXPUNGEISSUED]", SERVER_REPLY_GONE },
	{ "mailbox does not exist", SERVER_REPLY_GONE },
	{ "mailbox doesn't exist", SERVER_REPLY_GONE },
	{ "no such mailbox", SERVER_REPLY_GONE },
	{ "no such folder", SERVER_REPLY_GONE },
	{ "unknown mailbox", SERVER_REPLY_GONE },
	{ "mailbox not found", SERVER_REPLY_GONE },
	{ "folder not found", SERVER_REPLY_GONE },
};

/* Response codes, at the beginning or (Gmail) anywhere. */
static const struct known_words known_codes[] = {
	{ "[THROTTLED]", SERVER_REPLY_SLOW_DOWN },
	{ "[OVERQUOTA]", SERVER_REPLY_QUOTA },
	{ "[LIMIT]", SERVER_REPLY_SLOW_DOWN },
	{ "[MESSAGELIMIT", SERVER_REPLY_MESSAGE_LIMIT },
	{ "[UNAVAILABLE]", SERVER_REPLY_TEMPORARY },
	{ "[SERVERBUG]", SERVER_REPLY_TEMPORARY },
	{ "[INUSE]", SERVER_REPLY_TEMPORARY },
	{ "[IN-USE]", SERVER_REPLY_TEMPORARY },
	{ "[LOGIN-DELAY]", SERVER_REPLY_SLOW_DOWN },
	{ "[SYS/TEMP]", SERVER_REPLY_TEMPORARY },
	{ "[EXPIRED]", SERVER_REPLY_REFUSED },
	{ "[AUTHENTICATIONFAILED]", SERVER_REPLY_REFUSED },
	{ "[AUTHORIZATIONFAILED]", SERVER_REPLY_REFUSED },
	{ "[NOPERM]", SERVER_REPLY_REFUSED },
	{ "[CONTACTADMIN]", SERVER_REPLY_POLICY },
	{ "[PRIVACYREQUIRED]", SERVER_REPLY_POLICY },
	{ "[WEBALERT", SERVER_REPLY_POLICY },
};

static const struct {
	const char *unit;
	uint64_t msecs;
} wait_units[] = {
	/* longer words first */
	{ "milliseconds", 1 },
	{ "millisecond", 1 },
	{ "msec", 1 },
	{ "ms", 1 },
	{ "seconds", 1000 },
	{ "second", 1000 },
	{ "secs", 1000 },
	{ "sec", 1000 },
	{ "s", 1000 },
	{ "minutes", 60*1000 },
	{ "minute", 60*1000 },
	{ "mins", 60*1000 },
	{ "min", 60*1000 },
	{ "hours", 60*60*1000 },
	{ "hour", 60*60*1000 },
};

static const char *find_words(const char *text, const char *words)
{
	size_t len = strlen(words);

	for (; *text != '\0'; text++) {
		if (strncasecmp(text, words, len) == 0)
			return text;
	}
	return NULL;
}

static bool find_known(const char *text, const struct known_words *known,
		       unsigned int count, struct server_reply *reply)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (find_words(text, known[i].words) != NULL) {
			reply->meaning = known[i].meaning;
			reply->because = known[i].words;
			return TRUE;
		}
	}
	return FALSE;
}

/* The first number that is followed by a unit of time. A number without a unit
   may be anything. */
static uint64_t find_wait(const char *text)
{
	uint64_t num;
	unsigned int i;

	for (; *text != '\0'; text++) {
		if (!i_isdigit(*text))
			continue;
		if (str_parse_uint64(text, &num, &text) < 0)
			return 0;
		while (*text == ' ')
			text++;
		for (i = 0; i < N_ELEMENTS(wait_units); i++) {
			size_t len = strlen(wait_units[i].unit);

			if (strncasecmp(text, wait_units[i].unit, len) == 0 &&
			    !i_isalpha(text[len])) {
				num = I_MIN(num, SERVER_REPLY_WAIT_MAX_MSECS);
				return I_MIN(num * wait_units[i].msecs,
					     SERVER_REPLY_WAIT_MAX_MSECS);
			}
		}
		if (*text == '\0')
			break;
	}
	return 0;
}

void server_reply_understand(const char *text, struct server_reply *reply_r)
{
	i_zero(reply_r);
	reply_r->because = "";

	if (!find_known(text, known_gone, N_ELEMENTS(known_gone), reply_r) &&
	    !find_known(text, known_sentences, N_ELEMENTS(known_sentences),
			reply_r))
		(void)find_known(text, known_codes, N_ELEMENTS(known_codes),
				 reply_r);
	if (server_reply_is_temporary(reply_r->meaning))
		reply_r->wait_msecs = find_wait(text);
}

bool server_reply_is_temporary(enum server_reply_meaning meaning)
{
	switch (meaning) {
	case SERVER_REPLY_TEMPORARY:
	case SERVER_REPLY_SLOW_DOWN:
	case SERVER_REPLY_QUOTA:
	case SERVER_REPLY_TOO_MANY_CONNECTIONS:
	case SERVER_REPLY_SESSION_OVER:
	case SERVER_REPLY_NOT_CONNECTED:
		return TRUE;
	case SERVER_REPLY_UNKNOWN:
	case SERVER_REPLY_MESSAGE_LIMIT:
	case SERVER_REPLY_GONE:
	case SERVER_REPLY_REFUSED:
	case SERVER_REPLY_POLICY:
		return FALSE;
	}
	i_unreached();
}

bool server_reply_is_general(enum server_reply_meaning meaning)
{
	return server_reply_is_temporary(meaning) &&
		meaning != SERVER_REPLY_TEMPORARY;
}

const char *server_reply_meaning_name(enum server_reply_meaning meaning)
{
	switch (meaning) {
	case SERVER_REPLY_UNKNOWN:
		return "unknown";
	case SERVER_REPLY_TEMPORARY:
		return "temporary";
	case SERVER_REPLY_SLOW_DOWN:
		return "throttled";
	case SERVER_REPLY_QUOTA:
		return "quota";
	case SERVER_REPLY_TOO_MANY_CONNECTIONS:
		return "too-many-connections";
	case SERVER_REPLY_SESSION_OVER:
		return "session-over";
	case SERVER_REPLY_NOT_CONNECTED:
		return "not-connected";
	case SERVER_REPLY_MESSAGE_LIMIT:
		return "message-limit";
	case SERVER_REPLY_GONE:
		return "gone";
	case SERVER_REPLY_REFUSED:
		return "refused";
	case SERVER_REPLY_POLICY:
		return "policy";
	}
	i_unreached();
}
