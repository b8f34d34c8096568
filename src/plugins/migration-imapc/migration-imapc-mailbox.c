/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hash.h"
#include "index-storage.h"
#include "compat-imapc.h"
#include "migration-run.h"
#include "source-mailbox.h"
#include "migration-imapc-private.h"
#include "migration-imapc-names.h"
#include "migration-imapc-placeholders.h"
#include "migration-imapc-ahead.h"

/* dsync's question while it builds the tree of mailboxes */
#define STATUS_ITEMS_OF_TREE (STATUS_UIDVALIDITY | STATUS_UIDNEXT)

static MODULE_CONTEXT_DEFINE_INIT(dest_mailbox_module,
				  &mail_storage_module_register);
#define DEST_MAILBOX_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, dest_mailbox_module)

static struct migration_imapc_list *
migration_imapc_mailbox_list(struct mailbox *box)
{
	return strcmp(box->list->name, MAILBOX_LIST_NAME_IMAPC) != 0 ? NULL :
		MIGRATION_IMAPC_LIST_CONTEXT(box->list);
}

static int
migration_imapc_mailbox_exists(struct mailbox *box, bool auto_boxes,
			       enum mailbox_existence *existence_r)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);
	struct migration_imapc_list *mlist = migration_imapc_mailbox_list(box);
	static const char *const all[] = { "*", NULL };

	/* dsync asks this before it opens a mailbox, and stock forgets its
	   list at each sync of a mailbox: it would ask for the whole list
	   again for each mailbox. A mailbox that was deleted since then is
	   noticed when it is opened. */
	if (mlist != NULL &&
	    migration_imapc_user_is_imported(box->storage->user)) {
		/* an import looks for the INBOX before it lists */
		migration_imapc_listing_ask(mlist, all);
	}
	if (mlist != NULL && mlist->list->last_refreshed_mailboxes != 0)
		mlist->list->refreshed_mailboxes_recently = TRUE;
	return mmbox->module_ctx.super.exists(box, auto_boxes, existence_r);
}

/* With gmail-migration stock asks for the mailbox's flags while it is waiting
   for the reply to EXAMINE. If it must send LIST for that, it panics. */
static void migration_imapc_mailbox_list_first(struct mailbox *box)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);
	enum mailbox_info_flags flags;

	if (migration_imapc_mailbox_list(box) == NULL ||
	    !compat_imapc_has_feature(mmbox->mbox->storage->set,
			COMPAT_IMAPC_FEATURE_GMAIL_MIGRATION))
		return;
	/* a failure comes back when the mailbox is opened */
	(void)imapc_list_get_mailbox_flags(box->list, box->name, &flags);
}

/* ---- mailboxes that the server does not open ---- */

/* dsync asks for the namespace "Public/" as the mailbox Public, too (2.3). */
static bool mailbox_is_namespace(const struct mailbox *box)
{
	const struct mail_namespace *ns = mailbox_get_namespace(box);

	return ns->prefix_len > 0 &&
		strlen(box->vname) == ns->prefix_len - 1 &&
		strncmp(box->vname, ns->prefix, ns->prefix_len - 1) == 0;
}

/* dsync can go on without it. */
static bool mailbox_may_be_left_out(struct migration_imapc_mailbox *mmbox)
{
	struct mailbox *box = &mmbox->mbox->box;

	return mmbox->mlist != NULL && box->storage->user->dsyncing &&
		!box->deleting && !mmbox->begun && !mailbox_is_namespace(box) &&
		(box->flags & MAILBOX_FLAG_SAVEONLY) == 0;
}

/* unopened-mailbox: Stock's failure to open the mailbox ends dsync's run. An open mailbox that
   cannot be asked for its metadata is skipped, on both sides and whatever
   dsync's options are. */
static int mailbox_leave_out(struct migration_imapc_mailbox *mmbox)
{
	struct mailbox *box = &mmbox->mbox->box;

	if (!box->opened && index_storage_mailbox_open(box, FALSE) < 0)
		return -1;
	mmbox->left_out = TRUE;
	return 0;
}

