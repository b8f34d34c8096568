/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "mailbox-list-iter.h"
#include "import-name.h"
#include "migration-run.h"
#include "import-names.h"

/* Returns the names of the user's mailboxes (of his pool). */
static const char *const *
read_vnames(struct mail_user *source_user)
{
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	ARRAY_TYPE(const_string) vnames;
	const char *vname;

	p_array_init(&vnames, source_user->pool, 64);
	iter = mailbox_list_iter_init_namespaces(source_user->namespaces,
		t_strsplit("*", " "), MAIL_NAMESPACE_TYPE_MASK_ALL,
		MAILBOX_LIST_ITER_NO_AUTO_BOXES |
		MAILBOX_LIST_ITER_RETURN_NO_FLAGS);
	while ((info = mailbox_list_iter_next(iter)) != NULL) {
		vname = p_strdup(source_user->pool, info->vname);
		array_push_back(&vnames, &vname);
	}
	if (mailbox_list_iter_deinit(&iter) < 0) {
		/* as stock does it with two that want one name */
		e_error(source_user->event, "Import: can't list the source's "
			"mailboxes, so mailboxes whose names become one are "
			"not kept apart");
	}
	array_append_zero(&vnames);
	return array_front(&vnames);
}

static void
rename_box(struct mailbox *box, const struct mailbox *source_box,
	   const char *vname, const char *rival)
{
	migration_run_finding(migration_run_find(box->storage->user),
		MIGRATION_SEVERITY_WARNING, vname, 0, FINDING_NAMES_COLLIDE,
		"The source's mailbox %s would have the same name as %s, "
		"because the separators differ: it is imported into this one",
		source_box->vname, rival);
	box->vname = p_strdup(box->pool, vname);
	box->name = p_strdup(box->pool,
			     mailbox_list_get_storage_name(box->list, vname));
	event_add_str(box->event, "mailbox", vname);
}

static char box_sep(const struct mailbox *box)
{
	return mail_namespace_get_sep(mailbox_get_namespace(box));
}

const char *import_names_get_parent(struct mailbox *box,
				    const struct mailbox *source_box)
{
	const char *vname;
	size_t parent_len;

	if ((box->flags & MAILBOX_FLAG_SAVEONLY) == 0 ||
	    box->storage->user == source_box->storage->user)
		return NULL;
	vname = import_name_convert(source_box->vname, box_sep(source_box),
				    box_sep(box));
	if (strlen(vname) > strlen(box->vname))
		return NULL;
	parent_len = strlen(box->vname) - strlen(vname);
	return strcmp(box->vname + parent_len, vname) != 0 ? NULL :
		p_strndup(box->pool, box->vname, parent_len);
}

void import_names_keep_apart(struct mailbox *box,
			     const struct mailbox *source_box,
			     const char *parent, const char *const **vnames)
{
	const char *name, *rival;

	if (box_sep(source_box) == box_sep(box))
		return;
	if (*vnames == NULL)
		*vnames = read_vnames(source_box->storage->user);
	name = import_name_decide(source_box->vname, *vnames,
				  box_sep(source_box), box_sep(box), &rival);
	if (rival != NULL) {
		rename_box(box, source_box, t_strconcat(parent, name, NULL),
			   rival);
	}
}
