/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "module-loader.h"

struct module *
migration_module_load(struct module *modules, const char *dir,
		      const char *name)
{
	const struct module_dir_load_settings set = {
		.abi_version = DOVECOT_ABI_VERSION,
		.require_init_funcs = TRUE,
	};
#if DOVECOT_PREREQ(2, 4, 0)
	const char *const names[] = { name, NULL };
#else
	const char *names = name;
#endif

	return module_dir_load_missing(modules, dir, names, &set);
}