/* What dsync knows the mailbox by, or will know it by. */
static void mailbox_get_dsyncs_guid(struct migration_imapc_mailbox *mmbox,
				    guid_128_t guid)
{
	struct migration_imapc_list *mlist = mmbox->mlist;
	const struct mailbox *box = &mmbox->mbox->box;
	const struct migration_run *run = migration_run_find(box->storage->user);
	bool planned = array_is_created(&run->ahead.dest_names);

	if (!box->storage->user->dsyncing && !planned)
		return;
	if (mlist->renames == NULL && !box->opened &&
	    migration_imapc_status_prepare(mlist) && planned)
		migration_imapc_status_find_renames(mlist);
	(void)migration_imapc_renames_get_guid(mlist, box->vname, guid);
}

static int
migration_imapc_mailbox_get_metadata(struct mailbox *box,
				     enum mailbox_metadata_items items,
				     struct mailbox_metadata *metadata_r)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);

	/* only dsync asks for the cache fields */
	if ((items & MAILBOX_METADATA_CACHE_FIELDS) != 0) {
		if (mmbox->left_out) {
			mail_storage_set_error(box->storage,
				MAIL_ERROR_NOTPOSSIBLE,
				"The source does not open the mailbox");
			return -1;
		}
		mmbox->begun = TRUE;
	}
	if (mmbox->module_ctx.super.get_metadata(box, items, metadata_r) < 0)
		return -1;
	if ((items & MAILBOX_METADATA_GUID) != 0 && mmbox->mlist != NULL)
		mailbox_get_dsyncs_guid(mmbox, metadata_r->guid);
	return 0;
}

/* What dsync does not find at the source it deletes, so it is told of the
   mailbox as it is at the destination. If there is none, there will be none. */
static int
mailbox_get_status_of_dest(struct migration_imapc_mailbox *mmbox,
			   struct mailbox_status *status_r)
{
	struct mailbox *box = &mmbox->mbox->box;
	struct sync_side dest;

	if (migration_imapc_sides_get_dest(mmbox->muser, box->vname, &dest) &&
	    dest.uidvalidity != 0) {
		status_r->uidvalidity = dest.uidvalidity;
		status_r->uidnext = dest.uidnext;
		return 0;
	}
	mail_storage_set_error(box->storage, MAIL_ERROR_NOTPOSSIBLE,
			       "The source does not tell its state");
	return -1;
}

static int
mailbox_get_status_of_tree(struct migration_imapc_mailbox *mmbox,
			   struct mailbox_status *status_r)
{
	struct mailbox *box = &mmbox->mbox->box;
	struct migration_run *run = migration_run_find(box->storage->user);
	int ret;

	if (box->storage->user->dsyncing &&
	    source_mailbox_is_left_out(run, box->vname))
		return mailbox_get_status_of_dest(mmbox, status_r);
	ret = migration_imapc_status_get(mmbox->mlist, box, status_r);
	if (ret != 0)
		return ret < 0 ? -1 : 0;
	if (box->storage->user->dsyncing)
		source_mailbox_set_present(run, box->vname);
	if (mmbox->module_ctx.super.get_status(box, STATUS_ITEMS_OF_TREE,
					       status_r) == 0)
		return 0;
	if (!mailbox_may_be_left_out(mmbox) ||
	    !migration_imapc_was_refused(mmbox->mlist, box))
		return -1;
	return mailbox_get_status_of_dest(mmbox, status_r);
}

static bool mailbox_is_idle(struct migration_imapc_mailbox *mmbox)
{
	return mmbox->unchanged || mmbox->left_out;
}

/* ---- opening ---- */

