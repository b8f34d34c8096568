/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mails of a Maildir that is imported: what stock spends on each of them, and
   nobody gains from, is what the import costs in addition to stock's. */

#include "lib.h"
#include "istream.h"
#include "index-mail.h"
#include "maildir-storage.h"
#include "mail-opening.h"
#include "import-source-mail.h"

#include <sys/stat.h>
#include <unistd.h>

/* Larger mails have more to read than ends to find. */
#define LOADED_MAX_SIZE (64 * 1024)

#define IMPORT_SOURCE_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, import_source_mail_module)

struct import_source_mail {
	union mail_module_context module_ctx;
	/* the mail that was opened last, or 0 */
	uint32_t opened_uid;
	/* ... and its file's times */
	time_t modified, changed;
};

static MODULE_CONTEXT_DEFINE_INIT(import_source_mail_module,
				  &mail_module_register);

static void free_text(char *text)
{
	i_free(text);
}

/* Each reader of a mail asks the file anew whether it has ended, ten times in all.
   What is in memory need not be asked. */
static void import_source_mail_load(struct istream **stream, int fd, size_t size)
{
	char *text = i_malloc(size);
	struct istream *loaded;

	if (pread(fd, text, size, 0) != (ssize_t)size) {
		/* whoever reads it tells the error */
		i_free(text);
		return;
	}
	loaded = i_stream_create_from_data(text, size);
	i_stream_add_destroy_callback(loaded, free_text, text);
	i_stream_set_name(loaded, i_stream_get_name(*stream));
	i_stream_unref(stream);
	*stream = loaded;
}

/* Stock makes an event of it, which nobody would get, and asks for the file's
   times once for each date. */
static int
import_source_mail_opened(struct mail *mail, struct istream **stream)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct import_source_mail *smail =
		IMPORT_SOURCE_MAIL_CONTEXT_REQUIRE(pmail);
	struct stat st;
	int fd = i_stream_get_fd(*stream);

	smail->opened_uid = 0;
	if (fd == -1)
		return 0;
	mail->transaction->stats.fstat_lookup_count++;
	/* whoever needs the answer asks again, and tells the error */
	if (fstat(fd, &st) == 0) {
		smail->opened_uid = mail->uid;
		smail->modified = st.st_mtime;
		smail->changed = st.st_ctime;
		if (st.st_size > 0 && st.st_size <= LOADED_MAX_SIZE)
			import_source_mail_load(stream, fd, st.st_size);
		mail_opening_limit_buffers(*stream, st.st_size);
	}
	return 0;
}

static int
import_source_mail_get_received_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct import_source_mail *smail =
		IMPORT_SOURCE_MAIL_CONTEXT_REQUIRE(pmail);
	struct index_mail *imail = INDEX_MAIL(mail);

	if (smail->opened_uid != mail->uid)
		return smail->module_ctx.super.get_received_date(mail, date_r);
	if (!mail_cache_exists(mail->box->cache))
		*date_r = smail->modified;
	else if (index_mail_get_received_date(mail, date_r) < 0) {
		*date_r = smail->modified;
		imail->data.received_date = *date_r;
	}
	return 0;
}

static int
import_source_mail_get_save_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct import_source_mail *smail =
		IMPORT_SOURCE_MAIL_CONTEXT_REQUIRE(pmail);
	struct index_mail *imail = INDEX_MAIL(mail);

	if (smail->opened_uid != mail->uid)
		return smail->module_ctx.super.get_save_date(mail, date_r);
	if (!mail_cache_exists(mail->box->cache))
		*date_r = smail->changed;
	else if (index_mail_get_save_date(mail, date_r) <= 0) {
		*date_r = smail->changed;
		imail->data.save_date = *date_r;
	}
	return 1;
}

void import_source_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	struct import_source_mail *smail;

	/* a plugin below may give the mail another text, or other dates */
	if (v->istream_opened != index_mail_opened ||
	    v->get_received_date != maildir_mail_vfuncs.get_received_date ||
	    v->get_save_date != maildir_mail_vfuncs.get_save_date ||
	    !mail_opening_is_unheard(mail->box->event))
		return;
	/* if there is none, it is looked for once, and not for each mail */
	(void)mail_cache_open_and_verify(mail->box->cache);
	smail = p_new(pmail->pool, struct import_source_mail, 1);
	smail->module_ctx.super = *v;
	pmail->vlast = &smail->module_ctx.super;
	v->istream_opened = import_source_mail_opened;
	v->get_received_date = import_source_mail_get_received_date;
	v->get_save_date = import_source_mail_get_save_date;
	MODULE_CONTEXT_SET(pmail, import_source_mail_module, smail);
}
