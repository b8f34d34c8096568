/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A file m.N that has mails to change is copied as a whole into new files, the
   map's records of its mails are pointed to the copies, and m.N is unlinked.
   This is what Dovecot does when it purges a file, with the same locks in the
   same order (m.N, then the map), so that deliveries, expunges, copies and
   purges may go on meanwhile. Mails keep their map UID, so no mailbox's index
   has to be written, and copies in other mailboxes stay copies.

   Mails that were expunged and not yet purged are left out, as by a purge. A
   rebuild of the map takes a mail that it finds in a file and not in the map
   for a lost one, and brings it back. So their records stay in the map until
   m.N is gone: first the other mails' records are moved, then, with the map
   locked again, m.N is unlinked and the records of the rest are removed.

   Nothing is appended to existing files: what a killed run leaves in its new
   ones is either a temporary file, which Dovecot deletes after 36 hours, or
   m.* files that the journal names (uidl-store-journal.h). */

#include "lib.h"
#include "array.h"
#include "sleep.h"
#include "mdbox-storage.h"
#include "mdbox-map.h"
#include "mdbox-map-private.h"
#include "mdbox-state.h"
#include "uidl-store-journal.h"
#include "uidl-store-private.h"
#include "uidl-store-mdbox-private.h"

/* Another process locks an m.* file while it saves to it or purges it. */
#define MDBOX_BUSY_RETRIES 60
#define MDBOX_BUSY_WAIT_MSECS 500

static int mdbox_target_cmp(const struct mdbox_target *t1,
			    const struct mdbox_target *t2)
{
	if (t1->file_id != t2->file_id)
		return t1->file_id < t2->file_id ? -1 : 1;
	if (t1->map_uid != t2->map_uid)
		return t1->map_uid < t2->map_uid ? -1 : 1;
	return 0;
}

/* -- what a killed run left */

/* A file that is in the journal. Returns FALSE if mails of it have to move. */
static bool
mdbox_recover_file(struct mdbox_work *work,
		   struct mdbox_map_atomic_context *atomic, uint32_t file_id,
		   const struct mdbox_file_use *use)
{
	if (use->referenced > 0)
		return use->referenced == use->records;
	e_debug(work->box->event, "UIDLs: An earlier run was interrupted: "
		"m.%u has nothing but copies and is deleted", file_id);
	uidl_store_mdbox_remove_file(work, atomic, file_id);
	return TRUE;
}

/* With the map locked. The mails are either in the old file or in the new ones,
   and the other side is deleted. If Dovecot has rebuilt the map in between, it
   knows both sides. Files that have both mails and copies that no mailbox has
   are added to the array. */
static void
mdbox_recover_entry(struct mdbox_work *work,
		    struct mdbox_map_atomic_context *atomic,
		    const struct uidl_store_journal_entry *entry,
		    ARRAY_TYPE(seq_range) *mixed)
{
	uint32_t id, end = entry->first_new_file_id + entry->new_files_count;
	struct mdbox_file_use old, new;
	bool new_used = FALSE;

	uidl_store_mdbox_get_use(work, atomic, entry->old_file_id, &old);
	for (id = entry->first_new_file_id; id < end; id++) {
		uidl_store_mdbox_get_use(work, atomic, id, &new);
		if (new.records > 0)
			new_used = TRUE;
		if (!mdbox_recover_file(work, atomic, id, &new))
			seq_range_array_add(mixed, id);
	}
	/* without records of new files the old one is as it was */
	if ((new_used || entry->new_files_count == 0) &&
	    !mdbox_recover_file(work, atomic, entry->old_file_id, &old))
		seq_range_array_add(mixed, entry->old_file_id);
}

static int
mdbox_recover_locked(struct mdbox_work *work, ARRAY_TYPE(seq_range) *mixed,
		     const char **error_r)
{
	const struct uidl_store_journal_entry *entry;
	struct mdbox_map_atomic_context *atomic;
	int ret = 1;

	atomic = mdbox_map_atomic_begin(work->map);
	if (mdbox_map_atomic_lock(atomic, "finishing UIDL changes") < 0) {
		*error_r = uidl_store_mdbox_error(work);
		ret = -1;
	} else if (migration_mdbox_is_corrupted(work->storage)) {
		ret = 0;
	} else {
		array_foreach(uidl_store_journal_get(work->journal), entry) {
			mdbox_recover_entry(work, atomic, entry, mixed);
		}
		mdbox_map_atomic_set_success(atomic);
	}
	(void)mdbox_map_atomic_finish(&atomic);
	return ret;
}

