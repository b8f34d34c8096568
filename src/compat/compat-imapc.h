/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef COMPAT_IMAPC_H
#define COMPAT_IMAPC_H

#include "imapc-client.h"

struct mail_user;
struct imapc_client;
struct imapc_settings;
struct imapc_mailbox_list;
struct mailbox_list;

/* What differs in imapc. 2.3 has most features off unless imapc_features names
   them; 2.4 has them on unless imapc_features says no-…, with the same bits
   meaning the opposite: never test a bit outside of here. */

enum compat_imapc_feature {
	COMPAT_IMAPC_FEATURE_FETCH_SIZE,
	COMPAT_IMAPC_FEATURE_FETCH_HEADERS,
	COMPAT_IMAPC_FEATURE_DELAY_LOGIN,
	COMPAT_IMAPC_FEATURE_SEARCH,
	COMPAT_IMAPC_FEATURE_GUID_FORCED,
	COMPAT_IMAPC_FEATURE_GMAIL_MIGRATION,
};

bool compat_imapc_has_feature(const struct imapc_settings *set,
			      enum compat_imapc_feature feature);

/* Called from mail_user_created, before the user's imapc lists exist. Turns on
   for this user what 2.4 has on by default and a migration needs: sizes
   without bodies, header fields without headers, login when it is needed
   (imapc-delay-login: 2.3 aborts on a refused login without it). Returns the
   words that were added to imapc_features, "" if there was nothing to add. */
const char *compat_imapc_user_enable_features(struct mail_user *user);

/* The same for MODSEQs, which only the source of a command needs: to be called
   before a mailbox is opened. Returns FALSE if they were on already, or if the
   administrator turned them off. */
bool compat_imapc_enable_modseqs(const struct imapc_settings *set);

/* Returns settings with the server's SEARCH in use: the same ones if it is
   already so, else a copy of them from the pool. */
const struct imapc_settings *
compat_imapc_settings_with_search(const struct imapc_settings *set, pool_t pool);

/* The beginning and the end of imapc_client_run(): its connections are in a loop
   of their own meanwhile, the client's, which is current and running. begin
   returns the loop that was current, for end. */
struct ioloop *compat_imapc_loop_begin(struct imapc_client *client);
void compat_imapc_loop_end(struct imapc_client *client,
			   struct ioloop *prev_ioloop);

/* The character with which the list escapes what a mailbox's visible name
   cannot hold. */
char compat_imapc_list_get_escape_char(const struct mailbox_list *list);
/* A visible name without what the list has escaped in it (data stack, or vname
   itself). */
const char *compat_imapc_list_unescape(const struct mailbox_list *list,
				       const char *vname);

/* TRUE if dsync takes a "%" with two hex digits in a name of the destination for
   another character: 2.4 (imapc-percent). */
bool compat_imapc_percent_is_misread(void);

/* imapc's own name of what the server calls remote_name (data stack). */
const char *
compat_imapc_remote_to_storage_name(struct imapc_mailbox_list *list,
				    const char *remote_name);

/* How many times connecting may be tried again. */
void compat_imapc_client_set_retry_count(struct imapc_client *client,
					 unsigned int count);
/* Adds to the time that connecting and logging in may take, which is
   default_msecs if nothing else is set. */
void compat_imapc_client_add_connect_timeout(struct imapc_client *client,
					     unsigned int default_msecs,
					     unsigned int add_msecs);
/* How long the server may be silent, while connecting and logging in, and
   while a command runs. To be called before there is a connection. */
void compat_imapc_client_set_timeouts(struct imapc_client *client,
				      unsigned int connect_msecs,
				      unsigned int command_msecs);

/* Makes the client tell the server who it is, and so ask who the server is: an
   ID (RFC 2971) together with the login, to a server that has it. Stock does it
   only for sessions that have an id. To be called before there is a
   connection. */
void compat_imapc_client_send_id(struct imapc_client *client,
				 const char *session_id_prefix);

/* Another client of the same server with the same settings and login: it has
   connections of its own. Nothing is sent yet. To be freed with
   imapc_client_deinit(). */
struct imapc_client *
compat_imapc_client_clone(const struct imapc_client *client);

/* FALSE if the METADATA of the source must not be read: 2.4 reads it always, and
   then ends the run if the destination has no mail_attribute dict to keep it
   in. Looks the dict's settings up: ask once for each user. */
bool compat_imapc_user_keeps_metadata(struct mail_user *user);
/* TRUE if imapc reads a source's METADATA (RFC 5464). */
bool compat_imapc_reads_metadata(void);

/* FALSE if imapc_features asks for workarounds that concern how mailboxes are
   opened and mails are fetched: then it has to be done as stock does it.
   reason_r is set then. */
bool compat_imapc_can_read_ahead(const struct imapc_settings *set,
				 const char **reason_r);

/* TRUE if imapc reads METADATA from a server that can do this: 2.4 only. */
bool compat_imapc_has_metadata(const struct imapc_settings *set,
			       enum imapc_capability capabilities);

/* TRUE if imapc wants MODSEQs from a server that can do this. */
bool compat_imapc_has_modseqs(const struct imapc_settings *set,
			      enum imapc_capability capabilities);

/* Switches off stock's own support for Gmail for all that uses these settings.
   Returns TRUE if imapc_features had switched it on. */
bool compat_imapc_disable_gmail_migration(const struct imapc_settings *set);

/* imapc-unsafe-features: turns off the features that mix up or cut mails, for
   one user's source. Returns their names (data stack), "" if none was on. */
const char *
compat_imapc_disable_unsafe_features(const struct imapc_settings *set);

/* Turns on no-examine, for one user's source. */
void compat_imapc_enable_no_examine(const struct imapc_settings *set);

#endif
