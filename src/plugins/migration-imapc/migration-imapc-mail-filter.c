/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mails that a migration leaves alone: migration_imapc_filter_max_size, _since,
   _before and _flags (mail-filter.h). Searches of the source do not find them,
   so that dsync sees gaps between UIDs, as after an expunge.

   What was decided about a mailbox's mails is written down before dsync sees the
   first of them (filter-memory.h). */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "imap-util.h"
#include "mail-search-build.h"
#include "mail-namespace.h"
#include "migration-run.h"
#include "migration-imapc-mail-filter-private.h"
#include "migration-imapc-ahead-private.h"

/* ---- the filter ---- */

/* Without -R mails go to the IMAP server. */
static bool filter_is_of_dest(struct mail_user *user)
{
	const struct migration_run *run = migration_run_find(user);

	return user->dsyncing && run->options != NULL &&
		!migration_imapc_user_is_synced(user) &&
		!migration_run_has_option(run, "reverse-sync");
}

struct migration_imapc_mail_filter *
migration_imapc_mail_filter_get(struct migration_imapc_list *mlist)
{
	struct mail_user *user = mlist->list->list.ns->user;
	struct mail_filter_words words;
	struct migration_imapc_mail_filter *mfilter = mlist->mail_filter;
	const char *error;

	if (!migration_imapc_user_is_source(user) || filter_is_of_dest(user))
		return NULL;
	if (mfilter == NULL) T_BEGIN {
		mfilter = p_new(mlist->list->list.pool,
				struct migration_imapc_mail_filter, 1);
		mfilter->mlist = mlist;
		migration_imapc_filter_words(mlist->muser->set, &words);
		if (mail_filter_parse(mlist->list->list.pool, &words,
				      &mfilter->filter, &error) < 0)
			i_unreached(); /* the settings were checked */
		migration_imapc_mail_filter_init_memory(mfilter);
		mfilter->idle = !mail_filter_is_set(mfilter->filter) &&
			(mfilter->memory == NULL ||
			 !filter_memory_has_any(mfilter->memory));
		mlist->mail_filter = mfilter;
	} T_END;
	return mfilter->idle ? NULL : mfilter;
}

const char *
migration_imapc_mail_filter_refusal(struct migration_imapc_list *mlist)
{
	const struct migration_imapc_mail_filter *mfilter =
		migration_imapc_mail_filter_get(mlist);

	return mfilter == NULL ? NULL : mfilter->refusal;
}

const char *migration_imapc_mail_filter_key(struct migration_imapc_list *mlist)
{
	const struct migration_imapc_settings *set = mlist->muser->set;

	return t_strdup_printf("%"PRIuUOFF_T" %s %s %s", set->filter_max_size,
			       set->filter_since, set->filter_before,
			       set->filter_flags);
}

void migration_imapc_mail_filter_deinit(struct migration_imapc_list *mlist)
{
	if (mlist->mail_filter == NULL)
		return;
	if (mlist->mail_filter->memory != NULL)
		filter_memory_deinit(&mlist->mail_filter->memory);
	i_free(mlist->mail_filter->path);
	mlist->mail_filter = NULL;
}

/* ---- the destination ---- */

struct filter_dest {
	const uint8_t *guid;
	const char *vname;
};

static void
dest_has_guid(void *context, const char *vname, const guid_128_t guid,
	      const struct sync_side *side ATTR_UNUSED)
{
	struct filter_dest *dest = context;

	if (memcmp(dest->guid, guid, GUID_128_SIZE) == 0)
		dest->vname = t_strdup(vname);
}

/* The destination's mailbox, or NULL if it has none. */
static struct mailbox *
filter_dest_alloc(struct filter_box *fbox)
{
	struct migration_imapc_list *mlist = fbox->mfilter->mlist;
	struct mail_user *user =
		migration_imapc_user_find_first(mlist->list->list.ns->user);
	struct filter_dest dest = { fbox->next.guid, fbox->vname };
	enum mailbox_existence existence;
	struct mailbox *box;

	if (user == NULL)
		return NULL;
	/* it may be called otherwise, until dsync renames it */
	migration_imapc_sides_foreach_dest(mlist->muser, dest_has_guid, &dest);
	box = migration_imapc_sides_alloc(user, dest.vname);
	if (mailbox_exists(box, FALSE, &existence) == 0 &&
	    existence != MAILBOX_EXISTENCE_SELECT)
		mailbox_free(&box);
	return box;
}

