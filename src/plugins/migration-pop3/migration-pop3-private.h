/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_POP3_PRIVATE_H
#define MIGRATION_POP3_PRIVATE_H

#include "mail-user.h"
#include "mail-storage-private.h"
#include "uidl-gather.h"
#include "migration-pop3-settings.h"

#define MIGRATION_POP3_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_pop3_user_module)

enum migration_pop3_state {
	/* the POP3 server was not asked yet */
	MIGRATION_POP3_STATE_UNASKED,
	MIGRATION_POP3_STATE_MATCHED,
	/* the POP3 server or a mailbox cannot be read */
	MIGRATION_POP3_STATE_FAILED
};

/* A mailbox with the UIDLs of its mails, by name. */
struct migration_pop3_uidls {
	const char *vname;
	/* number in gather */
	unsigned int mailbox;
};

struct migration_pop3_user {
	union mail_user_module_context module_ctx;
	struct migration_pop3_user *prev, *next;

	struct mail_user *user;
	const struct migration_pop3_settings *set;
	struct event *event;

	/* of a source user */
	enum migration_pop3_state state;
	struct uidl_gather *gather;
	ARRAY(struct migration_pop3_uidls) mailboxes;
	/* POP3 mails have no partner, so that the INBOX must be left out */
	bool inbox_refused;
	/* why, if failed */
	const char *error;
	enum mail_error mail_error;
};

extern MODULE_CONTEXT_DEFINE(migration_pop3_user_module,
			     &mail_user_module_register);

/* All users of the process that the plugin has work to do for: the one who is
   migrated, as source and as destination. */
extern struct migration_pop3_user *migration_pop3_users;

/* migration-pop3-source.c */

/* The namespace of migration_pop3_mailbox, if the user has it. Returns 1, 0 if
   not, -1 and error_r if something else is there. */
int migration_pop3_find_namespace(struct mail_user *user,
				  const struct migration_pop3_settings *set,
				  struct mail_namespace **ns_r,
				  const char **error_r);
void migration_pop3_source_mailbox_allocated(struct mailbox *box);
void migration_pop3_source_mail_allocated(struct mail *mail);

/* migration-pop3-dest.c */
void migration_pop3_dest_mailbox_allocated(struct mailbox *box);

#endif
