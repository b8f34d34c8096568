/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_USER_H
#define OAUTH2_USER_H

struct mail_user;

/* Makes a user ready for sources that are logged in to with tokens; for the
   mail_user_created hooks of all plugins that reach a source. Stock insists on
   imapc_password and pop3c_password. Wrong migration_oauth2_* settings end the
   user's command before it begins. Does nothing for users without OAuth2, and
   nothing new if it is called again. */
void migration_oauth2_user_prepare(struct mail_user *user);

#endif
