/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-namespace.h"
#include "mail-storage-service.h"
#include "mail-user.h"
#include "import-source-user.h"
#include "second-user.h"

#include <unistd.h>

#define IMPORT_SOURCE_USER_FLAGS \
	(MAIL_STORAGE_SERVICE_FLAG_NO_NAMESPACES | \
	 MAIL_STORAGE_SERVICE_FLAG_NO_RESTRICT_ACCESS)

#if DOVECOT_PREREQ(2, 4, 0)

#include "settings.h"
#include "str.h"
#include "var-expand.h"
#include "mail-storage-settings.h"

/* in front of a setting */
#define ANY_NAMESPACE "*/"

static int
expand_override(struct mail_user *user, struct settings_instance *instance,
		const char *key, const char *value, const char **error_r)
{
	string_t *expanded = t_str_new(128);

	if (strchr(value, '%') == NULL)
		return 0;
	if (var_expand(expanded, value, mail_user_var_expand_params(user),
		       error_r) < 0) {
		*error_r = t_strdup_printf("%s=%s: %s", key, value, *error_r);
		return -1;
	}
	settings_override(instance, t_strconcat(ANY_NAMESPACE, key, NULL),
			  str_c(expanded),
			  SETTINGS_OVERRIDE_TYPE_2ND_CLI_PARAM);
	return 0;
}

int import_source_location_expand(struct mail_user *user ATTR_UNUSED,
				  const char *username ATTR_UNUSED,
				  const char *location,
				  const char **location_r,
				  const char **error_r ATTR_UNUSED)
{
	*location_r = location;
	return 0;
}

int import_source_user_expand(struct mail_user *user, const char *location,
			      const char *const *options, const char **error_r)
{
	struct settings_instance *instance =
		mail_storage_service_user_get_settings_instance(
			user->service_user);
	const char *path = strchr(location, ':');
	const char *key, *value;

	if (path != NULL && expand_override(user, instance, "mail_path",
					    path + 1, error_r) < 0)
		return -1;
	for (; *options != NULL; options++) {
		t_split_key_value_eq(*options, &key, &value);
		if (expand_override(user, instance, key, value, error_r) < 0)
			return -1;
	}
	return 0;
}

static int
source_user_create(struct mail_storage_service_ctx *storage_service,
		   struct mail_storage_service_input *input,
		   const char *location, const char *const *options,
		   struct mail_user **user_r, const char **error_r)
{
	struct mail_storage_service_user *service_user;
	struct settings_instance *instance;
	int ret;

	ret = mail_storage_service_lookup(storage_service, input,
					  &service_user, error_r);
	if (ret <= 0)
		return ret == 0 ? -3 : -1;
	instance = mail_storage_service_user_get_settings_instance(service_user);
	if (second_user_override_settings(instance, ANY_NAMESPACE, location,
					  options, error_r) < 0) {
		mail_storage_service_user_unref(&service_user);
		return -2;
	}

	ret = mail_storage_service_next(storage_service, service_user, user_r,
					error_r);
	if (ret == 0)
		mail_storage_service_io_deactivate_user(service_user);
	if (ret == 0 &&
	    (import_source_user_expand(*user_r, location, options,
				       error_r) < 0 ||
	     mail_namespaces_init_location(*user_r, (*user_r)->event,
					   error_r) < 0)) {
		*error_r = t_strdup(*error_r);
		mail_user_deinit(user_r);
		ret = -2;
	}
	mail_storage_service_user_unref(&service_user);
	return ret;
}

#else

#include "str.h"
#include "var-expand.h"

/* What is known of -U's user before he is looked up. */
static const struct var_expand_table *get_name_table(const char *username)
{
	const struct var_expand_table table[] = {
		{ 'u', username, "user" },
		{ 'n', t_strcut(username, '@'), "username" },
		{ 'd', i_strchr_to_next(username, '@'), "domain" },
		{ '\0', NULL, NULL }
	};
	struct var_expand_table *copy = t_new(struct var_expand_table,
					      N_ELEMENTS(table));

	memcpy(copy, table, sizeof(table));
	return copy;
}

