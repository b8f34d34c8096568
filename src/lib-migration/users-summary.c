/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "exit-code.h"
#include "users-summary.h"

/* of one class; the log and the reports name them all */
#define NAMES_MAX 10
#define NAME_MAX_LEN 100

enum users_class {
	USERS_DONE,
	USERS_FINDINGS,
	USERS_WOULD_DELETE,
	USERS_AGAIN,
	USERS_FAILED,

	USERS_CLASS_COUNT
};

struct users_summary {
	pool_t pool;
	unsigned int count, counts[USERS_CLASS_COUNT];
	ARRAY_TYPE(const_string) names[USERS_CLASS_COUNT];
};

static const char *const class_texts[] = {
	[USERS_DONE] = "done",
	[USERS_FINDINGS] = "done with findings",
	[USERS_WOULD_DELETE] = "would delete",
	[USERS_AGAIN] = "to be run again",
	[USERS_FAILED] = "failed",
};
_Static_assert(N_ELEMENTS(class_texts) == USERS_CLASS_COUNT,
	       "each class has its words");

struct users_summary *users_summary_init(void)
{
	pool_t pool = pool_alloconly_create("users summary", 1024);
	struct users_summary *summary = p_new(pool, struct users_summary, 1);
	unsigned int i;

	summary->pool = pool;
	for (i = 0; i < USERS_CLASS_COUNT; i++)
		p_array_init(&summary->names[i], pool, NAMES_MAX);
	return summary;
}

void users_summary_deinit(struct users_summary **_summary)
{
	struct users_summary *summary = *_summary;

	*_summary = NULL;
	pool_unref(&summary->pool);
}

static enum users_class get_class(int exit_code)
{
	if (exit_code == 0)
		return USERS_DONE;
	if (exit_code == MIGRATION_EXIT_FINDINGS)
		return USERS_FINDINGS;
	if (exit_code == MIGRATION_EXIT_WOULD_DELETE)
		return USERS_WOULD_DELETE;
	return migration_exit_code_is_again(exit_code) ?
		USERS_AGAIN : USERS_FAILED;
}

void users_summary_add(struct users_summary *summary, const char *username,
		       int exit_code)
{
	enum users_class class = get_class(exit_code);

	summary->count++;
	if (summary->counts[class]++ < NAMES_MAX) {
		username = p_strdup(summary->pool,
				    str_sanitize(username, NAME_MAX_LEN));
		array_push_back(&summary->names[class], &username);
	}
}

static void append_names(string_t *dest, const struct users_summary *summary,
			 enum users_class class)
{
	const char *name, *sep = " (";

	array_foreach_elem(&summary->names[class], name) {
		str_printfa(dest, "%s%s", sep, name);
		sep = ", ";
	}
	if (summary->counts[class] > NAMES_MAX)
		str_append(dest, ", ...");
	str_append_c(dest, ')');
}

void users_summary_append(string_t *dest, const struct users_summary *summary)
{
	const char *sep = ": ";
	unsigned int i;

	str_printfa(dest, "%u users", summary->count);
	for (i = 0; i < USERS_CLASS_COUNT; i++) {
		if (summary->counts[i] == 0)
			continue;
		str_printfa(dest, "%s%u %s", sep, summary->counts[i],
			    class_texts[i]);
		if (i != USERS_DONE)
			append_names(dest, summary, i);
		sep = ", ";
	}
}
