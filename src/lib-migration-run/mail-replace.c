/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "str.h"
#include "mail-user.h"
#include "index-storage.h"
#include "maildir-storage.h"
#include "sdbox-storage.h"
#include "sdbox-file.h"
#include "sdbox-sync.h"
#include "mdbox-storage.h"
#include "mdbox-map.h"
#include "cache-replace.h"
#include "maildir-swap.h"
#include "mailbox-error.h"
#include "mailbox-marked.h"
#include "mail-replace.h"

#include <stdio.h>

#define TEMP_MAILBOX_NAME "dovecot-migration-replacement"

/* What the new file needs to be the same mail. */
struct replace_identity {
	const char *guid, *uidl;
	uint32_t order;
};

struct replace_format {
	const char *name;
	/* Puts the temporary mailbox's only mail in the other one's place.
	   Returns 1, 0 if it is gone, -1 and *error_r. */
	int (*swap)(struct mailbox *box, uint32_t uid, struct mailbox *temp_box,
		    uint32_t temp_uid, const char **error_r);
};

/* -- saving */

static int
save_text(struct mailbox *box, struct istream *text,
	  const struct replace_identity *identity, enum mail_flags flags,
	  time_t received_date, uint32_t *uid_r, const char **error_r)
{
	struct mailbox_transaction_context *t;
	struct mail_transaction_commit_changes changes;
	struct mail_save_context *save_ctx;
	const struct seq_range *range;
	bool ok = TRUE;
	ssize_t ret;

	i_stream_seek(text, 0);
	t = mailbox_transaction_begin(box, MAILBOX_TRANSACTION_FLAG_EXTERNAL,
				      __func__);
	save_ctx = mailbox_save_alloc(t);
	mailbox_save_set_received_date(save_ctx, received_date, 0);
	mailbox_save_set_flags(save_ctx, flags, NULL);
	if (identity != NULL) {
		if (identity->guid[0] != '\0')
			mailbox_save_set_guid(save_ctx, identity->guid);
		if (identity->uidl[0] != '\0')
			mailbox_save_set_pop3_uidl(save_ctx, identity->uidl);
		if (identity->order != 0)
			mailbox_save_set_pop3_order(save_ctx, identity->order);
	}
	if (mailbox_save_begin(&save_ctx, text) < 0) {
		mailbox_transaction_rollback(&t);
		return mailbox_error(box, "Mail can't be saved", error_r);
	}
	do {
		ret = i_stream_read(text);
		if (mailbox_save_continue(save_ctx) < 0)
			ok = FALSE;
	} while (ok && (ret > 0 || ret == -2));
	if (text->stream_errno != 0)
		ok = FALSE;
	if (!ok)
		mailbox_save_cancel(&save_ctx);
	else if (mailbox_save_finish(&save_ctx) < 0)
		ok = FALSE;
	if (!ok) {
		mailbox_transaction_rollback(&t);
		return mailbox_error(box, "Mail can't be saved", error_r);
	}
	if (mailbox_transaction_commit_get_changes(&t, &changes) < 0)
		return mailbox_error(box, "Mail can't be saved", error_r);
	range = array_is_empty(&changes.saved_uids) ? NULL :
		array_front(&changes.saved_uids);
	*uid_r = range == NULL ? 0 : range->seq1;
	pool_unref(&changes.pool);
	return 0;
}

int mail_replace_append(struct mailbox *box, struct istream *text,
			enum mail_flags flags, time_t received_date,
			const char **error_r)
{
	uint32_t uid;

	return save_text(box, text, NULL, flags, received_date, &uid, error_r);
}

/* -- sdbox */

static int
swap_sdbox(struct mailbox *box, uint32_t uid, struct mailbox *temp_box,
	   uint32_t temp_uid, const char **error_r)
{
	struct sdbox_sync_context *sync_ctx;
	struct dbox_file *file, *temp_file;
	uint32_t seq;
	int ret = 1;

	if (sdbox_sync_begin(SDBOX_MAILBOX(box), SDBOX_SYNC_FLAG_FORCE,
			     &sync_ctx) < 0)
		return mailbox_error(box, "Index can't be locked", error_r);
	file = sdbox_file_init(SDBOX_MAILBOX(box), uid);
	temp_file = sdbox_file_init(SDBOX_MAILBOX(temp_box), temp_uid);
	if (!mail_index_lookup_seq(sync_ctx->sync_view, uid, &seq))
		ret = 0;
	else if (rename(temp_file->cur_path, file->cur_path) < 0) {
		*error_r = t_strdup_printf("rename(%s, %s) failed: %m",
					   temp_file->cur_path, file->cur_path);
		ret = -1;
	}
	dbox_file_unref(&temp_file);
	dbox_file_unref(&file);
	if (sdbox_sync_finish(&sync_ctx, TRUE) < 0 && ret > 0)
		ret = mailbox_error(box, "Index can't be synchronised", error_r);
	return ret;
}

