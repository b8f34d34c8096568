/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "guid.h"
#include "hash.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "mailbox-list-iter.h"
#include "migration-gmail-local.h"

/* An open mailbox costs a few descriptors, and there can be more folders than
   descriptors. */
#define LOCAL_MAX_OPEN_BOXES 32
/* Two places are enough: one of them can be the mailbox that is being written,
   or be gone. */
#define LOCAL_MAX_PLACES 2

struct local_box {
	struct mail_namespace *ns;
	const char *vname;

	/* NULL while it is closed */
	struct mailbox *box;
	struct mailbox_transaction_context *trans;
	struct mail *mail;
	uint64_t last_used;
};

struct local_message {
	guid_128_t guid;
	struct {
		struct local_box *box;
		uint32_t uid;
	} places[LOCAL_MAX_PLACES];
};

struct migration_gmail_local {
	pool_t pool;
	struct mail_user *user;
	struct event *event;
	ARRAY(struct local_box *) boxes;
	HASH_TABLE(const uint8_t *, struct local_message *) messages;
	uint64_t use_counter;
	unsigned int open_count;
	bool scanned;
};

/* ---- mailboxes ---- */

static struct local_box *
local_box_get(struct migration_gmail_local *local, struct mail_namespace *ns,
	      const char *vname)
{
	struct local_box *lbox;

	array_foreach_elem(&local->boxes, lbox) {
		if (strcmp(lbox->vname, vname) == 0)
			return lbox;
	}
	lbox = p_new(local->pool, struct local_box, 1);
	lbox->ns = ns;
	lbox->vname = p_strdup(local->pool, vname);
	array_push_back(&local->boxes, &lbox);
	return lbox;
}

static void
local_box_close(struct migration_gmail_local *local, struct local_box *lbox)
{
	if (lbox->box == NULL)
		return;
	mail_free(&lbox->mail);
	/* nothing was changed */
	mailbox_transaction_rollback(&lbox->trans);
	mailbox_free(&lbox->box);
	local->open_count--;
}

static void local_box_close_oldest(struct migration_gmail_local *local)
{
	struct local_box *lbox, *oldest = NULL;

	array_foreach_elem(&local->boxes, lbox) {
		if (lbox->box != NULL &&
		    (oldest == NULL || lbox->last_used < oldest->last_used))
			oldest = lbox;
	}
	if (oldest != NULL)
		local_box_close(local, oldest);
}

static bool
local_box_open(struct migration_gmail_local *local, struct local_box *lbox)
{
	lbox->last_used = ++local->use_counter;
	if (lbox->box != NULL)
		return TRUE;
	if (local->open_count >= LOCAL_MAX_OPEN_BOXES)
		local_box_close_oldest(local);

	lbox->box = mailbox_alloc(lbox->ns->list, lbox->vname,
				  MAILBOX_FLAG_READONLY);
	if (mailbox_sync(lbox->box, 0) < 0) {
		/* it was deleted or renamed: then its mails are elsewhere */
		mailbox_free(&lbox->box);
		return FALSE;
	}
	local->open_count++;
	lbox->trans = mailbox_transaction_begin(lbox->box, 0, "Gmail copies");
	lbox->mail = mail_alloc(lbox->trans, 0, NULL);
	return TRUE;
}

void migration_gmail_local_close(struct migration_gmail_local *local)
{
	struct local_box *lbox;

	array_foreach_elem(&local->boxes, lbox)
		local_box_close(local, lbox);
}

/* ---- messages ---- */

/* Formats that keep 128 bits of a GUID only, keep a hash of longer ones. */
void migration_gmail_local_guid(const char *guid, guid_128_t guid_128_r)
{
	if (guid_128_from_string(guid, guid_128_r) < 0)
		mail_generate_guid_128_hash(guid, guid_128_r);
}

