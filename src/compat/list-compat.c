/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-user.h"
#include "mail-storage-settings.h"
#include "mailbox-list-private.h"
#include "list-compat.h"

static const char *
mailbox_full_name(const struct mail_namespace *ns, const char *name)
{
	if (strcmp(name, "INBOX") == 0 &&
	    (ns->flags & NAMESPACE_FLAG_INBOX_USER) != 0)
		return name;
	return t_strconcat(ns->prefix, name, NULL);
}

#if DOVECOT_PREREQ(2, 4, 0)

static const char *list_escape_char(struct mailbox_list *list)
{
	/* dsync's own copy of the settings, if it has changed them */
	return list->mail_set->mailbox_list_visible_escape_char;
}

static void list_clear_escape_char(struct mailbox_list *list)
{
	struct mail_storage_settings *set =
		(struct mail_storage_settings *)list->mail_set;

	set->mailbox_list_visible_escape_char = "";
}

char compat_list_get_storage_escape_char(const struct mailbox_list *list)
{
	return list->mail_set->mailbox_list_storage_escape_char[0];
}

bool compat_list_is_utf8(const struct mailbox_list *list)
{
	return list->mail_set->mailbox_list_utf8;
}

void compat_namespace_get_special_uses(const struct mail_namespace *ns,
				       compat_special_use_callback_t *callback,
				       void *context)
{
	const struct mailbox_settings *box;
	const char *special_use;

	if (!array_is_created(&ns->set->parsed_mailboxes))
		return;
	array_foreach_elem(&ns->set->parsed_mailboxes, box) {
		if (!array_is_created(&box->special_use))
			continue;
		array_foreach_elem(&box->special_use, special_use) {
			callback(special_use, mailbox_full_name(ns, box->name),
				 context);
		}
	}
}

#else

static const char *list_escape_char(struct mailbox_list *list)
{
	return &list->set.vname_escape_char;
}

static void list_clear_escape_char(struct mailbox_list *list)
{
	list->set.vname_escape_char = '\0';
}

char compat_list_get_storage_escape_char(const struct mailbox_list *list)
{
	return list->set.storage_name_escape_char;
}

bool compat_list_is_utf8(const struct mailbox_list *list)
{
	return list->set.utf8;
}

void compat_namespace_get_special_uses(const struct mail_namespace *ns,
				       compat_special_use_callback_t *callback,
				       void *context)
{
	struct mailbox_settings *box;
	const char *const *words;

	if (!array_is_created(&ns->set->mailboxes))
		return;
	array_foreach_elem(&ns->set->mailboxes, box) {
		for (words = t_strsplit_spaces(box->special_use, " ");
		     *words != NULL; words++) {
			callback(*words, mailbox_full_name(ns, box->name),
				 context);
		}
	}
}

#endif

char *compat_user_save_escape_chars(struct mail_user *user)
{
	struct mail_namespace *ns;
	unsigned int count = 0;
	char *saved;

	for (ns = user->namespaces; ns != NULL; ns = ns->next)
		count++;
	saved = t_malloc0(count + 1);
	count = 0;
	for (ns = user->namespaces; ns != NULL; ns = ns->next)
		saved[count++] = *list_escape_char(ns->list);
	return saved;
}

void compat_user_restore_escape_chars(struct mail_user *user, const char *saved)
{
	struct mail_namespace *ns;

	for (ns = user->namespaces; ns != NULL; ns = ns->next, saved++) {
		if (*saved == '\0' && *list_escape_char(ns->list) != '\0')
			list_clear_escape_char(ns->list);
	}
}
