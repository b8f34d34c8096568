/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "module-dir.h"
#include "mail-index.h"
#include "mail-storage-hooks.h"
#include "mail-user.h"
#include "imapc-storage.h"
#include "compat-imapc.h"
#include "dbox-repair.h"
#include "mail-reuse.h"
#include "mailbox-marked.h"
#include "migration-run.h"
#include "run-mailbox.h"
#include "run-progress.h"
#include "deletion-guard-private.h"

/* the mailbox's index remembers that a run has completed it */
#define GUARD_INDEX_EXT_NAME "migration"
#define GUARD_COMPLETED 1

struct deletion_guard_storage_module deletion_guard_storage_module =
	MODULE_CONTEXT_INIT(&mail_storage_module_register);

struct deletion_guard *deletion_guard = NULL;

bool deletion_guard_is_dest(const struct mailbox *box)
{
	return deletion_guard_is_on(box->storage->user) &&
		box->storage->user == deletion_guard->user;
}

bool deletion_guard_is_on(struct mail_user *user)
{
	return deletion_guard != NULL && user->dsyncing;
}

struct guard_record *deletion_guard_find(const char *vname)
{
	struct guard_record *record;

	array_foreach_elem(&deletion_guard->records, record) {
		if (strcmp(record->vname, vname) == 0)
			return record;
	}
	return NULL;
}

/* Outside of dsync's work nothing is escaped. */
const char *deletion_guard_plain_name(struct mailbox *box)
{
	return compat_imapc_list_unescape(box->list, box->vname);
}

struct guard_record *deletion_guard_get(struct mailbox *box)
{
	struct guard_record *record = deletion_guard_find(box->vname);

	if (record == NULL) {
		record = p_new(deletion_guard->pool, struct guard_record, 1);
		record->vname = p_strdup(deletion_guard->pool, box->vname);
		record->name = p_strdup(deletion_guard->pool,
					deletion_guard_plain_name(box));
		array_push_back(&deletion_guard->records, &record);
	}
	return record;
}

/*
 * Completed mailboxes
 */

bool deletion_guard_box_is_completed(struct mailbox *box,
				     struct mail_index_view *view)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	const void *data;
	size_t size;
	uint32_t state = 0;

	mail_index_get_header_ext(view, rbox->guard.ext_id, &data, &size);
	if (size >= sizeof(state))
		memcpy(&state, data, sizeof(state));
	return state == GUARD_COMPLETED;
}

bool deletion_guard_is_completed(struct mailbox *box)
{
	return RUN_MAILBOX(box) != NULL &&
		deletion_guard_box_is_completed(box, box->view);
}

void deletion_guard_mark_completed(struct mailbox *box,
				 struct mail_index_transaction *trans)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	uint32_t state = GUARD_COMPLETED;

	mail_index_update_header_ext(trans, rbox->guard.ext_id, 0,
				     &state, sizeof(state));
}

/* dsync raises UIDNEXT when everything else of the mailbox was done. */
static int
guard_update_box(struct mailbox *box, const struct mailbox_update *update)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct mail_index_transaction *trans;
	struct guard_record *record;

	if (rbox->module_ctx.super.update_box(box, update) < 0)
		return -1;
	if (!deletion_guard_is_on(box->storage->user) ||
	    update->min_next_uid == 0 || box->view == NULL ||
	    deletion_guard_box_is_completed(box, box->view))
		return 0;
	record = deletion_guard_find(box->vname);
	if (record != NULL && (record->mails_refused || record->box_refused))
		return 0;
	trans = mail_index_transaction_begin(box->view,
				MAIL_INDEX_TRANSACTION_FLAG_EXTERNAL);
	deletion_guard_mark_completed(box, trans);
	/* without it the next run is a first one again */
	(void)mail_index_transaction_commit(&trans);
	return 0;
}

/*
 * What dsync asks of mailboxes
 */

