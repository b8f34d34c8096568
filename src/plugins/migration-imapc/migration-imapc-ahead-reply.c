/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Untagged replies to what was asked ahead. No imapc mailbox is selected while
   they come, so they have no context: they belong to the oldest EXAMINE whose
   commands were not all answered. FETCH counts only after that EXAMINE was
   answered itself. Mails are known by their UIDs alone, so it does not matter
   in which order the server sends them (quirk: fetch-order), in how many
   replies it says what it has to say of one of them (quirk: fetch-split), or
   what else it says meanwhile. */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "hash.h"
#include "str.h"
#include "imap-arg.h"
#include "imap-date.h"
#include "imap-seqset.h"
#include "seq-range-array.h"
#include "imapc-client-private.h"
#include "migration-budget.h"
#include "migration-metadata.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* Servers that tell wrong sizes make more files than the window foresaw. */
#define AHEAD_MAX_FILES_OVER 200
/* What a FETCH reply has beside the text, about: enough to measure the line
   by */
#define AHEAD_REPLY_SIZE 100

static struct ahead_session *
ahead_front(const struct imapc_untagged_reply *reply,
	    struct imapc_storage_client *client,
	    struct migration_imapc_ahead **ahead_r)
{
	struct migration_imapc_list *mlist;
	struct ahead_session *session;

	*ahead_r = NULL;
	if (reply->untagged_box_context != NULL || client->_list == NULL)
		return NULL;
	mlist = MIGRATION_IMAPC_LIST_CONTEXT(&client->_list->list);
	if (mlist == NULL || mlist->ahead == NULL)
		return NULL;
	*ahead_r = mlist->ahead;
	if (mlist->ahead->mixed_up)
		return NULL;
	array_foreach_elem(&mlist->ahead->sessions, session) {
		if (session->pending > 0)
			return session;
	}
	return NULL;
}

static void
ahead_untagged_exists(const struct imapc_untagged_reply *reply,
		      struct imapc_storage_client *client)
{
	struct migration_imapc_ahead *ahead;
	struct ahead_session *session = ahead_front(reply, client, &ahead);

	if (session != NULL)
		session->mailbox->exists = reply->num;
}

static void
ahead_untagged_expunge(const struct imapc_untagged_reply *reply,
		       struct imapc_storage_client *client)
{
	struct migration_imapc_ahead *ahead;
	struct ahead_session *session = ahead_front(reply, client, &ahead);

	if (session != NULL && session->examined &&
	    session->mailbox->exists > 0)
		session->mailbox->exists--;
}

static void
ahead_untagged_ok(const struct imapc_untagged_reply *reply,
		  struct imapc_storage_client *client)
{
	struct migration_imapc_ahead *ahead;
	struct ahead_session *session = ahead_front(reply, client, &ahead);
	struct ahead_mailbox *mailbox;
	uint64_t num;

	if (session == NULL || reply->resp_text_key == NULL ||
	    reply->resp_text_value == NULL)
		return;
	mailbox = session->mailbox;
	/* what is no number is not known: 0 */
	if (str_to_uint64(reply->resp_text_value, &num) < 0)
		return;
	if (strcasecmp(reply->resp_text_key, "UIDVALIDITY") == 0) {
		/* only EXAMINE says this, and this mailbox's was answered */
		if (session->examined)
			migration_imapc_ahead_mixed_up(ahead);
		mailbox->uidvalidity = num;
	}
	else if (strcasecmp(reply->resp_text_key, "UIDNEXT") == 0)
		mailbox->uidnext = num;
	else if (strcasecmp(reply->resp_text_key, "HIGHESTMODSEQ") == 0)
		mailbox->highestmodseq = num;
}

/* ---- mails ---- */

static int
ahead_mail_cmp(const struct ahead_mail *mail1, const struct ahead_mail *mail2)
{
	return mail1->uid < mail2->uid ? -1 : (mail1->uid > mail2->uid ? 1 : 0);
}

static int
ahead_mail_uid_cmp(const uint32_t *uid, const struct ahead_mail *mail)
{
	return *uid < mail->uid ? -1 : (*uid > mail->uid ? 1 : 0);
}

struct ahead_mail *
migration_imapc_ahead_mail(struct ahead_mailbox *mailbox, uint32_t uid)
{
	const struct ahead_mail *mail;
	unsigned int i, count;
	void *value;

	if (mailbox->pool == NULL)
		return NULL;
	/* mostly the same as before, or the next one */
	mail = array_get(&mailbox->mails, &count);
	for (i = mailbox->found_idx; i < count && i < mailbox->found_idx + 2; i++) {
		if (mail[i].uid == uid) {
			mailbox->found_idx = i;
			return array_idx_modifiable(&mailbox->mails, i);
		}
	}
	if (hash_table_is_created(mailbox->by_uid)) {
		value = hash_table_lookup(mailbox->by_uid, POINTER_CAST(uid));
		return value == NULL ? NULL :
			array_idx_modifiable(&mailbox->mails,
				POINTER_CAST_TO(value, unsigned int) - 1);
	}
	mail = array_bsearch(&mailbox->mails, &uid, ahead_mail_uid_cmp);
	if (mail == NULL)
		return NULL;
	mailbox->found_idx = array_ptr_to_idx(&mailbox->mails, mail);
	return array_idx_modifiable(&mailbox->mails, mailbox->found_idx);
}

