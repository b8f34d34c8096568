/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The source: mails of the imapc INBOX (or of all mailboxes) know their UIDL and
   their POP3 order, which dsync and import hand on to the destination.

   The POP3 server is asked once, for all mails, as soon as dsync has listed the
   INBOX and before anything of it is written. If mails of the maildrop have no
   partner, the INBOX is left out of this run, so that it can be migrated whole
   once the cause is known. A mail that was saved without its UIDL cannot get it
   from a later run. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "mail-namespace.h"
#include "mailbox-list-iter.h"
#include "mail-search-build.h"
#include "index-mail.h"
#include "imapc-storage.h"
#include "pop3c-settings.h"
#include "pop3c-storage.h"
#include "migration-run.h"
#include "pop3-source.h"
#include "migration-pop3-private.h"

#define MIGRATION_POP3_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_pop3_storage_module)
#define MIGRATION_POP3_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_pop3_storage_module)
#define MIGRATION_POP3_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_pop3_mail_module)

static MODULE_CONTEXT_DEFINE_INIT(migration_pop3_storage_module,
				  &mail_storage_module_register);
static MODULE_CONTEXT_DEFINE_INIT(migration_pop3_mail_module,
				  &mail_module_register);

/* --- configuration --- */

int migration_pop3_find_namespace(struct mail_user *user,
				  const struct migration_pop3_settings *set,
				  struct mail_namespace **ns_r,
				  const char **error_r)
{
	struct mail_namespace *ns =
		mail_namespace_find(user->namespaces, set->mailbox);
	struct mail_storage *storage;

	storage = mail_namespace_get_default_storage(ns);
	if (storage != NULL && strcmp(storage->name, POP3C_STORAGE_NAME) == 0) {
		*ns_r = ns;
		return 1;
	}
	*error_r = t_strdup_printf(
		"migration_pop3_mailbox = %s: there is no namespace with a "
		"pop3c location at this name (it lies in the namespace "
		"with prefix \"%s\", which is %s): add the namespace for the "
		"POP3 server, or name its mailbox",
		str_sanitize(set->mailbox, 80), ns->prefix,
		storage == NULL ? "empty" : storage->name);
	return user->namespaces->next == NULL ? 0 : -1;
}

struct mail_user *
migration_pop3_other_user(struct migration_pop3_user *muser)
{
	struct migration_pop3_user *other;

	for (other = migration_pop3_users; other != NULL; other = other->next) {
		if (other != muser &&
		    strcmp(other->user->username, muser->user->username) == 0)
			return other->user;
	}
	return NULL;
}

static const struct pop3c_settings *
find_pop3c_settings(struct migration_pop3_user *muser, const char **error_r)
{
	struct mail_user *other = migration_pop3_other_user(muser);
	struct mail_namespace *ns;
	struct pop3c_storage *pop3c_storage;
	const char *error;
	int ret;

	ret = migration_pop3_find_namespace(muser->user, muser->set, &ns,
					    error_r);
	if (ret == 0 && other != NULL) {
		ret = migration_pop3_find_namespace(other, muser->set, &ns,
						    &error);
	}
	if (ret <= 0)
		return NULL;
	pop3c_storage =
		POP3C_STORAGE(mail_namespace_get_default_storage(ns));
	return pop3c_storage->set;
}

/* --- asking --- */

static void
fail(struct migration_pop3_user *muser, enum mail_error mail_error,
     const char *error)
{
	struct event_passthrough *e;

	muser->state = MIGRATION_POP3_STATE_FAILED;
	muser->error = p_strdup(muser->user->pool, error);
	muser->mail_error = mail_error;
	e = event_create_passthrough(muser->event)->
		set_name("migration_pop3_match_finished")->
		add_str("error", error);
	e_debug(e->event(), "UIDLs cannot be matched: %s", error);
}

static enum mail_error get_mail_error(enum pop3_client_error type)
{
	switch (type) {
	case POP3_CLIENT_ERROR_NONE:
	case POP3_CLIENT_ERROR_TEMP:
	case POP3_CLIENT_ERROR_BUSY:
		break;
	case POP3_CLIENT_ERROR_AUTH:
	case POP3_CLIENT_ERROR_UNSUPPORTED:
		return MAIL_ERROR_PERM;
	}
	return MAIL_ERROR_TEMP;
}

static void remember_mailbox(struct migration_pop3_user *muser,
			     struct mailbox *box, int mailbox)
{
	struct migration_pop3_uidls *uidls =
		array_append_space(&muser->mailboxes);

	uidls->vname = p_strdup(muser->user->pool, box->vname);
	uidls->mailbox = mailbox;
}

