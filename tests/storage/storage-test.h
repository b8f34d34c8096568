/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef STORAGE_TEST_H
#define STORAGE_TEST_H

#include "lib.h"
#include "master-service.h"
#include "test-common.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* What main() of a test that works on mail storages does: runs tests as the
   master service `service` and returns the exit code. Storages are made below
   a folder of its own ("." and the service's name, in the folder where the
   test is started), so that "make -j check" may run several tests at once. */
static inline int
storage_test_main(const char *service, void (*const tests[])(void),
		  int argc, char **argv)
{
	const enum master_service_flags flags =
		MASTER_SERVICE_FLAG_STANDALONE |
		MASTER_SERVICE_FLAG_NO_CONFIG_SETTINGS |
		MASTER_SERVICE_FLAG_NO_SSL_INIT |
		MASTER_SERVICE_FLAG_NO_INIT_DATASTACK_FRAME;
	int ret;

	master_service = master_service_init(service, flags, &argc, &argv, "");
	master_service_init_finish(master_service);
	T_BEGIN {
		const char *folder = t_strconcat(".home-", service, NULL);

		if ((mkdir(folder, 0700) < 0 && errno != EEXIST) ||
		    chdir(folder) < 0)
			i_fatal("Cannot use folder %s: %m", folder);
	} T_END;
	ret = test_run(tests);
	master_service_deinit(&master_service);
	return ret;
}

#endif
