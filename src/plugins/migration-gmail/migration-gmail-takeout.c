/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An archive of Google Takeout that is imported: an mbox whose mails tell their
   labels in a header field. Their flags and keywords are given here; in which
   folders they belong is told to migration_import. Lines of their text that the
   archive had to change ("From " at the beginning) are as they were. */

#include "lib.h"
#include "array.h"
#include "iostream-temp.h"
#include "istream.h"
#include "message-size.h"
#include "ostream.h"
#include "str.h"
#include "index-mail.h"
#include "mbox-quote.h"
#include "gmail-label-keyword.h"
#include "gmail-takeout.h"
#include "migration-folders.h"
#include "migration-run.h"
#include "migration-gmail-private.h"

struct migration_gmail_takeout_mail {
	union mail_module_context module_ctx;
	/* what is read is not the archive's text: that had quoted lines */
	bool unquoted;
};

#define MIGRATION_GMAIL_TAKEOUT_MAIL(obj) \
	((struct migration_gmail_takeout_mail *) \
	 MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(obj))

struct migration_gmail_takeout {
	struct gmail_keywords *keywords;

	/* The mail that was asked for last. Flags, keywords and folders are
	   asked for one after the other. */
	pool_t pool;
	const struct mailbox *box;
	uint32_t uid;
	/* the mail has labels */
	bool found;
	enum mail_flags flags;
	/* NULL-terminated */
	const char *const *mail_keywords;
	struct migration_folders folders;
};

static bool is_archive(const struct mailbox *box)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(box->storage->user);

	return muser != NULL && strcmp(box->storage->name, "mbox") == 0 &&
		migration_gmail_user_find_dest(box->storage->user) != NULL;
}

static struct migration_gmail_takeout *takeout_get(struct mailbox *box)
{
	const char *const no_labels[] = { NULL };
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(box->storage->user);

	if (muser->takeout == NULL) {
		muser->takeout = p_new(muser->user->pool,
				       struct migration_gmail_takeout, 1);
		muser->takeout->pool = pool_alloconly_create("takeout", 2048);
		muser->takeout->keywords = migration_gmail_keywords_init(
			muser, box->list, no_labels);
	}
	return muser->takeout;
}

static const char *const *
takeout_copy_list(pool_t pool, const ARRAY_TYPE(const_string) *list,
		  const char *left_out)
{
	ARRAY_TYPE(const_string) copy;
	const char *str;

	p_array_init(&copy, pool, array_count(list) + 1);
	array_foreach_elem(list, str) {
		if (strcmp(str, left_out) == 0)
			continue;
		str = p_strdup(pool, str);
		array_push_back(&copy, &str);
	}
	array_append_zero(&copy);
	return array_front(&copy);
}

/* The archive becomes the mailbox of all mail, which can be left out, or have
   only what has no other place. */
static bool
takeout_mail_stays(struct migration_gmail_user *muser,
		   const struct gmail_message *msg, bool has_folders)
{
	if (msg->place != GMAIL_PLACE_ALL)
		return FALSE;
	switch (muser->all) {
	case MIGRATION_GMAIL_ALL_WHOLE:
		return TRUE;
	case MIGRATION_GMAIL_ALL_ARCHIVED:
		return !has_folders;
	case MIGRATION_GMAIL_ALL_NONE:
		return FALSE;
	}
	i_unreached();
}