/* Mailboxes that belong to gather while it runs. */
struct migration_pop3_extra {
	ARRAY(struct mailbox *) boxes;
};

static int
add_other_mailboxes(struct migration_pop3_user *muser, struct mailbox *inbox,
		    struct migration_pop3_extra *extra, const char **error_r)
{
	struct mail_namespace *ns = mailbox_get_namespace(inbox);
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	struct mailbox *box;
	int mailbox, ret = 0;

	iter = mailbox_list_iter_init(ns->list, "*",
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_NO_AUTO_BOXES);
	while (ret == 0 && (info = mailbox_list_iter_next(iter)) != NULL) {
		if ((info->flags & (MAILBOX_NOSELECT |
				    MAILBOX_NONEXISTENT)) != 0 ||
		    strcmp(info->vname, inbox->vname) == 0)
			continue;
		box = mailbox_alloc(ns->list, info->vname,
				    MAILBOX_FLAG_READONLY);
		array_push_back(&extra->boxes, &box);
		mailbox = uidl_gather_add_closed(muser->gather, box, error_r);
		if (mailbox < 0) {
			ret = -1;
		} else {
			remember_mailbox(muser, box, mailbox);
			migration_pop3_known_add(muser, box);
		}
	}
	if (mailbox_list_iter_deinit(&iter) < 0 && ret == 0) {
		*error_r = t_strdup_printf("Listing mailboxes failed: %s",
			mailbox_list_get_last_internal_error(ns->list, NULL));
		ret = -1;
	}
	return ret;
}

static int gather_add_all(struct migration_pop3_user *muser,
			  struct mailbox *inbox,
			  struct migration_pop3_extra *extra,
			  const char **error_r)
{
	int mailbox = uidl_gather_add_opened(muser->gather, inbox, error_r);

	if (mailbox < 0)
		return -1;
	remember_mailbox(muser, inbox, mailbox);
	migration_pop3_known_add(muser, inbox);
	return !muser->set->all_mailboxes ? 0 :
		add_other_mailboxes(muser, inbox, extra, error_r);
}

static int gather_run(struct migration_pop3_user *muser, struct mailbox *inbox,
		      const char **error_r, enum pop3_client_error *type_r)
{
	struct migration_pop3_extra extra;
	struct mailbox *box;
	int ret = -1;

	i_array_init(&extra.boxes, 4);
	*type_r = POP3_CLIENT_ERROR_TEMP;
	if (gather_add_all(muser, inbox, &extra, error_r) == 0)
		ret = uidl_gather_run(muser->gather, error_r, type_r);
	array_foreach_elem(&extra.boxes, box)
		mailbox_free(&box);
	array_free(&extra.boxes);
	return ret;
}

/* Decide whether the INBOX may be written although mails have no partner. The
   settings mean what they mean in stock pop3_migration. */
static void judge_leftovers(struct migration_pop3_user *muser,
			    struct mailbox *inbox)
{
	struct migration_run *run = migration_run_find(muser->user);
	struct uidl_match_result result;
	const char *first_uidl, *reason, *remedy;
	struct event_passthrough *e;
	unsigned int missing, extra;
	bool only_extra;

	uidl_gather_get_result(muser->gather, &result);
	missing = uidl_gather_unmatched_pop3(muser->gather, &first_uidl,
					     &reason);
	extra = uidl_gather_unmatched_imap(muser->gather);
	run->pop3.asked = TRUE;
	run->pop3.mails = result.pop3_count;
	run->pop3.matched = result.pop3_count - missing;
	run->pop3.unmatched = missing;
	run->pop3.imap_unmatched = extra;
	/* every IMAP mail has its UIDL, POP3 just lists more */
	only_extra = extra == 0;
	muser->inbox_refused = missing > 0 && !muser->set->all_mailboxes &&
		!muser->set->ignore_missing_uidls &&
		!(only_extra && muser->set->ignore_extra_uidls);
	uidl_gather_report(muser->gather, muser->inbox_refused);
	e = event_create_passthrough(muser->event)->
		set_name("migration_pop3_match_finished")->
		add_int("pop3_mails", result.pop3_count)->
		add_int("matched", result.pop3_count - missing)->
		add_int("pop3_unmatched", missing)->
		add_int("imap_unmatched", extra)->
		add_int("headers", result.pop3_headers)->
		add_int("texts", result.pop3_bodies);
	e_debug(e->event(), "%s: %u of %u POP3 mails matched, %u IMAP mails "
		"have none; %u headers and %u texts read over POP3",
		inbox->vname, result.pop3_count - missing, result.pop3_count,
		extra, result.pop3_headers, result.pop3_bodies);
	if (!muser->inbox_refused)
		return;