struct ahead_mail *
migration_imapc_ahead_mail_add(struct ahead_mailbox *mailbox, uint32_t uid)
{
	const struct ahead_mail *last;
	struct ahead_mail *mail;
	unsigned int i, count = array_count(&mailbox->mails);

	last = count == 0 ? NULL : array_idx(&mailbox->mails, count - 1);
	if (last != NULL && uid < last->uid &&
	    !hash_table_is_created(mailbox->by_uid)) {
		hash_table_create_direct(&mailbox->by_uid, default_pool, 0);
		for (i = 0; i < count; i++) {
			last = array_idx(&mailbox->mails, i);
			hash_table_insert(mailbox->by_uid,
					  POINTER_CAST(last->uid),
					  POINTER_CAST(i + 1));
		}
	}
	if (hash_table_is_created(mailbox->by_uid)) {
		hash_table_insert(mailbox->by_uid, POINTER_CAST(uid),
				  POINTER_CAST(count + 1));
	}
	mail = array_append_space(&mailbox->mails);
	mail->uid = uid;
	mail->fd = -1;
	mail->size = UOFF_T_MAX;
	mail->received_date = mail->save_date = (time_t)-1;
	mail->flags = "";
	return mail;
}

void migration_imapc_ahead_mails_finish(struct ahead_mailbox *mailbox)
{
	if (!hash_table_is_created(mailbox->by_uid))
		return;
	hash_table_destroy(&mailbox->by_uid);
	array_sort(&mailbox->mails, ahead_mail_cmp);
}

void migration_imapc_ahead_mail_clear(struct ahead_mail *mail)
{
	i_close_fd(&mail->fd);
	buffer_free(&mail->body);
}

/* ---- FETCH ---- */

static uint32_t ahead_fetch_uid(const struct imap_arg *list)
{
	const char *key, *value;
	uint32_t uid;

	/* a value can be the name of an item, too; but none is called UID */
	for (; !IMAP_ARG_IS_EOL(&list[0]) && !IMAP_ARG_IS_EOL(&list[1]); list++) {
		if (imap_arg_get_atom(&list[0], &key) &&
		    strcasecmp(key, "UID") == 0 &&
		    imap_arg_get_atom(&list[1], &value))
			return str_to_uint32(value, &uid) < 0 ? 0 : uid;
	}
	return 0;
}

const char *migration_imapc_ahead_flags(struct ahead_mailbox *mailbox,
					const char *flags)
{
	char *known = hash_table_lookup(mailbox->flags, flags);

	if (known == NULL) {
		known = p_strdup(mailbox->pool, flags);
		hash_table_insert(mailbox->flags, known, known);
	}
	return known;
}

static void
ahead_fetch_flags(struct ahead_mailbox *mailbox, struct ahead_mail *mail,
		  const struct imap_arg *arg)
{
	const struct imap_arg *list;
	const char *flag;
	string_t *str;

	if (!imap_arg_get_list(arg, &list))
		return;
	str = t_str_new(64);
	for (; imap_arg_get_atom(list, &flag); list++) {
		if (str_len(str) > 0)
			str_append_c(str, ' ');
		str_append(str, flag);
	}
	mail->flags = migration_imapc_ahead_flags(mailbox, str_c(str));
}

static void ahead_copy_value(buffer_t **buf, const struct imap_arg *arg)
{
	const char *value;

	/* NIL: the mail has no text any more */
	if (!imap_arg_get_nstring(arg, &value) || value == NULL || *buf != NULL)
		return;
	*buf = buffer_create_dynamic(default_pool, arg->str_len + 1);
	buffer_append(*buf, value, arg->str_len);
}

