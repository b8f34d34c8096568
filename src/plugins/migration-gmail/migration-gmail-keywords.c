/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which label has which keyword. It is kept at the destination, in the server
   metadata if Dovecot has a place for METADATA, so that webmail can show the
   labels' names, and otherwise in a file of the user's home. */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "str.h"
#include "mail-namespace.h"
#include "mailbox-attribute.h"
#include "gmail-label-keyword.h"
#include "migration-file.h"
#include "migration-report.h"
#include "migration-run.h"
#include "migration-gmail-private.h"

/* IMAP: GETMETADATA "" /private/vendor/vendor.dovecot-migration/gmail-keywords */
#define KEYWORDS_ATTRIBUTE \
	MAILBOX_ATTRIBUTE_PREFIX_DOVECOT_PVT_SERVER \
	"vendor/vendor.dovecot-migration/gmail-keywords"
#define KEYWORDS_FILE_NAME "dovecot-migration-gmail-keywords"

/* Maildir has room for 26 keywords. These are left for $Important, $Muted,
   $GMailHaveLabels, pop3_deleted_flag and two of the mail clients'. */
#define MAILDIR_LABEL_KEYWORDS 20

/* ---- the file ---- */

static const char *keywords_file_path(struct migration_gmail_user *dest)
{
	const char *home;

	return mail_user_get_home(dest->user, &home) <= 0 ? NULL :
		t_strdup_printf("%s/"KEYWORDS_FILE_NAME, home);
}

static const char *keywords_file_read(struct migration_gmail_user *dest)
{
	const char *path = keywords_file_path(dest), *line;
	struct istream *input;
	string_t *text;

	if (path == NULL)
		return NULL;
	text = t_str_new(1024);
	input = i_stream_create_file(path, 4096);
	while ((line = i_stream_read_next_line(input)) != NULL)
		str_printfa(text, "%s\n", line);
	i_stream_unref(&input);
	return str_c(text);
}

static void
keywords_file_write(struct migration_gmail_user *dest, const string_t *text)
{
	const char *path = keywords_file_path(dest), *error;

	if (path != NULL && migration_file_replace(path, text, &error) < 0) {
		e_error(dest->event, "The next run will not know which label "
			"has which keyword: %s", error);
	}
}

/* ---- METADATA ---- */

/* Opens the destination's INBOX, unless there is none yet. */
static struct mailbox *
keywords_inbox_open(struct migration_gmail_user *dest,
		    enum mailbox_flags flags)
{
	struct mail_namespace *ns =
		mail_namespace_find_inbox(dest->user->namespaces);
	enum mailbox_existence existence;
	struct mailbox *box;

	box = mailbox_alloc(ns->list, "INBOX", flags);
	if (mailbox_exists(box, FALSE, &existence) < 0 ||
	    existence != MAILBOX_EXISTENCE_SELECT || mailbox_open(box) < 0)
		mailbox_free(&box);
	return box;
}

/* Returns 1 and the text, 0 if there is none, -1 if there is no METADATA. */
static int
keywords_attribute_read(struct mailbox *inbox, const char **text_r)
{
	struct mail_attribute_value value;
	int ret;

	ret = mailbox_attribute_get(inbox, MAIL_ATTRIBUTE_TYPE_PRIVATE,
				    KEYWORDS_ATTRIBUTE, &value);
	*text_r = ret <= 0 ? NULL : t_strdup(value.value);
	return ret;
}

static int keywords_attribute_write(struct mailbox *inbox, const char *text)
{
	struct mailbox_transaction_context *trans;
	struct mail_attribute_value value = { .value = text };
	int ret;

	trans = mailbox_transaction_begin(inbox,
		MAILBOX_TRANSACTION_FLAG_EXTERNAL, "Gmail keywords");
	ret = mailbox_attribute_set(trans, MAIL_ATTRIBUTE_TYPE_PRIVATE,
				    KEYWORDS_ATTRIBUTE, &value);
	if (mailbox_transaction_commit(&trans) < 0)
		ret = -1;
	return ret;
}

