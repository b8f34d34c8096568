/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SETTINGS_LOADER_H
#define SETTINGS_LOADER_H

#include "settings-parser.h"

struct mail_user;

/* One settings table serves both Dovecots: 2.3 reads the names from the
   plugin { } section, 2.4 from the top level (and from filters).

   A settings struct begins with `pool_t pool`. Its file also goes into the
   settings module of 2.4, so it may use symbols of libdovecot only. */
#define MIGRATION_SETTING(type, name, field, struct_name) \
	SETTING_DEFINE_STRUCT_##type(name, field, struct_name)

/* A block of this name that may hold settings of Dovecot's own: 2.4 only. */
#if DOVECOT_PREREQ(2, 4, 0)
#  define MIGRATION_SETTING_BLOCK(name) \
	{ .type = SET_FILTER_NAME, .key = (name) },
#  define migration_setting_is_block(def) ((def)->type == SET_FILTER_NAME)
#else
#  define MIGRATION_SETTING_BLOCK(name)
#  define migration_setting_is_block(def) FALSE
#endif

#if DOVECOT_PREREQ(2, 4, 0)
#  define MIGRATION_SETTINGS_INFO(_name, _struct, _defines, _defaults, _check) \
	{ .name = (_name), .defines = (_defines), .defaults = (_defaults), \
	  .struct_size = sizeof(_struct), \
	  .pool_offset1 = 1 + offsetof(_struct, pool), .check_func = (_check) }
#else
#  define MIGRATION_SETTINGS_INFO(_name, _struct, _defines, _defaults, _check) \
	{ .module_name = (_name), .defines = (_defines), \
	  .defaults = (_defaults), .type_offset = SIZE_MAX, \
	  .struct_size = sizeof(_struct), .parent_offset = SIZE_MAX, \
	  .check_func = (_check) }
#endif

/* TRUE while 2.4's config process checks a value that has %{variables}, which
   are not known yet: a check_func can't judge it then. 2.3 checks when all are
   known. */
#if DOVECOT_PREREQ(2, 4, 0)
#  define migration_setting_is_unknown(value) ((value) == set_value_unknown)
#else
#  define migration_setting_is_unknown(value) FALSE
#endif

/* Reads the settings of one table for the user.
   Returns 0 and *set_r, to be given back with migration_settings_free(), or
   -1 and *error_r (data stack), which names the setting that is wrong. */
int migration_settings_get(struct mail_user *user,
			   const struct setting_parser_info *info,
			   const void **set_r, const char **error_r);

/* Frees what migration_settings_get() returned; NULL is ignored. Forgetting
   this makes 2.4 crash at exit. */
void migration_settings_free(const void *set);

/* For programs that have no configuration, such as tests: makes the table's
   defaults known. */
void migration_settings_register(const struct setting_parser_info *info);

#endif
