/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* migration_gmail_all = archived: dsync creates All Mail, but is kept from its
   mails. When it is done, the messages of All Mail that no mailbox of the destination
   has are copied there, and those that got a label since are taken out again.

   Hiding only such messages from dsync would not do: a message that
   loses its last label would come back below the UIDs that dsync has seen, and
   dsync answers this by deleting the mailbox, or by leaving the message out.
   Here the destination's All Mail has UIDs of its own. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "guid.h"
#include "seq-range-array.h"
#include "mail-namespace.h"
#include "mailbox-list-iter-private.h"
#include "mail-search-build.h"
#include "migration-run.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

struct archive_message {
	guid_128_t guid;
	const char *msgid;
	uint32_t uid;
	/* the destination's All Mail has it */
	bool present;
};

struct archive {
	pool_t pool;
	struct migration_gmail_list *mlist;
	struct migration_gmail_user *dest_user;
	struct mailbox *source, *dest;
	/* what All Mail has at the source, in the order of UIDs */
	ARRAY(struct archive_message *) messages;
	HASH_TABLE(const uint8_t *, struct archive_message *) by_guid;
	unsigned int added, removed, changed;
};

/* ---- hiding ---- */

bool migration_gmail_archive_hides(struct migration_gmail_list *mlist,
				   const char *vname)
{
	struct mail_user *user = mlist->list->list.ns->user;

	if (mlist->muser->all == MIGRATION_GMAIL_ALL_WHOLE ||
	    mlist->all_vname == NULL || strcmp(vname, mlist->all_vname) != 0)
		return FALSE;
	/* verify compares what was to be migrated as it is */
	if (strcmp(migration_run_find(user)->command, "migration verify") == 0)
		return TRUE;
	return user->dsyncing && mlist->muser->all == MIGRATION_GMAIL_ALL_NONE;
}

/* -x '\All' says that the user does not want All Mail as it is, and so does
   "archived". dsync sees special-use attributes at the source only, as a rule.
   So it would take the destination's All Mail for deleted, and what the run
   before has brought over would be downloaded again. Without the attribute
   dsync sees the mailbox at both sides, and leaves its mails alone. */
const struct mailbox_info *
migration_gmail_archive_unmark(struct migration_gmail_list *mlist,
			       const struct mailbox_info *info,
			       struct mailbox_info *unmarked)
{
	if (info->special_use == NULL ||
	    !mlist->list->list.ns->user->dsyncing ||
	    mlist->muser->all != MIGRATION_GMAIL_ALL_ARCHIVED ||
	    !migration_gmail_list_load(mlist) || mlist->all_vname == NULL ||
	    strcmp(info->vname, mlist->all_vname) != 0)
		return info;
	*unmarked = *info;
	unmarked->special_use = NULL;
	return unmarked;
}

struct migration_gmail_dest_list {
	union mailbox_list_module_context module_ctx;
	/* lives until the next one */
	struct mailbox_info unmarked;
};

static MODULE_CONTEXT_DEFINE_INIT(migration_gmail_dest_list_module,
				  &mailbox_list_module_register);

static const struct mailbox_info *
migration_gmail_dest_list_iter_next(struct mailbox_list_iterate_context *ctx)
{
	struct migration_gmail_dest_list *dest_list = MODULE_CONTEXT_REQUIRE(
		ctx->list, migration_gmail_dest_list_module);
	const struct mailbox_info *info;

	while ((info = dest_list->module_ctx.super.iter_next(ctx)) != NULL) {
		if (migration_gmail_source_list == NULL ||
		    ctx->list->ns->user->dsyncing ||
		    !migration_gmail_list_load(migration_gmail_source_list) ||
		    !migration_gmail_archive_hides(migration_gmail_source_list,
						   info->vname))
			break;
	}
	if (info == NULL || migration_gmail_source_list == NULL)
		return info;
	return migration_gmail_archive_unmark(migration_gmail_source_list, info,
					      &dest_list->unmarked);
}

