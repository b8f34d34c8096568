/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MODULE_LOADER_H
#define MODULE_LOADER_H

#include "module-dir.h"

/* Loads one module of the directory, for programs that are no Dovecot service,
   such as tests. Returns the list with it; a module that cannot be loaded or
   has another ABI ends the program. */
struct module *
migration_module_load(struct module *modules, const char *dir,
		      const char *name);

#endif
