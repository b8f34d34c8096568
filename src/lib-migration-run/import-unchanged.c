/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-cache-private.h"
#include "mail-storage-private.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"
#include "dbox-repair.h"
#include "save-roll-back.h"
#include "import-evidence.h"
#include "import-unchanged.h"

/* Shows in logs as the reason of our transactions. */
#define IMPORT_UNCHANGED_REASON "migration_import"
/* A destination that counts UIDs of its own has other mails under them. Nothing is
   gained from looking at all of them. */
#define IMPORT_UNCHANGED_MAX_MISSES 20

/* One of the two mailboxes. */
struct unchanged_side {
	struct mailbox_transaction_context *trans;
	struct mail *mail;
	/* UINT_MAX if the mailbox does not keep GUIDs in its cache */
	unsigned int guid_field;
	/* of a Maildir, otherwise NULL */
	struct maildir_uidlist *uidlist;
	ARRAY_TYPE(keyword_indexes) keywords;
};

struct import_unchanged {
	struct unchanged_side source, dest;
	enum import_duplicates policy;
	const ARRAY_TYPE(seq_range) *joined;
	bool private_flags;
};

static struct mail *side_get_mail(struct unchanged_side *side, uint32_t seq)
{
	if (side->mail->seq != seq)
		mail_set_seq(side->mail, seq);
	return side->mail;
}

/* A mail looks twice through all that the cache has of it, which is more than
   all else here. Returns NULL if the cache does not have it (data stack). */
static const char *
side_get_cached_guid(const struct unchanged_side *side, uint32_t seq)
{
	struct mail_cache_view *view = side->trans->cache_view;
	struct mail_cache_lookup_iterate_ctx iter;
	struct mail_cache_iterate_field field;

	if (side->guid_field == UINT_MAX)
		return NULL;
	/* the field is in use, as with a mail */
	mail_cache_decision_state_update(view, seq, side->guid_field);
	mail_cache_lookup_iter_init(view, seq, &iter);
	while (mail_cache_lookup_iter_next(&iter, &field) > 0) {
		if (field.field_idx == side->guid_field)
			return t_strndup(field.data, field.size);
	}
	return NULL;
}

/* A Maildir's GUIDs are the names of its files, unless the list of UIDs has
   others. Returns NULL if it does not have the mail (data stack). */
static const char *
side_get_listed_guid(const struct unchanged_side *side, uint32_t seq)
{
	enum maildir_uidlist_rec_flag flags;
	const char *guid, *filename;
	uint32_t uid;

	mail_index_lookup_uid(side->trans->view, seq, &uid);
	if (maildir_uidlist_lookup(side->uidlist, uid, &flags, &filename) <= 0)
		return NULL;
	guid = maildir_uidlist_lookup_ext(side->uidlist, uid,
					  MAILDIR_UIDLIST_REC_EXT_GUID);
	return guid != NULL ? guid : t_strcut(filename, MAILDIR_INFO_SEP);
}

/* "" if there is none (data stack, or until another mail is read) */
static const char *side_get_guid(struct unchanged_side *side, uint32_t seq)
{
	const char *guid = side->uidlist != NULL ?
		side_get_listed_guid(side, seq) :
		side_get_cached_guid(side, seq);

	if (guid == NULL &&
	    mail_get_special(side_get_mail(side, seq), MAIL_FETCH_GUID,
			     &guid) < 0)
		return "";
	return guid;
}

static bool have_same_guid(struct import_unchanged *unchanged,
			   uint32_t source_seq, uint32_t dest_seq)
{
	const char *source = side_get_guid(&unchanged->source, source_seq);
	const char *dest = side_get_guid(&unchanged->dest, dest_seq);
	guid_128_t source_128, dest_128;

	if (*source == '\0' || *dest == '\0')
		return FALSE;
	if (strcmp(source, dest) == 0)
		return TRUE;
	/* dbox keeps 128 bits of a longer GUID */
	mail_generate_guid_128_hash(source, source_128);
	mail_generate_guid_128_hash(dest, dest_128);
	return guid_128_equals(source_128, dest_128);
}

