/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Header fields of mails that the source had when the destination was the same
   (migration-imapc-changes.c) are the destination's. dsync compares them with
   the destination's mails next: what was read is kept for that, so that no mail
   is opened and parsed twice. */

#include "lib.h"
#include "hash.h"
#include "istream.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* More is not kept, but read again: a mailbox may have very many mails. */
#define KEPT_MAX_SIZE (16*1024*1024)

struct kept_header {
	size_t size;
	unsigned char text[FLEXIBLE_ARRAY_MEMBER];
};

struct migration_imapc_changes_reader {
	struct migration_imapc_user *muser;
	struct mailbox *box;
	struct mailbox_transaction_context *trans;
	struct mailbox_header_lookup_ctx *headers;
	struct mail *mail;

	/* UID -> what was read */
	pool_t kept_pool;
	HASH_TABLE(void *, struct kept_header *) kept;
	size_t kept_size;
};

struct dest_mail {
	union mail_module_context module_ctx;
	struct migration_imapc_user *muser;
	/* what get_header_stream() returned, or NULL */
	struct istream *header;
};

static MODULE_CONTEXT_DEFINE_INIT(dest_mail_module, &mail_module_register);

#define DEST_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, dest_mail_module)

/* ---- the source asks ---- */

static void
changes_reader_init(struct migration_imapc_ahead *ahead,
		    struct ahead_mailbox *mailbox)
{
	struct migration_imapc_changes_reader *reader;

	reader = p_new(mailbox->pool, struct migration_imapc_changes_reader, 1);
	mailbox->reader = reader;
	reader->muser = ahead->muser;
	reader->box = migration_imapc_sides_alloc_dest(ahead->muser,
						       mailbox->dest_name);
	if (reader->box == NULL)
		return;
	if (mailbox_open(reader->box) < 0) {
		mailbox_free(&reader->box);
		return;
	}
	reader->headers = mailbox_header_lookup_init(reader->box,
						     mailbox->header_names);
	reader->trans = mailbox_transaction_begin(reader->box, 0, __func__);
	reader->mail = mail_alloc(reader->trans, 0, reader->headers);
	reader->kept_pool = pool_alloconly_create("kept headers", 8192);
	hash_table_create_direct(&reader->kept, default_pool, 0);
	migration_imapc_sides_set_reader(reader->muser, reader);
}

static void
changes_keep_header(struct migration_imapc_changes_reader *reader, uint32_t uid,
		    const buffer_t *header)
{
	struct kept_header *kept;
	size_t size = sizeof(*kept) + header->used;

	if (size > KEPT_MAX_SIZE - reader->kept_size ||
	    hash_table_lookup(reader->kept, POINTER_CAST(uid)) != NULL)
		return;
	reader->kept_size += size;
	kept = p_malloc(reader->kept_pool, size);
	kept->size = header->used;
	memcpy(kept->text, header->data, header->used);
	hash_table_insert(reader->kept, POINTER_CAST(uid), kept);
}

static bool
changes_read_header(struct migration_imapc_changes_reader *reader,
		    struct ahead_mail *mail)
{
	struct istream *input;
	const unsigned char *data;
	size_t size;

	if (reader->mail == NULL || !mail_set_uid(reader->mail, mail->uid) ||
	    mail_get_header_stream(reader->mail, reader->headers, &input) < 0)
		return FALSE;
	mail->header = buffer_create_dynamic(default_pool, 128);
	i_stream_seek(input, 0);
	while (i_stream_read_more(input, &data, &size) > 0) {
		buffer_append(mail->header, data, size);
		i_stream_skip(input, size);
	}
	if (input->stream_errno != 0) {
		buffer_free(&mail->header);
		return FALSE;
	}
	changes_keep_header(reader, mail->uid, mail->header);
	return TRUE;
}

