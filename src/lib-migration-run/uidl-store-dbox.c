/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What sdbox and mdbox have in common: the metadata behind each message, and
   the three things that stand between it and the POP3 server:

   1. the flags HAVE_POP3_UIDLS and HAVE_POP3_ORDERS in the index header's
      sdbox or mdbox extension,
   2. the highest UID with a UIDL in the index header's pop3-uidl extension,
   3. the cache, which has the UIDL and order of any mail that POP3 was ever
      asked for. */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "ostream.h"
#include "index-mail.h"
#include "index-storage.h"
#include "index-pop3-uidl.h"
#include "dbox-file.h"
#include "dbox-mail.h"
#include "sdbox-storage.h"
#include "mdbox-storage.h"
#include "cache-replace.h"
#include "uidl-store-private.h"

int uidl_store_dbox_read(struct mail *mail, pool_t pool,
			 struct uidl_store_mail *mail_r, const char **error_r)
{
	struct dbox_file *file;
	const char *order;

	if (dbox_mail_metadata_read(DBOX_MAIL(mail), &file) < 0) {
		if (mail->expunged)
			return 0;
		*error_r = t_strdup_printf(
			"UID %u can't be read: %s", mail->uid,
			mailbox_get_last_internal_error(mail->box, NULL));
		return -1;
	}
	mail_r->stored_uidl = p_strdup(pool, dbox_file_metadata_get(file,
						DBOX_METADATA_POP3_UIDL));
	order = dbox_file_metadata_get(file, DBOX_METADATA_POP3_ORDER);
	mail_r->stored_order = uidl_store_parse_order(order);
	return 1;
}

static int
dbox_copy_message(struct dbox_file *file, uoff_t start, struct ostream *output,
		  const char **error_r)
{
	struct istream *input;
	uoff_t size;
	int ret = 1;

	size = file->cur_offset + file->msg_header_size +
		file->cur_physical_size - start;
	i_stream_seek(file->input, start);
	input = i_stream_create_limit(file->input, size);
	o_stream_nsend_istream(output, input);
	if (o_stream_flush(output) < 0) {
		*error_r = t_strdup_printf("write(%s) failed: %s",
					   o_stream_get_name(output),
					   o_stream_get_error(output));
		ret = -1;
	} else if (input->stream_errno != 0) {
		*error_r = t_strdup_printf("read(%s) failed: %s",
					   file->cur_path,
					   i_stream_get_error(input));
		ret = -1;
	} else if (input->v_offset != size) {
		*error_r = t_strdup_printf("%s ends within a message",
					   file->cur_path);
		ret = 0;
	}
	i_stream_unref(&input);
	return ret;
}

static void
dbox_copy_metadata(struct dbox_file *file,
		   const struct uidl_store_change *change,
		   struct ostream *output)
{
	const char *line;

	o_stream_nsend(output, DBOX_MAGIC_POST, strlen(DBOX_MAGIC_POST));
	array_foreach_elem(&file->metadata, line) {
		if (change != NULL && (*line == DBOX_METADATA_POP3_UIDL ||
				       *line == DBOX_METADATA_POP3_ORDER))
			continue;
		o_stream_nsend_str(output, line);
		o_stream_nsend(output, "\n", 1);
	}
	if (change != NULL && change->uidl != NULL) {
		o_stream_nsend_str(output, t_strdup_printf("%c%s\n",
			DBOX_METADATA_POP3_UIDL, change->uidl));
	}
	if (change != NULL && change->order != 0) {
		o_stream_nsend_str(output, t_strdup_printf("%c%u\n",
			DBOX_METADATA_POP3_ORDER, change->order));
	}
	o_stream_nsend(output, "\n", 1);
}

int uidl_store_dbox_copy(struct dbox_file *file, uoff_t offset,
			 const struct uidl_store_change *change,
			 struct ostream *output, const char **error_r)
{
	int ret;

	if ((ret = dbox_file_seek(file, offset)) <= 0 ||
	    (ret = dbox_file_metadata_read(file)) <= 0) {
		*error_r = t_strdup_printf("%s can't be read at offset "
			"%"PRIuUOFF_T": run \"doveadm force-resync\" first",
			file->cur_path, offset);
		return ret;
	}
	ret = dbox_copy_message(file, offset, output, error_r);
	if (ret > 0)
		dbox_copy_metadata(file, change, output);
	return ret;
}

