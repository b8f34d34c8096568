/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Of a mailbox that changed at the source only the changes are asked for, if
   the destination is what it was when both were the same
   (migration-imapc-record.c): UIDs and flags of the mails that were there then
   come from the destination, and the header fields by which dsync compares
   them, too. The server is asked which mails it has (SEARCH), which of the old
   ones changed since the recorded HIGHESTMODSEQ (RFC 7162, CHANGEDSINCE), and
   for all of the new ones, in one burst. If the answers do not fit together
   all mails are asked for as ever. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "imap-util.h"
#include "seq-range-array.h"
#include "index-storage.h"
#include "sync-changes.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* ---- what the destination has ---- */

/* The destination's mailbox as it was recorded, or NULL. */
static struct mailbox *
changes_open_dest(struct migration_imapc_ahead *ahead,
		  const struct ahead_mailbox *mailbox, const char **reason_r)
{
	struct mailbox_status status;
	struct sync_side dest;
	struct mailbox *box;

	box = migration_imapc_sides_alloc_dest(ahead->muser,
					       mailbox->dest_name);
	if (box == NULL) {
		*reason_r = "the destination has no such mailbox";
		return NULL;
	}
	if (mailbox_open(box) < 0) {
		*reason_r = t_strdup(mailbox_get_last_internal_error(box, NULL));
		mailbox_free(&box);
		return NULL;
	}
	index_storage_get_open_status(box, RECORD_STATUS_ITEMS, &status);
	migration_imapc_record_fill_side(&status, &dest);
	if (!migration_imapc_record_changes_are_enough(ahead->mlist, mailbox,
						       &dest, reason_r))
		mailbox_free(&box);
	return box;
}

static const char *
changes_dest_flags(struct mailbox *box, uint32_t seq, uint32_t first_recent_uid,
		   ARRAY_TYPE(keyword_indexes) *indexes)
{
	const struct mail_index_record *rec = mail_index_lookup(box->view, seq);
	enum mail_flags flags = rec->flags & MAIL_FLAGS_NONRECENT;
	ARRAY_TYPE(const_string) keywords;
	string_t *text = t_str_new(64);

	t_array_init(&keywords, 8);
	migration_imapc_record_get_keywords(box, seq, indexes, &keywords);
	array_append_zero(&keywords);
	if (rec->uid >= first_recent_uid)
		flags |= MAIL_RECENT;
	imap_write_flags(text, flags, array_front(&keywords));
	return str_c(text);
}

/* The mailbox's mails become those of the destination. */
static bool
changes_take_mails(struct migration_imapc_ahead *ahead,
		   struct ahead_mailbox *mailbox, const char **reason_r)
{
	ARRAY_TYPE(keyword_indexes) indexes;
	const struct mail_index_header *hdr;
	struct ahead_mail *mail;
	struct mailbox *box;
	uint32_t seq, uid;

	box = changes_open_dest(ahead, mailbox, reason_r);
	if (box == NULL)
		return FALSE;
	migration_imapc_ahead_mailbox_clear_mails(ahead, mailbox);
	array_clear(&mailbox->found);
	hdr = mail_index_get_header(box->view);
	i_array_init(&indexes, 32);
	for (seq = 1; seq <= hdr->messages_count; seq++) T_BEGIN {
		mail_index_lookup_uid(box->view, seq, &uid);
		mail = migration_imapc_ahead_mail_add(mailbox, uid);
		mail->flags = migration_imapc_ahead_flags(mailbox,
			changes_dest_flags(box, seq, hdr->first_recent_uid,
					   &indexes));
		/* it did not change later than that */
		mail->modseq = mailbox->then.highestmodseq;
	} T_END;
	array_free(&indexes);
	mailbox_free(&box);
	return TRUE;
}

/* ---- asking ---- */

void migration_imapc_changes_begin(struct migration_imapc_ahead *ahead,
				   struct ahead_mailbox *mailbox)
{
	i_zero(&mailbox->then);
	if (ahead->no_changes || !ahead->have_modseqs ||
	    !migration_imapc_record_get_source(ahead->mlist, mailbox,
					       &mailbox->then))
		return;
	if (mailbox->then.highestmodseq >= mailbox->source.highestmodseq) {
		i_zero(&mailbox->then);
		return;
	}
	p_array_init(&mailbox->found, mailbox->pool, 16);
	mailbox->new_uid = mailbox->then.uidnext;
}

/* SEARCH comes first: what arrives after it is not found, but fetched. */
static void
changes_ask_old(struct migration_imapc_ahead *ahead,
		struct ahead_mailbox *mailbox)
{
	bool esearch = (ahead->capabilities & IMAPC_CAPABILITY_ESEARCH) != 0;

	migration_imapc_ahead_send_changes(ahead, mailbox, esearch ?
		"UID SEARCH RETURN (ALL) ALL" : "UID SEARCH ALL");
	migration_imapc_ahead_send_changes(ahead, mailbox, t_strdup_printf(
		"UID FETCH 1:%u (FLAGS) (CHANGEDSINCE %"PRIu64")",
		mailbox->then.uidnext - 1, mailbox->then.highestmodseq));
}

void migration_imapc_changes_doubted(struct migration_imapc_ahead *ahead,
				     const struct ahead_mailbox *mailbox,
				     const char *reason)
{
	e_debug(ahead->muser->event, "mailbox %s: asking for all mails, not only "
		"for what changed: %s", mailbox->vname, reason);
}

enum ahead_part migration_imapc_changes_forget(struct ahead_mailbox *mailbox,
					       enum ahead_part parts)
{
	const enum ahead_part kept = AHEAD_PART_METADATA;

