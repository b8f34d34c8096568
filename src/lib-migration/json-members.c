/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "json-walk.h"
#include "json-members.h"

struct members {
	json_member_callback_t *callback;
	void *context;
};

static void members_value(void *context, const char *path, const char *value)
{
	const struct members *members = context;

	if (strchr(path, '/') == NULL)
		members->callback(members->context, path, value);
}

int json_members_parse(const char *text, size_t size,
		       json_member_callback_t *callback, void *context,
		       const char **error_r)
{
	struct members members = { .callback = callback, .context = context };

	return json_walk(text, size, members_value, &members, error_r);
}