void migration_gmail_archive_list_created(struct mailbox_list *list)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(list->ns->user);
	struct mailbox_list_vfuncs *v = list->vlast;
	struct migration_gmail_dest_list *dest_list;

	if (muser->local == NULL || muser->all == MIGRATION_GMAIL_ALL_WHOLE)
		return;
	dest_list = p_new(list->pool, struct migration_gmail_dest_list, 1);
	dest_list->module_ctx.super = *v;
	list->vlast = &dest_list->module_ctx.super;
	v->iter_next = migration_gmail_dest_list_iter_next;
	MODULE_CONTEXT_SET(list, migration_gmail_dest_list_module, dest_list);
}

bool migration_gmail_archive_skips(struct mailbox *box)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(box->storage->user);
	struct migration_gmail_list *source = migration_gmail_source_list;

	/* dsync opens it for writing, whoever only reads it is welcome */
	return muser->all == MIGRATION_GMAIL_ALL_ARCHIVED &&
		(box->flags & MAILBOX_FLAG_READONLY) == 0 &&
		box->storage->user->dsyncing && source != NULL &&
		!source->archiving && migration_gmail_list_load(source) && source->all_vname != NULL &&
		strcmp(box->vname, source->all_vname) == 0;
}

/* ---- what the source has ---- */

static void
archive_add_message(const struct migration_gmail_entry *entry, void *context)
{
	struct archive *archive = context;
	struct archive_message *msg;
	const uint8_t *key;

	msg = p_new(archive->pool, struct archive_message, 1);
	migration_gmail_local_guid(entry->msgid, msg->guid);
	msg->msgid = p_strdup(archive->pool, entry->msgid);
	msg->uid = entry->uid;
	array_push_back(&archive->messages, &msg);
	key = msg->guid;
	hash_table_update(archive->by_guid, key, msg);
}

/* ---- what the destination's All Mail has ---- */

static int archive_dest_open(struct archive *archive)
{
	enum mail_error error;

	if (mailbox_open(archive->dest) == 0)
		return mailbox_sync(archive->dest, 0);
	(void)mailbox_get_last_error(archive->dest, &error);
	if (error != MAIL_ERROR_NOTFOUND ||
	    mailbox_create(archive->dest, NULL, FALSE) < 0)
		return -1;
	return mailbox_sync(archive->dest, 0);
}

static bool keywords_equal(const char *const *kw1, const char *const *kw2)
{
	unsigned int i;

	if (str_array_length(kw1) != str_array_length(kw2))
		return FALSE;
	for (i = 0; kw1[i] != NULL; i++) {
		if (!str_array_icase_find(kw2, kw1[i]))
			return FALSE;
	}
	return TRUE;
}

static void
archive_update_flags(struct archive *archive, struct mail *source_mail,
		     struct mail *dest_mail)
{
	enum mail_flags flags = mail_get_flags(source_mail) & ~MAIL_RECENT;
	const char *const *names = mail_get_keywords(source_mail);
	struct mail_keywords *keywords;

	if (flags == (mail_get_flags(dest_mail) & ~MAIL_RECENT) &&
	    keywords_equal(names, mail_get_keywords(dest_mail)))
		return;
	mail_update_flags(dest_mail, MODIFY_REPLACE, flags);
	keywords = mailbox_keywords_create_valid(archive->dest, names);
	mail_update_keywords(dest_mail, MODIFY_REPLACE, keywords);
	mailbox_keywords_unref(&keywords);
	archive->changed++;
}

static void
archive_check_dest_mail(struct archive *archive, struct mail *source_mail,
			struct mail *dest_mail)
{
	const char *guid;
	guid_128_t guid_128;
	const uint8_t *key = guid_128;
	struct archive_message *msg;

