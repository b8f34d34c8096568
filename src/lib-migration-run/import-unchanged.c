/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-storage-private.h"
#include "import-evidence.h"
#include "import-unchanged.h"

/* Shows in logs as the reason of our transactions. */
#define IMPORT_UNCHANGED_REASON "migration_import"
/* A destination that counts UIDs of its own has other mails under them. Nothing is
   gained from looking at all of them. */
#define IMPORT_UNCHANGED_MAX_MISSES 20

struct import_unchanged {
	struct mailbox_transaction_context *source_trans, *dest_trans;
	struct mail *source, *dest;
	enum import_duplicates policy;
	const ARRAY_TYPE(seq_range) *joined;
};

static bool has_same_guid(struct mail *source, struct mail *dest)
{
	const char *source_guid, *dest_guid;
	guid_128_t source_128, dest_128;

	if (mail_get_special(source, MAIL_FETCH_GUID, &source_guid) < 0 ||
	    mail_get_special(dest, MAIL_FETCH_GUID, &dest_guid) < 0 ||
	    *source_guid == '\0' || *dest_guid == '\0')
		return FALSE;
	if (strcmp(source_guid, dest_guid) == 0)
		return TRUE;
	/* dbox keeps 128 bits of a longer GUID */
	mail_generate_guid_128_hash(source_guid, source_128);
	mail_generate_guid_128_hash(dest_guid, dest_128);
	return guid_128_equals(source_128, dest_128);
}

static bool
flags_stay(const struct import_unchanged *unchanged)
{
	struct import_flags source, dest;
	struct import_flags_change change;
	const char *reason;

	import_evidence_get_flags(unchanged->source, &source);
	import_evidence_get_flags(unchanged->dest, &dest);
	return import_decide(
		seq_range_exists(unchanged->joined, unchanged->dest->uid) ?
		IMPORT_DUPLICATES_MERGE_FLAGS : unchanged->policy,
		&source, &dest, &change, &reason) == IMPORT_ACTION_SKIP;
}

/* Of the two mails that have one UID. */
static void
import_unchanged_compare(const struct import_unchanged *unchanged,
			 ARRAY_TYPE(seq_range) *same, unsigned int *misses)
{
	if (!has_same_guid(unchanged->source, unchanged->dest))
		*misses += 1;
	else {
		*misses = 0;
		if (flags_stay(unchanged)) {
			seq_range_array_add(same, unchanged->dest->uid);
		}
	}
}

static void
import_unchanged_read(const struct import_unchanged *unchanged,
		      ARRAY_TYPE(seq_range) *same,
		      ARRAY_TYPE(seq_range) *rest)
{
	struct mail_index_view *source_view = unchanged->source_trans->view;
	struct mail_index_view *dest_view = unchanged->dest_trans->view;
	uint32_t seq, source_seq, uid, count;
	unsigned int misses = 0;

	count = mail_index_view_get_messages_count(dest_view);
	for (seq = 1; seq <= count; seq++) T_BEGIN {
		mail_index_lookup_uid(dest_view, seq, &uid);
		if (misses < IMPORT_UNCHANGED_MAX_MISSES &&
		    mail_index_lookup_seq(source_view, uid, &source_seq)) {
			mail_set_seq(unchanged->dest, seq);
			mail_set_seq(unchanged->source, source_seq);
			import_unchanged_compare(unchanged, same, &misses);
		}
		if (!seq_range_exists(same, uid))
			seq_range_array_add(rest, uid);
	} T_END;
}

static struct mail *
open_mails(struct mailbox *box, struct mailbox_transaction_context **trans_r)
{
	*trans_r = mailbox_transaction_begin(box, 0, IMPORT_UNCHANGED_REASON);
	return mail_alloc(*trans_r, MAIL_FETCH_GUID, NULL);
}

static void
close_mails(struct mail **mail, struct mailbox_transaction_context **trans)
{
	mail_free(mail);
	/* what was put into the cache stays; there is nothing else */
	(void)mailbox_transaction_commit(trans);
}

static bool is_numbered_locally(struct mail *mail)
{
	return import_evidence_has_guid(mail) &&
		!import_evidence_is_remote(mail);
}

bool import_unchanged_find(struct mailbox *source_box, struct mailbox *dest_box,
			   enum import_duplicates policy,
			   const ARRAY_TYPE(seq_range) *joined,
			   ARRAY_TYPE(seq_range) *same,
			   ARRAY_TYPE(seq_range) *rest)
{
	struct import_unchanged unchanged = {
		.policy = policy,
		.joined = joined,
	};

	unchanged.source = open_mails(source_box, &unchanged.source_trans);
	unchanged.dest = open_mails(dest_box, &unchanged.dest_trans);
	if (is_numbered_locally(unchanged.source) &&
	    is_numbered_locally(unchanged.dest))
		import_unchanged_read(&unchanged, same, rest);
	close_mails(&unchanged.dest, &unchanged.dest_trans);
	close_mails(&unchanged.source, &unchanged.source_trans);
	return array_count(same) > 0;
}