	migration_run_leave_out_mailbox(run);
	remedy = only_extra ? " or migration_pop3_ignore_extra_uidls=yes" : "";
	e_error(muser->event, "Mailbox %s is left out of this run: %u of %u "
		"POP3 mails have no IMAP mail (the first has UIDL %s: %s). The "
		"report names each with the reason. Set "
		"migration_pop3_ignore_missing_uidls=yes%s to migrate it all "
		"the same%s", inbox->vname, missing, result.pop3_count,
		str_sanitize(first_uidl, 80), reason, remedy, only_extra ?
		", or migration_pop3_all_mailboxes=yes if the POP3 server "
		"lists mails of other mailboxes, too" : "");
}

static void
ask_pop3(struct migration_pop3_user *muser, struct mailbox *inbox)
{
	struct uidl_gather_settings gather_set;
	struct pop3_source_limits limits;
	const struct pop3c_settings *set;
	enum pop3_client_error type;
	const char *error;

	if ((set = find_pop3c_settings(muser, &error)) == NULL) {
		fail(muser, MAIL_ERROR_PERM, error);
		return;
	}
	i_zero(&gather_set);
	migration_pop3_settings_limits(muser->set, &limits);
	pop3_source_fill_settings(set, muser->user, &limits, muser->event,
				  &gather_set.pop3);
	gather_set.skip_sizes = muser->set->skip_size_check;
	gather_set.max_body_bytes = muser->set->body_limit;
	gather_set.user = muser->user;
	gather_set.event = muser->event;
	muser->gather = uidl_gather_init(&gather_set);
	if (gather_run(muser, inbox, &error, &type) < 0) {
		fail(muser, get_mail_error(type), error);
		return;
	}
	muser->state = MIGRATION_POP3_STATE_MATCHED;
	judge_leftovers(muser, inbox);
	migration_pop3_known_check(muser, inbox, 0);
	if (!muser->inbox_refused)
		migration_pop3_room_report(muser, inbox);
}

/* Returns 0, or -1 and the storage's error. */
static int ask_pop3_once(struct migration_pop3_user *muser, struct mailbox *box)
{
	if (muser->state == MIGRATION_POP3_STATE_UNASKED) {
		struct event_reason *reason =
			event_reason_begin("migration_pop3:match");

		T_BEGIN {
			ask_pop3(muser, box);
		} T_END;
		event_reason_end(&reason);
	}
	if (muser->state == MIGRATION_POP3_STATE_FAILED) {
		mail_storage_set_error(box->storage, muser->mail_error,
				       muser->error);
		return -1;
	}
	return 0;
}

/* The mailbox's mails can have UIDLs. */
static bool mailbox_is_wanted(struct migration_pop3_user *muser,
			      struct mailbox *box)
{
	return box->inbox_user || muser->set->all_mailboxes;
}

/* Ask with the INBOX, whichever mailbox comes first. */
static int ask_for_mailbox(struct migration_pop3_user *muser,
			   struct mailbox *box)
{
	struct mail_namespace *ns;
	struct mailbox *inbox;
	int ret = -1;

	if (box->inbox_user || muser->state != MIGRATION_POP3_STATE_UNASKED)
		return ask_pop3_once(muser, box);
	ns = mail_namespace_find_inbox(muser->user->namespaces);
	inbox = mailbox_alloc(ns->list, "INBOX", MAILBOX_FLAG_READONLY);
	if (mailbox_open(inbox) < 0 ||
	    mailbox_sync(inbox, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		fail(muser, MAIL_ERROR_TEMP, t_strdup_printf(
			"INBOX cannot be opened: %s",
			mailbox_get_last_internal_error(inbox, NULL)));
		ret = ask_pop3_once(muser, box);
	} else {
		ret = ask_pop3_once(muser, inbox);
	}
	mailbox_free(&inbox);
	return ret;
}

/* --- mailbox --- */

static uint32_t last_uid(struct mailbox *box)
{
	uint32_t uid, seq = mail_index_view_get_messages_count(box->view);

	if (seq == 0)
		return 0;
	mail_index_lookup_uid(box->view, seq, &uid);
	return uid;
}

static int
source_get_metadata(struct mailbox *box, enum mailbox_metadata_items items,
		    struct mailbox_metadata *metadata_r)
{
	union mailbox_module_context *mbox = MIGRATION_POP3_CONTEXT_REQUIRE(box);
	struct migration_pop3_user *muser =
		MIGRATION_POP3_USER_CONTEXT(box->storage->user);

