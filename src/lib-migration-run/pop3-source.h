/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef POP3_SOURCE_H
#define POP3_SOURCE_H

#include "connection-cap.h"
#include "pop3-client.h"

struct mail_user;
struct event;
struct pop3c_settings;

/* Sessions of our own client with the old POP3 server. All of this machine count
   in migration_pop3_max_connections (connection-cap.h), and a server that has no
   room, or asks to come back later, is waited for. */

/* How to treat the server: migration_pop3_timeout, _max_connections and
   _patience. */
struct pop3_source_limits {
	unsigned int timeout_secs;
	struct connection_cap cap;
	uint64_t patience_msecs;
};

struct pop3_source_settings {
	struct pop3_client_settings client;
	struct pop3_source_limits limits;
};

/* Stock pop3c's settings as settings of our own client. The strings are not
   copied. */
void pop3_source_fill_settings(const struct pop3c_settings *set,
			       struct mail_user *user,
			       const struct pop3_source_limits *limits,
			       struct event *event,
			       struct pop3_source_settings *set_r);

/* How to reach the POP3 server that a mailbox of a pop3c namespace names: the
   pop3c_* settings of that namespace, as stock pop3c would use them. mailbox is
   the value of migration_pop3_mailbox. The strings live as long as the user's
   storage. Returns 0, or -1 and error_r (data stack) if there is no pop3c
   namespace at this name. */
int pop3_source_get_settings(struct mail_user *user, const char *mailbox,
			     const struct pop3_source_limits *limits,
			     struct event *event,
			     struct pop3_source_settings *set_r,
			     const char **error_r);

struct pop3_source *pop3_source_init(const struct pop3_source_settings *set);
/* Says QUIT, leaves, and makes room for another run. */
void pop3_source_deinit(struct pop3_source **source);

/* Connects and logs in, also once more after the connection was lost. Waits for
   its turn and for a server that asks for it. Returns 0, or -1, error_r (data
   stack) and type_r; with POP3_CLIENT_ERROR_BUSY the patience is used up, and
   the user's run is recorded as one that a later run continues. */
int pop3_source_login(struct pop3_source *source, const char **error_r,
		      enum pop3_client_error *type_r);

/* For all that follows the login. Lives as long as the source. */
struct pop3_client *pop3_source_get_client(struct pop3_source *source);

#endif
