/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Preloaded into a doveadm: a plugin that spoils mails. The n-th mail is saved
   without its last bytes. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define CUT_BYTES 7

struct istream;
struct mail_save_context;

/* of Dovecot's libraries */
struct istream *i_stream_create_limit(struct istream *input, uint64_t size)
	__attribute__((weak));
int i_stream_get_size(struct istream *input, _Bool exact, uint64_t *size_r)
	__attribute__((weak));
void i_stream_unref(struct istream **input) __attribute__((weak));

int mailbox_save_begin(struct mail_save_context **ctx, struct istream *input)
{
	static long saves_left = -1;
	int (*next)(struct mail_save_context **, struct istream *) =
		dlsym(RTLD_NEXT, "mailbox_save_begin");
	const char *number = getenv("SAVECUT_NUMBER");
	uint64_t size;
	int ret;

	if (saves_left < 0 && number != NULL)
		saves_left = atol(number);
	if (saves_left <= 0 || --saves_left > 0 ||
	    i_stream_get_size(input, 1, &size) <= 0)
		return next(ctx, input);
	input = i_stream_create_limit(input, size - CUT_BYTES);
	ret = next(ctx, input);
	i_stream_unref(&input);
	return ret;
}
