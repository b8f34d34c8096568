/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "str.h"
#include "imap-utf7.h"
#include "mailbox-list-iter-private.h"
#include "mailbox-tree.h"
#include "imapc-client.h"
#include "gmail-label-keyword.h"
#include "migration-report.h"
#include "migration-run.h"
#include "special-use.h"
#include "migration-gmail-private.h"

/* ---- the account ---- */

struct migration_gmail_list *migration_gmail_source_list = NULL;

struct listed_mailbox {
	const char *vname, *remote_name, *name;
	enum mailbox_info_flags flags;
};
ARRAY_DEFINE_TYPE(listed_mailbox, struct listed_mailbox);

static void
migration_gmail_list_read_tree(struct migration_gmail_list *mlist,
			       ARRAY_TYPE(listed_mailbox) *mailboxes)
{
	struct mailbox_list *list = &mlist->list->list;
	struct mailbox_tree_iterate_context *iter;
	struct mailbox_node *node;
	struct listed_mailbox *mailbox;
	const char *vname, *storage_name;
	string_t *utf8 = t_str_new(64);

	iter = mailbox_tree_iterate_init(mlist->list->mailboxes, NULL, 0);
	while ((node = mailbox_tree_iterate_next(iter, &vname)) != NULL) {
		storage_name = mailbox_list_get_storage_name(list, vname);
		mailbox = array_append_space(mailboxes);
		mailbox->vname = t_strdup(vname);
		mailbox->remote_name = t_strdup(
			imapc_list_storage_to_remote_name(mlist->list,
							  storage_name));
		str_truncate(utf8, 0);
		mailbox->name =
			imap_utf7_to_utf8(mailbox->remote_name, utf8) < 0 ?
			mailbox->remote_name : t_strdup(str_c(utf8));
		mailbox->flags = node->flags;
	}
	mailbox_tree_iterate_deinit(&iter);
}

static void
migration_gmail_list_add_places(struct migration_gmail_list *mlist,
				const ARRAY_TYPE(listed_mailbox) *mailboxes)
{
	const struct listed_mailbox *mailbox;
	struct migration_gmail_place *place;
	ARRAY_TYPE(const_string) labels;
	const char *remote_name;

	t_array_init(&labels, 64);
	array_foreach(mailboxes, mailbox) {
		place = p_new(mlist->pool, struct migration_gmail_place, 1);
		place->name = p_strdup(mlist->pool, mailbox->name);
		place->place = gmail_place_find(mailbox->remote_name,
			t_strcut(special_use_names(mailbox->flags), ' '),
			mlist->system_prefix);
		remote_name = p_strdup(mlist->pool, mailbox->remote_name);
		hash_table_update(mlist->places, remote_name, place);
		if (place->place == GMAIL_PLACE_LABEL)
			array_push_back(&labels, &place->name);
	}
	array_append_zero(&labels);
	mlist->keywords = migration_gmail_keywords_init(mlist->muser,
		&mlist->list->list, array_front(&labels));
}

static void migration_gmail_list_check(struct migration_gmail_list *mlist)
{
	struct mail_user *user = mlist->list->list.ns->user;

	e_debug(mlist->muser->event, "%s is Gmail: labels become %s "
		"(migration_gmail_labels)", mlist->list->set->imapc_host,
		mlist->muser->policy == GMAIL_LABELS_FOLDERS ? "folders" :
		mlist->muser->policy == GMAIL_LABELS_KEYWORDS ? "keywords" :
		"folders and keywords");
	if (mlist->all_vname != NULL)
		return;
	/* gmail-hidden-all-mail */
	migration_run_finding(migration_run_find(user),
		MIGRATION_SEVERITY_WARNING, NULL, 0,
		FINDING_GMAIL_ALL_MAIL_HIDDEN,
		"Gmail shows no folder of all mail, so archived messages cannot "
		"be reached. Switch on \"Show in IMAP\" for All Mail in Gmail's "
		"settings, tab Labels.");
}

static int migration_gmail_list_is_gmail(struct migration_gmail_list *mlist)
{
	enum imapc_capability capabilities;

	if (imapc_storage_client_handle_auth_failure(mlist->list->client) ||
	    imapc_client_get_capabilities(mlist->list->client->client,
					  &capabilities) < 0)
		return -1;
	return (capabilities & IMAPC_CAPABILITY_X_GM_EXT_1) != 0 ? 1 : 0;
}