/* -- showing */

static void
dbox_header_add_flags(struct mailbox *box, struct mail_index_transaction *trans,
		      uint32_t ext_id, unsigned int offset, uint8_t add)
{
	const void *data;
	size_t size;
	uint8_t flags = 0;

	mail_index_get_header_ext(box->view, ext_id, &data, &size);
	if (offset < size)
		flags = *((const uint8_t *)data + offset);
	else {
		/* written by an old Dovecot */
		mail_index_ext_resize_hdr(trans, ext_id, offset + 1);
	}
	if ((flags & add) == add)
		return;
	flags |= add;
	mail_index_update_header_ext(trans, ext_id, offset,
				     &flags, sizeof(flags));
}

static void
dbox_open_first_gate(struct mailbox *box, struct mail_index_transaction *trans,
		     uint8_t flags)
{
	struct sdbox_mailbox *sdbox;
	struct mdbox_mailbox *mdbox;

	if (strcmp(box->storage->name, SDBOX_STORAGE_NAME) == 0) {
		sdbox = SDBOX_MAILBOX(box);
		dbox_header_add_flags(box, trans, sdbox->hdr_ext_id,
			offsetof(struct sdbox_index_header, flags), flags);
	} else {
		mdbox = MDBOX_MAILBOX(box);
		dbox_header_add_flags(box, trans, mdbox->hdr_ext_id,
			offsetof(struct mdbox_index_header, flags), flags);
	}
}

static void
dbox_open_second_gate(struct mailbox *box, struct mail_index_transaction *trans,
		      uint32_t uid)
{
	struct mailbox_index_pop3_uidl header;
	const void *data;
	size_t size;

	mail_index_get_header_ext(box->view, box->pop3_uidl_hdr_ext_id,
				  &data, &size);
	if (size < sizeof(header)) {
		/* without it every mail may have one */
		return;
	}
	memcpy(&header, data, sizeof(header));
	if (header.max_uid_with_pop3_uidl < uid)
		index_pop3_uidl_set_max_uid(box, trans, uid);
}

static void
dbox_replace_cached(struct mailbox_transaction_context *t, uint32_t seq,
		    const struct uidl_store_change *change)
{
	struct index_mailbox_context *ibox = INDEX_STORAGE_CONTEXT(t->box);
	const char *uidl = change->uidl == NULL ? "" : change->uidl;

	migration_cache_replace(t, seq,
		ibox->cache_fields[MAIL_CACHE_POP3_UIDL].idx,
		uidl, strlen(uidl));
	migration_cache_replace(t, seq,
		ibox->cache_fields[MAIL_CACHE_POP3_ORDER].idx,
		&change->order, sizeof(change->order));
}

int uidl_store_dbox_show(struct mailbox *box,
			 const struct uidl_store_change *changes,
			 unsigned int count, const char **error_r)
{
	struct mailbox_transaction_context *t;
	uint32_t seq, highest_uid = 0;
	uint8_t flags = 0;
	unsigned int i;

	t = mailbox_transaction_begin(box, 0, __func__);
	for (i = 0; i < count; i++) {
		if (!mail_index_lookup_seq(t->view, changes[i].uid, &seq))
			continue;
		dbox_replace_cached(t, seq, &changes[i]);
		if (changes[i].uidl != NULL)
			flags |= DBOX_INDEX_HEADER_FLAG_HAVE_POP3_UIDLS;
		if (changes[i].order != 0)
			flags |= DBOX_INDEX_HEADER_FLAG_HAVE_POP3_ORDERS;
		if (changes[i].uidl != NULL || changes[i].order != 0)
			highest_uid = I_MAX(highest_uid, changes[i].uid);
	}
	if (flags != 0) {
		dbox_open_first_gate(box, t->itrans, flags);
		dbox_open_second_gate(box, t->itrans, highest_uid);
	}
	if (mailbox_transaction_commit(&t) < 0) {
		*error_r = t_strdup_printf("Index can't be updated: %s",
			mailbox_get_last_internal_error(box, NULL));
		return -1;
	}
	return 0;
}
