/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "source-select.h"

static migration_source_select_t *select_callback = NULL;
static migration_source_compare_t *compare_callback = NULL;

void migration_source_select_set(migration_source_select_t *callback)
{
	select_callback = callback;
}

int migration_source_select(struct mailbox *box, const char *reason)
{
	return select_callback == NULL ? 0 : select_callback(box, reason);
}

void migration_source_compare_set(migration_source_compare_t *callback)
{
	compare_callback = callback;
}

bool migration_source_compare(struct mailbox *box,
			      const ARRAY_TYPE(seq_range) *uids,
			      const char *const *headers)
{
	return compare_callback != NULL && compare_callback(box, uids, headers);
}
