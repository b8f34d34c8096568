/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "error-advice.h"
#include "migration-run.h"
#include "secret-mask.h"
#include "run-error.h"

static struct {
	struct migration_run *run;
	failure_callback_t *fatal, *error, *info, *debug;
} watched;

static void ATTR_FORMAT(2, 0)
watch_error(const struct failure_context *ctx, const char *format,
	    va_list args)
{
	struct migration_run *run = watched.run;

	T_BEGIN {
		const char *text = migration_secrets_mask(
			t_strdup_vprintf(format, args));

		if (ctx->type == LOG_TYPE_ERROR && run->failure == NULL &&
		    error_advice_find(text) != NULL)
			run->failure = p_strdup(run->pool, text);
		migration_log_pass_on(watched.error, ctx, "%s", text);
	} T_END;
}

void run_error_watch(struct migration_run *run)
{
	i_assert(watched.run == NULL);

	watched.run = run;
	i_get_failure_handlers(&watched.fatal, &watched.error, &watched.info,
			       &watched.debug);
	i_set_error_handler(watch_error);
}

void run_error_unwatch(void)
{
	i_set_error_handler(watched.error);
	watched.run = NULL;
}