	if (mail_get_special(dest_mail, MAIL_FETCH_GUID, &guid) < 0)
		return;
	migration_gmail_local_guid(guid, guid_128);
	msg = hash_table_lookup(archive->by_guid, key);
	if (msg == NULL) {
		/* Deleted at the source. Only backup takes away what the source
		   does not have. */
		if (strcmp(migration_run_find(archive->dest_user->user)->command,
			   "backup") == 0) {
			mail_expunge(dest_mail);
			archive->removed++;
		}
	} else if (migration_gmail_local_get_mail(archive->dest_user->local,
			msg->msgid, archive->mlist->all_vname) != NULL) {
		/* it has got a label */
		mail_expunge(dest_mail);
		archive->removed++;
		msg->present = TRUE;
	} else {
		msg->present = TRUE;
		migration_gmail_local_learn(archive->dest_user->local,
					    archive->dest, dest_mail->uid,
					    msg->msgid);
		if (mail_set_uid(source_mail, msg->uid))
			archive_update_flags(archive, source_mail, dest_mail);
	}
}

static int archive_check_dest(struct archive *archive)
{
	struct mailbox_transaction_context *source_trans, *dest_trans;
	struct mail_search_args *args;
	struct mail_search_context *ctx;
	struct mail *source_mail, *dest_mail;
	int ret;

	source_trans = mailbox_transaction_begin(archive->source, 0,
						 "Gmail archived mail");
	source_mail = mail_alloc(source_trans, 0, NULL);
	dest_trans = mailbox_transaction_begin(archive->dest, 0,
					       "Gmail archived mail");
	args = mail_search_build_init();
	mail_search_build_add_all(args);
	ctx = mailbox_search_init(dest_trans, args, NULL, MAIL_FETCH_GUID, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(ctx, &dest_mail)) T_BEGIN {
		archive_check_dest_mail(archive, source_mail, dest_mail);
	} T_END;
	ret = mailbox_search_deinit(&ctx);
	if (mailbox_transaction_commit(&dest_trans) < 0)
		ret = -1;
	mail_free(&source_mail);
	(void)mailbox_transaction_commit(&source_trans);
	if (mailbox_sync(archive->dest, 0) < 0)
		ret = -1;
	return ret;
}

/* ---- what is missing ---- */

static void
archive_find_missing(struct archive *archive, ARRAY_TYPE(seq_range) *uids)
{
	struct archive_message *msg;

	array_foreach_elem(&archive->messages, msg) {
		if (!msg->present &&
		    migration_gmail_local_get_mail(archive->dest_user->local,
				msg->msgid, archive->mlist->all_vname) == NULL)
			seq_range_array_add(uids, msg->uid);
	}
}

static int
archive_copy_mail(struct mailbox_transaction_context *dest_trans,
		  struct mail *mail)
{
	struct mail_save_context *save_ctx = mailbox_save_alloc(dest_trans);

	mailbox_save_copy_flags(save_ctx, mail);
	return mailbox_copy(&save_ctx, mail);
}

static void
archive_learn(struct archive *archive,
	      const ARRAY_TYPE(const_string) *msgids,
	      const struct mail_transaction_commit_changes *changes)
{
	struct seq_range_iter iter;
	const char *msgid;
	unsigned int n = 0;
	uint32_t uid;

	seq_range_array_iter_init(&iter, &changes->saved_uids);
	array_foreach_elem(msgids, msgid) {
		if (!seq_range_array_iter_nth(&iter, n++, &uid))
			break;
		migration_gmail_local_learn(archive->dest_user->local,
					    archive->dest, uid, msgid);
	}
}

static int
archive_copy_found(struct archive *archive, struct mail_search_context *ctx,
		   struct mailbox_transaction_context *dest_trans,
		   ARRAY_TYPE(const_string) *msgids)
{
	struct mail *mail;
	const char *msgid;
	int ret = 0;

	while (ret == 0 && mailbox_search_next(ctx, &mail)) T_BEGIN {
		if (mail_get_special(mail, MAIL_FETCH_GUID, &msgid) < 0 ||
		    archive_copy_mail(dest_trans, mail) < 0)
			ret = -1;
		else {
			msgid = p_strdup(archive->pool, msgid);
			array_push_back(msgids, &msgid);
		}
	} T_END;
	return ret;
}

