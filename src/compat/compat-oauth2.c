/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-user.h"
#include "mail-storage-service.h"
#include "mail-storage-settings.h"
#include "dsasl-client-private.h"
#include "imapc-client-private.h"
#include "imapc-settings.h"
#include "pop3c-settings.h"
#include "compat-oauth2.h"

#define OAUTH2_PASSWORD_PLACEHOLDER "unused"

static int check_rawlog_dir(const struct imapc_settings *set,
			    const char **error_r)
{
	if (set->imapc_rawlog_dir[0] == '\0')
		return 0;
	*error_r = t_strdup_printf("imapc_rawlog_dir=%s would write the OAuth2 "
		"tokens to files: leave it out", set->imapc_rawlog_dir);
	return -1;
}

#if DOVECOT_PREREQ(2, 4, 0)

#include "settings.h"

int compat_oauth2_user_prepare(struct mail_user *user, const char **error_r)
{
	struct settings_instance *instance =
		mail_storage_service_user_get_settings_instance(
			user->service_user);
	const struct imapc_settings *imapc_set;
	bool no_mechanisms;
	int ret;

	if (settings_get(user->event, &imapc_setting_parser_info, 0,
			 &imapc_set, error_r) < 0)
		return -1;
	no_mechanisms = array_is_empty(&imapc_set->imapc_sasl_mechanisms);
	ret = check_rawlog_dir(imapc_set, error_r);
	settings_free(imapc_set);
	if (ret < 0)
		return -1;

	settings_override(instance, "imapc_password",
			  OAUTH2_PASSWORD_PLACEHOLDER,
			  SETTINGS_OVERRIDE_TYPE_CODE);
	settings_override(instance, "*/pop3c_password",
			  OAUTH2_PASSWORD_PLACEHOLDER,
			  SETTINGS_OVERRIDE_TYPE_CODE);
	if (no_mechanisms) {
		settings_override(instance, "imapc_sasl_mechanisms",
				  "xoauth2 oauthbearer",
				  SETTINGS_OVERRIDE_TYPE_CODE);
	}
	return 0;
}

void compat_oauth2_client_set_password(struct imapc_client *client,
				       const char *password)
{
	client->password = p_strdup(client->pool, password);
}

void compat_oauth2_mech_init(struct dsasl_client_mech *mech)
{
	mech->flags |= DSASL_MECH_SEC_NO_PASSWORD;
}

#else

int compat_oauth2_user_prepare(struct mail_user *user, const char **error_r)
{
	/* these settings were expanded for this user and belong to it */
	struct imapc_settings *imapc_set = (struct imapc_settings *)
		mail_user_set_get_driver_settings(user->set_info, user->set,
						  "imapc");
	struct pop3c_settings *pop3c_set = (struct pop3c_settings *)
		mail_user_set_get_driver_settings(user->set_info, user->set,
						  "pop3c");

	if (imapc_set != NULL) {
		if (check_rawlog_dir(imapc_set, error_r) < 0)
			return -1;
		if (imapc_set->imapc_password[0] == '\0')
			imapc_set->imapc_password = OAUTH2_PASSWORD_PLACEHOLDER;
		if (imapc_set->imapc_sasl_mechanisms[0] == '\0')
			imapc_set->imapc_sasl_mechanisms = "xoauth2 oauthbearer";
	}
	if (pop3c_set != NULL && pop3c_set->pop3c_password[0] == '\0')
		pop3c_set->pop3c_password = OAUTH2_PASSWORD_PLACEHOLDER;
	return 0;
}

void compat_oauth2_client_set_password(struct imapc_client *client,
				       const char *password)
{
	client->set.password = p_strdup(client->pool, password);
}

void compat_oauth2_mech_init(struct dsasl_client_mech *mech ATTR_UNUSED)
{
}

#endif
