/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_POP3_PRIVATE_H
#define MIGRATION_POP3_PRIVATE_H

#include "mail-user.h"
#include "seq-range-array.h"
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
	/* mails of the destination's INBOX that show no UIDL */
	ARRAY_TYPE(seq_range) dest_uids_without_uidl;
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
/* The other user of the same run, or NULL: the destination. */
struct mail_user *
migration_pop3_other_user(struct migration_pop3_user *muser);
void migration_pop3_source_mailbox_allocated(struct mailbox *box);
void migration_pop3_source_mail_allocated(struct mail *mail);

/* migration-pop3-known.c */

/* TRUE if all mails up to last_uid were brought by earlier runs, the newest with
   its UIDL: then there is nothing to ask the POP3 server for. */
bool migration_pop3_dest_has_all(struct migration_pop3_user *muser,
				 struct mailbox *source_box,
				 uint32_t last_uid);
/* Tell the gatherer which pairs earlier runs made. source_box is the mailbox
   that was added last. */
void migration_pop3_known_add(struct migration_pop3_user *muser,
			      struct mailbox *source_box);
/* Report mails that earlier runs left without the UIDL which they should have,
   after making visible what is stored. mailbox is the gatherer's number. */
void migration_pop3_known_check(struct migration_pop3_user *muser,
				struct mailbox *inbox, unsigned int mailbox);

/* migration-pop3-room.c */

/* Say what is lost if the user's own mailboxes cannot hold UIDLs. */
void migration_pop3_room_warn(struct migration_pop3_user *muser);
/* The same for the UIDLs and the order that were matched. */
void migration_pop3_room_report(struct migration_pop3_user *muser,
				struct mailbox *inbox);
/* TRUE if the destination can hold this UIDL. */
bool migration_pop3_room_fits(struct migration_pop3_user *muser,
			      const char *uidl);

/* migration-pop3-dest.c */

void migration_pop3_dest_mailbox_allocated(struct mailbox *box);
/* Let POP3 show all stored UIDLs. TRUE if it did not yet. */
bool migration_pop3_dest_show_uidls(struct mailbox *box);

#endif
