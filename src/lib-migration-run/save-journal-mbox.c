/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hash.h"
#include "hostpid.h"
#include "istream.h"
#include "str.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "mbox-storage.h"
#include "mbox-file.h"
#include "mbox-from.h"
#include "mbox-lock.h"
#include "mbox-sync-private.h"
#include "mbox-trace.h"
#include "migration-run.h"
#include "save-journal-mbox.h"
#include "save-roll-back.h"

#include <sys/stat.h>
#include <unistd.h>

/* Traces have no carriage returns. So one of them stands before each mail's, and
   this at the end of a journal whose mails are all in the file. */
#define JOURNAL_MAIL '\r'
#define JOURNAL_END "\r\n"

bool mailbox_is_mbox(const struct mailbox *box)
{
	return strcmp(box->storage->name, MBOX_STORAGE_NAME) == 0;
}

static uint32_t mbox_get_next_uid(struct mailbox *box)
{
	struct mail_index_view *view = mail_index_view_open(box->index);
	uint32_t next_uid = mail_index_get_header(view)->next_uid;

	mail_index_view_close(&view);
	return next_uid;
}

/* -- writing */

int save_journal_mbox_begin(struct mailbox_transaction_context *t,
			    string_t *journal)
{
	struct mbox_mailbox *mbox = MBOX_MAILBOX(t->box);
	struct mbox_transaction_context *mt = MBOX_TRANSCTX(t);
	struct stat st;

	/* what stock does with a transaction's first mail; it finds the lock
	   and need not lock again */
	if (mt->write_lock_id == 0 &&
	    mbox_lock(mbox, F_WRLCK, &mt->write_lock_id) <= 0)
		return -1;
	if (mbox_sync(mbox, 0) < 0)
		return -1;
	if (stat(mailbox_get_path(t->box), &st) < 0) {
		return save_roll_back_error(t->box, "stat",
					    mailbox_get_path(t->box));
	}
	if (mail_index_refresh(t->box->index) < 0) {
		mailbox_set_index_error(t->box);
		return -1;
	}
	str_printfa(journal, "%"PRIuUOFF_T" %u\n", (uoff_t)st.st_size,
		    mbox_get_next_uid(t->box));
	return 0;
}

/* What stock writes before the mail (data stack). */
static const char *from_line(const struct mail_user *user, struct mail *mail)
{
	const char *sender;
	time_t date;

	if (mail_get_special(mail, MAIL_FETCH_FROM_ENVELOPE, &sender) < 0 ||
	    *sender == '\0') {
		sender = strchr(user->username, '@') != NULL ? user->username :
			t_strconcat(user->username, "@", my_hostdomain(), NULL);
	}
	if (mail_get_received_date(mail, &date) < 0)
		date = 0;
	return mbox_from_create(sender, date);
}

/* Returns -1 if the input cannot be read. */
static int trace_stream(struct mbox_trace *trace, struct istream *input)
{
	const unsigned char *data;
	size_t size;

	i_stream_seek(input, 0);
	while (i_stream_read_more(input, &data, &size) > 0) {
		mbox_trace_add(trace, data, size);
		i_stream_skip(input, size);
	}
	if (input->stream_errno != 0)
		return -1;
	i_stream_seek(input, 0);
	return 0;
}

int save_journal_mbox_add(struct mailbox *box, struct mail *mail,
			  struct mail *text, string_t *journal)
{
	size_t old_size = str_len(journal);
	struct mbox_trace trace;
	struct istream *input;
	const char *line;

	if (mail_get_stream_because(text, NULL, NULL, "import", &input) < 0)
		return -1;
	str_append_c(journal, JOURNAL_MAIL);
	mbox_trace_begin(&trace, journal);
	line = from_line(box->storage->user, mail);
	mbox_trace_add(&trace, line, strlen(line));
	if (trace_stream(&trace, input) < 0) {
		mailbox_set_critical(text->box, "read(%s) failed: %s",
				     i_stream_get_name(input),
				     i_stream_get_error(input));
		str_truncate(journal, old_size);
		return -1;
	}
	mbox_trace_end(&trace);
	return 0;
}

void save_journal_mbox_add_end(string_t *journal)
{
	str_append(journal, JOURNAL_END);
}

/* -- rolling back */

struct mbox_roll_back {
	struct save_roll_back *roll_back;
	struct mbox_mailbox *mbox;
	/* what the file and the mailbox had before the transaction */
	uoff_t file_size;
	uint32_t next_uid;
	/* what the transaction was going to append */
	string_t *trace;
	unsigned int mails_count;
	/* where its last mail begins in the trace, and the one before */
	size_t last_mail, mail_before;
	/* all of its mails were written, but perhaps for the last empty line */
	bool ended;
	/* ... and that is there */
	bool whole;
};

