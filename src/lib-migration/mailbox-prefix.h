/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_PREFIX_H
#define MAILBOX_PREFIX_H

/* Which part of a source's mailbox names is a prefix that all of the user's own
   mailboxes have, such as "INBOX." on Courier and Cyrus, and which mailboxes are
   other users' or shared ones. */

/* What the server's NAMESPACE (RFC 2342) says: prefixes as they came. A server
   without NAMESPACE has none at all. */
struct mailbox_namespaces {
	ARRAY_TYPE(const_string) personal, other, shared;
};

enum mailbox_owner {
	/* the user's own */
	MAILBOX_OWNER_SELF,
	MAILBOX_OWNER_OTHER_USER,
	MAILBOX_OWNER_SHARED,
};

/* Returns the prefix without the separator at its end (data stack), "" for none.
   set_by_hand is imapc_list_prefix, with or without the separator, or "": it
   wins. Then the first personal namespace does. A server without NAMESPACE has
   the prefix INBOX if all mailboxes (NULL-terminated) but the INBOX are below it.
   *reason_r is where the prefix comes from. */
const char *
mailbox_prefix_decide(const char *set_by_hand,
		      const struct mailbox_namespaces *namespaces,
		      const char *const *remote_names, char separator,
		      const char **reason_r);

/* Returns the name below the prefix, "" for the prefix itself, or NULL if the
   name is not below it. For another name than INBOX, that is. */
const char *
mailbox_prefix_remove(const char *remote_name, const char *prefix,
		      char separator);

enum mailbox_owner
mailbox_prefix_owner(const char *remote_name,
		     const struct mailbox_namespaces *namespaces,
		     char separator);

#endif
