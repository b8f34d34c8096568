/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "buffer.h"
#include "oauth2-jwt.h"
#include "oauth2-key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

/* RFC 7518 section 3.3 */
#define MIN_KEY_BITS 2048

/* Without this OpenSSL would ask for the passphrase on the terminal. */
static int no_passphrase(char *buf ATTR_UNUSED, int size ATTR_UNUSED,
			 int rwflag ATTR_UNUSED, void *asked)
{
	*(bool *)asked = TRUE;
	return -1;
}

/* OpenSSL's queue of errors is Dovecot's TLS code's, too. */
static const char *take_openssl_error(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	reason = t_strdup(reason == NULL ? "unknown error" : reason);
	ERR_clear_error();
	return reason;
}

static EVP_PKEY *read_key(const char *pem, const char **error_r)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	bool encrypted = FALSE;
	EVP_PKEY *key;

	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
	BIO_free(bio);
	if (key == NULL && encrypted) {
		ERR_clear_error();
		*error_r = "the private key is encrypted: remove the "
			"passphrase (openssl pkey -in … -out …)";
	} else if (key == NULL) {
		*error_r = t_strdup_printf("there is no usable private key in "
			"PEM form: %s", take_openssl_error());
	} else if (EVP_PKEY_base_id(key) != EVP_PKEY_RSA) {
		*error_r = "the private key is no RSA key";
		EVP_PKEY_free(key);
		key = NULL;
	} else if (EVP_PKEY_bits(key) < MIN_KEY_BITS) {
		*error_r = t_strdup_printf("the RSA key has only %d bits, and "
			"%d are the least", EVP_PKEY_bits(key), MIN_KEY_BITS);
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

int migration_oauth2_sign(const char *pem, const void *data, size_t size,
			  buffer_t *signature, const char **error_r)
{
	EVP_PKEY *key = read_key(pem, error_r);
	EVP_MD_CTX *ctx;
	size_t signature_size;
	void *space;
	int ret = -1;

	if (key == NULL)
		return -1;
	ctx = EVP_MD_CTX_new();
	signature_size = EVP_PKEY_size(key);
	space = buffer_append_space_unsafe(signature, signature_size);
	if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	    EVP_DigestSign(ctx, space, &signature_size, data, size) == 1)
		ret = 0;
	else {
		*error_r = t_strdup_printf("signing failed: %s",
					   take_openssl_error());
	}
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return ret;
}

static const char *certificate_id(const X509 *cert, const EVP_MD *md)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;

	(void)X509_digest(cert, md, digest, &size);
	return migration_oauth2_base64url(digest, size);
}

int migration_oauth2_certificate_ids(const char *pem, const char **sha1_r,
				     const char **sha256_r,
				     const char **error_r)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	if (cert == NULL) {
		*error_r = t_strdup_printf("there is no certificate in PEM "
			"form: %s", take_openssl_error());
		return -1;
	}
	*sha1_r = certificate_id(cert, EVP_sha1());
	*sha256_r = certificate_id(cert, EVP_sha256());
	X509_free(cert);
	return 0;
}