/* Returns FALSE if there is not even a first line: then nothing was begun. */
static bool mbox_roll_back_parse(struct mbox_roll_back *ctx)
{
	const char *journal = ctx->roll_back->text;
	const char *p, *end = journal + ctx->roll_back->text_size;

	p = memchr(journal, '\n', end - journal);
	if (p == NULL || str_parse_uoff(journal, &ctx->file_size, &journal) < 0 ||
	    *journal != ' ' ||
	    str_parse_uint32(journal + 1, &ctx->next_uid, &journal) < 0 ||
	    journal != p)
		return FALSE;
	for (p++; p != end; p++) {
		if (*p != JOURNAL_MAIL) {
			str_append_c(ctx->trace, *p);
		} else if (p + 1 != end && p[1] == '\n') {
			ctx->ended = TRUE;
			break;
		} else {
			ctx->mails_count++;
			ctx->mail_before = ctx->last_mail;
			ctx->last_mail = str_len(ctx->trace);
		}
	}
	return ctx->mails_count > 0;
}

/* What begins in the trace at start is all that the input has, behind the text
   before it. */
static bool
is_part_of(struct mbox_roll_back *ctx, size_t start, const char *before,
	   struct istream *input)
{
	string_t *found = str_new(default_pool, 256);
	struct mbox_trace trace;
	bool ret;

	mbox_trace_begin(&trace, found);
	mbox_trace_add(&trace, before, strlen(before));
	ret = (input == NULL || trace_stream(&trace, input) == 0) &&
		mbox_trace_is_part_of(found, str_c(ctx->trace) + start,
				      str_len(ctx->trace) - start);
	str_free(&found);
	return ret;
}

/* Nobody else has appended to the file. */
static bool mbox_roll_back_is_ours_alone(struct mbox_roll_back *ctx)
{
	struct istream *file, *tail;
	bool ret;

	file = i_stream_create_fd(ctx->mbox->mbox_fd, IO_BLOCK_SIZE);
	tail = i_stream_create_range(file, ctx->file_size, UOFF_T_MAX);
	ret = is_part_of(ctx, 0, "", tail);
	i_stream_unref(&tail);
	i_stream_unref(&file);
	return ret;
}

/* Returns 1 if the file is as it was before the transaction, 0 if that cannot be
   had any more, -1 on error. The mbox is locked. */
static int mbox_roll_back_truncate(struct mbox_roll_back *ctx)
{
	struct mailbox *box = &ctx->mbox->box;
	struct stat st;

	if (mail_index_refresh(box->index) < 0) {
		mailbox_set_index_error(box);
		return -1;
	}
	if (fstat(ctx->mbox->mbox_fd, &st) < 0) {
		return save_roll_back_error(box, "fstat",
					    mailbox_get_path(box));
	}
	if ((uoff_t)st.st_size <= ctx->file_size)
		return 1;
	if (mbox_get_next_uid(box) != ctx->next_uid ||
	    !mbox_roll_back_is_ours_alone(ctx))
		return 0;
	if (ftruncate(ctx->mbox->mbox_fd, ctx->file_size) < 0) {
		return save_roll_back_error(box, "ftruncate",
					    mailbox_get_path(box));
	}
	ctx->roll_back->deleted_count = ctx->mails_count;
	return 1;
}

/* TRUE if the file's last mail has no empty line behind it. */
static bool
mbox_roll_back_lacks_line(struct mbox_roll_back *ctx, uoff_t *size_r)
{
	int fd = ctx->mbox->mbox_fd;
	struct stat st;
	char end[2];

	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(end) ||
	    pread(fd, end, sizeof(end), st.st_size - sizeof(end)) !=
	    (ssize_t)sizeof(end))
		return FALSE;
	*size_r = st.st_size;
	return end[1] == '\n' && end[0] != '\n';
}

static int mbox_roll_back_file(struct mbox_roll_back *ctx)
{
	unsigned int lock_id = 0;
	uoff_t size;
	int ret;

	if (mbox_lock(ctx->mbox, F_WRLCK, &lock_id) <= 0)
		return -1;
	ret = mbox_roll_back_truncate(ctx);
	ctx->whole = ctx->ended && !mbox_roll_back_lacks_line(ctx, &size);
	mbox_unlock(ctx->mbox, lock_id);
	return ret;
}

/* What stands before a mail's text; NULL if it cannot be read (data stack). */
static const char *mbox_roll_back_from_line(struct mail *mail)
{
	const char *sender;
	time_t date;

	if (mail_get_received_date(mail, &date) < 0 ||
	    mail_get_special(mail, MAIL_FETCH_FROM_ENVELOPE, &sender) < 0)
		return NULL;
	return mbox_from_create(sender, date);
}

