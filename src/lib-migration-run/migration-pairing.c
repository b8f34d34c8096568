/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "migration-pairing.h"

static migration_pairing_func *pairing_func;

void migration_pairing_register(migration_pairing_func *func)
{
	i_assert(pairing_func == NULL);
	pairing_func = func;
}

void migration_pairing_unregister(void)
{
	pairing_func = NULL;
}

int migration_pairing_find(struct mail_user *source, struct mail_user *dest,
			   pool_t pool, struct migration_pairing *pairing_r,
			   const char **error_r)
{
	i_zero(pairing_r);
	return pairing_func == NULL ? 0 :
		pairing_func(source, dest, pool, pairing_r, error_r);
}
