/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-user.h"
#include "compat-oauth2.h"
#include "oauth2-token.h"
#include "migration-user.h"
#include "oauth2-user.h"

void migration_oauth2_user_prepare(struct mail_user *user)
{
	struct migration_oauth2_source *source;
	const char *error;
	int ret;

	ret = migration_oauth2_source_init(user, &source, &error);
	if (ret > 0) {
		migration_oauth2_source_deinit(&source);
		ret = compat_oauth2_user_prepare(user, &error);
	}
	if (ret < 0)
		migration_user_fail(user, error);
}
