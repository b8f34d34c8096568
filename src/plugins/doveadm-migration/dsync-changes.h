/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DSYNC_CHANGES_H
#define DSYNC_CHANGES_H

struct mail_user;

/* dsync ends with 2 ("mailboxes changed, run again") for many reasons, prints
   one of them and has no way to ask for the others. Its debug messages name
   all of them. */

/* From here to the end the debug messages are read; they are shown only if
   debugging is TRUE. A destination without a mail has nothing that could be
   kept from being deleted: then they are not asked for, since dsync writes some
   for each mail, and they cost as much as 5 % of a first run. */
void dsync_changes_begin(struct mail_user *user, bool debugging);
/* Returns TRUE if there was a reason, and all of them contain the text: these
   were changes that did not happen. */
bool dsync_changes_end(const char *text);

#endif