/* What cannot be read counts as there: nothing is to be deleted by mistake. */
static void filter_load_dest(struct filter_box *fbox)
{
	struct mailbox *box = filter_dest_alloc(fbox);
	uint32_t seq, count, uid;

	fbox->past.dest_uids = &fbox->dest_uids;
	if (box == NULL)
		return;
	if (mailbox_open(box) < 0 || mailbox_sync(box, 0) < 0)
		seq_range_array_add_range(&fbox->dest_uids, 1, (uint32_t)-1);
	else if (mail_index_get_header(box->view)->uid_validity ==
		 fbox->next.uidvalidity) {
		count = mail_index_view_get_messages_count(box->view);
		for (seq = 1; seq <= count; seq++) {
			mail_index_lookup_uid(box->view, seq, &uid);
			seq_range_array_add(&fbox->dest_uids, uid);
		}
	}
	mailbox_free(&box);
}

/* ---- deciding ---- */

/* By which earlier runs have remembered the mailbox: dsync gives the
   destination's mailbox the GUID of the source's, or the other way round. */
static void filter_find_guid(struct filter_box *fbox)
{
	struct migration_imapc_list *mlist = fbox->mfilter->mlist;
	struct mailbox_metadata metadata;
	struct mailbox *box;

	if (migration_imapc_renames_get_guid(mlist, fbox->vname,
					     fbox->next.guid))
		return;
	mail_generate_guid_128_hash(mailbox_list_get_storage_name(
			&mlist->list->list, fbox->vname), fbox->next.guid);
	if (mlist->list->list.ns->user->dsyncing ||
	    (box = filter_dest_alloc(fbox)) == NULL)
		return;
	if (mailbox_get_metadata(box, MAILBOX_METADATA_GUID, &metadata) == 0)
		guid_128_copy(fbox->next.guid, metadata.guid);
	mailbox_free(&box);
}

static void
filter_box_init(struct filter_box *fbox,
		struct migration_imapc_mail_filter *mfilter, const char *vname,
		uint32_t uidvalidity, ARRAY_TYPE(seq_range) *hidden)
{
	struct sync_side dest;

	i_zero(fbox);
	fbox->pool = pool_alloconly_create("migration filter", 1024);
	fbox->mfilter = mfilter;
	fbox->vname = vname;
	fbox->hidden = hidden;
	fbox->next.uidvalidity = uidvalidity;
	p_array_init(&fbox->dest_uids, fbox->pool, 4);
	p_array_init(&fbox->undecided, fbox->pool, 4);
	p_array_init(&fbox->late, fbox->pool, 4);
	p_array_init(&fbox->next.mails, fbox->pool, 4);
	if (mfilter->memory == NULL) {
		/* nothing is where an import puts it */
		fbox->past.dest_uids = &fbox->dest_uids;
		return;
	}
	filter_find_guid(fbox);
	fbox->past.memory = filter_memory_find(mfilter->memory, fbox->next.guid,
					       uidvalidity);
	if (fbox->past.memory != NULL)
		fbox->next.decided_uid = fbox->past.memory->decided_uid;
	if (migration_imapc_sides_get_dest(mfilter->mlist->muser, vname, &dest) &&
	    dest.uidvalidity == uidvalidity)
		fbox->past.dest_uidnext = dest.uidnext;
}

static void
filter_box_hide(struct filter_box *fbox, const struct mail_filter_mail *mail,
		enum mail_filter_cause cause)
{
	struct filter_memory_mail *next = array_append_space(&fbox->next.mails);
	const struct filter_memory_mail *known;

	next->uid = mail->uid;
	next->size = mail->size;
	next->received_date = mail->received_date;
	known = fbox->past.memory == NULL ? NULL :
		filter_memory_find_mail(fbox->past.memory, mail->uid);
	if (known != NULL && known->size != UOFF_T_MAX)
		next->size = known->size;
	if (known != NULL && known->received_date != (time_t)-1)
		next->received_date = known->received_date;
	seq_range_array_add(fbox->hidden, mail->uid);
	fbox->counts[cause]++;
}