static void
ahead_fetch_body(struct migration_imapc_ahead *ahead, struct ahead_mail *mail,
		 const struct imapc_untagged_reply *reply,
		 const struct imap_arg *arg)
{
	int fd;

	/* not asked for, or not wanted any more: the table has no room for it */
	if (mail->text != AHEAD_TEXT_ASKED) {
		if (ahead->budget != NULL && mail->size != UOFF_T_MAX)
			migration_budget_count(ahead->budget, mail->size);
		return;
	}
	if (arg->type != IMAP_ARG_LITERAL_SIZE)
		ahead_copy_value(&mail->body, arg);
	else if (migration_imapc_reply_file(reply, arg, &fd) &&
		 ahead->window.files < ahead->window.limits.files +
					AHEAD_MAX_FILES_OVER) {
		/* imapc's own descriptor is closed after this reply */
		mail->fd = dup(fd);
		if (mail->fd == -1)
			e_error(ahead->muser->event, "dup() failed: %m");
	}
	if (mail->body == NULL && mail->fd == -1)
		return;
	migration_imapc_ahead_text_came(ahead, mail);
	mail->text = AHEAD_TEXT_HERE;
	/* this one will not be asked for again: a connection that breaks within
	   a command got further all the same */
	ahead->answered = TRUE;
	ahead->losses = 0;
	fetch_pace_arrived(&ahead->pace, mail->body != NULL ?
			   mail->body->used : mail->taken_size);
	if (ahead->budget != NULL) {
		migration_budget_count(ahead->budget, mail->body != NULL ?
				       mail->body->used : mail->taken_size);
	}
	/* sizes that servers tell need not be right */
	if (mail->body != NULL && mail->body->used != mail->taken_size) {
		fetch_window_remove(&ahead->window, mail->taken_size);
		mail->taken_size = fetch_window_add(&ahead->window,
						    mail->body->used);
	}
}

static time_t ahead_fetch_date(const struct imap_arg *arg)
{
	const char *value;
	time_t date;
	int tz;

	if (!imap_arg_get_astring(arg, &value) ||
	    !imap_parse_datetime(value, &date, &tz))
		return (time_t)-1;
	return date;
}

/* Of each mail some items are told: lengths are compared before letters. */
#define ITEM_IS(arg, name) \
	((arg)->str_len == sizeof(name) - 1 && imap_arg_atom_equals(arg, name))

static void
ahead_fetch_item(struct migration_imapc_ahead *ahead,
		 struct ahead_mailbox *mailbox, struct ahead_mail *mail,
		 const struct imapc_untagged_reply *reply,
		 const struct imap_arg *key, const struct imap_arg *arg)
{
	const struct imap_arg *list;
	const char *value;

	if (ITEM_IS(key, "FLAGS"))
		ahead_fetch_flags(mailbox, mail, arg);
	else if (ITEM_IS(key, "MODSEQ")) {
		if (imap_arg_get_list(arg, &list) &&
		    imap_arg_get_atom(&list[0], &value) &&
		    str_to_uint64(value, &mail->modseq) < 0)
			mail->modseq = 0;
	} else if (ITEM_IS(key, "RFC822.SIZE")) {
		if (imap_arg_get_atom(arg, &value) &&
		    str_to_uoff(value, &mail->size) < 0)
			mail->size = UOFF_T_MAX;
	} else if (ITEM_IS(key, "INTERNALDATE"))
		mail->received_date = ahead_fetch_date(arg);
	else if (ITEM_IS(key, "SAVEDATE")) {
		/* NIL: the server does not know it */
		mail->save_date = arg->type == IMAP_ARG_NIL ? 0 :
			ahead_fetch_date(arg);
	} else if (ITEM_IS(key, "BODY[]"))
		ahead_fetch_body(ahead, mail, reply, arg);
}

/* They are asked for together with the list of mails. */
static void
ahead_fetch_metadata(struct migration_imapc_ahead *ahead,
		     struct ahead_mailbox *mailbox, uint32_t uid,
		     const char *key, const struct imap_arg *arg)
{
	if (ahead->extra_items[0] == '\0' ||
	    (mailbox->known & AHEAD_PART_FLAGS) != 0)
		return;
	if (mailbox->extra == NULL) {
		mailbox->extra = migration_metadata_begin(
			&ahead->mlist->list->list, mailbox->vname,
			mailbox->remote_name);
	}
	migration_metadata_add(mailbox->extra, uid, key, arg);
}

/* BODY[HEADER.FIELDS (DATE MESSAGE-ID)] {size}: four arguments */
static const struct imap_arg *
ahead_fetch_header(struct ahead_mail *mail, const struct imap_arg *args)
{
	if (IMAP_ARG_IS_EOL(&args[1]) || IMAP_ARG_IS_EOL(&args[2]) ||
	    IMAP_ARG_IS_EOL(&args[3]))
		return NULL;
	ahead_copy_value(&mail->header, &args[3]);
	return &args[4];
}

static void
ahead_fetch_items(struct migration_imapc_ahead *ahead,
		  struct ahead_mailbox *mailbox, struct ahead_mail *mail,
		  const struct imapc_untagged_reply *reply,
		  const struct imap_arg *args)
{
	const char *key;

	while (args != NULL && !IMAP_ARG_IS_EOL(&args[0]) &&
	       !IMAP_ARG_IS_EOL(&args[1]) && imap_arg_get_atom(&args[0], &key)) {
		if (ITEM_IS(&args[0], "BODY[HEADER.FIELDS"))
			args = ahead_fetch_header(mail, args);
		else {
			ahead_fetch_item(ahead, mailbox, mail, reply, &args[0],
					 &args[1]);
			ahead_fetch_metadata(ahead, mailbox, mail->uid, key,
					     &args[1]);
			args += 2;
		}
	}
}