/* Mails that a rebuilt map has twice: the second copy is one that no mailbox
   has. It would be chosen at random by the next rebuild. */
static int
mdbox_drop_copies(struct mdbox_work *work, const ARRAY_TYPE(seq_range) *mixed,
		  const char **error_r)
{
	struct seq_range_iter iter;
	unsigned int n = 0;
	uint32_t file_id;

	seq_range_array_iter_init(&iter, mixed);
	while (seq_range_array_iter_nth(&iter, n++, &file_id)) {
		/* The copies that are kept have the same attachments. Of a
		   busy file the copies wait for the next "doveadm purge". */
		if (uidl_store_mdbox_rewrite(work, file_id, NULL, 0, FALSE,
					     error_r) < 0)
			return -1;
	}
	return 0;
}

static int mdbox_resync(struct mdbox_work *work, const char **error_r)
{
	if (mailbox_sync(work->box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		*error_r = t_strdup_printf("Mailbox can't be synchronised: %s",
			mailbox_get_last_internal_error(work->box, NULL));
		return -1;
	}
	return 0;
}

static int mdbox_recover(struct mdbox_work *work, const char **error_r)
{
	ARRAY_TYPE(seq_range) mixed;
	int ret;

	if (array_count(uidl_store_journal_get(work->journal)) == 0)
		return 0;
	i_array_init(&mixed, 4);
	ret = mdbox_recover_locked(work, &mixed, error_r);
	if (ret == 0) {
		/* killed while the map was written: Dovecot rebuilds it */
		ret = mdbox_resync(work, error_r) < 0 ? -1 :
			mdbox_recover_locked(work, &mixed, error_r);
	}
	if (ret == 0) {
		*error_r = "The map of mails is damaged: run "
			"\"doveadm force-resync\" first";
		ret = -1;
	}
	if (ret > 0)
		ret = mdbox_drop_copies(work, &mixed, error_r);
	if (ret == 0)
		ret = uidl_store_journal_clear(work->journal, error_r);
	array_free(&mixed);
	return ret;
}

/* -- all files */

/* Finds the files of the mails that have not been changed yet. */
static int
mdbox_find_targets(struct mdbox_work *work,
		   const ARRAY_TYPE(mdbox_target) *remaining,
		   ARRAY_TYPE(mdbox_target) *targets, const char **error_r)
{
	struct mdbox_mailbox *mbox = MDBOX_MAILBOX(work->box);
	const struct mdbox_target *wanted;
	struct mdbox_target target;
	uint32_t seq;
	uoff_t offset;
	int ret;

	array_clear(targets);
	array_foreach(remaining, wanted) {
		target = *wanted;
		if (!mail_index_lookup_seq(work->box->view,
					   target.change->uid, &seq)) {
			work->result->vanished++;
			continue;
		}
		if (mdbox_mail_lookup(mbox, work->box->view, seq,
				      &target.map_uid) < 0 ||
		    (ret = mdbox_map_lookup(work->map, target.map_uid,
					    &target.file_id, &offset)) < 0) {
			*error_r = uidl_store_mdbox_error(work);
			return -1;
		}
		if (ret == 0)
			work->result->vanished++;
		else
			array_push_back(targets, &target);
	}
	array_sort(targets, mdbox_target_cmp);
	return 0;
}

/* Writes the files of the targets anew. Those that could not be done now
   are what remains. */
static int
mdbox_rewrite_targets(struct mdbox_work *work,
		      const ARRAY_TYPE(mdbox_target) *_targets,
		      ARRAY_TYPE(mdbox_target) *remaining, const char **error_r)
{
	const struct mdbox_target *targets;
	unsigned int i, j, count;
	int ret;

	array_clear(remaining);
	targets = array_get(_targets, &count);
	for (i = 0; i < count; i = j) {
		for (j = i + 1; j < count; j++) {
			if (targets[j].file_id != targets[i].file_id)
				break;
		}
		ret = uidl_store_mdbox_rewrite(work, targets[i].file_id,
			&targets[i], j - i,
			work->storage->storage.attachment_fs != NULL, error_r);
		if (ret < 0)
			return -1;
		if (ret > 0)
			work->result->written += j - i;
		else
			array_append(remaining, &targets[i], j - i);
	}
	return 0;
}

static int
mdbox_write_all(struct mdbox_work *work, ARRAY_TYPE(mdbox_target) *remaining,
		const char **error_r)
{
	ARRAY_TYPE(mdbox_target) targets;
	unsigned int round;
	int ret = 0;

	i_array_init(&targets, array_count(remaining));
	for (round = 0; ret == 0 && array_count(remaining) > 0; round++) {
		if (round > MDBOX_BUSY_RETRIES) {
			*error_r = t_strdup_printf("m.%u is in use by another "
				"process: run again later", work->busy_file_id);
			ret = -1;
			break;
		}
		if (round > 0) {
			i_sleep_msecs(MDBOX_BUSY_WAIT_MSECS);
			ret = mdbox_resync(work, error_r);
			/* a lookup refreshes it only for mails that it does
			   not know, not for mails that a purge has moved */
			if (ret == 0 && mdbox_map_refresh(work->map) < 0) {
				*error_r = uidl_store_mdbox_error(work);
				ret = -1;
			}
		}
		if (ret == 0)
			ret = mdbox_find_targets(work, remaining, &targets, error_r);
		if (ret == 0) {
			ret = mdbox_rewrite_targets(work, &targets, remaining,
						    error_r);
		}
	}
	array_free(&targets);
	return ret;
}

static void
mdbox_get_remaining(const struct uidl_store_change *changes, unsigned int count,
	       ARRAY_TYPE(mdbox_target) *remaining)
{
	struct mdbox_target target;
	unsigned int i;

	i_zero(&target);
	for (i = 0; i < count; i++) {
		if (!changes[i].write)
			continue;
		target.change = &changes[i];
		array_push_back(remaining, &target);
	}
}

static int
uidl_store_mdbox_write(struct mailbox *box,
		       const struct uidl_store_change *changes,
		       unsigned int count, struct uidl_store_result *result,
		       const char **error_r)
{
	ARRAY_TYPE(mdbox_target) remaining;
	struct mdbox_work work;
	int ret;

	i_zero(&work);
	work.box = box;
	work.storage = MDBOX_STORAGE(box->storage);
	work.map = work.storage->map;
	work.result = result;

	i_array_init(&remaining, I_MAX(count, 1));
	mdbox_get_remaining(changes, count, &remaining);
	ret = uidl_store_journal_open(work.storage->storage_dir,
				      array_count(&remaining) > 0,
				      &work.journal, error_r);
	if (ret > 0) {
		if (mdbox_map_open_or_create(work.map) < 0) {
			*error_r = uidl_store_mdbox_error(&work);
			ret = -1;
		} else if (mdbox_recover(&work, error_r) < 0 ||
			   mdbox_write_all(&work, &remaining, error_r) < 0)
			ret = -1;
		uidl_store_journal_close(&work.journal);
	}
	array_free(&remaining);
	return ret < 0 ? -1 : 0;
}

/* Copies have one map UID, and with it one place for UIDL and order. */
static int
uidl_store_mdbox_read(struct mail *mail, pool_t pool,
		      struct uidl_store_mail *mail_r, const char **error_r)
{
	int ret = uidl_store_dbox_read(mail, pool, mail_r, error_r);

	if (ret > 0 && mdbox_mail_lookup(MDBOX_MAILBOX(mail->box),
					 mail->transaction->view, mail->seq,
					 &mail_r->stored_id) < 0) {
		*error_r = t_strdup_printf("UID %u can't be read: %s",
			mail->uid,
			mailbox_get_last_internal_error(mail->box, NULL));
		ret = -1;
	}
	return ret;
}

const struct uidl_store_vfuncs uidl_store_mdbox = {
	.name = MDBOX_STORAGE_NAME,
	.read = uidl_store_mdbox_read,
	.write = uidl_store_mdbox_write,
	.show = uidl_store_dbox_show,
};