int import_source_location_expand(struct mail_user *user, const char *username,
				  const char *location,
				  const char **location_r,
				  const char **error_r)
{
	string_t *expanded = t_str_new(128);

	if (var_expand(expanded, location, username != NULL ?
		       get_name_table(username) :
		       mail_user_var_expand_table(user), error_r) < 0)
		return -1;
	*location_r = str_c(expanded);
	return 0;
}

int import_source_user_expand(struct mail_user *user ATTR_UNUSED,
			      const char *location ATTR_UNUSED,
			      const char *const *options ATTR_UNUSED,
			      const char **error_r ATTR_UNUSED)
{
	return 0;
}

static int
source_user_create(struct mail_storage_service_ctx *storage_service,
		   struct mail_storage_service_input *input,
		   const char *location, const char *const *options,
		   struct mail_user **user_r, const char **error_r)
{
	struct mail_storage_service_user *service_user;
	int ret;

	if (*options != NULL) {
		*error_r = t_strdup_printf("%s: on Dovecot 2.3 the source's "
			"settings stand in its location", *options);
		return -2;
	}
	if (*location == '\0') {
		*error_r = IMPORT_SOURCE_LOCATION_MISSING;
		return -2;
	}
	/* the caller has expanded the location */
	input->module = "mail";
	ret = mail_storage_service_lookup_next(storage_service, input,
					       &service_user, user_r, error_r);
	if (ret <= 0)
		return ret == 0 ? -3 : ret;
	ret = 0;
	mail_storage_service_io_deactivate_user(service_user);
	if (mail_namespaces_init_location(*user_r, location, error_r) < 0) {
		*error_r = t_strdup(*error_r);
		mail_user_deinit(user_r);
		ret = -2;
	}
	mail_storage_service_user_unref(&service_user);
	return ret;
}

#endif

/* Returns what source_lookup_end() wants back. */
static uid_t
source_lookup_begin(struct mail_storage_service_user *service_user,
		    const char *username,
		    struct mail_storage_service_input *input_r)
{
	i_zero(input_r);
	input_r->username = username;
	input_r->flags_override_add = IMPORT_SOURCE_USER_FLAGS;
	mail_storage_service_io_deactivate_user(service_user);
	return geteuid();
}

static void
source_lookup_end(struct mail_storage_service_user *service_user, uid_t euid)
{
	mail_storage_service_io_activate_user(service_user);
	/* import-as-root: 2.3 looks the user up as root and remains it */
	if (geteuid() != euid && seteuid(euid) < 0)
		i_fatal("seteuid(%s) failed: %m", dec2str(euid));
}

int import_source_user_init(struct mail_storage_service_ctx *storage_service,
			    struct mail_storage_service_user *service_user,
			    const char *username, const char *location,
			    const char *const *options,
			    struct mail_user **user_r, const char **error_r)
{
	struct mail_storage_service_input input;
	uid_t euid;
	int ret;

	euid = source_lookup_begin(service_user, username, &input);
	ret = source_user_create(storage_service, &input, location, options,
				 user_r, error_r);
	source_lookup_end(service_user, euid);
	if (ret == -3) {
		*error_r = t_strdup_printf(IMPORT_SOURCE_USER_UNKNOWN,
					   username);
	}
	return ret;
}

/* quirk: import-unknown-source-user */
bool import_source_user_exists(struct mail_storage_service_ctx *storage_service,
			       struct mail_storage_service_user *service_user,
			       const char *username)
{
	struct mail_storage_service_input input;
	struct mail_storage_service_user *source;
	const char *error;
	uid_t euid;
	int ret;

	euid = source_lookup_begin(service_user, username, &input);
	ret = mail_storage_service_lookup(storage_service, &input, &source,
					  &error);
	if (ret > 0)
		mail_storage_service_user_unref(&source);
	source_lookup_end(service_user, euid);
	return ret != 0;
}
