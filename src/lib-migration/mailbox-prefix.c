/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mailbox-prefix.h"

static const char *without_separator(const char *prefix, char separator)
{
	size_t len = strlen(prefix);

	/* the INBOX alone is a name, its separator alone is not */
	if (len > 0 && separator != '\0' && prefix[len-1] == separator)
		len--;
	return t_strndup(prefix, len);
}

const char *
mailbox_prefix_remove(const char *remote_name, const char *prefix,
		      char separator)
{
	size_t len = strlen(prefix);
	bool is_inbox = len == 5 && strcasecmp(prefix, "INBOX") == 0;

	if (len == 0)
		return remote_name;
	/* the INBOX is the INBOX however it is written */
	if ((is_inbox ? strncasecmp(remote_name, prefix, len) :
	     strncmp(remote_name, prefix, len)) != 0)
		return NULL;
	if (remote_name[len] == '\0')
		return "";
	return remote_name[len] == separator ? remote_name + len + 1 : NULL;
}

/* A server without NAMESPACE. */
static bool
all_are_below_inbox(const char *const *remote_names, char separator)
{
	const char *rest;
	bool found = FALSE;

	for (; *remote_names != NULL; remote_names++) {
		rest = mailbox_prefix_remove(*remote_names, "INBOX", separator);
		if (rest == NULL)
			return FALSE;
		if (rest[0] != '\0')
			found = TRUE;
	}
	return found;
}

const char *
mailbox_prefix_decide(const char *set_by_hand,
		      const struct mailbox_namespaces *namespaces,
		      const char *const *remote_names, char separator,
		      const char **reason_r)
{
	if (set_by_hand[0] != '\0') {
		*reason_r = "imapc_list_prefix";
		return without_separator(set_by_hand, separator);
	}
	if (array_count(&namespaces->personal) > 0) {
		*reason_r = "the server's NAMESPACE";
		return without_separator(
			array_idx_elem(&namespaces->personal, 0), separator);
	}
	*reason_r = "the server has no NAMESPACE, all mailboxes";
	if (separator != '\0' && all_are_below_inbox(remote_names, separator))
		return "INBOX";
	return "";
}

/* The longest prefix wins, and of equal ones the first. "" is all that has no
   other one: Cyrus's shared mailboxes. */
static void
match_namespaces(const ARRAY_TYPE(const_string) *prefixes,
		 const char *remote_name, char separator,
		 enum mailbox_owner owner, int *best_len,
		 enum mailbox_owner *best)
{
	const char *prefix, *name;
	int len;

	array_foreach_elem(prefixes, prefix) {
		len = (int)strlen(prefix);
		name = without_separator(prefix, separator);
		if (len > *best_len &&
		    mailbox_prefix_remove(remote_name, name, separator) != NULL) {
			*best_len = len;
			*best = owner;
		}
	}
}

enum mailbox_owner
mailbox_prefix_owner(const char *remote_name,
		     const struct mailbox_namespaces *namespaces,
		     char separator)
{
	enum mailbox_owner owner = MAILBOX_OWNER_SELF;
	int len = -1;

	if (strcasecmp(remote_name, "INBOX") == 0)
		return MAILBOX_OWNER_SELF;
	match_namespaces(&namespaces->personal, remote_name, separator,
			 MAILBOX_OWNER_SELF, &len, &owner);
	match_namespaces(&namespaces->other, remote_name, separator,
			 MAILBOX_OWNER_OTHER_USER, &len, &owner);
	match_namespaces(&namespaces->shared, remote_name, separator,
			 MAILBOX_OWNER_SHARED, &len, &owner);
	return owner;
}
