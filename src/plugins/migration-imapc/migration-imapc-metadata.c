/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* METADATA (RFC 5464) of the source's mailboxes.

   imapc-metadata-waits: 2.4's imapc asks for the names of each mailbox's
   entries, private and shared, and for each value, and waits each time. Here
   all of a mailbox is asked for by one command together with its mails
   (AHEAD_PART_METADATA), and dsync is served from that. */

#include "lib.h"
#include "array.h"
#include "imap-arg.h"
#include "imap-quote.h"
#include "str.h"
#include "index-storage.h"
#include "mailbox-attribute.h"
#include "compat-imapc.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

struct ahead_metadata {
	/* /private/comment */
	const char *entry, *value;
};

struct metadata_iter {
	struct mailbox_attribute_iter iter;
	/* stock's, if it is not served from here */
	struct mailbox_attribute_iter *super;
	const struct ahead_mailbox *mailbox;
	const char *prefix;
	unsigned int idx;
};

/* ---- asking ---- */

void migration_imapc_metadata_ask(struct migration_imapc_ahead *ahead,
				  struct ahead_mailbox *mailbox)
{
	string_t *text = t_str_new(128);

	if (!ahead->want_metadata) {
		mailbox->asked |= AHEAD_PART_METADATA;
		mailbox->known |= AHEAD_PART_METADATA;
		return;
	}
	/* what came before the connection broke comes again */
	p_array_init(&mailbox->metadata, mailbox->pool, 4);
	mailbox->metadata_refused = FALSE;
	str_append(text, "GETMETADATA (DEPTH infinity) ");
	imap_append_astring(text, mailbox->remote_name);
	str_append(text, " (/private /shared)");
	migration_imapc_ahead_send_metadata(ahead, mailbox, str_c(text));
}

void migration_imapc_metadata_answered(struct migration_imapc_ahead *ahead,
				       struct ahead_mailbox *mailbox,
				       const struct imapc_command_reply *reply)
{
	if (reply->state == IMAPC_COMMAND_STATE_OK)
		return;
	/* stock asks in its own way, and words the error */
	e_debug(ahead->muser->event, "mailbox %s: METADATA was refused: %s",
		mailbox->vname, reply->text_full);
	mailbox->metadata_refused = TRUE;
	/* each such reply costs a connection */
	if (reply->state == IMAPC_COMMAND_STATE_BAD)
		ahead->want_metadata = FALSE;
}

/* METADATA "INBOX" (/private/comment "text" /shared/comment NIL) */
void migration_imapc_metadata_reply(struct ahead_mailbox *mailbox,
				    const struct imap_arg *args)
{
	struct ahead_metadata *metadata;
	const struct imap_arg *list;
	const char *name, *entry, *value;

	/* without values it is something that the server tells unasked */
	if (!array_is_created(&mailbox->metadata) ||
	    !imap_arg_get_astring(&args[0], &name) ||
	    !imap_arg_get_list(&args[1], &list))
		return;
	for (; !IMAP_ARG_IS_EOL(&list[0]) && !IMAP_ARG_IS_EOL(&list[1]);
	     list += 2) {
		if (!imap_arg_get_astring(&list[0], &entry) ||
		    !imap_arg_get_nstring(&list[1], &value)) {
			/* larger than imapc keeps in memory */
			mailbox->metadata_refused = TRUE;
			continue;
		}
		if (value == NULL)
			continue;
		metadata = array_append_space(&mailbox->metadata);
		metadata->entry = p_strdup(mailbox->pool, entry);
		metadata->value = p_strdup(mailbox->pool, value);
	}
}

/* ---- serving ---- */

/* What is known of the mailbox's METADATA, or NULL: then stock has to ask. */
static const struct ahead_mailbox *
metadata_get(struct mailbox *box, enum mail_attribute_type type)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(box);
	const struct mail_namespace *ns = mailbox_get_namespace(box);
	struct migration_imapc_ahead *ahead;

	if (mmbox->served == NULL || !box->storage->user->dsyncing ||
	    (type == MAIL_ATTRIBUTE_TYPE_PRIVATE &&
	     strcmp(ns->user->username, ns->owner->username) != 0))
		return NULL;
	ahead = mmbox->mlist->ahead;
	if (!ahead->want_metadata ||
	    !migration_imapc_ahead_wait_parts(ahead, mmbox->served,
					      AHEAD_PART_METADATA) ||
	    !ahead->want_metadata || mmbox->served->metadata_refused)
		return NULL;
	return mmbox->served;
}

static const char *metadata_prefix(enum mail_attribute_type type)
{
	return type == MAIL_ATTRIBUTE_TYPE_PRIVATE ? "/private/" : "/shared/";
}

