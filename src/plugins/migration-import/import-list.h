/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_LIST_H
#define IMPORT_LIST_H

struct mailbox_list;
struct mailbox_vfuncs;
struct mail_user;

/* %s is the path. */
#define IMPORT_LIST_MISSING \
	"Nothing is at the source's path %s: mend the location"

/* Returns the path if the source's storage is a folder that was not there when the
   import began, and neither was an INBOX elsewhere; otherwise NULL. Dovecot makes
   the folder if it is asked for a mailbox. */
const char *import_list_get_missing(struct mailbox_list *list);
/* For a mailbox of such a source: it is not looked for. */
void import_list_box_missing(struct mailbox_vfuncs *v);

/* The mailbox_list_created hook of a second user: if he is the source of an
   import, or of the plan or the proof of one, changes how his mailboxes are
   listed. dest_user gets the mail.

   A mailbox whose folder has a name that is no modified UTF-7 is listed by
   Dovecot, and not found by that name (QUIRKS.md, "badly-encoded-folder"): it
   can be opened by the name that import_name_of_bytes() gives it.

   If the source is the user's own mail, what is below the mailbox that it is
   imported below is not listed: each import would put what the one before has
   brought one level deeper.

   A source that is not there is an error; if the command runs for many users,
   it is just empty. */
void import_list_created(struct mailbox_list *list,
			 struct mail_user *dest_user);

#endif