bool migration_gmail_list_load(struct migration_gmail_list *mlist)
{
	ARRAY_TYPE(listed_mailbox) mailboxes;
	const struct listed_mailbox *mailbox;
	enum mailbox_info_flags flags;

	if (mlist->pool != NULL)
		return TRUE;
	if (migration_gmail_list_is_gmail(mlist) <= 0)
		return FALSE;
	if (mlist->list->mailboxes == NULL ||
	    mlist->list->last_refreshed_mailboxes == 0) {
		if (imapc_list_get_mailbox_flags(&mlist->list->list, "INBOX",
						 &flags) < 0 ||
		    mlist->list->mailboxes == NULL)
			return FALSE;
	}

	mlist->pool = pool_alloconly_create("migration gmail list", 4096);
	hash_table_create(&mlist->places, mlist->pool, 0, str_hash, strcmp);
	hash_table_create(&mlist->labels, mlist->pool, 0, str_hash, strcmp);
	hash_table_create(&mlist->counts, mlist->pool, 0, str_hash, strcmp);
	T_BEGIN {
		t_array_init(&mailboxes, 64);
		migration_gmail_list_read_tree(mlist, &mailboxes);
		array_foreach(&mailboxes, mailbox) {
			if ((mailbox->flags & MAILBOX_SPECIALUSE_ALL) == 0)
				continue;
			mlist->all_vname = p_strdup(mlist->pool, mailbox->vname);
			mlist->system_prefix = p_strdup(mlist->pool,
				gmail_system_prefix(mailbox->remote_name));
		}
		migration_gmail_list_add_places(mlist, &mailboxes);
	} T_END;
	migration_gmail_list_check(mlist);
	return TRUE;
}

/* ---- labels ---- */

/* gmail-hidden-label: a user can hide a label's folder from IMAP. Nothing says
   so, but the messages still have the label. */
static void
migration_gmail_label_is_hidden(struct migration_gmail_list *mlist,
				const struct gmail_label *label)
{
	if (mlist->muser->policy == GMAIL_LABELS_KEYWORDS &&
	    gmail_keywords_get(mlist->keywords, label->name)->keyword != NULL)
		return;
	migration_run_finding(
		migration_run_find(mlist->list->list.ns->user),
		MIGRATION_SEVERITY_WARNING, label->name, 0,
		FINDING_GMAIL_LABEL_HIDDEN,
		"messages have the label \"%s\", but Gmail shows no folder of "
		"that name. Switch on \"Show in IMAP\" for the label in Gmail's "
		"settings, or use migration_gmail_labels=both to keep it as a "
		"keyword.", label->name);
}

static void
migration_gmail_list_meet_label(struct migration_gmail_list *mlist,
				const struct gmail_label *label)
{
	struct gmail_label_decision decision;
	struct gmail_label *copy;

	if (hash_table_lookup(mlist->labels, label->imap_name) != NULL)
		return;
	copy = p_new(mlist->pool, struct gmail_label, 1);
	copy->imap_name = p_strdup(mlist->pool, label->imap_name);
	copy->name = p_strdup(mlist->pool, label->name);
	copy->system = label->system;
	hash_table_insert(mlist->labels, copy->imap_name, copy);

	gmail_label_decide(label, mlist->muser->policy, mlist->keywords,
			   &decision);
	e_debug(mlist->muser->event, "label \"%s\": %s", label->name,
		decision.reason);
	if (!label->system &&
	    hash_table_lookup(mlist->places, label->imap_name) == NULL)
		migration_gmail_label_is_hidden(mlist, label);
}

struct migration_gmail_mapping *
migration_gmail_list_map(struct migration_gmail_list *mlist,
			 const struct gmail_message *msg, pool_t pool)
{
	struct migration_gmail_mapping *mapping;
	struct gmail_mapping result;
	const char **keywords, **labels;
	unsigned int i, count;

	for (i = 0; i < msg->labels_count; i++)
		migration_gmail_list_meet_label(mlist, &msg->labels[i]);

	gmail_message_map(msg, mlist->muser->policy, mlist->keywords, &result);
	mapping = p_new(pool, struct migration_gmail_mapping, 1);
	mapping->flags = result.flags;
	count = array_count(&result.keywords);
	keywords = p_new(pool, const char *, count + 1);
	for (i = 0; i < count; i++) {
		keywords[i] = p_strdup(pool,
				       array_idx_elem(&result.keywords, i));
	}
	mapping->keywords = keywords;
	labels = p_new(pool, const char *, msg->labels_count + 1);
	for (i = 0; i < msg->labels_count; i++) {
		labels[i] = p_strdup(pool, msg->labels[i].system ?
				     msg->labels[i].name :
				     msg->labels[i].imap_name);
	}
	mapping->labels = labels;
	array_append_zero(&result.mailboxes);
	mapping->shown_in = p_strdup(pool,
		t_strarray_join(array_front(&result.mailboxes), ", "));
	return mapping;
}

/* ---- listing ---- */

