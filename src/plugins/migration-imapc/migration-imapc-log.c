/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What imapc tells nobody but the log. A command that is answered with BAD
   ends the connection, and so does a greeting that is none: all that commands
   hear is that the connection is lost. The server's words are in the error that
   imapc logs at that moment; they can mean throttling.

   At a BAD to a login imapc also logs the command, with the password in it. */

#include "lib.h"
#include "secret-mask.h"
#include "migration-imapc-private.h"

#define BAD_COMMAND_BEGIN "Command '"
#define BAD_COMMAND_END "' failed with BAD: "

static struct {
	unsigned int users;
	failure_callback_t *fatal, *error, *info, *debug;
	/* NULL if there is none */
	migration_imapc_log_filter_t *filter;
	/* of the latest error that says something, or NULL */
	char *words;
} watched;

/* "Command '5 LOGIN jane secret' failed with BAD: 5 No" without the secret. */
static const char *
without_secret(const char *text)
{
	const char *command = strstr(text, BAD_COMMAND_BEGIN);
	const char *end = command == NULL ? NULL :
		strstr(command, BAD_COMMAND_END);
	const char *name;

	if (end == NULL)
		return text;
	command += strlen(BAD_COMMAND_BEGIN);
	name = strchr(command, ' ');
	if (name == NULL || name > end ||
	    (strncasecmp(name, " LOGIN ", 7) != 0 &&
	     strncasecmp(name, " AUTHENTICATE ", 14) != 0))
		return text;
	name = strchr(name + 1, ' ');
	return t_strconcat(t_strdup_until(text, name), " ...", end, NULL);
}

/* One failure causes others: words that are understood are kept. */
static void remember(const char *text)
{
	struct server_reply old, new;

	if (watched.words != NULL) {
		server_reply_understand(watched.words, &old);
		server_reply_understand(text, &new);
		if (server_reply_is_temporary(old.meaning) &&
		    !server_reply_is_temporary(new.meaning))
			return;
	}
	i_free(watched.words);
	watched.words = i_strdup(text);
}

static void ATTR_FORMAT(2, 0)
watch_error(const struct failure_context *ctx, const char *format, va_list args)
{
	va_list copy;

	T_BEGIN {
		const char *text;

		VA_COPY(copy, args);
		text = t_strdup_vprintf(format, copy);
		va_end(copy);
		if (watched.filter != NULL)
			text = watched.filter(text);
		if (text != NULL) {
			if (ctx->type == LOG_TYPE_ERROR)
				remember(text);
			migration_log_pass_on(watched.error, ctx, "%s",
					      without_secret(text));
		}
	} T_END;
}

void migration_imapc_log_watch(void)
{
	if (watched.users++ > 0)
		return;
	i_get_failure_handlers(&watched.fatal, &watched.error, &watched.info,
			       &watched.debug);
	i_set_error_handler(watch_error);
}

void migration_imapc_log_unwatch(void)
{
	i_assert(watched.users > 0);
	if (--watched.users > 0)
		return;
	i_set_error_handler(watched.error);
	i_free(watched.words);
}

void migration_imapc_log_set_filter(migration_imapc_log_filter_t *filter)
{
	watched.filter = filter;
}

void migration_imapc_log_forget(void)
{
	i_free(watched.words);
}

const char *migration_imapc_log_words(void)
{
	return watched.words;
}