	/* Only dsync, and the plan of its run, ask for cache fields. dsync does
	   so after it has listed the mailbox and before the destination begins
	   to write. */
	if ((items & MAILBOX_METADATA_CACHE_FIELDS) != 0 &&
	    (box->storage->user->dsyncing ||
	     migration_run_find(box->storage->user)->planning) &&
	    box->inbox_user && box->opened &&
	    last_uid(box) > 0 && !migration_pop3_dest_has_all(muser, box, last_uid(box))) {
		if (ask_pop3_once(muser, box) < 0)
			return -1;
		if (muser->inbox_refused) {
			/* dsync leaves the mailbox out and goes on */
			mail_storage_set_error(box->storage,
				MAIL_ERROR_NOTPOSSIBLE,
				"POP3 mails have no IMAP mail");
			return -1;
		}
	}
	return mbox->super.get_metadata(box, items, metadata_r);
}

/* dsync searches for the mails that the destination wants also if it wants
   none. */
static bool search_is_empty(const struct mail_search_args *args)
{
	const struct mail_search_arg *arg = args->args;

	if (arg == NULL || arg->next != NULL)
		return FALSE;
	/* an empty set is simplified to NOT ALL */
	return (arg->type == SEARCH_ALL && arg->match_not) ||
		(arg->type == SEARCH_SEQSET && !arg->match_not &&
		 array_count(&arg->value.seqset) == 0);
}

static struct mail_search_context *
source_search_init(struct mailbox_transaction_context *t,
		   struct mail_search_args *args,
		   const enum mail_sort_type *sort_program,
		   enum mail_fetch_field wanted_fields,
		   struct mailbox_header_lookup_ctx *wanted_headers)
{
	union mailbox_module_context *mbox =
		MIGRATION_POP3_CONTEXT_REQUIRE(t->box);
	struct migration_pop3_user *muser =
		MIGRATION_POP3_USER_CONTEXT(t->box->storage->user);

	/* yahoo-state: Yahoo's IMAP loses its state when headers are asked for
	   after texts */
	if ((wanted_fields & (MAIL_FETCH_UIDL_BACKEND |
			      MAIL_FETCH_POP3_ORDER)) != 0 &&
	    !search_is_empty(args) && mailbox_is_wanted(muser, t->box))
		(void)ask_for_mailbox(muser, t->box);
	return mbox->super.search_init(t, args, sort_program, wanted_fields,
				       wanted_headers);
}

void migration_pop3_source_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	union mailbox_module_context *mbox;

	mbox = p_new(box->pool, union mailbox_module_context, 1);
	mbox->super = *v;
	box->vlast = &mbox->super;
	v->get_metadata = source_get_metadata;
	v->search_init = source_search_init;
	MODULE_CONTEXT_SET_SELF(box, migration_pop3_storage_module, mbox);
}

/* --- mail --- */

static const struct uidl_gather_mail *
find_mail(struct migration_pop3_user *muser, struct mail *mail)
{
	const struct migration_pop3_uidls *uidls;

	array_foreach(&muser->mailboxes, uidls) {
		if (strcmp(uidls->vname, mail->box->vname) == 0) {
			return uidl_gather_find(muser->gather, uidls->mailbox,
						mail->uid);
		}
	}
	return NULL;
}

static int
source_get_special(struct mail *mail, enum mail_fetch_field field,
		   const char **value_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *mmail =
		MIGRATION_POP3_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_pop3_user *muser =
		MIGRATION_POP3_USER_CONTEXT(mail->box->storage->user);
	const struct uidl_gather_mail *found;

	if ((field != MAIL_FETCH_UIDL_BACKEND &&
	     field != MAIL_FETCH_POP3_ORDER) ||
	    !mailbox_is_wanted(muser, mail->box))
		return mmail->super.get_special(mail, field, value_r);

	if (ask_for_mailbox(muser, mail->box) < 0)
		return -1;
	found = find_mail(muser, mail);
	if (found == NULL)
		*value_r = "";
	else if (field == MAIL_FETCH_UIDL_BACKEND)
		*value_r = migration_pop3_room_fits(muser, found->uidl) ?
			found->uidl : "";
	else if (found->order == 0)
		*value_r = "";
	else
		*value_r = t_strdup_printf("%u", found->order);
	return 0;
}

void migration_pop3_source_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	union mail_module_context *mmail;

	mmail = p_new(pmail->pool, union mail_module_context, 1);
	mmail->super = *v;
	pmail->vlast = &mmail->super;
	v->get_special = source_get_special;
	MODULE_CONTEXT_SET_SELF(pmail, migration_pop3_mail_module, mmail);
}
