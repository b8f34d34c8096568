/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LIST_COMPAT_H
#define LIST_COMPAT_H

struct mailbox_list;
struct mail_user;
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

/* dsync-second-run: dsync gives a user's lists an escape character, and takes it for a configured one
   if it runs again for the same user: on 2.3 "50%" then becomes "50%25". Saved
   before a run (data stack) and restored after it, each run is a first one. */
char *compat_user_save_escape_chars(struct mail_user *user);
void compat_user_restore_escape_chars(struct mail_user *user, const char *saved);

#endif