/* Mails come in ascending order. */
static void
filter_box_add(struct filter_box *fbox, const struct mail_filter_mail *mail)
{
	enum mail_filter_verdict verdict;
	enum mail_filter_cause cause;

	if (mail->uid >= fbox->next.decided_uid)
		fbox->next.decided_uid = mail->uid + 1;
	verdict = mail_filter_decide(fbox->mfilter->filter, &fbox->past, mail,
				     &cause);
	if (verdict == MAIL_FILTER_NEEDS_DEST) {
		filter_load_dest(fbox);
		verdict = mail_filter_decide(fbox->mfilter->filter, &fbox->past,
					     mail, &cause);
	}
	switch (verdict) {
	case MAIL_FILTER_SHOWN:
		break;
	case MAIL_FILTER_LATE:
		seq_range_array_add(&fbox->late, mail->uid);
		/* fall through */
	case MAIL_FILTER_HIDDEN:
		filter_box_hide(fbox, mail, cause);
		break;
	case MAIL_FILTER_NEEDS_DETAILS:
	case MAIL_FILTER_NEEDS_DEST:
		seq_range_array_add(&fbox->undecided, mail->uid);
		break;
	}
}

/* Begins again, with details. */
static void filter_box_restart(struct filter_box *fbox)
{
	array_clear(&fbox->undecided);
	array_clear(&fbox->late);
	array_clear(&fbox->next.mails);
	array_clear(fbox->hidden);
	memset(fbox->counts, 0, sizeof(fbox->counts));
	fbox->past.details_final = TRUE;
}

/* ---- mailboxes that were fetched ahead ---- */

static void
filter_mail_of_ahead(const struct ahead_mail *mail,
		     struct mail_filter_mail *mail_r)
{
	mail_r->uid = mail->uid;
	mail_r->size = mail->size;
	mail_r->received_date = mail->received_date;
	mail_r->flags = mail->flags;
}

static enum ahead_part
filter_missing_parts(const struct filter_box *fbox,
		     const struct ahead_mailbox *mailbox)
{
	const struct seq_range *range;
	enum ahead_part parts = 0;

	array_foreach(&fbox->undecided, range) {
		if (range->seq1 < mailbox->new_uid)
			parts |= AHEAD_PART_OLD_DETAILS;
		if (range->seq2 >= mailbox->new_uid)
			parts |= AHEAD_PART_NEW_DETAILS;
	}
	return parts;
}

static void
filter_add_ahead(struct filter_box *fbox, struct ahead_mailbox *mailbox)
{
	struct ahead_mail *mail;
	struct mail_filter_mail data;

	array_foreach_modifiable(&mailbox->mails, mail) T_BEGIN {
		filter_mail_of_ahead(mail, &data);
		filter_box_add(fbox, &data);
		mail->left_out = seq_range_exists(fbox->hidden, mail->uid);
	} T_END;
}

/* Sets error_r if the decision cannot be kept. */
static bool
filter_decide_ahead(struct migration_imapc_mailbox *mmbox,
		    struct migration_imapc_mail_filter *mfilter,
		    struct ahead_mailbox *mailbox, const char **error_r)
{
	struct filter_box fbox;
	enum ahead_part parts;
	bool decided;

	filter_box_init(&fbox, mfilter, mailbox->vname,
			mailbox->source.uidvalidity, &mmbox->filtered_uids);
	filter_add_ahead(&fbox, mailbox);
	parts = filter_missing_parts(&fbox, mailbox);
	if (parts != 0) {
		if (!migration_imapc_ahead_wait_parts(mfilter->mlist->ahead,
				mailbox, parts | AHEAD_PART_FLAGS)) {
			pool_unref(&fbox.pool);
			return FALSE;
		}
		filter_box_restart(&fbox);
		filter_add_ahead(&fbox, mailbox);
	}
	mailbox->filtered = TRUE;
	decided = migration_imapc_mail_filter_keep(&fbox, error_r) == 0;
	pool_unref(&fbox.pool);
	return decided;
}

