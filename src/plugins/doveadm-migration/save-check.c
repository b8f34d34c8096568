/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "istream-header-filter.h"
#include "module-dir.h"
#include "mail-storage-hooks.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "imapc-storage.h"
#include "mbox-storage.h"
#include "compat-imapc.h"
#include "mail-reuse.h"
#include "migration-run.h"
#include "migration-user.h"
#include "text-size.h"
#include "run-mailbox.h"

static void
save_check_note(struct mailbox *box, const struct save_check_mailbox *smbox)
{
	migration_progress_saved(migration_run_find(box->storage->user),
				 smbox->saved_known ? smbox->saved_size : 0);
}

static int save_check_save_finish(struct mail_save_context *ctx)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(ctx->transaction->box);
	struct save_check_mailbox *smbox = &rbox->save_check;
	struct mail *saved = ctx->dest_mail;

	if (rbox->module_ctx.super.save_finish(ctx) < 0)
		return -1;
	smbox->saved_known = saved != NULL &&
		mail_get_virtual_size(saved, &smbox->saved_size) == 0;
	if (!smbox->copying)
		save_check_note(ctx->transaction->box, smbox);
	return 0;
}

/* The size that the source says the mail has, if that costs nothing. */
static bool get_known_size(struct mail *mail, uoff_t *size_r)
{
	enum mail_lookup_abort orig_abort = mail->lookup_abort;
	int ret;

	mail->lookup_abort = MAIL_LOOKUP_ABORT_READ_MAIL;
	ret = mail_get_virtual_size(mail, size_r);
	mail->lookup_abort = orig_abort;
	return ret == 0;
}

/* Returns FALSE if the stream cannot be read. */
static bool measure(struct istream *input, struct text_size *size_r)
{
	const unsigned char *data;
	size_t len;

	i_zero(size_r);
	while (i_stream_read_more(input, &data, &len) > 0) {
		text_size_more(size_r, data, len);
		i_stream_skip(input, len);
	}
	return input->stream_errno == 0;
}

/* What mbox makes of the text: it ends the header with an empty line and the body
   with a line end, and has no room for the header fields that are its own. */
static bool
measure_mbox(struct istream *sent, bool drop_fields, struct text_size *size_r)
{
	struct istream *input;
	bool ret;

	i_stream_seek(sent, 0);
	input = i_stream_create_header_filter(sent, HEADER_FILTER_EXCLUDE |
		HEADER_FILTER_ADD_MISSING_EOH | HEADER_FILTER_END_BODY_WITH_LF,
		mbox_save_drop_headers,
		drop_fields ? mbox_save_drop_headers_count : 0,
		*null_header_filter_callback, NULL);
	ret = measure(input, size_r);
	i_stream_unref(&input);
	return ret;
}

enum saved_text {
	SAVED_TEXT_WHOLE,
	/* but for the header fields that an mbox has for itself */
	SAVED_TEXT_WITHOUT_FIELDS,
	SAVED_TEXT_CHANGED
};

/* "X-Delivery-ID: ", 16 bytes in base64, CR LF: added to each mail if
   pop3_uidl_format has %m. */
#define MBOX_DELIVERY_ID_SIZE (15 + 24 + 2)

/* quirk: mbox-own-fields */
static enum saved_text
compare_mbox(struct mailbox *box, struct istream *sent, uoff_t saved_size)
{
	struct text_size size;

	if ((box->storage->flags & MAIL_STORAGE_FLAG_KEEP_HEADER_MD5) != 0 &&
	    saved_size > MBOX_DELIVERY_ID_SIZE)
		saved_size -= MBOX_DELIVERY_ID_SIZE;
	if (measure_mbox(sent, FALSE, &size) &&
	    text_size_is_saved(&size, saved_size))
		return SAVED_TEXT_WHOLE;
	if (measure_mbox(sent, TRUE, &size) &&
	    text_size_is_saved(&size, saved_size))
		return SAVED_TEXT_WITHOUT_FIELDS;
	return SAVED_TEXT_CHANGED;
}

