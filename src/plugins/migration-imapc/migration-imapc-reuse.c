/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mails that were at the destination before their mailbox had to be made again
   (mail-reuse.h): the server tells their flags and dates, and their text is
   taken from there. */

#include "lib.h"
#include "index-mail.h"
#include "mail-reuse.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"
#include "migration-imapc-names.h"

#define TEXT_FIELDS (MAIL_FETCH_STREAM_HEADER | MAIL_FETCH_STREAM_BODY)

struct reuse_mail_context {
	union mail_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(reuse_mail_module, &mail_module_register);

#define REUSE_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, reuse_mail_module)

/* ---- what is kept ---- */

void migration_imapc_reuse_init(struct migration_imapc_list *mlist)
{
	struct mail_user *dest =
		migration_imapc_user_find_dest(mlist->list->list.ns->user);

	if (dest != NULL && mlist->reuse == NULL)
		mlist->reuse = mail_reuse_init(dest);
}

void migration_imapc_reuse_deinit(struct migration_imapc_list *mlist)
{
	if (mlist->reuse != NULL)
		mail_reuse_deinit(&mlist->reuse);
}

bool migration_imapc_reuse_has(struct migration_imapc_list *mlist,
			       const struct ahead_mailbox *mailbox, uint32_t uid)
{
	const struct mail_reuse_mailbox *kept;

	if (mlist->reuse == NULL)
		return FALSE;
	kept = mail_reuse_find(mlist->reuse, mailbox->dest_name,
			       mailbox->source.uidvalidity);
	return kept != NULL && mail_reuse_has(kept, uid);
}

/* NULL if nothing of the opened mailbox is kept. */
static const struct mail_reuse_mailbox *reuse_mailbox(struct mailbox *box)
{
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(box);

	if (mmbox->mlist == NULL || mmbox->mlist->reuse == NULL ||
	    !box->storage->user->dsyncing || !box->opened)
		return NULL;
	return mail_reuse_find(mmbox->mlist->reuse,
			migration_imapc_names_unescape(box->list, box->vname),
			mail_index_get_header(box->view)->uid_validity);
}

/* ---- mails ---- */

static struct reuse_mail_context *reuse_mail_context(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;

	return REUSE_MAIL_CONTEXT_REQUIRE(pmail);
}

static bool reuse_prefetch(struct mail *mail)
{
	const struct mail_reuse_mailbox *kept = reuse_mailbox(mail->box);
	struct index_mail *imail = INDEX_MAIL(mail);

	if (kept != NULL && mail_reuse_has(kept, mail->uid))
		imail->data.wanted_fields &= ENUM_NEGATE(TEXT_FIELDS);
	return reuse_mail_context(mail)->module_ctx.super.prefetch(mail);
}

/* NULL if it is not kept, or is not what the server says it is. */
static struct mail *reuse_find(struct mail *mail)
{
	const struct mail_reuse_mailbox *kept = reuse_mailbox(mail->box);
	struct index_mail *imail = INDEX_MAIL(mail);
	uoff_t size, source_size = imail->data.physical_size;
	struct mail *kept_mail;

	kept_mail = kept == NULL ? NULL : mail_reuse_get(kept, mail->uid);
	if (kept_mail == NULL || mail_get_virtual_size(kept_mail, &size) < 0 ||
	    (source_size != UOFF_T_MAX && source_size != size))
		return NULL;
	return kept_mail;
}

static int
reuse_get_stream(struct mail *mail, bool get_body,
		 struct message_size *hdr_size,
		 struct message_size *body_size, struct istream **stream_r)
{
	struct mail *kept_mail = reuse_find(mail);

	/* one that cannot be read is the source's again */
	if (kept_mail != NULL &&
	    mail_get_stream(kept_mail, hdr_size, body_size, stream_r) == 0)
		return 0;
	return reuse_mail_context(mail)->module_ctx.super.
		get_stream(mail, get_body, hdr_size, body_size, stream_r);
}

void migration_imapc_reuse_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	struct reuse_mail_context *rmail;

	if (strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) != 0 ||
	    MIGRATION_IMAPC_CONTEXT(mail->box) == NULL)
		return;
	rmail = p_new(pmail->pool, struct reuse_mail_context, 1);
	rmail->module_ctx.super = *v;
	pmail->vlast = &rmail->module_ctx.super;
	v->prefetch = reuse_prefetch;
	v->get_stream = reuse_get_stream;
	MODULE_CONTEXT_SET(pmail, reuse_mail_module, rmail);
}
