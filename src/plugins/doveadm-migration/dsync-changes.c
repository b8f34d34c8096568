/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "doveadm.h"
#include "dsync-changes.h"

#include <stdio.h>

/* dsync-brain.c, dsync-mailbox-import.c: "Change during sync: …" */
#define CHANGE_TEXT "hange during sync: "
#define REASON_MAX_LEN 1024

static struct {
	failure_callback_t *fatal, *error, *info, *debug;
	ARRAY_TYPE(const_string) reasons;
	pool_t pool;
	bool show, doveadm_debug;
} changes;

static void ATTR_FORMAT(2, 0)
changes_debug(const struct failure_context *ctx, const char *format,
	      va_list args)
{
	/* not the data stack: a message may be written while somebody builds
	   a string there */
	char text[REASON_MAX_LEN];
	const char *reason;
	va_list args2;

	VA_COPY(args2, args);
	(void)vsnprintf(text, sizeof(text), format, args2);
	va_end(args2);
	reason = strstr(text, CHANGE_TEXT);
	if (reason != NULL) {
		reason = p_strdup(changes.pool, reason + strlen(CHANGE_TEXT));
		array_push_back(&changes.reasons, &reason);
	}
	if (changes.show)
		changes.debug(ctx, format, args);
}

void dsync_changes_begin(bool debugging)
{
	i_assert(changes.pool == NULL);

	changes.pool = pool_alloconly_create("dsync changes", 1024);
	p_array_init(&changes.reasons, changes.pool, 4);
	changes.show = debugging;
	changes.doveadm_debug = doveadm_debug;
	i_get_failure_handlers(&changes.fatal, &changes.error, &changes.info,
			       &changes.debug);
	i_set_debug_handler(changes_debug);
	doveadm_debug = TRUE;
}

bool dsync_changes_end(const char *text)
{
	const char *reason;
	bool all = array_count(&changes.reasons) > 0;

	array_foreach_elem(&changes.reasons, reason) {
		if (strstr(reason, text) == NULL)
			all = FALSE;
	}
	doveadm_debug = changes.doveadm_debug;
	i_set_debug_handler(changes.debug);
	pool_unref(&changes.pool);
	return all;
}