static void
takeout_map(struct migration_gmail_takeout *takeout, struct mail *mail,
	    const char *value)
{
	struct migration_gmail_user *muser =
		MIGRATION_GMAIL_USER_CONTEXT(mail->box->storage->user);
	struct gmail_takeout labels;
	struct gmail_message msg;
	struct gmail_mapping mapping;
	const char *keyword;

	gmail_takeout_parse(value, pool_datastack_create(), &labels);
	i_zero(&msg);
	msg.labels = array_get(&labels.labels, &msg.labels_count);
	msg.place = labels.place;
	gmail_message_map(&msg, muser->policy, takeout->keywords, &mapping);
	e_debug(muser->event, "%s UID %u: %s", mail->box->vname, mail->uid,
		mapping.reason);

	array_foreach_elem(&labels.keywords, keyword)
		migration_gmail_add_keyword(&mapping.keywords, keyword);
	takeout->flags = labels.flags | mapping.flags;
	takeout->mail_keywords = takeout_copy_list(takeout->pool,
		&mapping.keywords, GMAIL_KEYWORD_HAVE_LABELS);
	takeout->folders.names = takeout_copy_list(takeout->pool,
						   &mapping.mailboxes, "\\All");
	takeout->folders.stays = takeout_mail_stays(muser, &msg,
		*takeout->folders.names != NULL);
	if (!takeout->folders.stays && *takeout->folders.names == NULL) {
		migration_run_finding(migration_run_find(muser->user),
			MIGRATION_SEVERITY_ERROR, mail->box->vname, mail->uid,
			FINDING_GMAIL_MESSAGE_LEFT_OUT,
			"the message was archived and "
			"has no label, and migration_gmail_all leaves out All "
			"Mail");
	}
}

/* Returns what becomes of the mail, or NULL if it has no labels. */
static const struct migration_gmail_takeout *takeout_lookup(struct mail *mail)
{
	struct migration_gmail_takeout *takeout = takeout_get(mail->box);
	const char *value;

	if (takeout->box != mail->box || takeout->uid != mail->uid) {
		p_clear(takeout->pool);
		takeout->box = mail->box;
		takeout->uid = mail->uid;
		takeout->found = mail_get_first_header_utf8(mail,
			GMAIL_TAKEOUT_HEADER, &value) > 0;
		if (takeout->found) T_BEGIN {
			takeout_map(takeout, mail, value);
		} T_END;
	}
	return takeout->found ? takeout : NULL;
}

bool migration_gmail_takeout_get_folders(struct mail *mail,
					 struct migration_folders *folders_r)
{
	const struct migration_gmail_takeout *takeout;

	if (!is_archive(mail->box))
		return FALSE;
	takeout = takeout_lookup(mail);
	if (takeout == NULL)
		return FALSE;
	*folders_r = takeout->folders;
	return TRUE;
}

static enum mail_flags migration_gmail_takeout_get_flags(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_gmail_takeout_mail *gmail =
		MIGRATION_GMAIL_TAKEOUT_MAIL(pmail);
	const struct migration_gmail_takeout *takeout = takeout_lookup(mail);
	enum mail_flags flags = gmail->module_ctx.super.get_flags(mail);

	return takeout == NULL ? flags : flags | takeout->flags;
}

static const char *const *
migration_gmail_takeout_get_keywords(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_gmail_takeout_mail *gmail =
		MIGRATION_GMAIL_TAKEOUT_MAIL(pmail);
	const struct migration_gmail_takeout *takeout = takeout_lookup(mail);
	const char *const *keywords =
		gmail->module_ctx.super.get_keywords(mail);

	return takeout == NULL ? keywords :
		migration_gmail_join_keywords(mail, keywords,
					      takeout->mail_keywords);
}

/* -- text */

/* Returns the text as it was, or NULL if it cannot be read or there is no room
   for it. */
static struct istream *takeout_unquote(struct mail *mail, struct istream *input)
{
	string_t *path = t_str_new(128);
	struct istream *text;
	struct ostream *output;

	mail_user_set_get_temp_prefix(path, mail->box->storage->user->set);
	output = iostream_temp_create(str_c(path), 0);
	i_stream_seek(input, 0);
	if (mbox_quote_undo(input, output) < 0) {
		mail_set_critical(mail, "migration_gmail: a text with quoted "
			"lines can't be copied: %s", input->stream_errno != 0 ?
			i_stream_get_error(input) :
			o_stream_get_error(output));
		o_stream_destroy(&output);
		return NULL;
	}
	text = iostream_temp_finish(&output, IO_BLOCK_SIZE);
	i_stream_set_name(text, i_stream_get_name(input));
	return text;
}

/* The mail is read from here on. */
static void takeout_set_stream(struct mail *mail, struct istream *text)
{
	struct index_mail *imail = INDEX_MAIL(mail);
	struct index_mail_data *data = &imail->data;

	/* so that the end of the old stream is not taken for the mail's */
	data->destroying_stream = TRUE;
	i_stream_unref(&data->stream);
	data->destroying_stream = FALSE;
	data->destroy_callback_set = FALSE;
	data->stream = text;
}