/* TRUE if the mail can be what is there of the journal's mail that begins in the
   trace at start. begun_r: whether at least its first line is. */
static bool
mbox_roll_back_is_of(struct mbox_roll_back *ctx, size_t start,
		     struct mail *mail, bool *begun_r)
{
	const char *line = mbox_roll_back_from_line(mail);
	struct istream *input;

	*begun_r = line != NULL && is_part_of(ctx, start, line, NULL);
	return *begun_r &&
		mail_get_stream_because(mail, NULL, NULL, "import",
					&input) == 0 &&
		is_part_of(ctx, start, line, input);
}

/* The line end behind a mail is written when the next one begins. So what is cut
   off is the journal's last mail, or the one before if that has not begun.
   Returns FALSE if neither is there as it was written. */
static bool
mbox_roll_back_find_last(struct mbox_roll_back *ctx, struct mail *mail)
{
	uint32_t seq1, seq2, last_seq;
	bool begun = FALSE;

	mailbox_get_seq_range(mail->box, ctx->next_uid, (uint32_t)-1,
			      &seq1, &seq2);
	if (seq1 == 0)
		return FALSE;
	last_seq = seq1 + ctx->mails_count - 1;
	if (last_seq <= seq2) {
		mail_set_seq(mail, last_seq);
		if (mbox_roll_back_is_of(ctx, ctx->last_mail, mail, &begun))
			return TRUE;
	}
	if (begun || ctx->mails_count == 1 || last_seq - 1 > seq2)
		return FALSE;
	mail_set_seq(mail, last_seq - 1);
	return mbox_roll_back_is_of(ctx, ctx->mail_before, mail, &begun);
}

static bool
mbox_roll_back_expunge_last(struct mbox_roll_back *ctx,
			    struct mailbox_transaction_context *t)
{
	struct mail *mail = mail_alloc(t, 0, NULL);
	bool found = mbox_roll_back_find_last(ctx, mail);

	if (found) {
		mail_expunge(mail);
		ctx->roll_back->deleted_count++;
	}
	mail_free(&mail);
	return found;
}

/* quirk: mbox-killed-append. With a mail whose end is missing Dovecot expunges the
   empty line of the mail before as well, which is the file's last one then. */
static int mbox_roll_back_end_line(struct mbox_roll_back *ctx)
{
	struct mailbox *box = &ctx->mbox->box;
	unsigned int lock_id = 0;
	uoff_t size;
	int ret = 0;

	if (mbox_lock(ctx->mbox, F_WRLCK, &lock_id) <= 0)
		return -1;
	if (mbox_roll_back_lacks_line(ctx, &size) &&
	    pwrite(ctx->mbox->mbox_fd, "\n", 1, size) != 1) {
		ret = save_roll_back_error(box, "pwrite",
					   mailbox_get_path(box));
	}
	mbox_unlock(ctx->mbox, lock_id);
	return ret;
}

/* Others have appended mails, or seen those of the transaction. They have UIDs
   now, and are found by the import like all that is there already, unless one of
   them is cut off. */
static int mbox_roll_back_last_mail(struct mbox_roll_back *ctx)
{
	struct mailbox *box = &ctx->mbox->box;
	struct mailbox_transaction_context *t;

	if (mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		return -1;
	t = mailbox_transaction_begin(box, 0, "migration_import");
	if (!mbox_roll_back_expunge_last(ctx, t)) {
		migration_run_finding(migration_run_find(box->storage->user),
			MIGRATION_SEVERITY_WARNING, box->vname, 0,
			FINDING_MBOX_CHANGED, "An earlier import was killed "
			"while it wrote to this mbox, and it was changed since: "
			"look for a mail that is cut off, behind byte %"
			PRIuUOFF_T" of %s", ctx->file_size,
			mailbox_get_path(box));
	}
	if (mailbox_transaction_commit(&t) < 0 ||
	    mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		return -1;
	return mbox_roll_back_end_line(ctx);
}

int save_roll_back_mbox(struct save_roll_back *roll_back)
{
	struct mbox_roll_back ctx;
	int ret = 1;

	i_zero(&ctx);
	ctx.roll_back = roll_back;
	ctx.mbox = MBOX_MAILBOX(roll_back->box);
	ctx.trace = str_new(default_pool, roll_back->text_size + 1);
	if (mbox_roll_back_parse(&ctx)) {
		ret = mbox_roll_back_file(&ctx);
		if (ret == 0 && !ctx.whole)
			ret = mbox_roll_back_last_mail(&ctx);
	}
	str_free(&ctx.trace);
	return ret < 0 ? -1 : 0;
}
