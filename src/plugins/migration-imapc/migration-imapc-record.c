/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mailboxes that did not change since an earlier run are not even selected.

   For that a file keeps, of each mailbox, what both sides were when they were
   seen to be the same (sync-record.h). It is written at the end of a run, of
   mailboxes whose UIDs, flags and keywords were compared then, and it is only
   believed if it was written for the same server, account and command. It can
   be deleted at any time: then the next run compares everything. */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "sha1.h"
#include "str.h"
#include "imap-util.h"
#include "mail-index.h"
#include "sync-changes.h"
#include "migration-file.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-names.h"
#include "migration-imapc-ahead-private.h"

#include <fcntl.h>
#include <unistd.h>

/* 100 bytes a mailbox: more is no record of ours */
#define RECORD_MAX_SIZE (16*1024*1024)

struct migration_imapc_record {
	struct migration_imapc_list *mlist;
	struct sync_record *record;
	char *path;
	unsigned int skipped_count;
};

/* ---- comparing the mails ---- */

/* Few bytes: nothing of a digest leaves the process, and a mailbox's are made
   for every mail of it, on both sides. */
static void
digest_add(struct sha1_ctxt *ctx, uint32_t uid, enum mail_flags flags,
	   ARRAY_TYPE(const_string) *keywords)
{
	unsigned int count = array_count(keywords);
	unsigned char numbers[sizeof(uid) + 2];
	const char *keyword;

	memcpy(numbers, &uid, sizeof(uid));
	numbers[sizeof(uid)] = flags & MAIL_FLAGS_NONRECENT;
	numbers[sizeof(uid) + 1] = I_MIN(count, 255);
	sha1_loop(ctx, numbers, sizeof(numbers));
	if (count > 1)
		array_sort(keywords, i_strcasecmp_p);
	array_foreach_elem(keywords, keyword) T_BEGIN {
		keyword = t_str_lcase(keyword);
		sha1_loop(ctx, keyword, strlen(keyword) + 1);
	} T_END;
}

static enum mail_flags
digest_parse_flags(pool_t pool, const char *text,
		   ARRAY_TYPE(const_string) *keywords)
{
	enum mail_flags flags = 0;
	const char *const *words;

	array_clear(keywords);
	p_clear(pool);
	/* the two Dovecots return different types */
	words = (const void *)p_strsplit_spaces(pool, text, " ");
	for (; *words != NULL; words++) {
		if (**words == '\\')
			flags |= imap_parse_system_flag(*words);
		else
			array_push_back(keywords, words);
	}
	return flags;
}

void migration_imapc_record_digest_source(const struct ahead_mailbox *mailbox,
					  unsigned char *digest_r)
{
	const struct ahead_mail *mail;
	ARRAY_TYPE(const_string) keywords;
	enum mail_flags flags = 0;
	const char *parsed = NULL;
	struct sha1_ctxt ctx;
	pool_t pool;

	sha1_init(&ctx);
	if (mailbox->pool != NULL) {
		pool = pool_alloconly_create("digest flags", 512);
		i_array_init(&keywords, 8);
		array_foreach(&mailbox->mails, mail) {
			if (mail->left_out)
				continue;
			/* mails with the same flags share the text */
			if (mail->flags != parsed) {
				parsed = mail->flags;
				flags = digest_parse_flags(pool, parsed,
							   &keywords);
			}
			digest_add(&ctx, mail->uid, flags, &keywords);
		}
		array_free(&keywords);
		pool_unref(&pool);
	}
	sha1_result(&ctx, digest_r);
}

void migration_imapc_record_get_keywords(struct mailbox *box, uint32_t seq,
					 ARRAY_TYPE(keyword_indexes) *indexes,
					 ARRAY_TYPE(const_string) *keywords)
{
	const ARRAY_TYPE(keywords) *names = mail_index_get_keywords(box->index);
	const char *name;
	unsigned int idx;

	array_clear(keywords);
	mail_index_lookup_keywords(box->view, seq, indexes);
	array_foreach_elem(indexes, idx) {
		name = array_idx_elem(names, idx);
		array_push_back(keywords, &name);
	}
}

static void
digest_dest_mail(struct sha1_ctxt *ctx, struct mailbox *box, uint32_t seq,
		 ARRAY_TYPE(keyword_indexes) *indexes,
		 ARRAY_TYPE(const_string) *keywords)
{
	const struct mail_index_record *rec = mail_index_lookup(box->view, seq);

	migration_imapc_record_get_keywords(box, seq, indexes, keywords);
	digest_add(ctx, rec->uid, rec->flags, keywords);
}

static void
digest_dest(struct mailbox *box, unsigned char *digest_r)
{
	uint32_t seq, count = mail_index_view_get_messages_count(box->view);
	ARRAY_TYPE(keyword_indexes) indexes;
	ARRAY_TYPE(const_string) keywords;
	struct sha1_ctxt ctx;

	sha1_init(&ctx);
	i_array_init(&indexes, 32);
	i_array_init(&keywords, 32);
	for (seq = 1; seq <= count; seq++)
		digest_dest_mail(&ctx, box, seq, &indexes, &keywords);
	array_free(&keywords);
	array_free(&indexes);
	sha1_result(&ctx, digest_r);
}