void migration_imapc_changes_read_header(struct migration_imapc_ahead *ahead,
					 struct ahead_mailbox *mailbox,
					 struct ahead_mail *mail)
{
	if (mailbox->reader == NULL)
		changes_reader_init(ahead, mailbox);
	if (changes_read_header(mailbox->reader, mail))
		return;
	e_debug(ahead->muser->event, "mailbox %s: asking the source for header "
		"fields, the destination does not give those of UID %u",
		mailbox->vname, mail->uid);
	i_zero(&mailbox->then);
	mailbox->asked &= ENUM_NEGATE(AHEAD_PART_HEADERS);
	mailbox->known &= ENUM_NEGATE(AHEAD_PART_HEADERS);
}

void migration_imapc_changes_end(struct ahead_mailbox *mailbox)
{
	struct migration_imapc_changes_reader *reader = mailbox->reader;

	mailbox->reader = NULL;
	if (reader == NULL || reader->box == NULL)
		return;
	migration_imapc_sides_set_reader(reader->muser, NULL);
	hash_table_destroy(&reader->kept);
	pool_unref(&reader->kept_pool);
	mail_free(&reader->mail);
	/* the fields are in the cache then, as they are when dsync reads them;
	   without that the next run reads them again */
	(void)mailbox_transaction_commit(&reader->trans);
	mailbox_header_lookup_unref(&reader->headers);
	mailbox_free(&reader->box);
}

/* ---- the destination asks ---- */

static bool
dest_headers_are_same(const struct mailbox_header_lookup_ctx *headers,
		      const struct mailbox_header_lookup_ctx *others)
{
	unsigned int i;

	if (headers->count != others->count)
		return FALSE;
	for (i = 0; i < headers->count; i++) {
		if (strcasecmp(headers->name[i], others->name[i]) != 0)
			return FALSE;
	}
	return TRUE;
}

/* NULL if these fields of this mail were not read. */
static const struct kept_header *
dest_find_kept(struct migration_imapc_user *muser, const struct mail *mail,
	       const struct mailbox_header_lookup_ctx *headers)
{
	const struct migration_imapc_changes_reader *reader =
		migration_imapc_sides_get_reader(muser);

	if (reader == NULL || reader->box->list != mail->box->list ||
	    strcmp(reader->box->vname, mail->box->vname) != 0 ||
	    mail_index_get_header(reader->box->view)->uid_validity !=
	    mail_index_get_header(mail->box->view)->uid_validity ||
	    !dest_headers_are_same(reader->headers, headers))
		return NULL;
	return hash_table_lookup(reader->kept, POINTER_CAST(mail->uid));
}

static struct dest_mail *dest_mail_context(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;

	return DEST_MAIL_CONTEXT_REQUIRE(pmail);
}

static int
dest_mail_get_header_stream(struct mail *mail,
			    struct mailbox_header_lookup_ctx *headers,
			    struct istream **stream_r)
{
	struct dest_mail *dmail = dest_mail_context(mail);
	const struct kept_header *kept =
		dest_find_kept(dmail->muser, mail, headers);

	if (kept == NULL) {
		return dmail->module_ctx.super.
			get_header_stream(mail, headers, stream_r);
	}
	i_stream_unref(&dmail->header);
	/* the reader may be gone before the mail is closed */
	*stream_r = dmail->header =
		i_stream_create_copy_from_data(kept->text, kept->size);
	return 0;
}

static void dest_mail_close(struct mail *mail)
{
	struct dest_mail *dmail = dest_mail_context(mail);

	i_stream_unref(&dmail->header);
	dmail->module_ctx.super.close(mail);
}

void migration_imapc_changes_dest_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_user *user = mail->box->storage->user;
	struct migration_imapc_user *muser = MIGRATION_IMAPC_USER_CONTEXT(user);
	struct mail_vfuncs *v = pmail->vlast;
	struct dest_mail *dmail;

	if (muser == NULL || !user->dsyncing)
		return;
	dmail = p_new(pmail->pool, struct dest_mail, 1);
	dmail->muser = muser;
	dmail->module_ctx.super = *v;
	pmail->vlast = &dmail->module_ctx.super;
	v->get_header_stream = dest_mail_get_header_stream;
	v->close = dest_mail_close;
	MODULE_CONTEXT_SET(pmail, dest_mail_module, dmail);
}