static bool side_has_keywords(struct unchanged_side *side, uint32_t seq)
{
	mail_index_lookup_keywords(side->trans->view, seq, &side->keywords);
	return array_count(&side->keywords) > 0;
}

/* The index tells most mails' flags without them. */
static bool have_same_flags(struct import_unchanged *unchanged,
			    uint32_t source_seq, uint32_t dest_seq)
{
	const struct mail_index_record *source =
		mail_index_lookup(unchanged->source.trans->view, source_seq);
	const struct mail_index_record *dest =
		mail_index_lookup(unchanged->dest.trans->view, dest_seq);

	return !unchanged->private_flags &&
		(source->flags & MAIL_FLAGS_NONRECENT) ==
		(dest->flags & MAIL_FLAGS_NONRECENT) &&
		!side_has_keywords(&unchanged->source, source_seq) &&
		!side_has_keywords(&unchanged->dest, dest_seq);
}

static bool flags_stay(struct import_unchanged *unchanged,
		       uint32_t source_seq, uint32_t dest_seq)
{
	struct mail *dest_mail = side_get_mail(&unchanged->dest, dest_seq);
	struct import_flags source, dest;
	struct import_flags_change change;
	const char *reason;

	import_evidence_get_flags(side_get_mail(&unchanged->source, source_seq),
				  &source);
	import_evidence_get_flags(dest_mail, &dest);
	return import_decide(
		seq_range_exists(unchanged->joined, dest_mail->uid) ?
		IMPORT_DUPLICATES_MERGE_FLAGS : unchanged->policy,
		&source, &dest, &change, &reason) == IMPORT_ACTION_SKIP;
}

static void
import_unchanged_read(struct import_unchanged *unchanged,
		      ARRAY_TYPE(seq_range) *same,
		      ARRAY_TYPE(seq_range) *rest)
{
	struct mail_index_view *source_view = unchanged->source.trans->view;
	struct mail_index_view *dest_view = unchanged->dest.trans->view;
	uint32_t seq, source_seq, uid, count;
	unsigned int misses = 0;

	count = mail_index_view_get_messages_count(dest_view);
	for (seq = 1; seq <= count; seq++) T_BEGIN {
		bool is_same = FALSE;

		mail_index_lookup_uid(dest_view, seq, &uid);
		if (misses < IMPORT_UNCHANGED_MAX_MISSES &&
		    mail_index_lookup_seq(source_view, uid, &source_seq)) {
			is_same = have_same_guid(unchanged, source_seq, seq);
			misses = is_same ? 0 : misses + 1;
		}
		is_same = is_same &&
			(have_same_flags(unchanged, source_seq, seq) ||
			 flags_stay(unchanged, source_seq, seq));
		seq_range_array_add(is_same ? same : rest, uid);
	} T_END;
}

static void side_open(struct unchanged_side *side, struct mailbox *box)
{
	side->trans = mailbox_transaction_begin(box, 0,
						IMPORT_UNCHANGED_REASON);
	side->mail = mail_alloc(side->trans, MAIL_FETCH_GUID, NULL);
	side->guid_field = mailbox_is_sdbox(box) || mailbox_is_mdbox(box) ?
		mail_cache_register_lookup(box->cache, "guid") : UINT_MAX;
	if (mailbox_is_maildir(box)) {
		struct maildir_mailbox *maildir = MAILDIR_MAILBOX(box);

		side->uidlist = maildir->uidlist;
	}
	i_array_init(&side->keywords, 8);
}

static void side_close(struct unchanged_side *side)
{
	array_free(&side->keywords);
	mail_free(&side->mail);
	/* what was put into the cache stays; there is nothing else */
	(void)mailbox_transaction_commit(&side->trans);
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
		.private_flags =
			mailbox_get_private_flags_mask(source_box) != 0 ||
			mailbox_get_private_flags_mask(dest_box) != 0,
	};

	side_open(&unchanged.source, source_box);
	side_open(&unchanged.dest, dest_box);
	if (is_numbered_locally(unchanged.source.mail) &&
	    is_numbered_locally(unchanged.dest.mail))
		import_unchanged_read(&unchanged, same, rest);
	side_close(&unchanged.dest);
	side_close(&unchanged.source);
	return array_count(same) > 0;
}