void migration_imapc_record_fill_side(const struct mailbox_status *status,
				      struct sync_side *side_r)
{
	i_zero(side_r);
	side_r->uidvalidity = status->uidvalidity;
	side_r->uidnext = status->uidnext;
	side_r->messages = status->messages;
	side_r->first_recent_uid = status->first_recent_uid;
	if (!status->nonpermanent_modseqs)
		side_r->highestmodseq = status->highest_modseq;
}

void migration_imapc_record_dest_synced(struct migration_imapc_user *muser,
					struct mailbox *box)
{
	unsigned char digest[SHA1_RESULTLEN];
	struct mailbox_status status;
	struct sync_side source, dest;
	const unsigned char *source_digest;

	const char *name = migration_imapc_names_unescape(box->list, box->vname);

	if (!migration_imapc_sides_get_source(muser, name, &source,
					      &source_digest))
		return;
	mailbox_get_open_status(box, RECORD_STATUS_ITEMS, &status);
	migration_imapc_record_fill_side(&status, &dest);
	digest_dest(box, digest);
	/* what came to the source meanwhile is the next run's work */
	if (dest.uidvalidity != source.uidvalidity ||
	    dest.messages != source.messages || dest.uidnext < source.uidnext ||
	    memcmp(digest, source_digest, sizeof(digest)) != 0) {
		e_debug(muser->event, "mailbox %s: not recorded, the two sides "
			"are not the same", box->vname);
		return;
	}
	migration_imapc_sides_set_synced(muser, name, &dest);
}

/* ---- the file ---- */

int migration_imapc_record_read_file(const char *path, string_t *text,
				     const char **reason_r)
{
	struct istream *input;
	const unsigned char *data;
	size_t size;
	int ret, fd = open(path, O_RDONLY);

	if (fd == -1) {
		*reason_r = errno == ENOENT ? "there is none yet" :
			t_strdup_printf("open() failed: %m");
		return -1;
	}
	input = i_stream_create_fd_autoclose(&fd, IO_BLOCK_SIZE);
	while ((ret = i_stream_read_more(input, &data, &size)) > 0) {
		str_append_data(text, data, size);
		i_stream_skip(input, size);
		if (str_len(text) > RECORD_MAX_SIZE)
			break;
	}
	if (input->stream_errno != 0)
		*reason_r = t_strdup(i_stream_get_error(input));
	else if (ret > 0)
		*reason_r = "it is too large";
	else
		*reason_r = NULL;
	i_stream_destroy(&input);
	return *reason_r == NULL ? 0 : -1;
}

static void record_load(struct migration_imapc_record *mrecord)
{
	string_t *text = str_new(default_pool, 4096);
	const char *reason;

	if (migration_imapc_record_read_file(mrecord->path, text,
					     &reason) == 0 &&
	    sync_record_read(mrecord->record, str_c(text), &reason)) {
		e_debug(mrecord->mlist->muser->event, "%s: %u mailboxes were "
			"the same on both sides when they were seen last",
			mrecord->path, sync_record_count(mrecord->record));
	} else {
		e_debug(mrecord->mlist->muser->event, "%s is not used: %s",
			mrecord->path, reason);
	}
	str_free(&text);
}

/* migration_pop3 has something to look after also where no mail changed. */
static bool record_user_has_pop3(struct mail_user *user)
{
	struct mail_namespace *ns;

	for (ns = user->namespaces; ns != NULL; ns = ns->next) {
		if (ns->storage != NULL && strcmp(ns->storage->name, "pop3c") == 0)
			return TRUE;
	}
	return FALSE;
}

/* A command that compares everything, or by another state, is not to be told
   that there is nothing to compare. */
static bool
record_is_possible(struct migration_imapc_list *mlist,
		   const struct migration_run *run, struct mail_user *user,
		   const char **reason_r)
{
	if (mlist->ahead->extra_is_unsteady)
		*reason_r = "labels change unseen";
	else if (record_user_has_pop3(user))
		*reason_r = "POP3 UIDLs are looked after in each run";
	else if (run->options == NULL)
		*reason_r = "the command is not known";
	else if (migration_run_has_option(run, "full-sync"))
		*reason_r = "-f compares everything";
	else
		return TRUE;
	return FALSE;
}

static const char *
record_key(struct migration_imapc_list *mlist, const struct migration_run *run)
{
	const struct imapc_settings *set = mlist->list->set;

	/* another program at the same address counts MODSEQs from its own
	   beginning */
	return t_strdup_printf("%s:%u %s %s %s %s %s %s %s", set->imapc_host,
			       set->imapc_port,
			       mlist->server_name == NULL ? "" :
			       mlist->server_name, set->imapc_user,
			       set->imapc_master_user,
			       migration_imapc_names_prefix(mlist),
			       run->command, t_strarray_join(run->options, " "),
			       migration_imapc_mail_filter_key(mlist));
}