static void
local_learn(struct migration_gmail_local *local, struct local_box *lbox,
	    uint32_t uid, const char *guid)
{
	struct local_message *msg;
	guid_128_t guid_128;
	const uint8_t *key = guid_128;
	unsigned int i;

	migration_gmail_local_guid(guid, guid_128);
	msg = hash_table_lookup(local->messages, key);
	if (msg == NULL) {
		msg = p_new(local->pool, struct local_message, 1);
		guid_128_copy(msg->guid, guid_128);
		key = msg->guid;
		hash_table_insert(local->messages, key, msg);
	}
	for (i = 0; i < LOCAL_MAX_PLACES; i++) {
		if (msg->places[i].box == NULL || msg->places[i].box == lbox) {
			msg->places[i].box = lbox;
			msg->places[i].uid = uid;
			break;
		}
	}
}

void migration_gmail_local_learn(struct migration_gmail_local *local,
				 struct mailbox *box, uint32_t uid,
				 const char *msgid)
{
	local_learn(local, local_box_get(local, mailbox_get_namespace(box),
					 mailbox_get_vname(box)), uid, msgid);
}

static bool local_mail_is(struct mail *mail, const guid_128_t wanted)
{
	const char *guid;
	guid_128_t guid_128;

	if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0 || *guid == '\0')
		return FALSE;
	migration_gmail_local_guid(guid, guid_128);
	return guid_128_equals(guid_128, wanted);
}

static struct mail *
local_get_mail_in(struct migration_gmail_local *local, struct local_box *lbox,
		  uint32_t uid, const guid_128_t guid)
{
	bool fresh = lbox->box == NULL;

	if (!local_box_open(local, lbox))
		return NULL;
	if (lbox->mail->uid != uid && !mail_set_uid(lbox->mail, uid)) {
		if (fresh)
			return NULL;
		/* it came after the mailbox was opened */
		local_box_close(local, lbox);
		if (!local_box_open(local, lbox) ||
		    !mail_set_uid(lbox->mail, uid))
			return NULL;
	}
	return local_mail_is(lbox->mail, guid) ? lbox->mail : NULL;
}

struct mail *
migration_gmail_local_open_mail(struct migration_gmail_local *local,
				struct mailbox *box, uint32_t uid)
{
	struct local_box *lbox = local_box_get(local, mailbox_get_namespace(box),
					       mailbox_get_vname(box));

	return local_box_open(local, lbox) && mail_set_uid(lbox->mail, uid) ?
		lbox->mail : NULL;
}

void migration_gmail_local_get_uids(struct migration_gmail_local *local,
				    struct mailbox *box,
				    ARRAY_TYPE(seq_range) *uids)
{
	struct local_box *lbox = local_box_get(local, mailbox_get_namespace(box),
					       mailbox_get_vname(box));
	struct mail_index_view *view;
	uint32_t seq, uid;

	if (!local_box_open(local, lbox))
		return;
	view = lbox->box->view;
	for (seq = 1; seq <= mail_index_view_get_messages_count(view); seq++) {
		mail_index_lookup_uid(view, seq, &uid);
		seq_range_array_add(uids, uid);
	}
}

/* ---- what was there before the run ---- */

static void
local_scan_box(struct migration_gmail_local *local, struct mail_namespace *ns,
	       const char *vname)
{
	struct local_box *lbox = local_box_get(local, ns, vname);
	struct mail_search_args *args;
	struct mail_search_context *ctx;
	struct mail *mail;
	const char *guid;

	if (!local_box_open(local, lbox))
		return;
	args = mail_search_build_init();
	mail_search_build_add_all(args);
	ctx = mailbox_search_init(lbox->trans, args, NULL, MAIL_FETCH_GUID, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(ctx, &mail)) T_BEGIN {
		if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) == 0 &&
		    *guid != '\0')
			local_learn(local, lbox, mail->uid, guid);
	} T_END;
	/* a mailbox that cannot be read costs downloads, no mail */
	(void)mailbox_search_deinit(&ctx);
	local_box_close(local, lbox);
}

