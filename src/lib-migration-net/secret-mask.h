/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SECRET_MASK_H
#define SECRET_MASK_H

/* Passwords and tokens that a run uses. echoed-secret: Some servers repeat in an error what
   they were sent, and imapc quotes commands in the log: what is logged, found
   or stored of a server's words never holds a secret. */

/* Calls a failure handler that another one took the place of. */
void migration_log_pass_on(failure_callback_t *handler,
			   const struct failure_context *ctx,
			   const char *format, ...) ATTR_FORMAT(3, 4);

/* From here to the end all log lines but those of a crash have "..." where a
   secret would be. */
void migration_secrets_begin(void);
/* All secrets are forgotten. */
void migration_secrets_end(void);

/* Copied; ignored outside of a run. Secrets of less than 4 characters are not
   looked for. */
void migration_secrets_add(const char *secret);
/* The same for what SASL sends in base64. */
void migration_secrets_add_message(const void *data, size_t size);
/* A password, also as SASL PLAIN sends it (RFC 4616); authzid may be "". */
void migration_secrets_add_password(const char *authzid, const char *authid,
				    const char *password);

/* The text without the secrets (data stack). */
const char *migration_secrets_mask(const char *text);

#endif