/* killed-delete: dsync takes a marked mailbox for one that was just deleted, and
   passes over it, at each run again. Returns 0 if it is an ordinary one now. */
static int guard_finish_deletion(struct mailbox *box)
{
	/* closing forgets it */
	if (!box->mailbox_deleted || !deletion_guard_is_dest(box) ||
	    (box->flags & MAILBOX_FLAG_READONLY) == 0)
		return -1;
	mailbox_close(box);
	if (mailbox_finish_deletion_found(box))
		return 0;
	mail_storage_set_error(box->storage, MAIL_ERROR_NOTFOUND,
			       T_MAIL_ERR_MAILBOX_NOT_FOUND(box->vname));
	return -1;
}

/* Only dsync asks for the cache fields, and leaves out a mailbox that answers
   so. */
static int
guard_get_metadata(struct mailbox *box, enum mailbox_metadata_items items,
		   struct mailbox_metadata *metadata_r)
{
	struct guard_record *record;

	if ((items & MAILBOX_METADATA_CACHE_FIELDS) != 0 &&
	    deletion_guard_is_on(box->storage->user)) {
		record = deletion_guard_find(box->vname);
		if (record != NULL && record->box_refused) {
			mail_storage_set_error(box->storage,
				MAIL_ERROR_NOTPOSSIBLE,
				"Deletion "DELETION_GUARD_REFUSED);
			return -1;
		}
	}
	if (run_progress_get_metadata(box, items, metadata_r) < 0 &&
	    (guard_finish_deletion(box) < 0 ||
	     run_progress_get_metadata(box, items, metadata_r) < 0))
		return -1;
	if ((items & MAILBOX_METADATA_CACHE_FIELDS) != 0 &&
	    deletion_guard_is_on(box->storage->user) &&
	    box->storage->user != deletion_guard->user && box->view != NULL) {
		/* the source's: dsync has just synced it */
		migration_run_mailbox(migration_run_find(deletion_guard->user),
				      box->vname)->source_mails =
			mail_index_view_get_messages_count(box->view);
	}
	return 0;
}

/* dsync asks for the state of each of the source's mailboxes before it changes
   anything. */
static int
guard_get_status(struct mailbox *box, enum mailbox_status_items items,
		 struct mailbox_status *status_r)
{
	const char *name;
	char *copy;

	if (run_progress_get_status(box, items, status_r) < 0 &&
	    (guard_finish_deletion(box) < 0 ||
	     run_progress_get_status(box, items, status_r) < 0))
		return -1;
	if (deletion_guard_is_on(box->storage->user) &&
	    box->storage->user != deletion_guard->user) {
		name = deletion_guard_plain_name(box);
		if (hash_table_lookup(deletion_guard->source_names,
				      name) == NULL) {
			copy = p_strdup(deletion_guard->pool, name);
			hash_table_insert(deletion_guard->source_names, copy,
					  copy);
		}
	}
	return 0;
}

/*
 * Opening
 */

static int guard_open(struct mailbox *box)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);

	if (deletion_guard_is_dest(box) && dbox_repair_open_map(box) < 0)
		return -1;
	if (rbox->module_ctx.super.open(box) < 0)
		return -1;
	rbox->guard.ext_id = mail_index_ext_register(box->index,
		GUARD_INDEX_EXT_NAME, sizeof(uint32_t), 0, 0);
	rbox->guard.expunged = 0;
	rbox->guard.synced = FALSE;
	return 0;
}