static void
filter_write_failed(struct migration_imapc_mailbox *mmbox, const char *error)
{
	mail_storage_set_error(mmbox->mbox->box.storage, MAIL_ERROR_TEMP,
		t_strdup_printf("Can't remember which mails were left out, so "
			"that none can be: %s", error));
}

int migration_imapc_mail_filter_served(struct migration_imapc_mailbox *mmbox,
				       struct ahead_mailbox *mailbox)
{
	struct migration_imapc_mail_filter *mfilter =
		migration_imapc_mail_filter_get(mmbox->mlist);
	const char *error = NULL;
	bool decided = TRUE;

	if (mfilter == NULL)
		return 1;
	array_clear(&mmbox->filtered_uids);
	mmbox->filtered = FALSE;
	if (mailbox->source.messages > 0) T_BEGIN {
		decided = filter_decide_ahead(mmbox, mfilter, mailbox, &error);
		if (error != NULL)
			filter_write_failed(mmbox, error);
	} T_END;
	mmbox->filtered = decided;
	return decided ? 1 : error != NULL ? -1 : 0;
}

bool migration_imapc_mail_filter_mark(struct migration_imapc_list *mlist,
				      struct ahead_mailbox *mailbox)
{
	struct migration_imapc_mail_filter *mfilter =
		migration_imapc_mail_filter_get(mlist);
	ARRAY_TYPE(seq_range) hidden;
	struct filter_box fbox;

	if (mfilter == NULL || mailbox->filtered)
		return TRUE;
	i_array_init(&hidden, 16);
	filter_box_init(&fbox, mfilter, mailbox->vname,
			mailbox->source.uidvalidity, &hidden);
	filter_add_ahead(&fbox, mailbox);
	mailbox->filtered = array_count(&fbox.undecided) == 0;
	pool_unref(&fbox.pool);
	array_free(&hidden);
	return mailbox->filtered;
}

void migration_imapc_mail_filter_unchanged(struct migration_imapc_mailbox *mmbox,
					   const struct ahead_mailbox *mailbox)
{
	struct migration_imapc_mail_filter *mfilter =
		migration_imapc_mail_filter_get(mmbox->mlist);
	const struct filter_memory_mailbox *memory;
	ARRAY_TYPE(seq_range) none;
	struct filter_box fbox;

	if (mfilter == NULL || mfilter->memory == NULL)
		return;
	t_array_init(&none, 1);
	filter_box_init(&fbox, mfilter, mailbox->vname,
			mailbox->source.uidvalidity, &none);
	memory = fbox.past.memory;
	pool_unref(&fbox.pool);
	if (memory != NULL && array_count(&memory->mails) > 0) T_BEGIN {
		migration_imapc_mail_filter_tell_again(mfilter, mailbox->vname,
						       memory);
	} T_END;
}

/* ---- mailboxes that stock has selected ---- */

static void
filter_flags_of_index(struct mailbox *box, uint32_t seq, string_t *flags)
{
	const struct mail_index_record *rec = mail_index_lookup(box->view, seq);
	ARRAY_TYPE(keyword_indexes) indexes;
	ARRAY_TYPE(const_string) keywords;

	t_array_init(&indexes, 8);
	t_array_init(&keywords, 8);
	migration_imapc_record_get_keywords(box, seq, &indexes, &keywords);
	array_append_zero(&keywords);
	imap_write_flags(flags, rec->flags & MAIL_FLAGS_NONRECENT,
			 array_front(&keywords));
}

static void
filter_add_index(struct filter_box *fbox, struct mailbox *box,
		 const ARRAY_TYPE(filter_memory_mail) *details)
{
	uint32_t seq, count = mail_index_view_get_messages_count(box->view);
	const struct filter_memory_mail *detail;
	struct mail_filter_mail data;
	unsigned int next = 0;
	string_t *flags;

	for (seq = 1; seq <= count; seq++) T_BEGIN {
		flags = t_str_new(64);
		filter_flags_of_index(box, seq, flags);
		i_zero(&data);
		mail_index_lookup_uid(box->view, seq, &data.uid);
		data.size = UOFF_T_MAX;
		data.received_date = (time_t)-1;
		data.flags = str_c(flags);
		if (next < array_count(details)) {
			detail = array_idx(details, next);
			if (detail->uid == data.uid) {
				data.size = detail->size;
				data.received_date = detail->received_date;
				next++;
			}
		}
		filter_box_add(fbox, &data);
	} T_END;
}

