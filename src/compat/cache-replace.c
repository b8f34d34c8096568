/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "buffer.h"
#include "mail-storage-private.h"
#include "mail-cache-private.h"
#include "cache-replace.h"

void migration_cache_replace(struct mailbox_transaction_context *t,
			     uint32_t seq, unsigned int field_idx,
			     const void *data, size_t size)
{
	struct mail_cache_view *view = t->cache_view;
	/* never used as cached_exists_value */
	const uint8_t absent = 0;

	/* A new record is put before the older ones of its mail, and lookups
	   take the first field that they find. So it only has to be believed
	   that the field is not there yet: looking it up loads what is known
	   of this mail, and then one field is forgotten. */
	if (mail_cache_field_exists(view, seq, field_idx) > 0) {
		buffer_write(view->cached_exists_buf, field_idx,
			     &absent, sizeof(absent));
	}
	mail_cache_add(t->cache_trans, seq, field_idx, data, size);
}

void migration_cache_forget(struct mailbox_transaction_context *t,
			    uint32_t seq)
{
	struct mailbox *box = t->box;
	const struct mailbox_index_vsize no_sum = { .vsize = 0 };
	const uint32_t nothing = 0;

	mail_index_update_ext(t->itrans, seq, box->cache->ext_id, &nothing,
			      NULL);
	if (box->mail_vsize_ext_id != (uint32_t)-1) {
		mail_index_update_ext(t->itrans, seq, box->mail_vsize_ext_id,
				      &nothing, NULL);
	}
	mail_index_update_header_ext(t->itrans, box->vsize_hdr_ext_id, 0,
				     &no_sum, sizeof(no_sum));
}
