/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "mailbox-list-iter.h"
#include "import-lookup.h"
#include "import-local.h"

/* Mailbox objects keep the user alive, so there is none while nothing is being
   read. */
struct import_local_box {
	struct mailbox_list *list;
	char *vname;
	struct mailbox *box;
	/* NULL: not read yet, or to be read again */
	struct import_lookup *lookup;
	/* there is nothing to be read */
	bool unusable;
};

struct import_local {
	struct mail_user *user;
	ARRAY(struct import_local_box) boxes;
	bool listed;
};

static void import_local_box_open(struct import_local_box *lbox)
{
	if (lbox->box == NULL) {
		lbox->box = mailbox_alloc(lbox->list, lbox->vname,
					  MAILBOX_FLAG_READONLY |
					  MAILBOX_FLAG_IGNORE_ACLS);
	}
	if (lbox->lookup != NULL)
		import_lookup_set_box(lbox->lookup, lbox->box);
}

/* Gives back locks and files: an account can have thousands of mailboxes. */
static void import_local_box_close(struct import_local_box *lbox)
{
	if (lbox->box == NULL)
		return;
	if (lbox->lookup != NULL) {
		(void)import_lookup_end_reading(lbox->lookup);
		import_lookup_set_box(lbox->lookup, NULL);
	}
	mailbox_free(&lbox->box);
}

static void import_local_box_forget(struct import_local_box *lbox)
{
	if (lbox->lookup != NULL)
		import_lookup_deinit(&lbox->lookup);
	import_local_box_close(lbox);
}

struct import_local *import_local_init(struct mail_user *user)
{
	struct import_local *local = i_new(struct import_local, 1);

	local->user = user;
	i_array_init(&local->boxes, 64);
	return local;
}

void import_local_deinit(struct import_local **_local)
{
	struct import_local *local = *_local;
	struct import_local_box *lbox;

	*_local = NULL;
	array_foreach_modifiable(&local->boxes, lbox) {
		import_local_box_forget(lbox);
		i_free(lbox->vname);
	}
	array_free(&local->boxes);
	i_free(local);
}

static struct import_local_box *
import_local_lookup(struct import_local *local, const char *vname)
{
	struct import_local_box *lbox;

	array_foreach_modifiable(&local->boxes, lbox) {
		if (strcmp(lbox->vname, vname) == 0)
			return lbox;
	}
	return NULL;
}

static void
import_local_add(struct import_local *local, struct mailbox_list *list,
		 const char *vname)
{
	struct import_local_box *lbox;

	if (import_local_lookup(local, vname) != NULL)
		return;
	lbox = array_append_space(&local->boxes);
	lbox->list = list;
	lbox->vname = i_strdup(vname);
}

static void
import_local_list_namespace(struct import_local *local,
			    struct mail_namespace *ns)
{
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;

	iter = mailbox_list_iter_init(ns->list, "*",
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_NO_AUTO_BOXES);
	while ((info = mailbox_list_iter_next(iter)) != NULL) {
		if ((info->flags & (MAILBOX_NOSELECT |
				    MAILBOX_NONEXISTENT)) == 0)
			import_local_add(local, ns->list, info->vname);
	}
	if (mailbox_list_iter_deinit(&iter) < 0) {
		e_debug(local->user->event, "Import: mailboxes of namespace "
			"\"%s\" can't be listed, no mail is copied from them: "
			"%s", ns->prefix,
			mailbox_list_get_last_internal_error(ns->list, NULL));
	}
}

static void import_local_list(struct import_local *local)
{
	struct mail_namespace *ns;

	if (local->listed)
		return;
	local->listed = TRUE;
	for (ns = local->user->namespaces; ns != NULL; ns = ns->next) {
		if (ns->type == MAIL_NAMESPACE_TYPE_PRIVATE &&
		    ns->alias_for == NULL)
			import_local_list_namespace(local, ns);
	}
}

static void import_local_close(struct import_local *local)
{
	struct import_local_box *lbox;

	array_foreach_modifiable(&local->boxes, lbox)
		import_local_box_close(lbox);
}

void import_local_forget(struct import_local *local, const struct mailbox *box)
{
	struct import_local_box *lbox;

	import_local_list(local);
	import_local_close(local);
	lbox = import_local_lookup(local, box->vname);
	if (lbox != NULL)
		import_local_box_forget(lbox);
	else
		import_local_add(local, box->list, box->vname);
}

static bool import_local_box_read(struct import_local_box *lbox)
{
	if (lbox->unusable)
		return FALSE;
	if (lbox->lookup != NULL)
		return TRUE;
	import_local_box_open(lbox);
	/* what a virtual mailbox shows is in others */
	if (strcmp(lbox->box->storage->name, "virtual") == 0)
		lbox->unusable = TRUE;
	else if (mailbox_sync(lbox->box, MAILBOX_SYNC_FLAG_FULL_READ) == 0)
		lbox->lookup = import_lookup_init(lbox->box, TRUE, NULL);
	if (lbox->lookup == NULL) {
		e_debug(lbox->box->event, "Import: no mail is copied from this "
			"mailbox: %s",
			mailbox_get_last_internal_error(lbox->box, NULL));
		lbox->unusable = TRUE;
		import_local_box_close(lbox);
		return FALSE;
	}
	import_local_box_close(lbox);
	return TRUE;
}

/* Asks one mailbox. */
static struct mail *
import_local_box_find(struct import_local_box *lbox, struct mail *mail,
		      bool only_guid, struct import_identity *identity,
		      const char **reason_r)
{
	struct mail *found = NULL;
	uint32_t uid;

	import_local_box_open(lbox);
	if (import_lookup_find(lbox->lookup, mail, only_guid, identity, &uid,
			       reason_r) > 0)
		found = import_lookup_get_mail(lbox->lookup, uid);
	if (found == NULL)
		import_local_box_close(lbox);
	return found;
}

struct mail *
import_local_find(struct import_local *local, const struct mailbox *except,
		  struct mail *mail, struct import_identity *identity,
		  const char **reason_r)
{
	struct import_local_box *lbox;
	struct mail *found;
	unsigned int pass;

	import_local_list(local);
	import_local_close(local);
	*reason_r = "there is no other mailbox";
	/* GUIDs are in memory; only then are texts worth reading */
	for (pass = 0; pass < 2; pass++) {
		array_foreach_modifiable(&local->boxes, lbox) {
			if (strcmp(lbox->vname, except->vname) == 0 ||
			    !import_local_box_read(lbox))
				continue;
			found = import_local_box_find(lbox, mail, pass == 0,
						      identity, reason_r);
			if (found != NULL)
				return found;
		}
	}
	return NULL;
}
