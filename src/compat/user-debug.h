/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef USER_DEBUG_H
#define USER_DEBUG_H

struct mail_user;

/* doveadm -D of 2.4 shows the debug lines of the command's own user, but not
   of the second user that backup, sync and import make: everything that
   concerns the source is missing. Called as each user is created, before its
   namespaces: makes the later ones as talkative as the first one was. */
void user_debug_inherit(struct mail_user *user);

#endif