static int migration_imapc_mailbox_open(struct mailbox *box)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);
	struct migration_run *run = migration_run_find(box->storage->user);
	int ret;

	if (mailbox_may_be_left_out(mmbox)) {
		if (source_mailbox_is_left_out(run, box->vname))
			return mailbox_leave_out(mmbox);
		source_mailbox_set_present(run, box->vname);
	}
	migration_imapc_mailbox_list_first(box);
	if ((ret = migration_imapc_virtual_open(mmbox)) == 0) {
		/* stock wants the connection for itself */
		if (mmbox->mlist != NULL && mmbox->mlist->ahead != NULL)
			migration_imapc_ahead_drain(mmbox->mlist->ahead);
		migration_imapc_oauth2_mailbox_opening(mmbox);
		ret = mmbox->module_ctx.super.open(box) < 0 ? -1 : 0;
	}
	if (ret < 0) {
		if (!mailbox_may_be_left_out(mmbox) ||
		    !migration_imapc_was_refused(mmbox->mlist, box))
			return -1;
		return mailbox_leave_out(mmbox);
	}

	if (mmbox->unchanged) {
		migration_run_source_opened(run, box->vname,
					    mmbox->unchanged_dest.messages);
		migration_progress_unchanged(run, box->vname,
					     mmbox->unchanged_dest.messages);
		e_debug(mmbox->muser->event, "mailbox %s: unchanged on both "
			"sides, %u mails", box->vname,
			mmbox->unchanged_dest.messages);
	}
	if (mmbox->mbox->client_box != NULL) {
		if (ret == 0)
			migration_imapc_fetch_mailbox_opened(mmbox);
		migration_imapc_budget_mailbox_opened(mmbox);
		migration_run_source_opened(run, box->vname,
			mmbox->mbox->exists_count - (mmbox->filtered ?
				seq_range_count(&mmbox->filtered_uids) : 0));
		e_debug(mmbox->muser->event, "mailbox %s: opened, %u mails",
			box->vname, mmbox->mbox->exists_count);
	}
	return 0;
}

/* dsync hands on from which mail on no client was told of the mails. */
static void
migration_imapc_mailbox_keep_recent(struct migration_imapc_mailbox *mmbox,
				    enum mailbox_status_items items,
				    struct mailbox_status *status)
{
	uint32_t uid;

	if ((items & STATUS_FIRST_RECENT_UID) == 0 ||
	    !mmbox->mbox->box.opened)
		return;
	uid = migration_imapc_placeholders_first_uid(mmbox,
		mail_index_get_header(mmbox->mbox->box.view)->uid_validity);
	if (uid != 0 && status->first_recent_uid > uid)
		status->first_recent_uid = uid;
}

/* dsync compares this with what the destination says of itself. */
static void
mailbox_get_unchanged_status(struct migration_imapc_mailbox *mmbox,
			     struct mailbox_status *status_r)
{
	const struct sync_side *dest = &mmbox->unchanged_dest;

	status_r->uidvalidity = dest->uidvalidity;
	status_r->uidnext = dest->uidnext;
	status_r->messages = dest->messages;
	status_r->first_recent_uid = dest->first_recent_uid;
	status_r->highest_modseq = dest->highestmodseq;
	status_r->nonpermanent_modseqs = FALSE;
}

static int
migration_imapc_mailbox_get_status(struct mailbox *box,
				   enum mailbox_status_items items,
				   struct mailbox_status *status_r)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);
	struct migration_imapc_list *mlist = migration_imapc_mailbox_list(box);
	if (!box->opened && mlist != NULL && items == STATUS_ITEMS_OF_TREE)
		return mailbox_get_status_of_tree(mmbox, status_r);

	if (mmbox->unchanged && box->opened) {
		mailbox_get_unchanged_status(mmbox, status_r);
		return 0;
	}
	if (mmbox->module_ctx.super.get_status(box, items, status_r) < 0)
		return -1;
	/* imapc-modseq: dsync takes a mailbox for unchanged if HIGHESTMODSEQ is the same on
	   both sides. The two counters have nothing to do with each other:
	   equal ones say nothing, and changes would be left out. Without them
	   the mails themselves are compared. */
	if (box->storage->user->dsyncing) {
		status_r->nonpermanent_modseqs = TRUE;
		migration_imapc_mailbox_keep_recent(mmbox, items, status_r);
	}
	return 0;
}

static void migration_imapc_mailbox_close(struct mailbox *box)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);

	mmbox->module_ctx.super.close(box);
	migration_imapc_virtual_closed(mmbox);
	mmbox->filtered = FALSE;
	mmbox->left_out = mmbox->begun = FALSE;
}

