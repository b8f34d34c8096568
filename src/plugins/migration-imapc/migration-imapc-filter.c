/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mailboxes that a migration leaves alone: migration_imapc_filter_include and
   _exclude. Neither side's list shows them, so nothing is brought over, and
   nothing is deleted because the other side does not have it. */

#include "lib.h"
#include "mail-reuse.h"
#include "source-filter.h"
#include "migration-imapc-private.h"

struct dest_list {
	union mailbox_list_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(dest_list_module,
				  &mailbox_list_module_register);

#define DEST_LIST_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, dest_list_module)

/* What holds no mail at the source's provider is not known before the source
   is. */
void migration_imapc_filter_init(struct migration_imapc_user *muser)
{
	const struct migration_imapc_settings *set = muser->set;

	source_filter_set(muser->user, set->filter_include,
			  strcmp(set->filter_exclude, "auto") == 0 ? "" :
			  set->filter_exclude);
}

static bool
dest_list_hides(struct mailbox_list *list, const struct mailbox_info *info)
{
	bool hidden;

	T_BEGIN {
		hidden = mail_reuse_hides(list, info->vname) ||
			source_filter_hides_in_dest(list->ns->user, list,
						    info->vname);
	} T_END;
	return hidden;
}

static const struct mailbox_info *
dest_list_iter_next(struct mailbox_list_iterate_context *ctx)
{
	struct dest_list *dlist = DEST_LIST_CONTEXT_REQUIRE(ctx->list);
	const struct mailbox_info *info;

	while ((info = dlist->module_ctx.super.iter_next(ctx)) != NULL &&
	       dest_list_hides(ctx->list, info)) ;
	return info;
}

static int
dest_list_set_subscribed(struct mailbox_list *list, const char *name, bool set)
{
	struct dest_list *dlist = DEST_LIST_CONTEXT_REQUIRE(list);
	const char *reason;

	if (list->ns->user->dsyncing &&
	    source_filter_hides(list->ns->user, list,
				mailbox_list_get_vname(list, name), &reason))
		return 0;
	return dlist->module_ctx.super.set_subscribed(list, name, set);
}

void migration_imapc_filter_dest_list(struct mailbox_list *list)
{
	struct mailbox_list_vfuncs *v = list->vlast;
	struct dest_list *dlist;

	dlist = p_new(list->pool, struct dest_list, 1);
	dlist->module_ctx.super = *v;
	list->vlast = &dlist->module_ctx.super;
	v->iter_next = dest_list_iter_next;
	v->set_subscribed = dest_list_set_subscribed;
	MODULE_CONTEXT_SET(list, dest_list_module, dlist);
}
