/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SECOND_USER_H
#define SECOND_USER_H

struct mail_user;
struct mail_namespace;
struct mail_storage_service_ctx;
struct mail_storage_service_user;

/* Makes a second user, whose mail lies at the given location, beside the user
   that doveadm made from service_user: the same name, the same namespaces, as
   dsync does it. options is a NULL-terminated list of setting=value for the
   second user only.

   On 2.3 the imapc features delay-login and rfc822.size are added if they are
   not there: without the first a wrong password aborts the process, without
   the second a mail's size costs its text.

   Returns 0 and *user_r, to be freed with mail_user_deinit(), or -1 (temporary)
   or -2 (wrong configuration) and *error_r (data stack). */
int second_user_init(struct mail_storage_service_ctx *storage_service,
		     struct mail_storage_service_user *service_user,
		     const char *location, const char *const *options,
		     struct mail_user **user_r, const char **error_r);

#if DOVECOT_PREREQ(2, 4, 0)
struct settings_instance;

/* Gives settings to a user who is being made: the location and the options as for
   second_user_init(). filter is what they apply to: "" or, for any namespace,
   "*" and a slash. Returns 0, or -1 and *error_r (data stack) if the location is none. */
int second_user_override_settings(struct settings_instance *instance,
				  const char *filter, const char *location,
				  const char *const *options,
				  const char **error_r);
#endif

/* To be called when a command's run() has ended. If a second user could not be
   made (quirk second-user-panic: stock has it too), the first user's context (log prefix,
   events) was left deactivated, and doveadm 2.3 panics when it wants to end the
   command: "event_pop_global: assertion failed". */
void second_user_restore_context(struct mail_storage_service_user *service_user);

/* TRUE if dsync, without -n, syncs this namespace. */
bool second_user_want_namespace(const struct mail_namespace *ns);

#endif