/* ---- from run to run ---- */

static const char *keywords_read(struct migration_gmail_user *dest)
{
	struct mailbox *inbox = keywords_inbox_open(dest, MAILBOX_FLAG_READONLY);
	const char *text = NULL;

	if (inbox != NULL) {
		(void)keywords_attribute_read(inbox, &text);
		mailbox_free(&inbox);
	}
	return text != NULL ? text : keywords_file_read(dest);
}

static bool keywords_dest_is_maildir(struct migration_gmail_user *dest)
{
	struct mail_namespace *ns =
		mail_namespace_find_inbox(dest->user->namespaces);

	return strcmp(mail_namespace_get_default_storage(ns)->name,
		      "maildir") == 0;
}

struct gmail_keywords *
migration_gmail_keywords_init(struct migration_gmail_user *source,
			      const struct mailbox_list *list,
			      const char *const *labels)
{
	struct migration_gmail_user *dest =
		migration_gmail_user_find_other(source->user);
	struct gmail_keywords_config config = {
		.max_length = list->mail_set->mail_max_keyword_length,
	};
	struct gmail_keywords *keywords;
	unsigned int left_out;

	if (dest != NULL && source->policy != GMAIL_LABELS_FOLDERS) {
		config.known = keywords_read(dest);
		if (keywords_dest_is_maildir(dest))
			config.max_count = MAILDIR_LABEL_KEYWORDS;
	}
	keywords = gmail_keywords_init(labels, &config);
	left_out = gmail_keywords_left_out(keywords);
	if (left_out == 0)
		return keywords;
	/* maildir-keywords */
	migration_run_finding(migration_run_find(source->user),
		MIGRATION_SEVERITY_WARNING, NULL, 0, FINDING_MAILDIR_KEYWORDS,
		"a Maildir has room for 26 keywords, so %u labels are keywords and "
		"%u are folders only. Use sdbox or mdbox, or "
		"migration_gmail_labels=folders.", config.max_count, left_out);
	return keywords;
}

void migration_gmail_keywords_save(struct migration_gmail_user *source,
				   struct gmail_keywords *keywords)
{
	struct migration_gmail_user *dest =
		migration_gmail_user_find_dest(source->user);
	struct mailbox *inbox;
	const char *old_text;
	string_t *text;

	if (dest == NULL || source->policy == GMAIL_LABELS_FOLDERS)
		return;
	text = str_new(default_pool, 1024);
	gmail_keywords_export(keywords, text);
	inbox = keywords_inbox_open(dest, 0);
	if (inbox == NULL || keywords_attribute_read(inbox, &old_text) < 0)
		keywords_file_write(dest, text);
	else if (null_strcmp(old_text, str_c(text)) != 0 &&
		 keywords_attribute_write(inbox, str_c(text)) < 0) {
		e_error(dest->event, "Can't keep the keywords of labels in "
			"METADATA: %s", mailbox_get_last_internal_error(inbox, NULL));
		keywords_file_write(dest, text);
	}
	if (inbox != NULL)
		mailbox_free(&inbox);
	str_free(&text);
}

/* ---- the report ---- */

void migration_gmail_keywords_report(struct migration_gmail_user *source,
				     struct gmail_keywords *_keywords)
{
	ARRAY_TYPE(gmail_keyword) keywords;
	const struct gmail_keyword *keyword;
	string_t *json = t_str_new(256);

	if (source->policy == GMAIL_LABELS_FOLDERS)
		return;
	gmail_keywords_get_all(_keywords, &keywords);
	str_append(json, "{");
	array_foreach(&keywords, keyword) {
		if (str_len(json) > 1)
			str_append(json, ", ");
		migration_report_append_string(json, keyword->label);
		str_append(json, ": ");
		if (keyword->keyword == NULL)
			str_append(json, "null");
		else
			migration_report_append_string(json, keyword->keyword);
	}
	str_append(json, "}");
	migration_run_add_section(migration_run_find(source->user),
				  "gmail_keywords", str_c(json));
}