static struct mailbox_sync_context *
guard_sync_init(struct mailbox *box, enum mailbox_sync_flags flags)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	const uint32_t rebuild_count = dbox_repair_rebuild_count(box);
	struct mailbox_sync_context *ctx;
	ARRAY_TYPE(seq_range) uids;

	if (!rbox->guard.synced && deletion_guard_is_on(box->storage->user) &&
	    mailbox_is_sdbox(box)) {
		rbox->guard.synced = TRUE;
		t_array_init(&uids, 8);
		dbox_repair_find_killed_commit(box, &uids);
		if (array_count(&uids) > 0) {
			i_info("Mailbox %s: %u mails of an interrupted run are "
			       "added to the index", box->vname,
			       seq_range_count(&uids));
			flags |= MAILBOX_SYNC_FLAG_FORCE_RESYNC |
				MAILBOX_SYNC_FLAG_FIX_INCONSISTENT;
		}
	}
	ctx = rbox->module_ctx.super.sync_init(box, flags);
	dbox_repair_end_rebuild(box, rebuild_count);
	return ctx;
}

static void guard_close(struct mailbox *box)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	const uint32_t rebuild_count = dbox_repair_rebuild_count(box);

	rbox->module_ctx.super.close(box);
	dbox_repair_end_rebuild(box, rebuild_count);
}

/*
 * The run
 */

void deletion_guard_begin(struct mail_user *user,
			  const struct delete_limit *limit)
{
	pool_t pool = pool_alloconly_create("deletion guard", 1024);

	i_assert(deletion_guard == NULL);
	deletion_guard = p_new(pool, struct deletion_guard, 1);
	deletion_guard->pool = pool;
	deletion_guard->user = user;
	deletion_guard->limit = *limit;
	p_array_init(&deletion_guard->records, pool, 8);
	hash_table_create(&deletion_guard->source_names, pool, 0, str_hash,
			  strcmp);
}

void deletion_guard_end(struct migration_run *run, bool complete)
{
	struct guard_record *record;
	pool_t pool = deletion_guard->pool;

	array_foreach_elem(&deletion_guard->records, record) T_BEGIN {
		deletion_review_report(run, record);
	} T_END;
	/* otherwise the next run goes on with what is kept */
	if (complete && mail_reuse_is_served())
		mail_reuse_clean_up(deletion_guard->user);
	hash_table_destroy(&deletion_guard->source_names);
	deletion_guard = NULL;
	pool_unref(&pool);
}

/*
 * Hooks
 */

void deletion_guard_mailbox_init(struct mailbox_vfuncs *v)
{
	v->open = guard_open;
	v->sync_init = guard_sync_init;
	v->close = guard_close;
	v->update_box = guard_update_box;
	v->get_metadata = guard_get_metadata;
	v->get_status = guard_get_status;
	deletion_guard_mails_init(v);
	deletion_guard_mailboxes_init(v);
}

/* The next run() makes its source's user again. */
static void guard_mail_storage_created(struct mail_storage *storage)
{
	struct imapc_storage *istorage;

	if (deletion_guard == NULL || !deletion_guard->source_needs_select ||
	    strcmp(storage->name, IMAPC_STORAGE_NAME) != 0)
		return;
	istorage = IMAPC_STORAGE(storage);
	compat_imapc_enable_no_examine(istorage->set);
	migration_run_finding(migration_run_find(deletion_guard->user),
		MIGRATION_SEVERITY_INFO, NULL, 0, FINDING_SOURCE_SELECTED,
		"The source tells another UIDVALIDITY each time for mailboxes "
		"that nobody has selected: they are selected now, and keep "
		"the UIDVALIDITY of this run");
}

static struct mail_storage_hooks guard_mail_storage_hooks = {
	.mail_storage_created = guard_mail_storage_created,
	.mail_allocated = deletion_guard_mail_allocated,
	.mailbox_list_created = deletion_guard_list_created,
};

/* Hooks are sorted by the file names of their modules, and those of this
   doveadm module would come late. */
static char guard_module_path[] = "lib04_migration_guard";
static struct module guard_module = { .path = guard_module_path };

void deletion_guard_init(void)
{
	/* forced: needs no word in mail_plugins, the hooks ask for themselves.
	   They are not removed: doveadm unloads this module when the list of
	   hooks is gone. */
	mail_storage_hooks_add_forced(&guard_module,
				      &guard_mail_storage_hooks);
}
