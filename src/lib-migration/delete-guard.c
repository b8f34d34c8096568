/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "delete-guard.h"

/* "auto", once a mailbox was completed */
#define AUTO_PERCENT 10

int delete_limit_parse(const char *value, struct delete_limit *limit_r,
		       const char **error_r)
{
	size_t len = strlen(value);

	i_zero(limit_r);
	if (strcmp(value, "auto") == 0) {
		limit_r->kind = DELETE_LIMIT_AUTO;
		return 0;
	}
	if (strcmp(value, "unlimited") == 0) {
		limit_r->kind = DELETE_LIMIT_UNLIMITED;
		return 0;
	}
	limit_r->kind = DELETE_LIMIT_NUMBER;
	if (len > 1 && value[len - 1] == '%') {
		limit_r->kind = DELETE_LIMIT_PERCENT;
		value = t_strndup(value, len - 1);
	}
	if (str_to_uint(value, &limit_r->value) < 0 ||
	    (limit_r->kind == DELETE_LIMIT_PERCENT && limit_r->value > 100)) {
		*error_r = "must be auto, unlimited, a number or "
			"a percentage up to 100%";
		return -1;
	}
	return 0;
}

static unsigned int percent_of(unsigned int mails, unsigned int percent)
{
	return (uint64_t)mails * percent / 100;
}

unsigned int delete_guard_max(const struct delete_limit *limit,
			      const struct delete_question *question)
{
	switch (limit->kind) {
	case DELETE_LIMIT_AUTO:
		return question->completed ?
			percent_of(question->mails, AUTO_PERCENT) : 0;
	case DELETE_LIMIT_NUMBER:
		return limit->value;
	case DELETE_LIMIT_PERCENT:
		return percent_of(question->mails, limit->value);
	case DELETE_LIMIT_UNLIMITED:
		return UINT_MAX;
	}
	i_unreached();
}

bool delete_guard_decide(const struct delete_limit *limit,
			 const struct delete_question *question,
			 const char **reason_r)
{
	unsigned int max = delete_guard_max(limit, question);
	const char *numbers;

	numbers = t_strdup_printf("%u of %u mails", question->wanted,
				  question->mails);
	if (question->wanted <= max) {
		*reason_r = numbers;
		return TRUE;
	}
	*reason_r = t_strdup_printf("%s, and migration_max_deletes allows %u%s",
		numbers, max,
		limit->kind == DELETE_LIMIT_AUTO && !question->completed ?
		" in a mailbox that no run has completed yet" : "");
	return FALSE;
}