/* -- mdbox */

static int
mdbox_change_refcount(struct mdbox_map *map, uint32_t map_uid, int diff)
{
	struct mdbox_map_atomic_context *atomic = mdbox_map_atomic_begin(map);
	struct mdbox_map_transaction_context *t =
		mdbox_map_transaction_begin(atomic, FALSE);
	int ret;

	ret = mdbox_map_update_refcount(t, map_uid, diff);
	if (ret >= 0)
		ret = mdbox_map_transaction_commit(t, __func__);
	mdbox_map_transaction_free(&t);
	if (mdbox_map_atomic_finish(&atomic) < 0)
		ret = -1;
	return ret < 0 ? -1 : 0;
}

static bool
mdbox_get_record(struct mailbox *box, struct mail_index_view *view,
		 uint32_t uid, uint32_t *seq_r,
		 struct mdbox_mail_index_record *rec_r)
{
	struct mdbox_mailbox *mbox = MDBOX_MAILBOX(box);
	const void *data;
	bool expunged;

	if (!mail_index_lookup_seq(view, uid, seq_r))
		return FALSE;
	mail_index_lookup_ext(view, *seq_r, mbox->ext_id, &data, &expunged);
	if (data == NULL || expunged)
		return FALSE;
	memcpy(rec_r, data, sizeof(*rec_r));
	return TRUE;
}

/* The new text gets a second user before it is used a second time, and the old
   one loses its user after nobody uses it: killed in between, a little space
   is lost. */
static int
swap_mdbox(struct mailbox *box, uint32_t uid, struct mailbox *temp_box,
	   uint32_t temp_uid, const char **error_r)
{
	struct mdbox_mailbox *mbox = MDBOX_MAILBOX(box);
	struct mdbox_mailbox *temp_mbox = MDBOX_MAILBOX(temp_box);
	struct mdbox_map *map = mbox->storage->map;
	struct mdbox_mail_index_record rec, temp_rec;
	struct mail_index_transaction *t;
	uint32_t seq, temp_seq, old_map_uid;

	if (temp_mbox->storage != mbox->storage) {
		*error_r = "The temporary mailbox is in another storage";
		return -1;
	}
	if (!mdbox_get_record(box, box->view, uid, &seq, &rec))
		return 0;
	if (!mdbox_get_record(temp_box, temp_box->view, temp_uid, &temp_seq,
			      &temp_rec)) {
		*error_r = "The temporary mailbox lost its mail";
		return -1;
	}
	if (mdbox_change_refcount(map, temp_rec.map_uid, 1) < 0)
		return mailbox_error(box, "Storage's map can't be changed", error_r);
	old_map_uid = rec.map_uid;
	rec.map_uid = temp_rec.map_uid;
	t = mail_index_transaction_begin(box->view,
				MAIL_INDEX_TRANSACTION_FLAG_EXTERNAL);
	mail_index_update_ext(t, seq, mbox->ext_id, &rec, NULL);
	if (mail_index_transaction_commit(&t) < 0) {
		mailbox_set_index_error(box);
		return mailbox_error(box, "Index can't be changed", error_r);
	}
	if (mdbox_change_refcount(map, old_map_uid, -1) < 0)
		return mailbox_error(box, "Storage's map can't be changed", error_r);
	return 1;
}

static const struct replace_format formats[] = {
	{ MAILDIR_STORAGE_NAME, maildir_swap },
	{ SDBOX_STORAGE_NAME, swap_sdbox },
	{ MDBOX_STORAGE_NAME, swap_mdbox },
};

/* -- all together */

static const struct replace_format *find_format(struct mailbox *box)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(formats); i++) {
		if (strcmp(box->storage->name, formats[i].name) == 0)
			return &formats[i];
	}
	return NULL;
}

