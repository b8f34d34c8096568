/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "mailbox-list-iter.h"
#include "doveadm.h"
#include "dsync-changes.h"

#include <stdio.h>

/* dsync-brain.c, dsync-mailbox-import.c: "Change during sync: …" */
#define CHANGE_TEXT "hange during sync: "
#define REASON_MAX_LEN 1024

static struct {
	failure_callback_t *fatal, *error, *info, *debug;
	ARRAY_TYPE(const_string) reasons;
	pool_t pool;
	bool reading, show, doveadm_debug;
} changes;

static bool mailbox_has_mail(struct mailbox_list *list, const char *vname)
{
	struct mailbox *box = mailbox_alloc(list, vname, 0);
	enum mailbox_existence existence;
	struct mailbox_status status;
	bool has_mail;

	/* opening the INBOX would create it; what cannot be looked into may
	   have mails */
	has_mail = mailbox_exists(box, FALSE, &existence) < 0 ||
		(existence == MAILBOX_EXISTENCE_SELECT &&
		 (mailbox_get_status(box, STATUS_MESSAGES, &status) < 0 ||
		  status.messages > 0));
	mailbox_free(&box);
	return has_mail;
}

static bool namespace_has_mail(struct mail_namespace *ns)
{
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	bool has_mail = FALSE;

	iter = mailbox_list_iter_init(ns->list, "*",
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_NO_AUTO_BOXES);
	while (!has_mail && (info = mailbox_list_iter_next(iter)) != NULL) {
		has_mail = (info->flags & (MAILBOX_NOSELECT |
					   MAILBOX_NONEXISTENT)) == 0 &&
			mailbox_has_mail(ns->list, info->vname);
	}
	return mailbox_list_iter_deinit(&iter) < 0 || has_mail;
}

/* imapc and pop3c: another server is asked. */
static bool namespace_is_elsewhere(struct mail_namespace *ns)
{
	struct mail_storage *storage = mail_namespace_get_default_storage(ns);

	return (storage->class_flags & MAIL_STORAGE_CLASS_FLAG_NO_ROOT) != 0;
}

static bool user_has_mail(struct mail_user *user)
{
	struct mail_namespace *ns = mail_namespace_find_inbox(user->namespaces);

	/* a destination that has any mostly has some there */
	if (ns != NULL && !namespace_is_elsewhere(ns) &&
	    mailbox_has_mail(ns->list, "INBOX"))
		return TRUE;
	for (ns = user->namespaces; ns != NULL; ns = ns->next) {
		if (ns->alias_for == NULL && !namespace_is_elsewhere(ns) &&
		    namespace_has_mail(ns))
			return TRUE;
	}
	return FALSE;
}

static void ATTR_FORMAT(2, 0)
changes_debug(const struct failure_context *ctx, const char *format,
	      va_list args)
{
	/* not the data stack: a message may be written while somebody builds
	   a string there */
	char text[REASON_MAX_LEN];
	const char *reason;
	va_list args2;

	VA_COPY(args2, args);
	(void)vsnprintf(text, sizeof(text), format, args2);
	va_end(args2);
	reason = strstr(text, CHANGE_TEXT);
	if (reason != NULL) {
		reason = p_strdup(changes.pool, reason + strlen(CHANGE_TEXT));
		array_push_back(&changes.reasons, &reason);
	}
	if (changes.show)
		changes.debug(ctx, format, args);
}

void dsync_changes_begin(struct mail_user *user, bool debugging)
{
	i_assert(!changes.reading);

	if (!user_has_mail(user))
		return;
	changes.reading = TRUE;
	changes.pool = pool_alloconly_create("dsync changes", 1024);
	p_array_init(&changes.reasons, changes.pool, 4);
	changes.show = debugging;
	changes.doveadm_debug = doveadm_debug;
	i_get_failure_handlers(&changes.fatal, &changes.error, &changes.info,
			       &changes.debug);
	i_set_debug_handler(changes_debug);
	doveadm_debug = TRUE;
}

bool dsync_changes_end(const char *text)
{
	const char *reason;
	bool all;

	if (!changes.reading)
		return FALSE;
	changes.reading = FALSE;
	all = array_count(&changes.reasons) > 0;
	array_foreach_elem(&changes.reasons, reason) {
		if (strstr(reason, text) == NULL)
			all = FALSE;
	}
	doveadm_debug = changes.doveadm_debug;
	i_set_debug_handler(changes.debug);
	pool_unref(&changes.pool);
	return all;
}
