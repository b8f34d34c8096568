/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_SOURCE_USER_H
#define IMPORT_SOURCE_USER_H

struct mail_user;
struct mail_storage_service_ctx;
struct mail_storage_service_user;

#define IMPORT_SOURCE_USER_UNKNOWN "-U: User %s doesn't exist"
/* 2.3 ends with an assertion on such a location; 2.4 refuses it itself. */
#define IMPORT_SOURCE_LOCATION_MISSING \
	"The location to import from is missing: " \
	"write format:path, as in maildir:/srv/old/jane"

/* Makes the user whose mail is imported, beside the user that doveadm made from
   service_user, as `doveadm import` does it: one namespace, at the location,
   with the separator of its format. username is -U's, or the first user's
   name. options is a NULL-terminated list of setting=value for the source
   (2.4 only; 2.3 refuses them, as its import does: there they stand in the
   location).

   Returns 0 and *user_r, to be freed with mail_user_deinit(), or -1 (temporary),
   -2 (wrong configuration) or -3 (the userdb does not know username) and *error_r
   (data stack). */
int import_source_user_init(struct mail_storage_service_ctx *storage_service,
			    struct mail_storage_service_user *service_user,
			    const char *username, const char *location,
			    const char *const *options,
			    struct mail_user **user_r, const char **error_r);

/* Asks the userdb for -U's user, beside the user that doveadm made from
   service_user. Stock's import does not look whether it was told that there is
   none (QUIRKS.md, "import-unknown-source-user").

   Returns FALSE if the userdb does not know him; TRUE if it does, or cannot be
   asked: then whoever needs him tells why. */
bool import_source_user_exists(struct mail_storage_service_ctx *storage_service,
			       struct mail_storage_service_user *service_user,
			       const char *username);

/* Both Dovecots take %{variables} in the source's location as they stand on the
   command line (QUIRKS.md, "import-variables"). The next two functions expand
   them, each for one Dovecot; for the other one they do nothing.

   2.3: gives the location to be given to the command instead (data stack),
   before the source's user exists. username is -U's, or NULL for the user
   himself. Returns 0, or -1 and *error_r (data stack). */
int import_source_location_expand(struct mail_user *user, const char *username,
				  const char *location,
				  const char **location_r,
				  const char **error_r);
/* 2.4: expands the location and the options for a source's user who has no
   namespaces yet. Returns 0, or -1 and *error_r (data stack). */
int import_source_user_expand(struct mail_user *user, const char *location,
			      const char *const *options, const char **error_r);

#endif
