/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_JWT_H
#define OAUTH2_JWT_H

/* A JSON Web Token up to its signature (RFC 7515, 7519), and the JSON key file
   of a Google service account. Members that are NULL are left out. */
struct migration_oauth2_jwt {
	/* header: which key, by its id or by its certificate's SHA-256 and
	   SHA-1 in base64url */
	const char *key_id, *x5t_s256, *x5t;
	/* claims */
	const char *issuer, *subject, *audience, *scope;
	/* a number that is used once */
	const char *jwt_id;
	/* seconds since 1970 */
	time_t issued_at;
	unsigned int lifetime_secs;
};

/* Appends base64url(header).base64url(claims): what is to be signed by RS256
   (RSASSA-PKCS1-v1_5 with SHA-256). */
void migration_oauth2_jwt_append(string_t *dest,
				 const struct migration_oauth2_jwt *jwt);
/* Appends .base64url(signature): the JWT is complete. */
void migration_oauth2_jwt_append_signature(string_t *dest,
					   const void *signature, size_t size);
/* base64url without padding, data stack. */
const char *migration_oauth2_base64url(const void *data, size_t size);

/* What is needed of a service account's key file. */
struct migration_oauth2_account {
	/* PEM */
	const char *private_key;
	const char *private_key_id, *client_email;
	/* where tokens are asked for; NULL if the file does not say */
	const char *token_uri;
};

/* Returns 0 and account_r (allocated from the pool), or -1 and error_r (data
   stack): not JSON, not the key of a service account, or something missing.
   The error has nothing of the text in it. */
int migration_oauth2_account_parse(pool_t pool, const char *text,
				   struct migration_oauth2_account *account_r,
				   const char **error_r);

#endif