static void
ahead_untagged_fetch(const struct imapc_untagged_reply *reply,
		     struct imapc_storage_client *client)
{
	struct migration_imapc_ahead *ahead;
	struct ahead_session *session = ahead_front(reply, client, &ahead);
	struct ahead_mailbox *mailbox;
	struct ahead_mail *mail;
	const struct imap_arg *list;
	uint32_t uid;

	if (session == NULL || !session->examined ||
	    !imap_arg_get_list(reply->args, &list))
		return;
	mailbox = session->mailbox;
	/* without its UID it is something that the server tells unasked */
	if (mailbox->pool == NULL || (uid = ahead_fetch_uid(list)) == 0)
		return;
	mail = migration_imapc_ahead_mail(mailbox, uid);
	if (mail == NULL) {
		/* arrived after the mails were listed: for the next run */
		if ((mailbox->known & AHEAD_PART_FLAGS) != 0)
			return;
		mail = migration_imapc_ahead_mail_add(mailbox, uid);
	}
	fetch_pace_arrived(&ahead->pace, AHEAD_REPLY_SIZE);
	T_BEGIN {
		ahead_fetch_items(ahead, mailbox, mail, reply, list);
	} T_END;
	if (ahead->awaited == mail && mail->text == AHEAD_TEXT_HERE)
		imapc_client_stop(ahead->client);
}

/* ---- SEARCH ---- */

/* The mailbox that is asked for its changes now, or NULL */
static struct ahead_mailbox *
ahead_searched(const struct imapc_untagged_reply *reply,
	       struct imapc_storage_client *client)
{
	struct migration_imapc_ahead *ahead;
	struct ahead_session *session = ahead_front(reply, client, &ahead);

	return session == NULL || !session->examined ||
		session->mailbox->pool == NULL ||
		!migration_imapc_changes_only(session->mailbox) ? NULL :
		session->mailbox;
}

static void
ahead_untagged_search(const struct imapc_untagged_reply *reply,
		      struct imapc_storage_client *client)
{
	struct ahead_mailbox *mailbox = ahead_searched(reply, client);
	const struct imap_arg *args = reply->args;
	const char *value;
	uint32_t uid;

	if (mailbox == NULL)
		return;
	for (; imap_arg_get_atom(args, &value); args++) {
		if (str_to_uint32(value, &uid) == 0 && uid > 0)
			seq_range_array_add(&mailbox->found, uid);
	}
}

/* ESEARCH (TAG "7") UID ALL 1:5,9 */
static void
ahead_untagged_esearch(const struct imapc_untagged_reply *reply,
		       struct imapc_storage_client *client)
{
	struct ahead_mailbox *mailbox = ahead_searched(reply, client);
	const struct imap_arg *args = reply->args;
	const char *value;

	if (mailbox == NULL)
		return;
	for (; !IMAP_ARG_IS_EOL(&args[0]) && !IMAP_ARG_IS_EOL(&args[1]); args++) {
		/* what cannot be read shows as mails that were not found */
		if (imap_arg_atom_equals(&args[0], "ALL") &&
		    imap_arg_get_atom(&args[1], &value))
			(void)imap_seq_set_nostar_parse(value, &mailbox->found);
	}
}

static void
ahead_untagged_metadata(const struct imapc_untagged_reply *reply,
			struct imapc_storage_client *client)
{
	struct migration_imapc_ahead *ahead;
	struct ahead_session *session = ahead_front(reply, client, &ahead);

	if (session != NULL && session->mailbox->pool != NULL)
		migration_imapc_metadata_reply(session->mailbox, reply->args);
}

void migration_imapc_ahead_register(struct imapc_storage_client *client)
{
	imapc_storage_client_register_untagged(client, "EXISTS",
					       ahead_untagged_exists);
	imapc_storage_client_register_untagged(client, "EXPUNGE",
					       ahead_untagged_expunge);
	imapc_storage_client_register_untagged(client, "OK", ahead_untagged_ok);
	imapc_storage_client_register_untagged(client, "FETCH",
					       ahead_untagged_fetch);
	imapc_storage_client_register_untagged(client, "SEARCH",
					       ahead_untagged_search);
	imapc_storage_client_register_untagged(client, "ESEARCH",
					       ahead_untagged_esearch);
	/* 2.4 unregisters its own handler by this name in capitals, and would
	   find ours; replies find it in any case */
	imapc_storage_client_register_untagged(client, "Metadata",
					       ahead_untagged_metadata);
}
