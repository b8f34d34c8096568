/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_NAMES_H
#define MIGRATION_IMAPC_NAMES_H

struct mailbox_list;
struct migration_imapc_list;

/* The names of the source's mailboxes at the destination. */

void migration_imapc_names_init(struct migration_imapc_list *mlist);
void migration_imapc_names_deinit(struct migration_imapc_list *mlist);

/* All mailboxes were listed: decides their names, and puts them into imapc's
   tree. */
void migration_imapc_names_build(struct migration_imapc_list *mlist);
/* Lists the mailboxes, unless their names are known. Returns -1 if that failed
   (the list's error is set), or if migration_imapc_map cannot be followed: then
   migration_imapc_names_error() says why. */
int migration_imapc_names_ensure(struct migration_imapc_list *mlist);
bool migration_imapc_names_are_known(struct migration_imapc_list *mlist);
/* The mailboxes are about to be listed: if imapc does not trust the list that it
   has, their names are to be decided again. */
void migration_imapc_names_refresh(struct migration_imapc_list *mlist);
/* NULL if there is none */
const char *migration_imapc_names_error(struct migration_imapc_list *mlist);
/* What was taken off the source's names; "" until they are known. */
const char *migration_imapc_names_prefix(struct migration_imapc_list *mlist);

/* imapc's name of a mailbox <-> the name that is shown. Names are the
   destination's; what dsync would misread is escaped. */
const char *
migration_imapc_names_get_vname(struct migration_imapc_list *mlist,
				const char *storage_name);
const char *
migration_imapc_names_get_storage_name(struct migration_imapc_list *mlist,
				       const char *vname);
/* The destination's name <-> the name that is shown; the latter for the
   destination's lists, too. */
const char *
migration_imapc_names_escape(struct migration_imapc_list *mlist,
			     const char *name);
const char *
migration_imapc_names_unescape(struct mailbox_list *list, const char *vname);

/* LSUB is asked again: forget what was answered. */
void migration_imapc_names_forget_subscriptions(struct migration_imapc_list *mlist);
/* What LSUB answered becomes the list's subscriptions. */
void migration_imapc_names_fill_subscriptions(struct migration_imapc_list *mlist,
					      struct mailbox_list *dest_list);

#endif