	i_zero(&mailbox->then);
	parts |= (mailbox->asked | mailbox->known) & ENUM_NEGATE(kept);
	mailbox->asked &= kept;
	mailbox->known &= kept;
	return parts;
}

enum ahead_part migration_imapc_changes_ask(struct migration_imapc_ahead *ahead,
					    struct ahead_mailbox *mailbox,
					    enum ahead_part parts)
{
	enum ahead_part asked = parts & (AHEAD_PART_FLAGS | AHEAD_PART_HEADERS);
	string_t *items = t_str_new(128);
	const char *reason = "the server does not tell what changed";

	if (!migration_imapc_changes_only(mailbox) || asked == 0)
		return parts;
	if ((parts & AHEAD_PART_FLAGS) != 0) {
		if (ahead->no_changes ||
		    !changes_take_mails(ahead, mailbox, &reason)) {
			migration_imapc_changes_doubted(ahead, mailbox, reason);
			return migration_imapc_changes_forget(mailbox, parts);
		}
		changes_ask_old(ahead, mailbox);
		str_append(items, " FLAGS MODSEQ");
		asked |= parts & AHEAD_PART_NEW_DETAILS;
	}
	if (mailbox->source.uidnext <= mailbox->then.uidnext) {
		/* there are no new ones */
		mailbox->asked |= asked;
		mailbox->known |= asked & ENUM_NEGATE(AHEAD_PART_FLAGS);
		return parts & ENUM_NEGATE(asked);
	}
	if ((asked & AHEAD_PART_HEADERS) != 0)
		migration_imapc_ahead_append_headers(mailbox, items);
	if ((asked & AHEAD_PART_NEW_DETAILS) != 0)
		migration_imapc_ahead_append_details(ahead, items);
	migration_imapc_ahead_ask_range(ahead, mailbox, asked, str_c(items) + 1,
					mailbox->then.uidnext, 0);
	return parts & ENUM_NEGATE(asked);
}

void migration_imapc_changes_refused(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     const char *reason)
{
	ahead->no_changes = TRUE;
	mailbox->doubt = p_strdup_printf(mailbox->pool, "the server answers: %s",
					 reason);
}

/* ---- the answer ---- */

/* Counts what SEARCH found that nobody knows. */
static unsigned int changes_count_unknown(const struct ahead_mailbox *mailbox)
{
	ARRAY_TYPE(seq_range) unknown;
	const struct ahead_mail *mail;

	t_array_init(&unknown, 16);
	seq_range_array_merge(&unknown, &mailbox->found);
	array_foreach(&mailbox->mails, mail)
		seq_range_array_remove(&unknown, mail->uid);
	/* arrived after STATUS: for the next run */
	seq_range_array_remove_range(&unknown, mailbox->source.uidnext,
				     (uint32_t)-1);
	return seq_range_count(&unknown);
}

static void
changes_look_at(const struct ahead_mailbox *mailbox,
		struct sync_changes *changes_r)
{
	const struct ahead_mail *mail;

	i_zero(changes_r);
	changes_r->uidvalidity = mailbox->uidvalidity;
	changes_r->highestmodseq = mailbox->highestmodseq;
	changes_r->exists = mailbox->exists;
	changes_r->found = seq_range_count(&mailbox->found);
	changes_r->unknown = changes_count_unknown(mailbox);
	array_foreach(&mailbox->mails, mail) {
		if (mail->uid >= mailbox->then.uidnext)
			continue;
		if (mail->modseq > mailbox->then.highestmodseq)
			changes_r->changed++;
		else if (mail->modseq < mailbox->then.highestmodseq)
			changes_r->modseq_is_old = TRUE;
		if (!seq_range_exists(&mailbox->found, mail->uid))
			changes_r->gone++;
	}
}

static void changes_remove_gone(struct ahead_mailbox *mailbox)
{
	struct ahead_mail *mails;
	unsigned int i, count, kept = 0;

	mails = array_get_modifiable(&mailbox->mails, &count);
	for (i = 0; i < count; i++) {
		if (mails[i].uid >= mailbox->then.uidnext ||
		    seq_range_exists(&mailbox->found, mails[i].uid))
			mails[kept++] = mails[i];
	}
	array_delete(&mailbox->mails, kept, count - kept);
}

bool migration_imapc_changes_apply(struct ahead_mailbox *mailbox,
				   const char **reason_r)
{
	struct sync_changes changes;
	bool credible;

	if (mailbox->doubt != NULL) {
		*reason_r = mailbox->doubt;
		return FALSE;
	}
	T_BEGIN {
		changes_look_at(mailbox, &changes);
	} T_END;
	credible = sync_changes_are_credible(&changes, &mailbox->then,
					     &mailbox->source, reason_r);
	if (credible && changes.gone > 0)
		changes_remove_gone(mailbox);
	return credible;
}

bool migration_imapc_changes_dest_is_same(struct migration_imapc_ahead *ahead,
					  struct ahead_mailbox *mailbox)
{
	struct sync_side dest;
	const char *reason = "nothing is known of the destination";

	if (mailbox->pool == NULL || !migration_imapc_changes_only(mailbox))
		return TRUE;
	if (migration_imapc_sides_get_dest(ahead->muser, mailbox->dest_name,
					   &dest) &&
	    migration_imapc_record_changes_are_enough(ahead->mlist, mailbox,
						      &dest, &reason))
		return TRUE;
	migration_imapc_changes_doubted(ahead, mailbox, reason);
	return FALSE;
}