static enum saved_text
compare_text(struct mailbox *box, struct mail *mail, struct istream *sent,
	     uoff_t saved_size)
{
	struct text_size size;
	uoff_t sent_size;

	if ((get_known_size(mail, &sent_size) && sent_size == saved_size) ||
	    (i_stream_get_size(sent, TRUE, &sent_size) > 0 &&
	     sent_size == saved_size))
		return SAVED_TEXT_WHOLE;
	/* other line ends? */
	i_stream_seek(sent, 0);
	if (measure(sent, &size) && text_size_is_saved(&size, saved_size))
		return SAVED_TEXT_WHOLE;
	return strcmp(box->storage->name, MBOX_STORAGE_NAME) == 0 ?
		compare_mbox(box, sent, saved_size) : SAVED_TEXT_CHANGED;
}

static void
save_check_tell(struct mailbox *box, struct mail *mail, enum saved_text saved,
		uoff_t saved_size)
{
	struct migration_run *run = migration_run_find(box->storage->user);

	switch (saved) {
	case SAVED_TEXT_WHOLE:
		break;
	case SAVED_TEXT_WITHOUT_FIELDS:
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING,
			box->vname, mail->uid, FINDING_MBOX_OWN_FIELDS,
			"The mail was saved without those of its header fields "
			"that mbox uses itself, such as Status and X-UID");
		break;
	case SAVED_TEXT_CHANGED:
		migration_run_finding(run, MIGRATION_SEVERITY_ERROR,
			box->vname, mail->uid, FINDING_SAVED_SIZE_DIFFERS,
			"The mail has %"PRIuUOFF_T" bytes "
			"after it was saved, which is not what the source "
			"sent. Look for plugins that change mails, delete it "
			"here and run again", saved_size);
		break;
	}
}

int save_check_copy(struct mail_save_context *ctx, struct mail *mail)
{
	struct mailbox *box = ctx->transaction->box;
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct save_check_mailbox *smbox = &rbox->save_check;
	const struct migration_run *run = migration_run_find(box->storage->user);
	unsigned int done = run->progress.mailbox_done;
	struct istream *sent;
	int ret;

	if (!smbox->wanted)
		return rbox->module_ctx.super.copy(ctx, mail);
	smbox->saved_known = FALSE;
	smbox->copying = TRUE;
	ret = rbox->module_ctx.super.copy(ctx, mail);
	smbox->copying = FALSE;
	if (ret < 0)
		return -1;
	/* an import saves it by a copy of its own within this one, or leaves it
	   out, and has counted it then */
	if (run->progress.mailbox_done == done)
		save_check_note(box, smbox);
	/* a hard link or a reference is what it was */
	if (!smbox->saved_known || mail->box->storage == box->storage)
		return 0;
	if (mail_get_stream(mail, NULL, NULL, &sent) == 0) {
		save_check_tell(box, mail,
				compare_text(box, mail, sent,
					     smbox->saved_size),
				smbox->saved_size);
	}
	return 0;
}

void save_check_mailbox_init(struct mailbox *box,
			     struct save_check_mailbox *smbox,
			     struct mailbox_vfuncs *v)
{
	if (mail_reuse_is_kept(box))
		return;
	smbox->wanted = TRUE;
	v->save_finish = save_check_save_finish;
}

/* imapc-unsafe-features: taken from the source before it is read. */
static void save_check_mail_storage_created(struct mail_storage *storage)
{
	struct imapc_storage *istorage;
	const char *names;

	if (strcmp(storage->name, IMAPC_STORAGE_NAME) != 0 ||
	    !migration_user_has_plugin(storage->user))
		return;
	istorage = IMAPC_STORAGE(storage);
	names = compat_imapc_disable_unsafe_features(istorage->set);
	if (names[0] != '\0') {
		migration_run_finding(migration_run_find(storage->user),
			MIGRATION_SEVERITY_INFO, NULL, 0,
			FINDING_FEATURE_IGNORED,
			"imapc_features without %s: it takes different mails "
			"for one, or cuts texts", names);
	}
}

static struct mail_storage_hooks save_check_mail_storage_hooks = {
	.mail_storage_created = save_check_mail_storage_created,
};

static char save_check_module_path[] = "lib04_migration_save_check";
static struct module save_check_module = { .path = save_check_module_path };

void save_check_init(void)
{
	/* never removed: see deletion_guard_init() */
	mail_storage_hooks_add_forced(&save_check_module,
				      &save_check_mail_storage_hooks);
}
