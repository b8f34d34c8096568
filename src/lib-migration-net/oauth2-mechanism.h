/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_MECHANISM_H
#define OAUTH2_MECHANISM_H

/* The SASL mechanisms XOAUTH2 and OAUTHBEARER in place of Dovecot's, for all
   that uses lib-sasl (imapc). The token is got when a connection logs in, so
   that each one has a fresh token; where the password is not a word of
   migration_oauth2_source_get_password(), it is the token itself, as in stock.
   The error challenge is answered, so that the server's own refusal follows.

   Each init needs its deinit, which puts Dovecot's back. */
void migration_oauth2_mechanisms_init(void);
void migration_oauth2_mechanisms_deinit(void);

#endif
