/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "index-mail.h"
#include "gmail-copy.h"
#include "migration-run.h"
#include "migration-gmail-local.h"
#include "migration-gmail-private.h"

static const struct migration_gmail_entry *
migration_gmail_mail_find(struct mail *mail)
{
	const struct migration_gmail_entry *entry;

	(void)migration_gmail_mailbox_lookup(
		MIGRATION_GMAIL_CONTEXT_REQUIRE(mail->box), mail->uid, &entry);
	return entry;
}

static enum mail_flags migration_gmail_mail_get_flags(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);
	const struct migration_gmail_entry *entry =
		migration_gmail_mail_find(mail);
	enum mail_flags flags = gmail->super.get_flags(mail);

	return entry == NULL ? flags : flags | entry->mapping->flags;
}

void migration_gmail_add_keyword(ARRAY_TYPE(const_string) *keywords,
				 const char *keyword)
{
	const char *other;

	array_foreach_elem(keywords, other) {
		if (strcasecmp(other, keyword) == 0)
			return;
	}
	array_push_back(keywords, &keyword);
}

const char *const *
migration_gmail_join_keywords(struct mail *mail, const char *const *keywords,
			      const char *const *added)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	ARRAY_TYPE(const_string) all;

	if (*added == NULL)
		return keywords;
	p_array_init(&all, pmail->data_pool, 8);
	for (; *keywords != NULL; keywords++)
		array_push_back(&all, keywords);
	for (; *added != NULL; added++)
		migration_gmail_add_keyword(&all, *added);
	array_append_zero(&all);
	return array_front(&all);
}

static const char *const *migration_gmail_mail_get_keywords(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);
	const struct migration_gmail_entry *entry =
		migration_gmail_mail_find(mail);
	const char *const *keywords = gmail->super.get_keywords(mail);
	const char *deleted[] = { NULL, NULL };

	if (entry == NULL)
		return keywords;
	if (entry->pop3_deleted) {
		struct migration_gmail_mailbox *gbox =
			MIGRATION_GMAIL_CONTEXT_REQUIRE(mail->box);
		deleted[0] = gbox->mbox->storage->set->pop3_deleted_flag;
	}
	keywords = migration_gmail_join_keywords(mail, keywords,
						 entry->mapping->keywords);
	return migration_gmail_join_keywords(mail, keywords, deleted);
}

static const char *
migration_gmail_mail_get_uidl(struct mail *mail,
			      const struct migration_gmail_entry *entry)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	uint64_t num;

	if (str_to_uint64(entry->msgid, &num) == 0) {
		return p_strdup_printf(pmail->data_pool, "GmailId%"PRIx64, num);
	}
	migration_run_finding(migration_run_find(mail->box->storage->user),
		MIGRATION_SEVERITY_ERROR, mail->box->vname, mail->uid,
		FINDING_GMAIL_MSGID_INVALID,
		"the server's X-GM-MSGID is not a 64-bit "
		"number, so the message's POP3 UIDL is not known: %s",
		entry->msgid);
	return "";
}

static int
migration_gmail_mail_get_special(struct mail *mail, enum mail_fetch_field field,
				 const char **value_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_gmail_mailbox *gbox =
		MIGRATION_GMAIL_CONTEXT_REQUIRE(mail->box);
	const struct migration_gmail_entry *entry;

	if (field != MAIL_FETCH_GUID && field != MAIL_FETCH_UIDL_BACKEND)
		return gmail->super.get_special(mail, field, value_r);

	/* A mail that went on without its labels would lose them at a
	   destination that has it already. */
	if (migration_gmail_mailbox_lookup(gbox, mail->uid, &entry) < 0) {
		gbox->mlist->failed = TRUE;
		return -1;
	}
	if (entry == NULL)
		return gmail->super.get_special(mail, field, value_r);
	if (field == MAIL_FETCH_UIDL_BACKEND && gbox->table->objectid)
		return gmail->super.get_special(mail, field, value_r);
	*value_r = field == MAIL_FETCH_GUID ? entry->msgid :
		migration_gmail_mail_get_uidl(mail, entry);
	return 0;
}

/* ---- the text, if the destination has it ---- */

int migration_gmail_local_mail_read(struct mail *mail,
				    struct gmail_copy_mail *mail_r)
{
	i_zero(mail_r);
	mail_r->pop3_uidl = "";
	return mail_get_virtual_size(mail, &mail_r->size) < 0 ||
		mail_get_received_date(mail, &mail_r->received_date) < 0 ? -1 : 0;
}

static bool migration_gmail_mail_prefetch(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);
	const struct migration_gmail_entry *entry =
		migration_gmail_mail_find(mail);
	struct index_mail *imail = INDEX_MAIL(mail);

	/* imapc does not ask for what is there */
	if (entry != NULL) {
		imail->data.guid = p_strdup(pmail->data_pool, entry->msgid);
		imail->data.received_date = entry->received_date;
		if ((imail->data.wanted_fields & MAIL_FETCH_STREAM_BODY) != 0 &&
		    migration_gmail_find_local(mail->box->storage->user,
					       mail->box->vname, entry) != NULL)
			return TRUE;
	}
	return gmail->super.prefetch(mail);
}

/* The run ends here, unless the message was deleted: then what is in no mailbox
   of the destination is not left out, but not reached. */
static int migration_gmail_mail_result(struct mail *mail, int ret)
{
	struct migration_gmail_mailbox *gbox =
		MIGRATION_GMAIL_CONTEXT_REQUIRE(mail->box);

	if (ret < 0 && !mail->expunged)
		gbox->mlist->failed = TRUE;
	return ret;
}

static int
migration_gmail_mail_get_stream(struct mail *mail, bool get_body,
				struct message_size *hdr_size,
				struct message_size *body_size,
				struct istream **stream_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);
	struct index_mail *imail = INDEX_MAIL(mail);
	struct mail *local_mail;

	if (imail->data.stream == NULL) {
		local_mail = migration_gmail_find_local(
			mail->box->storage->user, mail->box->vname,
			migration_gmail_mail_find(mail));
		/* if it vanished this very moment, the source still has it */
		if (local_mail != NULL &&
		    mail_get_stream(local_mail, hdr_size, body_size,
				    stream_r) == 0)
			return 0;
	}
	return migration_gmail_mail_result(mail,
		gmail->super.get_stream(mail, get_body, hdr_size, body_size,
					stream_r));
}

static int
migration_gmail_mail_get_received_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);

	return migration_gmail_mail_result(mail,
		gmail->super.get_received_date(mail, date_r));
}

static int migration_gmail_mail_get_save_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);

	return migration_gmail_mail_result(mail,
		gmail->super.get_save_date(mail, date_r));
}

void migration_gmail_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	union mail_module_context *gmail;

	if (strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) != 0) {
		migration_gmail_takeout_mail_allocated(mail);
		return;
	}
	if (MIGRATION_GMAIL_CONTEXT(mail->box) == NULL)
		return;

	gmail = p_new(pmail->pool, union mail_module_context, 1);
	gmail->super = *v;
	pmail->vlast = &gmail->super;
	v->get_flags = migration_gmail_mail_get_flags;
	v->get_keywords = migration_gmail_mail_get_keywords;
	v->get_special = migration_gmail_mail_get_special;
	v->prefetch = migration_gmail_mail_prefetch;
	v->get_stream = migration_gmail_mail_get_stream;
	v->get_received_date = migration_gmail_mail_get_received_date;
	v->get_save_date = migration_gmail_mail_get_save_date;
	MODULE_CONTEXT_SET_SELF(pmail, migration_gmail_mail_module, gmail);
}