bool
migration_gmail_list_shows(struct migration_gmail_list *mlist, const char *vname)
{
	struct migration_gmail_place *place;
	const char *storage_name, *remote_name, *reason;

	if ((mlist->muser->policy != GMAIL_LABELS_KEYWORDS &&
	     mlist->muser->all == MIGRATION_GMAIL_ALL_WHOLE) ||
	    !migration_gmail_list_load(mlist))
		return TRUE;
	if (migration_gmail_archive_hides(mlist, vname)) {
		e_debug(mlist->muser->event, "mailbox %s: not migrated "
			"(migration_gmail_all)", vname);
		return FALSE;
	}
	storage_name = mailbox_list_get_storage_name(&mlist->list->list, vname);
	remote_name = imapc_list_storage_to_remote_name(mlist->list,
							storage_name);
	place = hash_table_lookup(mlist->places, remote_name);
	if (place == NULL)
		return TRUE;
	if (gmail_mailbox_is_migrated(place->place, place->name,
				      mlist->muser->policy, mlist->keywords,
				      &reason))
		return TRUE;
	e_debug(mlist->muser->event, "mailbox %s: not migrated as a folder: %s",
		vname, reason);
	return FALSE;
}

static struct mailbox_list_iterate_context *
migration_gmail_list_iter_init(struct mailbox_list *list,
			       const char *const *patterns,
			       enum mailbox_list_iter_flags flags)
{
	struct migration_gmail_list *mlist =
		MIGRATION_GMAIL_LIST_CONTEXT_REQUIRE(list);

	/* dsync's first question; later it looks for mailboxes by their GUIDs */
	if (!mlist->listed)
		mlist->listed_whole = str_array_find(patterns, "*");
	mlist->listed = TRUE;
	return mlist->module_ctx.super.iter_init(list, patterns, flags);
}

static const struct mailbox_info *
migration_gmail_list_iter_next(struct mailbox_list_iterate_context *ctx)
{
	struct migration_gmail_list *mlist =
		MIGRATION_GMAIL_LIST_CONTEXT_REQUIRE(ctx->list);
	const struct mailbox_info *info;
	bool shown;

	while ((info = mlist->module_ctx.super.iter_next(ctx)) != NULL) {
		T_BEGIN {
			shown = migration_gmail_list_shows(mlist, info->vname);
		} T_END;
		if (shown)
			break;
	}
	return info == NULL ? NULL :
		migration_gmail_archive_unmark(mlist, info, &mlist->unmarked);
}

/* ---- life ---- */

/* Mails of the destination that share their text with another one. */
static void
migration_gmail_list_report_shared(struct migration_gmail_list *mlist)
{
	struct mail_user *user = mlist->list->list.ns->user;
	struct migration_gmail_user *dest = migration_gmail_user_find_dest(user);

	if (dest == NULL)
		return;
	migration_run_add_section(migration_run_find(user), "gmail_shared_mails",
				  dec2str(dest->shared_count));
	dest->shared_count = 0;
}

static void migration_gmail_list_deinit(struct mailbox_list *list)
{
	struct migration_gmail_list *mlist =
		MIGRATION_GMAIL_LIST_CONTEXT_REQUIRE(list);

	if (mlist->pool != NULL || mlist->objectid)
		migration_gmail_list_report_shared(mlist);
	if (mlist->pool != NULL) {
		T_BEGIN {
			migration_gmail_keywords_report(mlist->muser,
							mlist->keywords);
		} T_END;
		gmail_keywords_deinit(&mlist->keywords);
		hash_table_destroy(&mlist->places);
		hash_table_destroy(&mlist->labels);
		hash_table_destroy(&mlist->counts);
		pool_unref(&mlist->pool);
	}
	migration_gmail_claims_deinit(mlist);
	if (migration_gmail_source_list == mlist)
		migration_gmail_source_list = NULL;
	mlist->module_ctx.super.deinit(list);
}

void migration_gmail_list_created(struct mailbox_list *list)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(list->ns->user);
	struct mailbox_list_vfuncs *v = list->vlast;
	struct migration_gmail_list *mlist;

	if (muser == NULL)
		return;
	if (strcmp(list->name, MAILBOX_LIST_NAME_IMAPC) != 0) {
		migration_gmail_archive_list_created(list);
		return;
	}

	mlist = p_new(list->pool, struct migration_gmail_list, 1);
	mlist->muser = muser;
	mlist->all_messages = UINT_MAX;
	mlist->list = container_of(list, struct imapc_mailbox_list, list);
	mlist->module_ctx.super = *v;
	list->vlast = &mlist->module_ctx.super;
	v->iter_init = migration_gmail_list_iter_init;
	v->iter_next = migration_gmail_list_iter_next;
	v->deinit = migration_gmail_list_deinit;
	MODULE_CONTEXT_SET(list, migration_gmail_list_module, mlist);
	if (muser->local == NULL)
		migration_gmail_source_list = mlist;
}