/* The search asks for them all at once. */
static int
filter_read_details(struct filter_box *fbox, struct mailbox *box,
		    ARRAY_TYPE(filter_memory_mail) *details)
{
	const struct mail_filter *filter = fbox->mfilter->filter;
	enum mail_fetch_field fields =
		(mail_filter_wants_size(filter) ? MAIL_FETCH_VIRTUAL_SIZE : 0) |
		(mail_filter_wants_date(filter) ? MAIL_FETCH_RECEIVED_DATE : 0);
	struct mailbox_transaction_context *trans;
	struct mail_search_context *search;
	struct mail_search_args *args;
	struct mail_search_arg *arg;
	struct filter_memory_mail *detail;
	struct mail *mail;
	int ret;

	args = mail_search_build_init();
	arg = mail_search_build_add(args, SEARCH_UIDSET);
	p_array_init(&arg->value.seqset, args->pool, 16);
	array_append_array(&arg->value.seqset, &fbox->undecided);
	trans = mailbox_transaction_begin(box, 0, "migration filter");
	search = mailbox_search_init(trans, args, NULL, fields, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(search, &mail)) {
		detail = array_append_space(details);
		detail->uid = mail->uid;
		if ((fields & MAIL_FETCH_VIRTUAL_SIZE) == 0 ||
		    mail_get_virtual_size(mail, &detail->size) < 0)
			detail->size = UOFF_T_MAX;
		if ((fields & MAIL_FETCH_RECEIVED_DATE) == 0 ||
		    mail_get_received_date(mail, &detail->received_date) < 0)
			detail->received_date = (time_t)-1;
	}
	ret = mailbox_search_deinit(&search);
	(void)mailbox_transaction_commit(&trans);
	return ret;
}

static int
filter_decide_index(struct migration_imapc_mailbox *mmbox,
		    struct migration_imapc_mail_filter *mfilter)
{
	struct mailbox *box = &mmbox->mbox->box;
	ARRAY_TYPE(filter_memory_mail) details;
	const char *error = NULL;
	struct filter_box fbox;
	int ret = 0;

	i_array_init(&details, 64);
	filter_box_init(&fbox, mfilter, box->vname,
			mail_index_get_header(box->view)->uid_validity,
			&mmbox->filtered_uids);
	filter_add_index(&fbox, box, &details);
	if (array_count(&fbox.undecided) > 0) {
		ret = filter_read_details(&fbox, box, &details);
		filter_box_restart(&fbox);
		if (ret == 0)
			filter_add_index(&fbox, box, &details);
	}
	array_free(&details);
	if (ret == 0 &&
	    (ret = migration_imapc_mail_filter_keep(&fbox, &error)) < 0)
		filter_write_failed(mmbox, error);
	pool_unref(&fbox.pool);
	return ret;
}

int migration_imapc_mail_filter_search(struct migration_imapc_mailbox *mmbox)
{
	struct migration_imapc_mail_filter *mfilter;
	int ret;

	if (mmbox->filtered || mmbox->filtering || mmbox->mlist == NULL ||
	    mmbox->unchanged || mmbox->left_out ||
	    (mfilter = migration_imapc_mail_filter_get(mmbox->mlist)) == NULL)
		return 0;
	mmbox->filtering = TRUE;
	array_clear(&mmbox->filtered_uids);
	T_BEGIN {
		ret = filter_decide_index(mmbox, mfilter);
	} T_END;
	mmbox->filtering = FALSE;
	mmbox->filtered = ret == 0;
	return ret;
}

/* ---- searches ---- */

bool migration_imapc_mail_filter_hides(struct migration_imapc_mailbox *mmbox,
				       uint32_t uid)
{
	return mmbox->filtered && seq_range_exists(&mmbox->filtered_uids, uid);
}