const char *mail_replace_why_not(struct mailbox *box)
{
	return find_format(box) != NULL ? NULL :
		t_strdup_printf("mails in %s can't be replaced",
				box->storage->name);
}

/* Returns 1, 0 if the mail is gone, -1 and *error_r. */
static int
read_identity(struct mailbox *box, uint32_t uid,
	      struct replace_identity *identity_r, const char **error_r)
{
	struct mailbox_transaction_context *t;
	const char *guid, *uidl, *order;
	struct mail *mail;
	int ret = 1;

	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	if (!mail_set_uid(mail, uid))
		ret = 0;
	else if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0 ||
		 mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0 ||
		 mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &order) < 0)
		ret = mail->expunged ? 0 :
			mailbox_error(box, "Mail can't be read", error_r);
	else {
		identity_r->guid = t_strdup(guid);
		identity_r->uidl = t_strdup(uidl);
		if (str_to_uint32(order, &identity_r->order) < 0)
			identity_r->order = 0;
	}
	mail_free(&mail);
	mailbox_transaction_rollback(&t);
	return ret;
}

/* What was cached of the old text, and the sums over sizes that quotas use,
   are worked out anew. */
static int forget_old_text(struct mailbox *box, uint32_t uid,
			   const char **error_r)
{
	struct mailbox_transaction_context *t;
	uint32_t seq;

	if (mailbox_sync(box, 0) < 0)
		return mailbox_error(box, "Mailbox can't be synchronised", error_r);
	t = mailbox_transaction_begin(box, 0, __func__);
	if (mail_index_lookup_seq(box->view, uid, &seq))
		migration_cache_forget(t, seq);
	if (mailbox_transaction_commit(&t) < 0)
		return mailbox_error(box, "Index can't be updated", error_r);
	return 0;
}

static struct mailbox *temp_mailbox_alloc(struct mailbox *box)
{
	struct mail_namespace *ns = mailbox_get_namespace(box);

	return mailbox_alloc(ns->list,
		t_strconcat(ns->prefix, TEMP_MAILBOX_NAME, NULL), 0);
}

bool mail_replace_is_temporary(struct mailbox *box)
{
	const char *prefix = mailbox_get_namespace(box)->prefix;

	return strncmp(box->vname, prefix, strlen(prefix)) == 0 &&
		strcmp(box->vname + strlen(prefix), TEMP_MAILBOX_NAME) == 0;
}

void mail_replace_clean_up(struct mailbox *box)
{
	struct mailbox *temp_box = temp_mailbox_alloc(box);

	/* there may be none */
	(void)mailbox_delete_marked(temp_box);
	mailbox_free(&temp_box);
}

static int
replace_with(const struct replace_format *format, struct mailbox *box,
	     uint32_t uid, struct mailbox *temp_box, struct istream *text,
	     time_t received_date, const char **error_r)
{
	struct replace_identity identity;
	uint32_t temp_uid;
	int ret;

	i_zero(&identity);
	ret = read_identity(box, uid, &identity, error_r);
	if (ret <= 0)
		return ret;
	if (mailbox_create(temp_box, NULL, FALSE) < 0 ||
	    mailbox_open(temp_box) < 0)
		return mailbox_error(temp_box, "Temporary mailbox can't be made", error_r);
	if (save_text(temp_box, text, &identity, 0, received_date, &temp_uid,
		      error_r) < 0)
		return -1;
	if (mailbox_sync(temp_box, 0) < 0)
		return mailbox_error(temp_box, "Temporary mailbox can't be read", error_r);
	ret = format->swap(box, uid, temp_box, temp_uid, error_r);
	if (ret > 0 && forget_old_text(box, uid, error_r) < 0)
		return -1;
	return ret;
}

int mail_replace(struct mailbox *box, uint32_t uid, struct istream *text,
		 time_t received_date, const char **error_r)
{
	const struct replace_format *format = find_format(box);
	struct mailbox *temp_box;
	int ret;

	i_assert(format != NULL);
	mail_replace_clean_up(box);
	temp_box = temp_mailbox_alloc(box);
	ret = replace_with(format, box, uid, temp_box, text, received_date,
			   error_r);
	mailbox_free(&temp_box);
	mail_replace_clean_up(box);
	return ret;
}
