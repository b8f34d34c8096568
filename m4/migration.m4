dnl MIGRATION_WERROR: --enable-werror makes a warning in our files an error.
dnl It acts on AM_CFLAGS, so that configure's own tests are not affected.
AC_DEFUN([MIGRATION_WERROR], [
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [treat warnings as errors])],
    [], [enable_werror=no])
  WERROR_CFLAGS=
  AS_IF([test "x$enable_werror" = xyes], [WERROR_CFLAGS=-Werror])
  AC_SUBST([WERROR_CFLAGS])
])

dnl MIGRATION_DOVECOT_VERSION: the settings module exists only from 2.4 on.
AC_DEFUN([MIGRATION_DOVECOT_VERSION], [
  AC_CACHE_CHECK([whether Dovecot is 2.4 or later], [migration_cv_dovecot_24], [
    migration_save_CPPFLAGS="$CPPFLAGS"
    CPPFLAGS="$CPPFLAGS -DHAVE_CONFIG_H $LIBDOVECOT_INCLUDE"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
#include "lib.h"
#if !DOVECOT_PREREQ(2, 4, 0)
#  error older
#endif
]])], [migration_cv_dovecot_24=yes], [migration_cv_dovecot_24=no])
    CPPFLAGS="$migration_save_CPPFLAGS"
  ])
  AM_CONDITIONAL([DOVECOT_24], [test "x$migration_cv_dovecot_24" = xyes])
])