static struct mailbox_attribute_iter *
metadata_iter_init(struct mailbox *box, enum mail_attribute_type type,
		   const char *prefix)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(box);
	struct metadata_iter *iter = i_new(struct metadata_iter, 1);

	iter->iter.box = box;
	iter->prefix = metadata_prefix(type);
	/* dsync wants all of them */
	if (prefix[0] == '\0')
		iter->mailbox = metadata_get(box, type);
	if (iter->mailbox == NULL) {
		iter->super = mmbox->module_ctx.super.
			attribute_iter_init(box, type, prefix);
	}
	return &iter->iter;
}

static const char *metadata_iter_next(struct mailbox_attribute_iter *_iter)
{
	struct metadata_iter *iter =
		container_of(_iter, struct metadata_iter, iter);
	struct migration_imapc_mailbox *mmbox;
	const struct ahead_metadata *metadata;

	if (iter->super != NULL) {
		mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(_iter->box);
		return mmbox->module_ctx.super.attribute_iter_next(iter->super);
	}
	while (iter->idx < array_count(&iter->mailbox->metadata)) {
		metadata = array_idx(&iter->mailbox->metadata, iter->idx++);
		if (strncasecmp(metadata->entry, iter->prefix,
				strlen(iter->prefix)) == 0)
			return metadata->entry + strlen(iter->prefix);
	}
	return NULL;
}

static int metadata_iter_deinit(struct mailbox_attribute_iter *_iter)
{
	struct metadata_iter *iter =
		container_of(_iter, struct metadata_iter, iter);
	struct migration_imapc_mailbox *mmbox;
	int ret = 0;

	if (iter->super != NULL) {
		mmbox = MIGRATION_IMAPC_CONTEXT_REQUIRE(_iter->box);
		ret = mmbox->module_ctx.super.attribute_iter_deinit(iter->super);
	}
	i_free(iter);
	return ret;
}

static int
metadata_attribute_get(struct mailbox *box, enum mail_attribute_type type,
		       const char *key, struct mail_attribute_value *value_r)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(box);
	const char *entry = t_strconcat(metadata_prefix(type), key, NULL);
	const struct ahead_mailbox *mailbox = NULL;
	const struct ahead_metadata *metadata;

	/* Dovecot's own entries are not the server's */
	if (strncmp(key, MAILBOX_ATTRIBUTE_PREFIX_DOVECOT_PVT,
		    strlen(MAILBOX_ATTRIBUTE_PREFIX_DOVECOT_PVT)) != 0)
		mailbox = metadata_get(box, type);
	if (mailbox == NULL) {
		return mmbox->module_ctx.super.attribute_get(box, type, key,
							     value_r);
	}
	array_foreach(&mailbox->metadata, metadata) {
		if (strcasecmp(metadata->entry, entry) == 0)
			value_r->value = t_strdup(metadata->value);
	}
	return 0;
}

/* ---- leaving out ---- */

static struct mailbox_attribute_iter *
none_iter_init(struct mailbox *box, enum mail_attribute_type type ATTR_UNUSED,
	       const char *prefix ATTR_UNUSED)
{
	struct mailbox_attribute_iter *iter =
		i_new(struct mailbox_attribute_iter, 1);

	iter->box = box;
	return iter;
}

static const char *
none_iter_next(struct mailbox_attribute_iter *iter ATTR_UNUSED)
{
	return NULL;
}

static int none_iter_deinit(struct mailbox_attribute_iter *iter)
{
	i_free(iter);
	return 0;
}

void migration_imapc_metadata_leave_out(struct migration_imapc_mailbox *mmbox,
					struct mailbox_vfuncs *v)
{
	v->attribute_set = index_storage_attribute_set;
	v->attribute_get = index_storage_attribute_get;
	if (mmbox->muser->keeps_metadata) {
		v->attribute_iter_init = index_storage_attribute_iter_init;
		v->attribute_iter_next = index_storage_attribute_iter_next;
		v->attribute_iter_deinit = index_storage_attribute_iter_deinit;
	} else {
		/* the others would read the dict's settings each time */
		v->attribute_iter_init = none_iter_init;
		v->attribute_iter_next = none_iter_next;
		v->attribute_iter_deinit = none_iter_deinit;
	}
	e_debug(mmbox->muser->event, "Mailbox %s: leaving METADATA out, the "
		"destination has no mail_attribute dict or nobody owns the "
		"namespace", mailbox_get_vname(&mmbox->mbox->box));
}

void migration_imapc_metadata_mailbox_init(struct mailbox_vfuncs *v)
{
	v->attribute_get = metadata_attribute_get;
	v->attribute_iter_init = metadata_iter_init;
	v->attribute_iter_next = metadata_iter_next;
	v->attribute_iter_deinit = metadata_iter_deinit;
}
