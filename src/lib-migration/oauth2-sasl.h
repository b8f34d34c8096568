/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_SASL_H
#define OAUTH2_SASL_H

enum migration_oauth2_mechanism {
	/* Google's and Microsoft's */
	MIGRATION_OAUTH2_XOAUTH2,
	/* RFC 7628 */
	MIGRATION_OAUTH2_OAUTHBEARER,
};

const char *
migration_oauth2_mechanism_name(enum migration_oauth2_mechanism mechanism);

/* Chooses from the mechanisms that a server announces. One that announces
   neither gets XOAUTH2: some tell nothing before the login. */
enum migration_oauth2_mechanism
migration_oauth2_mechanism_choose(const char *const *announced);

/* Appends the only message of the client, before base64. host is NULL and
   port 0 if they are not known. */
void migration_oauth2_append_message(string_t *dest,
				     enum migration_oauth2_mechanism mechanism,
				     const char *user, const char *host,
				     in_port_t port, const char *token);

/* What is answered to the error challenge, so that the server's own refusal
   follows: an empty line, or a single ^A (RFC 7628 section 3.2.3). */
const char *
migration_oauth2_challenge_answer(enum migration_oauth2_mechanism mechanism);

/* The error challenge in words: the members of its JSON, or its text if it is
   no JSON. Sanitized, data stack. */
const char *migration_oauth2_challenge_text(const void *data, size_t size);

/* Replaces every occurrence of the secret in text. Secrets of less than 4
   characters are left alone. Data stack. */
const char *migration_oauth2_mask(const char *text, const char *secret);
/* The same for what follows AUTHENTICATE and a mechanism's name, or Bearer, in a
   log line: a token, or a message with one. */
const char *migration_oauth2_mask_command(const char *line);

#endif
