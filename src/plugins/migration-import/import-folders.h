/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_FOLDERS_H
#define IMPORT_FOLDERS_H

struct mail;
struct mailbox;
struct mailbox_transaction_context;
struct import_folders;
struct import_target;
struct import_target_settings;

/* The folders that mails of an archive say they were in (migration-folders.h).
   Each of them is a target of its own, as long as the archive is read. */

/* t is stock's transaction on the mailbox that the archive becomes. parent is
   what that mailbox's name has in front of the archive's, with the separator, or
   "": the folders get it as well. own_target is where the target of that mailbox
   is, NULL there if it has none. */
struct import_folders *
import_folders_init(struct mailbox_transaction_context *t, const char *parent,
		    bool subscribe, const struct import_target_settings *set,
		    struct import_target *const *own_target);

/* Takes a mail for each of the folders (NULL-terminated). *own_r is TRUE if one
   of them is the mailbox that the archive becomes: the caller puts it there.
   Returns -1 if the mail could not be saved into one of them; the storage of the
   archive's mailbox has the error. */
int import_folders_add(struct import_folders *folders, struct mail *mail,
		       const char *const *names, bool *own_r);

/* As import_target_finish() and import_target_abort(), for all folders. */
int import_folders_finish(struct import_folders **folders,
			  const char **error_r);
void import_folders_abort(struct import_folders **folders);

#endif
