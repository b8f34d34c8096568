/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "ioloop.h"
#include "mail-namespace.h"
#include "mail-storage-service.h"
#include "mail-storage-settings.h"
#include "mail-user.h"
#include "settings-parser.h"
#include "second-user.h"

#if DOVECOT_PREREQ(2, 4, 0)

#include "settings.h"

int second_user_override_settings(struct settings_instance *instance,
				  const char *filter, const char *location,
				  const char *const *options,
				  const char **error_r)
{
	const char *path = strchr(location, ':'), *key, *value;

	if (path == NULL || strchr(path + 1, ':') != NULL) {
		*error_r = t_strdup_printf("Location (%s) must be in "
			"mail_driver:mail_path syntax", location);
		return -1;
	}
	mail_storage_2nd_settings_reset(instance, filter);
	for (; *options != NULL; options++) {
		t_split_key_value_eq(*options, &key, &value);
		settings_override(instance, t_strconcat(filter, key, NULL),
				  value, SETTINGS_OVERRIDE_TYPE_2ND_CLI_PARAM);
	}
	settings_override(instance, t_strconcat(filter, "mail_driver", NULL),
			  t_strdup_until(location, path),
			  SETTINGS_OVERRIDE_TYPE_2ND_CLI_PARAM);
	settings_override(instance, t_strconcat(filter, "mail_path", NULL),
			  path + 1, SETTINGS_OVERRIDE_TYPE_2ND_CLI_PARAM);
	return 0;
}

int second_user_init(struct mail_storage_service_ctx *storage_service,
		     struct mail_storage_service_user *service_user,
		     const char *location, const char *const *options,
		     struct mail_user **user_r, const char **error_r)
{
	struct mail_storage_service_user *service_user2;
	struct settings_instance *instance;
	int ret;

	/* duplicated, so that the first user's settings stay */
	service_user2 = mail_storage_service_user_dup(service_user);
	instance = mail_storage_service_user_get_settings_instance(service_user2);
	if (second_user_override_settings(instance, "", location, options,
					  error_r) < 0) {
		mail_storage_service_user_unref(&service_user2);
		return -2;
	}

	ret = mail_storage_service_next(storage_service, service_user2, user_r,
					error_r);
	mail_storage_service_user_unref(&service_user2);
	return ret;
}

void second_user_restore_context(struct mail_storage_service_user *service_user
				 ATTR_UNUSED)
{
	/* 2.4 makes its second user of a copy */
}

bool second_user_want_namespace(const struct mail_namespace *ns)
{
	return ns->alias_for == NULL &&
		(ns->flags & NAMESPACE_FLAG_INBOX_USER) != 0;
}

#else

static const char *const needed_imapc_features[] = {
	"delay-login", "rfc822.size", NULL
};

static int
set_imapc_features(struct setting_parser_context *parser, const char **error_r)
{
	const char *const *feature, *features;
	const char *const *valuep;
	enum setting_type type;

	valuep = settings_parse_get_value(parser, "imapc_features", &type);
	if (valuep == NULL)
		return 0;
	features = *valuep;
	/* a value that may hold %variables begins with a mark, which
	   settings_parse_keyvalue() puts there itself */
	if (type == SET_STR_VARS && features[0] != '\0')
		features++;
	for (feature = needed_imapc_features; *feature != NULL; feature++) {
		if (!str_array_icase_find(t_strsplit_spaces(features, " ,"),
					  *feature))
			features = t_strconcat(features, " ", *feature, NULL);
	}
	if (settings_parse_keyvalue(parser, "imapc_features", features) < 0) {
		*error_r = t_strdup_printf("imapc_features: %s",
					   settings_parser_get_error(parser));
		return -1;
	}
	return 0;
}

static int
set_options(struct setting_parser_context *parser, const char *const *options,
	    const char **error_r)
{
	const char *key, *value;
	int ret;

	for (; *options != NULL; options++) {
		value = strchr(*options, '=');
		key = t_strcut(*options, '=');
		value = value == NULL ? "yes" : value + 1;
		ret = settings_parse_keyvalue(parser, key, value);
		if (ret == 0) {
			*error_r = t_strdup_printf("Unknown setting: %s", key);
			return -1;
		}
		if (ret < 0) {
			*error_r = t_strdup_printf("%s: %s", key,
				settings_parser_get_error(parser));
			return -1;
		}
	}
	return 0;
}

int second_user_init(struct mail_storage_service_ctx *storage_service,
		     struct mail_storage_service_user *service_user,
		     const char *location, const char *const *options,
		     struct mail_user **user_r, const char **error_r)
{
	struct setting_parser_context *parser;

	/* the first user has read its own values already */
	parser = mail_storage_service_user_get_settings_parser(service_user);
	if (set_options(parser, options, error_r) < 0 ||
	    set_imapc_features(parser, error_r) < 0)
		return -2;
	if (settings_parse_keyvalue(parser, "mail_location", location) < 0) {
		*error_r = t_strdup_printf("mail_location=%s: %s", location,
					   settings_parser_get_error(parser));
		return -2;
	}
	return mail_storage_service_next(storage_service, service_user, user_r,
					 error_r);
}

void second_user_restore_context(struct mail_storage_service_user *service_user)
{
	if (io_loop_get_current_context(current_ioloop) == NULL)
		mail_storage_service_io_activate_user(service_user);
}

bool second_user_want_namespace(const struct mail_namespace *ns)
{
	return ns->alias_for == NULL &&
		strcmp(ns->unexpanded_set->location,
		       SETTING_STRVAR_UNEXPANDED) == 0;
}

#endif
