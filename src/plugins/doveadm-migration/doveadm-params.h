/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_PARAMS_H
#define DOVEADM_PARAMS_H

#include "doveadm-cmd.h"
#include "verify-storage.h"

/* The values of a parameter that may be given several times, NULL-terminated:
   an empty list if it was not given. They live as long as the command. */
static inline const char *const *
doveadm_param_words(const struct doveadm_cmd_context *cctx, const char *name)
{
	static const char *const no_words[] = { NULL };
	const char *const *words;

	return doveadm_cmd_param_array(cctx, name, &words) ? words : no_words;
}

/* Which mailboxes: -n, -m and -x, whose values live as long as the command. */
static inline void
doveadm_param_filter(const struct doveadm_cmd_context *cctx,
		     struct verify_filter *filter)
{
	if (!doveadm_cmd_param_array(cctx, "namespace", &filter->namespaces))
		filter->namespaces = NULL;
	filter->masks = doveadm_param_words(cctx, "mailbox-mask");
	filter->excludes = doveadm_param_words(cctx, "exclude");
}

#endif
