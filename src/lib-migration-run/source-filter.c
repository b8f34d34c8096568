/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-namespace.h"
#include "mailbox-list-private.h"
#include "compat-imapc.h"
#include "mailbox-filter.h"
#include "migration-run.h"
#include "source-filter.h"

void source_filter_set(struct mail_user *user, const char *include,
		       const char *exclude)
{
	struct migration_run *run = migration_run_find(user);

	run->filter.include = p_strdup(run->pool, include);
	run->filter.exclude = p_strdup(run->pool, exclude);
	if (run->dest_filter.include == NULL)
		run->dest_filter = run->filter;
}

static bool
filter_hides(const struct mailbox_filter *filter, struct mailbox_list *list,
	     const char *vname, const char **reason_r)
{
	struct mail_namespace *ns = list->ns;

	if (ns->prefix_len > 0 &&
	    strncmp(vname, ns->prefix, ns->prefix_len) == 0)
		vname += ns->prefix_len;
	return mailbox_filter_hides(filter, compat_imapc_list_unescape(list, vname),
				    mail_namespace_get_sep(ns), reason_r);
}

bool source_filter_hides(struct mail_user *user, struct mailbox_list *list,
			 const char *vname, const char **reason_r)
{
	const struct migration_run *run = migration_run_find(user);

	return run->begun && run->filter.include != NULL &&
		filter_hides(&run->filter, list, vname, reason_r);
}

bool source_filter_hides_in_dest(struct mail_user *user,
				 struct mailbox_list *list, const char *vname)
{
	const struct migration_run *run = migration_run_find(user);
	const char *reason;

	return run->begun && run->dest_filter.include != NULL &&
		filter_hides(&run->dest_filter, list, vname, &reason);
}
