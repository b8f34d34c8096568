/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef OAUTH2_KEY_H
#define OAUTH2_KEY_H

/* Signs data by RS256 with a private RSA key in PEM, PKCS#8 ("BEGIN PRIVATE
   KEY") or PKCS#1 ("BEGIN RSA PRIVATE KEY"). Appends the signature. Returns 0,
   or -1 and error_r (data stack, nothing of the key in it). */
int migration_oauth2_sign(const char *pem, const void *data, size_t size,
			  buffer_t *signature, const char **error_r);

/* base64url of the SHA-1 and SHA-256 of the first certificate in a PEM text, by
   which a server finds the key (RFC 7515 section 4.1.7). Data stack. Returns 0,
   or -1 and error_r. */
int migration_oauth2_certificate_ids(const char *pem, const char **sha1_r,
				     const char **sha256_r,
				     const char **error_r);

#endif
