/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "migration-folders.h"

static migration_folders_func *folders_func;

void migration_folders_register(migration_folders_func *func)
{
	i_assert(folders_func == NULL);
	folders_func = func;
}

void migration_folders_unregister(void)
{
	folders_func = NULL;
}

bool migration_folders_get(struct mail *mail,
			   struct migration_folders *folders_r)
{
	return folders_func != NULL && folders_func(mail, folders_r);
}
