/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_RESPONSE_H
#define OAUTH2_RESPONSE_H

#include "oauth2-request.h"

/* What a token endpoint's answer means, and what an administrator is to do
   (RFC 6749 section 5). Decided by the HTTP status and the "error" member
   alone: providers change their texts and numbers. */

/* a token of which nothing is said lives so long */
#define MIGRATION_OAUTH2_DEFAULT_LIFETIME_SECS 3600

struct migration_oauth2_response {
	unsigned int http_status;
	/* the server's clock and when it may be asked again, 0 if it did not
	   say; both in seconds since 1970 by the server's clock */
	time_t server_time;
	/* 0 if it did not say */
	unsigned int retry_after_secs;

	/* NULL if not there */
	const char *access_token, *token_type, *refresh_token, *scope;
	unsigned int lifetime_secs;
	bool lifetime_known;
	const char *error, *error_description;
};

/* Fills in what the body says, allocated from the pool. A body that is no JSON
   leaves everything NULL. */
void migration_oauth2_response_parse(pool_t pool, const char *body, size_t size,
				     struct migration_oauth2_response *response);

/* What a token file has, or a token command prints: a token, a token and its
   lifetime in seconds, or the same JSON as a token endpoint. Returns 0, or -1
   and error_r (data stack, without any of the text). */
int migration_oauth2_token_text_parse(pool_t pool, const char *text,
				      struct migration_oauth2_response *response_r,
				      const char **error_r);

enum migration_oauth2_problem {
	MIGRATION_OAUTH2_PROBLEM_NONE,
	/* our settings or files */
	MIGRATION_OAUTH2_PROBLEM_SETTINGS,
	/* the client's id, secret or certificate */
	MIGRATION_OAUTH2_PROBLEM_CLIENT,
	/* the client may not do this: not delegated, not consented */
	MIGRATION_OAUTH2_PROBLEM_DELEGATION,
	/* this machine's clock */
	MIGRATION_OAUTH2_PROBLEM_CLOCK,
	/* the user is unknown or suspended */
	MIGRATION_OAUTH2_PROBLEM_USER,
	/* the user's consent, that is, his refresh token, has ended */
	MIGRATION_OAUTH2_PROBLEM_CONSENT,
	/* the server does not understand us */
	MIGRATION_OAUTH2_PROBLEM_REQUEST,
	/* too many requests */
	MIGRATION_OAUTH2_PROBLEM_THROTTLED,
	/* server or network */
	MIGRATION_OAUTH2_PROBLEM_TEMPORARY,
};
#define MIGRATION_OAUTH2_PROBLEM_COUNT (MIGRATION_OAUTH2_PROBLEM_TEMPORARY + 1)

/* A word for events and reports, such as "clock". */
const char *
migration_oauth2_problem_name(enum migration_oauth2_problem problem);
/* TRUE if every other user would meet it, too. */
bool migration_oauth2_problem_stops_run(enum migration_oauth2_problem problem);
/* TRUE if it may pass by itself: exit code 75, otherwise 77. */
bool migration_oauth2_problem_is_temporary(enum migration_oauth2_problem problem);

/* Judges the answer to a request that was sent at now. advice_r says in the
   administrator's words what is wrong and what to do (data stack); it is set
   unless the result is NONE. user is the mailbox's. */
enum migration_oauth2_problem
migration_oauth2_judge(const struct migration_oauth2_response *response,
		       enum migration_oauth2_grant grant, const char *user,
		       time_t now, const char **advice_r);

#endif