const char *migration_imapc_record_path(struct migration_imapc_list *mlist)
{
	const char *path = mlist->muser->set->record;

	if (path[0] == '\0')
		return NULL;
	path = mail_user_home_expand(mlist->list->list.ns->user, path);
	return path[0] == '/' ? path : NULL;
}

void migration_imapc_record_init(struct migration_imapc_list *mlist)
{
	const char *name = mlist->muser->set->record, *path, *reason;
	struct mail_user *user = mlist->list->list.ns->user;
	const struct migration_run *run = migration_run_find(user);
	struct migration_imapc_record *mrecord;

	if (name[0] == '\0' || !user->dsyncing)
		return;
	if (!record_is_possible(mlist, run, user, &reason)) {
		e_debug(mlist->muser->event, "%s is not used: %s", name, reason);
		return;
	}
	path = migration_imapc_record_path(mlist);
	if (path == NULL) {
		e_debug(mlist->muser->event, "%s is not used: the user has no "
			"home", name);
		return;
	}
	mrecord = i_new(struct migration_imapc_record, 1);
	mrecord->mlist = mlist;
	mrecord->path = i_strdup(path);
	T_BEGIN {
		mrecord->record = sync_record_init(record_key(mlist, run));
		record_load(mrecord);
	} T_END;
	mlist->record = mrecord;
}

static void record_save(struct migration_imapc_record *mrecord)
{
	string_t *text = str_new(default_pool, 4096);
	const char *error;

	sync_record_write(mrecord->record, text);
	if (migration_file_replace(mrecord->path, text, &error) < 0) {
		/* the mails are where they belong all the same */
		e_warning(mrecord->mlist->muser->event, "Can't write what was "
			  "seen to be the same (migration_imapc_record), so the "
			  "next run compares everything: %s", error);
	} else {
		e_debug(mrecord->mlist->muser->event, "%u mailboxes were not "
			"asked for anything, they are as they were; %u are "
			"recorded", mrecord->skipped_count,
			sync_record_count(mrecord->record));
	}
	str_free(&text);
}

void migration_imapc_record_deinit(struct migration_imapc_list *mlist)
{
	struct migration_imapc_record *mrecord = mlist->record;
	struct ahead_mailbox *mailbox;
	struct sync_side dest;

	if (mrecord == NULL)
		return;
	mlist->record = NULL;
	array_foreach_elem(&mlist->ahead->mailboxes, mailbox) {
		if (!mailbox->visited || mailbox->unchanged)
			continue;
		if (migration_imapc_sides_get_synced(mlist->muser,
						     mailbox->dest_name,
						     &dest)) {
			sync_record_set(mrecord->record, mailbox->vname,
					&mailbox->source, &dest);
		} else {
			sync_record_unset(mrecord->record, mailbox->vname);
		}
	}
	T_BEGIN {
		record_save(mrecord);
	} T_END;
	sync_record_deinit(&mrecord->record);
	i_free(mrecord->path);
	i_free(mrecord);
}

/* ---- skipping ---- */

bool migration_imapc_record_source_is_same(struct migration_imapc_list *mlist,
					   const struct ahead_mailbox *mailbox)
{
	const char *reason;

	return mlist->record != NULL &&
		sync_record_source_is_same(mlist->record->record,
					   mailbox->vname, &mailbox->source,
					   &reason);
}

bool migration_imapc_record_is_unchanged(struct migration_imapc_list *mlist,
					 const struct ahead_mailbox *mailbox,
					 struct sync_side *dest_r)
{
	const char *reason;

	if (!migration_imapc_record_source_is_same(mlist, mailbox) ||
	    !migration_imapc_sides_get_dest(mlist->muser, mailbox->dest_name,
					    dest_r))
		return FALSE;
	if (!sync_record_dest_is_same(mlist->record->record, mailbox->vname,
				      dest_r, &reason)) {
		e_debug(mlist->muser->event, "mailbox %s: the source has not "
			"changed, the destination has: %s", mailbox->vname,
			reason);
		return FALSE;
	}
	mlist->record->skipped_count++;
	return TRUE;
}

bool migration_imapc_record_get_source(struct migration_imapc_list *mlist,
				       const struct ahead_mailbox *mailbox,
				       struct sync_side *source_r)
{
	struct sync_side dest;

	return mlist->record != NULL &&
		sync_record_get(mlist->record->record, mailbox->vname, source_r,
				&dest);
}

bool migration_imapc_record_changes_are_enough(struct migration_imapc_list *mlist,
					       const struct ahead_mailbox *mailbox,
					       const struct sync_side *dest,
					       const char **reason_r)
{
	struct sync_side then_source, then_dest;

	if (mlist->record == NULL ||
	    !sync_record_get(mlist->record->record, mailbox->vname,
			     &then_source, &then_dest)) {
		*reason_r = "nothing is known of it";
		return FALSE;
	}
	return sync_changes_are_enough(&then_source, &then_dest,
				       &mailbox->source, dest, reason_r);
}
