/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_CMD_COMPAT_H
#define DOVEADM_CMD_COMPAT_H

/* Mail commands of doveadm, the same way in both Dovecots: options are read
   with doveadm_cmd_param_*() in init. Macros and not functions, because
   doveadm's symbols exist in doveadm only. */

#if DOVECOT_PREREQ(2, 4, 0)

#define DOVEADM_COMPAT_INIT(name, ctx) \
	static void name(struct doveadm_mail_cmd_context *ctx)
#define doveadm_compat_accept_options(ctx) \
	((void)(ctx))
#define doveadm_compat_set_first_arg(ctx, arg) \
	((void)(ctx), (void)(arg))

#else

#define DOVEADM_COMPAT_INIT(name, ctx) \
	static void name(struct doveadm_mail_cmd_context *ctx, \
			 const char *const args[] ATTR_UNUSED)
/* 2.3 refuses an option that has no letter, and any option of a command that
   has no parse_arg ("invalid parameter"), though it keeps the value where 2.4
   keeps it too. */
static inline bool
doveadm_compat_parse_arg(struct doveadm_mail_cmd_context *ctx ATTR_UNUSED,
			 int c ATTR_UNUSED)
{
	return TRUE;
}
#define doveadm_compat_accept_options(ctx) \
	((ctx)->v.parse_arg = doveadm_compat_parse_arg)
/* Makes a command that has search arguments read its words anew, with another
   first one. 2.4's commands do not read words. */
#define doveadm_compat_set_first_arg(ctx, arg) \
STMT_START { \
	unsigned int _count = str_array_length((ctx)->args); \
	const char **_args = t_new(const char *, _count + 1); \
	memcpy(_args, (ctx)->args, _count * sizeof(*_args)); \
	_args[0] = (arg); \
	mail_search_args_unref(&(ctx)->search_args); \
	(ctx)->v.init((ctx), _args); \
} STMT_END

#endif

#endif
