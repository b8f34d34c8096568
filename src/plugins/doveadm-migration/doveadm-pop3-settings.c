/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-storage.h"
#include "settings-loader.h"
#include "migration-pop3-settings.h"
#include "verify-storage.h"
#include "doveadm-pop3-settings.h"

int doveadm_pop3_settings_get(struct mail_user *user, pool_t pool,
			      struct doveadm_pop3_settings *set_r,
			      struct verify_error *error_r)
{
	const struct migration_pop3_settings *set;
	const void *_set;

	if (migration_settings_get(user, &migration_pop3_setting_parser_info,
				   &_set, &error_r->text) < 0) {
		error_r->error = MAIL_ERROR_PARAMS;
		return -1;
	}
	set = _set;
	set_r->mailbox = p_strdup(pool, set->mailbox);
	set_r->all_mailboxes = set->all_mailboxes;
	set_r->ignore_extra_uidls = set->ignore_extra_uidls;
	migration_pop3_settings_limits(set, &set_r->limits);
	migration_settings_free(set);
	return 0;
}
