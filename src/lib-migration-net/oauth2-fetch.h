/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_FETCH_H
#define OAUTH2_FETCH_H

#include "oauth2-request.h"
#include "oauth2-response.h"
#include "oauth2-lifetime.h"

struct mail_user;
struct migration_oauth2_settings;

/* Getting one token from where it comes from, whatever that is: token server,
   command or file. Knows of no caches. */

struct migration_oauth2_fetch {
	struct mail_user *user;
	struct event *event;
	const struct migration_oauth2_settings *set;
	/* paths complete */
	const struct migration_oauth2_config *config;
	enum migration_oauth2_grant grant;
	/* who the token is for */
	const char *login_user;
	/* not to be asked before this time, 0 if nobody said so */
	uint64_t not_before_msecs;
};

/* All of it is allocated from the data stack. */
struct migration_oauth2_fetched {
	struct migration_oauth2_token token;
	/* ask again for the next login: a file that somebody else renews, or a
	   command that did not say how long its token lives */
	bool is_for_one_login;

	/* if it failed: why, what to do, and when the server may be asked
	   again (0 if it did not say) */
	enum migration_oauth2_problem problem;
	const char *advice;
	uint64_t not_before_msecs;
};

/* Returns 0, or -1. Tries again what may pass by itself, as long as
   migration_oauth2_timeout allows it. */
int migration_oauth2_fetch(const struct migration_oauth2_fetch *fetch,
			   struct migration_oauth2_fetched *fetched_r);

#endif
