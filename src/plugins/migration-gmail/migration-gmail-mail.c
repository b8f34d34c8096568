/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "index-mail.h"
#include "migration-run.h"
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

static void
add_keyword(ARRAY_TYPE(const_string) *keywords, const char *keyword)
{
	const char *other;

	array_foreach_elem(keywords, other) {
		if (strcasecmp(other, keyword) == 0)
			return;
	}
	array_push_back(keywords, &keyword);
}

static const char *const *migration_gmail_mail_get_keywords(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	union mail_module_context *gmail =
		MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(pmail);
	const struct migration_gmail_entry *entry =
		migration_gmail_mail_find(mail);
	const char *const *keywords = gmail->super.get_keywords(mail);
	const char *const *added;
	ARRAY_TYPE(const_string) all;

	if (entry == NULL)
		return keywords;
	p_array_init(&all, pmail->data_pool, 8);
	for (; *keywords != NULL; keywords++)
		array_push_back(&all, keywords);
	for (added = entry->mapping->keywords; *added != NULL; added++)
		add_keyword(&all, *added);
	if (entry->pop3_deleted) {
		struct migration_gmail_mailbox *gbox =
			MIGRATION_GMAIL_CONTEXT_REQUIRE(mail->box);
		add_keyword(&all, gbox->mbox->storage->set->pop3_deleted_flag);
	}
	array_append_zero(&all);
	return array_front(&all);
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
		"gmail-msgid-invalid", "the server's X-GM-MSGID is not a 64-bit "
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
	const struct migration_gmail_entry *entry;

	if (field != MAIL_FETCH_GUID && field != MAIL_FETCH_UIDL_BACKEND)
		return gmail->super.get_special(mail, field, value_r);

	/* A mail that went on without its labels would lose them at a
	   destination that has it already. */
	if (migration_gmail_mailbox_lookup(
		MIGRATION_GMAIL_CONTEXT_REQUIRE(mail->box),
		mail->uid, &entry) < 0)
		return -1;
	if (entry == NULL)
		return gmail->super.get_special(mail, field, value_r);
	*value_r = field == MAIL_FETCH_GUID ? entry->msgid :
		migration_gmail_mail_get_uidl(mail, entry);
	return 0;
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
	if (entry != NULL)
		imail->data.guid = p_strdup(pmail->data_pool, entry->msgid);
	return gmail->super.prefetch(mail);
}

void migration_gmail_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	union mail_module_context *gmail;

	if (strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) != 0 ||
	    MIGRATION_GMAIL_CONTEXT(mail->box) == NULL)
		return;

	gmail = p_new(pmail->pool, union mail_module_context, 1);
	gmail->super = *v;
	pmail->vlast = &gmail->super;
	v->get_flags = migration_gmail_mail_get_flags;
	v->get_keywords = migration_gmail_mail_get_keywords;
	v->get_special = migration_gmail_mail_get_special;
	v->prefetch = migration_gmail_mail_prefetch;
	MODULE_CONTEXT_SET_SELF(pmail, migration_gmail_mail_module, gmail);
}