static struct mailbox_sync_context *
migration_imapc_mailbox_sync_init(struct mailbox *box,
				  enum mailbox_sync_flags flags)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);

	if (mailbox_is_idle(mmbox)) {
		struct mailbox_sync_context *ctx =
			i_new(struct mailbox_sync_context, 1);

		ctx->box = box;
		ctx->flags = flags;
		return ctx;
	}
	/* stock would send NOOP to see what is new: the next run's work */
	if (mmbox->served != NULL && mmbox->mbox->initial_sync_done)
		return index_mailbox_sync_init(box, 0, FALSE);
	return mmbox->module_ctx.super.sync_init(box, flags);
}

static int
migration_imapc_mailbox_sync_deinit(struct mailbox_sync_context *ctx,
				    struct mailbox_sync_status *status_r)
{
	struct mailbox *box = ctx->box;
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(box);

	if (!mailbox_is_idle(mmbox)) {
		if (mmbox->module_ctx.super.sync_deinit(ctx, status_r) == 0)
			return 0;
		if (!mailbox_may_be_left_out(mmbox) ||
		    !migration_imapc_was_refused(mmbox->mlist, box))
			return -1;
		return mailbox_leave_out(mmbox);
	}
	if (status_r != NULL)
		i_zero(status_r);
	i_free(ctx);
	return 0;
}

/* A sync in both directions brings a mail to the source: what the server says
   of it belongs to a selected mailbox. */
static int
migration_imapc_mailbox_save_begin(struct mail_save_context *ctx,
				   struct istream *input)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(ctx->transaction->box);

	if (migration_imapc_virtual_leave(mmbox, "a mail is to be saved") < 0)
		return -1;
	return mmbox->module_ctx.super.save_begin(ctx, input);
}

static int
migration_imapc_mailbox_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(ctx->transaction->box);

	if (migration_imapc_virtual_leave(mmbox, "a mail is to be copied") < 0)
		return -1;
	return mmbox->module_ctx.super.copy(ctx, mail);
}

static void migration_imapc_mailbox_free(struct mailbox *box)
{
	struct migration_imapc_mailbox *mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(box);

	migration_imapc_fetch_mailbox_deinit(mmbox);
	array_free(&mmbox->filtered_uids);
	mmbox->module_ctx.super.free(box);
}

/* ---- the destination's mailboxes ---- */

struct dest_mailbox {
	union mailbox_module_context module_ctx;
	struct migration_imapc_user *muser;
	/* dsync has finished with it */
	bool updated;
};

static int
dest_mailbox_get_status(struct mailbox *box, enum mailbox_status_items items,
			struct mailbox_status *status_r)
{
	struct dest_mailbox *dbox = DEST_MAILBOX_CONTEXT_REQUIRE(box);
	struct sync_side side;
	const char *name;

	if (dbox->module_ctx.super.get_status(box, items, status_r) < 0)
		return -1;
	if (!box->storage->user->dsyncing)
		return 0;
	i_zero(&side);
	if ((items & RECORD_STATUS_ITEMS) == RECORD_STATUS_ITEMS)
		migration_imapc_record_fill_side(status_r, &side);
	else if (items == STATUS_ITEMS_OF_TREE) {
		side.uidvalidity = status_r->uidvalidity;
		side.uidnext = status_r->uidnext;
	} else {
		return 0;
	}
	name = migration_imapc_names_unescape(box->list, box->vname);
	migration_imapc_sides_set_dest(dbox->muser, name, &side);
	migration_imapc_sides_set_dest_name(dbox->muser, name, box);
	return 0;
}

static int
dest_mailbox_get_metadata(struct mailbox *box,
			  enum mailbox_metadata_items items,
			  struct mailbox_metadata *metadata_r)
{
	struct dest_mailbox *dbox = DEST_MAILBOX_CONTEXT_REQUIRE(box);

	if (dbox->module_ctx.super.get_metadata(box, items, metadata_r) < 0)
		return -1;
	if ((items & MAILBOX_METADATA_GUID) != 0 &&
	    box->storage->user->dsyncing) {
		migration_imapc_sides_set_guid(dbox->muser, box->vname,
					       metadata_r->guid);
	}
	return 0;
}

