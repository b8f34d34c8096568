/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "migration-elsewhere.h"

static migration_elsewhere_func *elsewhere_func;

void migration_elsewhere_register(migration_elsewhere_func *func)
{
	i_assert(elsewhere_func == NULL);
	elsewhere_func = func;
}

void migration_elsewhere_unregister(void)
{
	elsewhere_func = NULL;
}

unsigned int migration_elsewhere_count(struct mailbox *box,
				       const ARRAY_TYPE(seq_range) *uids)
{
	return elsewhere_func == NULL ? 0 : elsewhere_func(box, uids);
}