static int
migration_gmail_takeout_get_stream(struct mail *mail, bool get_body,
				   struct message_size *hdr_size,
				   struct message_size *body_size,
				   struct istream **stream_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_gmail_takeout_mail *gmail =
		MIGRATION_GMAIL_TAKEOUT_MAIL(pmail);
	struct index_mail *imail = INDEX_MAIL(mail);
	struct istream *input, *text;

	/* Now, even if the header is all that is wanted: later there may be a
	   parser that goes on with the stream. */
	if (imail->data.stream == NULL) {
		gmail->unquoted = FALSE;
		if (gmail->module_ctx.super.get_stream(mail, TRUE, NULL, NULL,
						       &input) < 0)
			return -1;
		/* quirk: takeout-mboxrd */
		if (mbox_quote_find(input, GMAIL_TAKEOUT_HEADER)) {
			text = takeout_unquote(mail, input);
			if (text == NULL)
				return -1;
			takeout_set_stream(mail, text);
			gmail->unquoted = TRUE;
		}
	}
	return gmail->module_ctx.super.get_stream(mail, get_body, hdr_size,
						  body_size, stream_r);
}

/* Returns 1 and the sizes of a text that was quoted, 0 if it was not, -1. */
static int
takeout_get_sizes(struct mail *mail, struct message_size *size_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_gmail_takeout_mail *gmail =
		MIGRATION_GMAIL_TAKEOUT_MAIL(pmail);
	struct message_size body_size;
	struct istream *input;

	if (mail_get_stream_because(mail, size_r, &body_size, "takeout",
				    &input) < 0)
		return -1;
	message_size_add(size_r, &body_size);
	return gmail->unquoted ? 1 : 0;
}

static int
migration_gmail_takeout_get_virtual_size(struct mail *mail, uoff_t *size_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_gmail_takeout_mail *gmail =
		MIGRATION_GMAIL_TAKEOUT_MAIL(pmail);
	struct message_size size;
	int ret = takeout_get_sizes(mail, &size);

	if (ret <= 0) {
		return ret < 0 ? -1 :
			gmail->module_ctx.super.get_virtual_size(mail, size_r);
	}
	*size_r = size.virtual_size;
	return 0;
}

static int
migration_gmail_takeout_get_physical_size(struct mail *mail, uoff_t *size_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_gmail_takeout_mail *gmail =
		MIGRATION_GMAIL_TAKEOUT_MAIL(pmail);
	struct message_size size;
	int ret = takeout_get_sizes(mail, &size);

	if (ret <= 0) {
		return ret < 0 ? -1 :
			gmail->module_ctx.super.get_physical_size(mail, size_r);
	}
	*size_r = size.physical_size;
	return 0;
}

/* -- begin and end */

void migration_gmail_takeout_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	struct migration_gmail_takeout_mail *gmail;

	if (!is_archive(mail->box))
		return;
	gmail = p_new(pmail->pool, struct migration_gmail_takeout_mail, 1);
	gmail->module_ctx.super = *v;
	pmail->vlast = &gmail->module_ctx.super;
	v->get_flags = migration_gmail_takeout_get_flags;
	v->get_keywords = migration_gmail_takeout_get_keywords;
	v->get_stream = migration_gmail_takeout_get_stream;
	v->get_virtual_size = migration_gmail_takeout_get_virtual_size;
	v->get_physical_size = migration_gmail_takeout_get_physical_size;
	MODULE_CONTEXT_SET(pmail, migration_gmail_mail_module, gmail);
}

void migration_gmail_takeout_finish(struct migration_gmail_user *muser)
{
	struct migration_gmail_takeout *takeout = muser->takeout;

	if (takeout == NULL)
		return;
	migration_gmail_keywords_report(muser, takeout->keywords);
	migration_gmail_keywords_save(muser, takeout->keywords);
	gmail_keywords_deinit(&takeout->keywords);
	pool_unref(&takeout->pool);
	muser->takeout = NULL;
}