/* The last thing that dsync does to a mailbox that it synced. */
static int
dest_mailbox_update(struct mailbox *box, const struct mailbox_update *update)
{
	struct dest_mailbox *dbox = DEST_MAILBOX_CONTEXT_REQUIRE(box);
	struct mailbox_update kept = *update;

	if (dbox->muser->placeholders_source != NULL) T_BEGIN {
		/* dsync asked the source before there were any. If the run is
		   killed later on, it must not look as if a client had seen
		   them. */
		uint32_t uid = migration_imapc_placeholders_made(
			dbox->muser->placeholders_source, box);

		if (uid != 0 && kept.min_first_recent_uid > uid)
			kept.min_first_recent_uid = uid;
	} T_END;
	if (dbox->module_ctx.super.update_box(box, &kept) < 0)
		return -1;
	if (update->min_next_uid != 0)
		dbox->updated = TRUE;
	return 0;
}

static int dest_mailbox_rename(struct mailbox *src, struct mailbox *dest)
{
	struct dest_mailbox *dbox = DEST_MAILBOX_CONTEXT_REQUIRE(src);
	int ret;

	if (!src->storage->user->dsyncing)
		return dbox->module_ctx.super.rename_box(src, dest);
	T_BEGIN {
		ret = migration_imapc_renames_rename_box(
			&dbox->module_ctx.super, src, dest);
	} T_END;
	return ret;
}

static void dest_mailbox_close(struct mailbox *box)
{
	struct dest_mailbox *dbox = DEST_MAILBOX_CONTEXT_REQUIRE(box);

	if (dbox->updated && box->opened && box->storage->user->dsyncing) {
		dbox->updated = FALSE;
		migration_imapc_record_dest_synced(dbox->muser, box);
	}
	dbox->module_ctx.super.close(box);
}

static void
dest_mailbox_allocated(struct migration_imapc_user *muser, struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct dest_mailbox *dbox;

	dbox = p_new(box->pool, struct dest_mailbox, 1);
	dbox->muser = muser;
	dbox->module_ctx.super = *v;
	box->vlast = &dbox->module_ctx.super;
	v->get_status = dest_mailbox_get_status;
	v->get_metadata = dest_mailbox_get_metadata;
	v->update_box = dest_mailbox_update;
	v->rename_box = dest_mailbox_rename;
	v->close = dest_mailbox_close;
	MODULE_CONTEXT_SET(box, dest_mailbox_module, dbox);
}

void migration_imapc_mailbox_allocated(struct mailbox *box)
{
	struct migration_imapc_user *muser =
		MIGRATION_IMAPC_USER_CONTEXT(box->storage->user);
	struct mailbox_vfuncs *v = box->vlast;
	struct migration_imapc_mailbox *mmbox;

	if (muser == NULL)
		return;
	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) != 0) {
		dest_mailbox_allocated(muser, box);
		return;
	}

	mmbox = p_new(box->pool, struct migration_imapc_mailbox, 1);
	mmbox->muser = muser;
	mmbox->mlist = migration_imapc_mailbox_list(box);
	mmbox->mbox = IMAPC_MAILBOX(box);
	i_array_init(&mmbox->filtered_uids, 4);
	mmbox->module_ctx.super = *v;
	box->vlast = &mmbox->module_ctx.super;
	v->exists = migration_imapc_mailbox_exists;
	v->open = migration_imapc_mailbox_open;
	v->close = migration_imapc_mailbox_close;
	v->sync_init = migration_imapc_mailbox_sync_init;
	v->sync_deinit = migration_imapc_mailbox_sync_deinit;
	v->get_status = migration_imapc_mailbox_get_status;
	v->save_begin = migration_imapc_mailbox_save_begin;
	v->copy = migration_imapc_mailbox_copy;
	v->get_metadata = migration_imapc_mailbox_get_metadata;
	v->free = migration_imapc_mailbox_free;
	/* 2.4 crashes where it asks who owns a public namespace */
	if (!muser->keeps_metadata || mailbox_get_namespace(box)->owner == NULL)
		migration_imapc_metadata_leave_out(mmbox, v);
	else
		migration_imapc_metadata_mailbox_init(v);
	migration_imapc_fetch_mailbox_init(mmbox, v);
	MODULE_CONTEXT_SET(box, migration_imapc_storage_module, mmbox);
}
