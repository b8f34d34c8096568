/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Tells verify what All Mail has to have with migration_gmail_all = archived:
   the messages that no other mailbox of the destination has. With "none" these
   are nowhere, and verify says so. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "guid.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "migration-pairing.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

struct expected_message {
	guid_128_t guid;
	uint32_t uid;
};

struct pairing_context {
	pool_t pool;
	struct migration_gmail_list *mlist;
	struct migration_gmail_local *local;
	struct migration_pairing *pairing;
	/* messages that the destination's All Mail must have */
	HASH_TABLE(const uint8_t *, struct expected_message *) expected;
};

static void
pairing_add_expected(const struct migration_gmail_entry *entry, void *context)
{
	struct pairing_context *ctx = context;
	struct expected_message *msg;
	const uint8_t *key;

	if (migration_gmail_local_get_mail(ctx->local, entry->msgid,
					   ctx->mlist->all_vname) != NULL)
		return;
	msg = p_new(ctx->pool, struct expected_message, 1);
	migration_gmail_local_guid(entry->msgid, msg->guid);
	msg->uid = entry->uid;
	key = msg->guid;
	hash_table_update(ctx->expected, key, msg);
	array_push_back(&ctx->pairing->source_uids, &msg->uid);
}

static int
pairing_read_source(struct pairing_context *ctx, const char **error_r)
{
	struct mailbox *box;
	int ret = 0;

	box = mailbox_alloc(&ctx->mlist->list->list, ctx->mlist->all_vname,
			    MAILBOX_FLAG_READONLY);
	if (mailbox_sync(box, 0) < 0 ||
	    migration_gmail_mailbox_foreach(MIGRATION_GMAIL_CONTEXT_REQUIRE(box),
					    pairing_add_expected, ctx) < 0) {
		*error_r = t_strdup_printf("Source: Mailbox %s: %s", box->vname,
			mailbox_get_last_internal_error(box, NULL));
		ret = -1;
	}
	migration_gmail_local_close(ctx->local);
	mailbox_free(&box);
	return ret;
}

static void pairing_add_pair(struct pairing_context *ctx, struct mail *mail)
{
	struct migration_pair *pair = array_append_space(&ctx->pairing->pairs);
	struct expected_message *msg;
	guid_128_t guid_128;
	const uint8_t *key = guid_128;
	const char *guid;

	pair->dest_uid = mail->uid;
	if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0)
		return;
	migration_gmail_local_guid(guid, guid_128);
	msg = hash_table_lookup(ctx->expected, key);
	if (msg != NULL) {
		pair->source_uid = msg->uid;
		/* a second one would be one too many */
		hash_table_remove(ctx->expected, key);
	}
}

static int
pairing_read_dest(struct pairing_context *ctx, struct mailbox *box)
{
	struct mailbox_transaction_context *trans;
	struct mail_search_args *args;
	struct mail_search_context *search;
	struct mail *mail;
	enum mail_error error;
	int ret;

	if (mailbox_sync(box, 0) < 0) {
		(void)mailbox_get_last_error(box, &error);
		return error == MAIL_ERROR_NOTFOUND ? 0 : -1;
	}
	trans = mailbox_transaction_begin(box, 0, "Gmail archived mail");
	args = mail_search_build_init();
	mail_search_build_add_all(args);
	search = mailbox_search_init(trans, args, NULL, MAIL_FETCH_GUID, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(search, &mail)) T_BEGIN {
		pairing_add_pair(ctx, mail);
	} T_END;
	ret = mailbox_search_deinit(&search);
	(void)mailbox_transaction_commit(&trans);
	return ret;
}

static int
pairing_find_dest(struct pairing_context *ctx, struct mail_user *dest,
		  const char **error_r)
{
	struct mail_namespace *ns =
		mail_namespace_find(dest->namespaces, ctx->mlist->all_vname);
	struct mailbox *box;
	int ret;

	box = mailbox_alloc(ns->list, ctx->mlist->all_vname,
			    MAILBOX_FLAG_READONLY);
	ret = pairing_read_dest(ctx, box);
	if (ret < 0) {
		*error_r = t_strdup_printf("Destination: Mailbox %s: %s",
			box->vname, mailbox_get_last_internal_error(box, NULL));
	}
	mailbox_free(&box);
	return ret;
}

int migration_gmail_pairing_find(struct mail_user *source,
				 struct mail_user *dest, pool_t pool,
				 struct migration_pairing *pairing_r,
				 const char **error_r)
{
	struct migration_gmail_list *mlist = migration_gmail_source_list;
	struct migration_gmail_user *muser = MIGRATION_GMAIL_USER_CONTEXT(dest);
	struct pairing_context ctx;
	int ret;

	if (mlist == NULL || muser == NULL || muser->local == NULL ||
	    mlist->list->list.ns->user != source ||
	    mlist->muser->all == MIGRATION_GMAIL_ALL_WHOLE ||
	    !migration_gmail_list_load(mlist) || mlist->all_vname == NULL)
		return 0;

	i_zero(&ctx);
	ctx.pool = pool;
	ctx.mlist = mlist;
	ctx.local = muser->local;
	ctx.pairing = pairing_r;
	pairing_r->vname = p_strdup(pool, mlist->all_vname);
	pairing_r->title = p_strdup_printf(pool, "%s (archived)",
					   mlist->all_vname);
	p_array_init(&pairing_r->source_uids, pool, 64);
	p_array_init(&pairing_r->pairs, pool, 64);
	hash_table_create(&ctx.expected, pool, 0, guid_128_hash, guid_128_cmp);
	ret = pairing_read_source(&ctx, error_r);
	if (ret == 0 && mlist->muser->all == MIGRATION_GMAIL_ALL_ARCHIVED)
		ret = pairing_find_dest(&ctx, dest, error_r);
	hash_table_destroy(&ctx.expected);
	return ret < 0 ? -1 : 1;
}
