/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIST_COMPAT_H
#define LIST_COMPAT_H

struct mailbox_list;
struct mail_namespace;

/* What is configured about mailbox names. */

/* The character with which the list's storage escapes what file names cannot
   hold; '\0' if it does not. */
char compat_list_get_storage_escape_char(const struct mailbox_list *list);
/* File names are UTF-8, not modified UTF-7. */
bool compat_list_is_utf8(const struct mailbox_list *list);

/* The namespace's mailbox { } sections, which have a special_use. Calls back for
   each special-use attribute: name is the mailbox's as clients see it (data
   stack). */
typedef void compat_special_use_callback_t(const char *special_use,
					   const char *name, void *context);
void compat_namespace_get_special_uses(const struct mail_namespace *ns,
				       compat_special_use_callback_t *callback,
				       void *context);

#endif