static int archive_copy(struct archive *archive,
			const ARRAY_TYPE(seq_range) *uids)
{
	struct mailbox_transaction_context *source_trans, *dest_trans;
	struct mail_transaction_commit_changes changes;
	struct mail_search_args *args;
	struct mail_search_arg *arg;
	struct mail_search_context *ctx;
	ARRAY_TYPE(const_string) msgids;
	int ret;

	i_array_init(&msgids, 64);
	source_trans = mailbox_transaction_begin(archive->source, 0,
						 "Gmail archived mail");
	dest_trans = mailbox_transaction_begin(archive->dest,
			MAILBOX_TRANSACTION_FLAG_EXTERNAL, "Gmail archived mail");
	args = mail_search_build_init();
	arg = mail_search_build_add(args, SEARCH_UIDSET);
	p_array_init(&arg->value.seqset, args->pool, array_count(uids));
	array_append_array(&arg->value.seqset, uids);
	ctx = mailbox_search_init(source_trans, args, NULL,
				  MAIL_FETCH_GUID | MAIL_FETCH_RECEIVED_DATE |
				  MAIL_FETCH_STREAM_HEADER |
				  MAIL_FETCH_STREAM_BODY, NULL);
	mail_search_args_unref(&args);

	ret = archive_copy_found(archive, ctx, dest_trans, &msgids);
	if (mailbox_search_deinit(&ctx) < 0)
		ret = -1;
	/* what was copied until then is worth keeping */
	if (mailbox_transaction_commit_get_changes(&dest_trans, &changes) < 0)
		ret = -1;
	else {
		archive->added = array_count(&msgids);
		archive_learn(archive, &msgids, &changes);
		pool_unref(&changes.pool);
	}
	(void)mailbox_transaction_commit(&source_trans);
	array_free(&msgids);
	return ret;
}

/* ---- the whole ---- */

static int archive_update(struct archive *archive)
{
	ARRAY_TYPE(seq_range) missing;

	if (migration_gmail_mailbox_foreach(
		MIGRATION_GMAIL_CONTEXT_REQUIRE(archive->source),
		archive_add_message, archive) < 0 ||
	    archive_dest_open(archive) < 0 ||
	    archive_check_dest(archive) < 0)
		return -1;
	t_array_init(&missing, 64);
	archive_find_missing(archive, &missing);
	/* the places that were looked up are open */
	migration_gmail_local_close(archive->dest_user->local);
	return array_is_empty(&missing) ? 0 : archive_copy(archive, &missing);
}

void migration_gmail_archive_run(struct migration_gmail_list *mlist,
				 struct migration_gmail_user *dest_user,
				 struct mailbox *source)
{
	struct migration_run *run = migration_run_find(dest_user->user);
	struct archive archive;
	struct mail_namespace *ns =
		mail_namespace_find(dest_user->user->namespaces,
				    mlist->all_vname);

	i_zero(&archive);
	archive.pool = pool_alloconly_create("migration gmail archive", 4096);
	archive.mlist = mlist;
	archive.dest_user = dest_user;
	archive.source = source;
	archive.dest = mailbox_alloc(ns->list, mlist->all_vname, 0);
	p_array_init(&archive.messages, archive.pool, 128);
	hash_table_create(&archive.by_guid, archive.pool, 0,
			  guid_128_hash, guid_128_cmp);

	mlist->archiving = TRUE;
	if (archive_update(&archive) < 0) {
		migration_run_finding(run, MIGRATION_SEVERITY_ERROR,
			mlist->all_vname, 0, FINDING_GMAIL_ARCHIVE_INCOMPLETE,
			"archived messages could not be brought over: source: "
			"%s, destination: %s. Run again.",
			mailbox_get_last_error(archive.source, NULL),
			mailbox_get_last_error(archive.dest, NULL));
	}
	mlist->archiving = FALSE;
	e_debug(mlist->muser->event, "mailbox %s: archived messages: %u added, "
		"%u removed, %u changed", mlist->all_vname, archive.added,
		archive.removed, archive.changed);
	migration_gmail_local_close(dest_user->local);
	mailbox_free(&archive.dest);
	hash_table_destroy(&archive.by_guid);
	pool_unref(&archive.pool);
}
