/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "net.h"
#include "base64.h"
#include "safe-memset.h"
#include "str.h"
#include "oauth2-sasl.h"
#include "secret-mask.h"

static struct {
	ARRAY(char *) secrets;
	failure_callback_t *fatal, *error, *info, *debug;
	bool active;
} secret_mask;

void migration_log_pass_on(failure_callback_t *handler,
			   const struct failure_context *ctx,
			   const char *format, ...)
{
	va_list args;

	va_start(args, format);
	handler(ctx, format, args);
	va_end(args);
}

static void ATTR_FORMAT(3, 0)
mask_line(failure_callback_t *handler, const struct failure_context *ctx,
	  const char *format, va_list args)
{
	T_BEGIN {
		migration_log_pass_on(handler, ctx, "%s",
			migration_secrets_mask(t_strdup_vprintf(format, args)));
	} T_END;
}

static void ATTR_FORMAT(2, 0)
mask_error(const struct failure_context *ctx, const char *format, va_list args)
{
	mask_line(secret_mask.error, ctx, format, args);
}

static void ATTR_FORMAT(2, 0)
mask_info(const struct failure_context *ctx, const char *format, va_list args)
{
	mask_line(secret_mask.info, ctx, format, args);
}

static void ATTR_FORMAT(2, 0)
mask_debug(const struct failure_context *ctx, const char *format, va_list args)
{
	mask_line(secret_mask.debug, ctx, format, args);
}

void migration_secrets_begin(void)
{
	i_assert(!secret_mask.active);

	secret_mask.active = TRUE;
	i_array_init(&secret_mask.secrets, 4);
	i_get_failure_handlers(&secret_mask.fatal, &secret_mask.error,
			       &secret_mask.info, &secret_mask.debug);
	i_set_error_handler(mask_error);
	i_set_info_handler(mask_info);
	i_set_debug_handler(mask_debug);
}

void migration_secrets_end(void)
{
	char *secret;

	i_set_error_handler(secret_mask.error);
	i_set_info_handler(secret_mask.info);
	i_set_debug_handler(secret_mask.debug);
	secret_mask.active = FALSE;
	array_foreach_elem(&secret_mask.secrets, secret) {
		safe_memset(secret, 0, strlen(secret));
		i_free(secret);
	}
	array_free(&secret_mask.secrets);
}

void migration_secrets_add(const char *secret)
{
	char *known;

	if (!secret_mask.active)
		return;
	array_foreach_elem(&secret_mask.secrets, known) {
		if (strcmp(known, secret) == 0)
			return;
	}
	known = i_strdup(secret);
	array_push_back(&secret_mask.secrets, &known);
}

static void secret_add_encoded(const void *data, size_t size)
{
	string_t *encoded = t_str_new(128);

	base64_encode(data, size, encoded);
	migration_secrets_add(str_c(encoded));
}

void migration_secrets_add_message(const void *data, size_t size)
{
	if (secret_mask.active) T_BEGIN {
		secret_add_encoded(data, size);
	} T_END;
}

void migration_secrets_add_password(const char *authzid, const char *authid,
				    const char *password)
{
	string_t *message;

	if (*password == '\0' || !secret_mask.active)
		return;
	migration_secrets_add(password);
	T_BEGIN {
		message = t_str_new(128);
		str_append(message, authzid);
		str_append_c(message, '\0');
		str_append(message, authid);
		str_append_c(message, '\0');
		str_append(message, password);
		secret_add_encoded(str_data(message), str_len(message));
	} T_END;
}

const char *migration_secrets_mask(const char *text)
{
	char *secret;

	if (!secret_mask.active)
		return text;
	array_foreach_elem(&secret_mask.secrets, secret)
		text = migration_oauth2_mask(text, secret);
	return text;
}
