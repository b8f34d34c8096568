/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef COMPAT_OAUTH2_H
#define COMPAT_OAUTH2_H

struct mail_user;
struct imapc_client;
struct dsasl_client_mech;

/* Called from mail_user_created, before the user's lists and storages exist.
   Stock asks for imapc_password and pop3c_password, which a user of tokens
   does not have: where they are empty they get a placeholder. Where
   imapc_sasl_mechanisms is empty it becomes XOAUTH2 and OAUTHBEARER: imapc
   takes the first one that the server has. Returns 0, or -1 and error_r:
   imapc_rawlog_dir is set, and the raw logs would hold the tokens. */
int compat_oauth2_user_prepare(struct mail_user *user, const char **error_r);

/* What the SASL mechanism of the client's connections is given as password. */
void compat_oauth2_client_set_password(struct imapc_client *client,
				       const char *password);

/* Makes the mechanism one that needs no password of Dovecot's settings. */
void compat_oauth2_mech_init(struct dsasl_client_mech *mech);

#endif
