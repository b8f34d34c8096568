/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_USER_H
#define MIGRATION_USER_H

struct mail_user;
struct setting_parser_info;

/* TRUE if this process can be a migration, that is, doveadm or one of its
   servers. In imap, pop3, lmtp and other sessions the plugins of the suite do
   nothing at all. */
bool migration_user_is_active(struct mail_user *user);

/* Reads a plugin's settings for the user, from the plugin's mail_user_created
   hook. Returns TRUE and *set_r (freed with migration_settings_free()) if the
   plugin has work to do for this user. Returns FALSE outside of a migration,
   and if a setting is wrong: then user->error names it and doveadm ends with
   that text before anything was read or written. */
bool migration_user_settings_init(struct mail_user *user,
				  const struct setting_parser_info *info,
				  const void **set_r);

/* TRUE if a plugin of the suite works for the user, that is, if this is a
   migration and not merely a dsync. Valid once the user was created. */
bool migration_user_has_plugin(struct mail_user *user);

/* Ends this user's command before it begins: sets user->error, unless an
   earlier error is already there. */
void migration_user_fail(struct mail_user *user, const char *error);

#endif