static void
local_scan_namespace(struct migration_gmail_local *local,
		     struct mail_namespace *ns)
{
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;

	iter = mailbox_list_iter_init(ns->list, "*",
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_NO_AUTO_BOXES |
				      MAILBOX_LIST_ITER_RETURN_NO_FLAGS);
	while ((info = mailbox_list_iter_next(iter)) != NULL) T_BEGIN {
		if ((info->flags & (MAILBOX_NONEXISTENT | MAILBOX_NOSELECT)) == 0)
			local_scan_box(local, ns, info->vname);
	} T_END;
	(void)mailbox_list_iter_deinit(&iter);
}

static void local_scan(struct migration_gmail_local *local)
{
	struct mail_namespace *ns;
	struct mail_storage *storage;

	local->scanned = TRUE;
	for (ns = local->user->namespaces; ns != NULL; ns = ns->next) {
		if (ns->type != MAIL_NAMESPACE_TYPE_PRIVATE ||
		    ns->alias_for != NULL)
			continue;
		storage = mail_namespace_get_default_storage(ns);
		if ((storage->class_flags &
		     MAIL_STORAGE_CLASS_FLAG_HAVE_MAIL_SAVE_GUIDS) != 0)
			local_scan_namespace(local, ns);
	}
	e_debug(local->event, "The destination has %u different messages",
		hash_table_count(local->messages));
}

static struct local_message *
local_find(struct migration_gmail_local *local, const char *msgid,
	   guid_128_t guid_r)
{
	const uint8_t *key = guid_r;

	if (!local->scanned)
		local_scan(local);
	migration_gmail_local_guid(msgid, guid_r);
	return hash_table_lookup(local->messages, key);
}

static bool
local_place_is_wanted(const struct local_message *msg, unsigned int i,
		      const char *not_in)
{
	return msg->places[i].box != NULL &&
		strcmp(msg->places[i].box->vname, not_in) != 0;
}

bool migration_gmail_local_has(struct migration_gmail_local *local,
			       const char *msgid, const char *not_in)
{
	const struct local_message *msg;
	guid_128_t guid;
	unsigned int i;

	msg = local_find(local, msgid, guid);
	for (i = 0; i < LOCAL_MAX_PLACES && msg != NULL; i++) {
		if (local_place_is_wanted(msg, i, not_in))
			return TRUE;
	}
	return FALSE;
}

struct mail *
migration_gmail_local_get_mail(struct migration_gmail_local *local,
			       const char *msgid, const char *not_in)
{
	struct local_message *msg;
	struct mail *mail = NULL;
	guid_128_t guid;
	unsigned int i;

	msg = local_find(local, msgid, guid);
	if (msg == NULL)
		return NULL;
	for (i = 0; i < LOCAL_MAX_PLACES && mail == NULL; i++) {
		if (!local_place_is_wanted(msg, i, not_in))
			continue;
		mail = local_get_mail_in(local, msg->places[i].box,
					 msg->places[i].uid, guid);
		if (mail == NULL)
			i_zero(&msg->places[i]);
	}
	return mail;
}

/* ---- life ---- */

struct migration_gmail_local *
migration_gmail_local_init(struct mail_user *user)
{
	struct migration_gmail_local *local;
	pool_t pool;

	pool = pool_alloconly_create("migration gmail local", 1024*64);
	local = p_new(pool, struct migration_gmail_local, 1);
	local->pool = pool;
	local->user = user;
	local->event = event_create(user->event);
	event_set_append_log_prefix(local->event, "migration_gmail: ");
	p_array_init(&local->boxes, pool, 16);
	hash_table_create(&local->messages, default_pool, 0,
			  guid_128_hash, guid_128_cmp);
	return local;
}

void migration_gmail_local_deinit(struct migration_gmail_local **_local)
{
	struct migration_gmail_local *local = *_local;

	*_local = NULL;
	migration_gmail_local_close(local);
	hash_table_destroy(&local->messages);
	event_unref(&local->event);
	pool_unref(&local->pool);
}
