/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of placeholders is a file in the user's home, one line for each:
   UIDVALIDITY, UID, the mailbox's name at the source, and "waiting", "gone" or
   "kept". It is written before
   a placeholder is saved: a mail that is in the list and no placeholder (its
   header says so) is left alone.

   No client may see two texts under one UID. Whether one has seen the
   placeholder is what IMAP calls \Recent: the index's header says from which UID
   on no client's session was told of the mails. dsync sets it to what the source
   has. For a mailbox with a placeholder it is kept no higher than that mail, so
   it rises above it when a client selects the mailbox, and then only. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "strescape.h"
#include "istream.h"
#include "mail-user.h"
#include "mail-namespace.h"
#include "imapc-storage.h"
#include "placeholder.h"
#include "mail-replace.h"
#include "migration-file.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-spare.h"
#include "migration-imapc-placeholders.h"

#include <fcntl.h>
#include <unistd.h>

#define PLACEHOLDERS_FILE_NAME "dovecot-migration-placeholders"
#define PLACEHOLDERS_FILE_VERSION "dovecot-migration-placeholders 1"
/* a line of the file: a mailbox's name has a limit, too */
#define PLACEHOLDERS_MAX_LINE 8192

struct migration_imapc_placeholder {
	uint32_t uidvalidity, uid;
	/* the mailbox's name at the source */
	const char *vname;
	/* made by this run */
	bool new;
	/* its mail was expunged at the source */
	bool gone;
	/* it stays for good: its mail was appended, or nothing more will come.
	   What remains to be done is to take it for the source's mail. */
	bool kept;
	/* nothing is left to do */
	bool done;
};

struct migration_imapc_placeholders {
	pool_t pool;
	/* NULL if the user has no home: nothing is known then of earlier runs */
	const char *path;
	ARRAY(struct migration_imapc_placeholder) all;
};

/* ---- the file ---- */

static void
placeholders_parse_line(struct migration_imapc_placeholders *list,
			const char *line)
{
	const char *const *words = t_strsplit_tabescaped(line);
	struct migration_imapc_placeholder *entry, found;

	i_zero(&found);
	if (str_array_length(words) != 4 ||
	    str_to_uint32(words[0], &found.uidvalidity) < 0 ||
	    str_to_uint32(words[1], &found.uid) < 0)
		return;
	entry = array_append_space(&list->all);
	*entry = found;
	entry->vname = p_strdup(list->pool, words[2]);
	entry->kept = strcmp(words[3], "kept") == 0;
	entry->gone = strcmp(words[3], "gone") == 0;
}

static void placeholders_read(struct migration_imapc_placeholders *list)
{
	struct istream *input;
	const char *line;

	input = i_stream_create_file(list->path, PLACEHOLDERS_MAX_LINE);
	line = i_stream_read_next_line(input);
	if (line != NULL && strcmp(line, PLACEHOLDERS_FILE_VERSION) == 0) {
		while ((line = i_stream_read_next_line(input)) != NULL) T_BEGIN {
			placeholders_parse_line(list, line);
		} T_END;
	}
	i_stream_destroy(&input);
}

static void placeholders_write(struct migration_imapc_user *muser)
{
	struct migration_imapc_placeholders *list = muser->placeholders;
	const struct migration_imapc_placeholder *entry;
	string_t *str = t_str_new(256);
	const char *error;
	unsigned int count = 0;

	if (list->path == NULL)
		return;
	str_append(str, PLACEHOLDERS_FILE_VERSION"\n");
	array_foreach(&list->all, entry) {
		if (entry->done)
			continue;
		count++;
		str_printfa(str, "%u\t%u\t", entry->uidvalidity, entry->uid);
		str_append_tabescaped(str, entry->vname);
		str_printfa(str, "\t%s\n", entry->gone ? "gone" :
			    entry->kept ? "kept" : "waiting");
	}
	if (count == 0)
		i_unlink_if_exists(list->path);
	else if (migration_file_replace(list->path, str, &error) < 0) {
		e_error(muser->event, "The list of placeholders can't be "
			"written: %s", error);
	}
}

static struct migration_imapc_placeholders *
placeholders_get(struct migration_imapc_user *muser)
{
	struct migration_imapc_placeholders *list = muser->placeholders;
	const char *home;
	pool_t pool;

	if (list != NULL)
		return list;
	pool = pool_alloconly_create("migration imapc placeholders", 512);
	list = p_new(pool, struct migration_imapc_placeholders, 1);
	list->pool = pool;
	p_array_init(&list->all, pool, 4);
	if (mail_user_get_home(muser->user, &home) > 0) {
		list->path = p_strconcat(pool, home, "/"PLACEHOLDERS_FILE_NAME,
					 NULL);
		placeholders_read(list);
	}
	muser->placeholders = list;
	return list;
}

static struct migration_imapc_placeholder *
placeholders_find(struct migration_imapc_placeholders *list, const char *vname,
		  uint32_t uidvalidity, uint32_t uid)
{
	struct migration_imapc_placeholder *entry;

	array_foreach_modifiable(&list->all, entry) {
		if (!entry->done && entry->uid == uid &&
		    entry->uidvalidity == uidvalidity &&
		    strcmp(entry->vname, vname) == 0)
			return entry;
	}
	return NULL;
}

/* Whose placeholders this run saves at the destination. */
static void
dest_set_source(struct mail_user *dest, struct migration_imapc_user *source)
{
	struct migration_imapc_user *muser = MIGRATION_IMAPC_USER_CONTEXT(dest);

	muser->placeholders_source = source;
}

void migration_imapc_placeholders_add(struct migration_imapc_mailbox *mmbox,
				      uint32_t uid, uint32_t uidvalidity,
				      bool gone)
{
	struct migration_imapc_user *muser = mmbox->muser;
	struct migration_imapc_placeholders *list = placeholders_get(muser);
	const char *vname = mmbox->mbox->box.vname;
	struct mail_user *dest = migration_imapc_user_find_dest(muser->user);
	struct migration_imapc_placeholder *entry;

	if (dest != NULL)
		dest_set_source(dest, muser);
	entry = placeholders_find(list, vname, uidvalidity, uid);
	if (entry == NULL) {
		entry = array_append_space(&list->all);
		entry->uidvalidity = uidvalidity;
		entry->uid = uid;
		entry->vname = p_strdup(list->pool, vname);
	}
	entry->new = TRUE;
	entry->gone = gone;
	T_BEGIN {
		placeholders_write(muser);
	} T_END;
}

uint32_t
migration_imapc_placeholders_first_uid(struct migration_imapc_mailbox *mmbox,
				       uint32_t uidvalidity)
{
	struct migration_imapc_placeholders *list = placeholders_get(mmbox->muser);
	const struct migration_imapc_placeholder *entry;
	uint32_t first_uid = 0;

	array_foreach(&list->all, entry) {
		if (!entry->done && !entry->kept &&
		    entry->uidvalidity == uidvalidity &&
		    strcmp(entry->vname, mmbox->mbox->box.vname) == 0 &&
		    (first_uid == 0 || entry->uid < first_uid))
			first_uid = entry->uid;
	}
	return first_uid;
}

bool migration_imapc_placeholders_have(struct migration_imapc_mailbox *mmbox,
				       uint32_t uid, uint32_t uidvalidity)
{
	return placeholders_find(placeholders_get(mmbox->muser),
				 mmbox->mbox->box.vname, uidvalidity,
				 uid) != NULL;
}

/* ---- the destination ---- */

/* How the destination calls the mailbox (data stack). */
static const char *
dest_name(struct mail_user *dest, const struct mailbox_list *source_list,
	  const struct migration_imapc_placeholder *entry,
	  struct mail_namespace **ns_r)
{
	char source_sep = mail_namespace_get_sep(source_list->ns);
	string_t *name = t_str_new(64);
	const char *p;

	*ns_r = mail_namespace_find(dest->namespaces, entry->vname);
	for (p = entry->vname; *p != '\0'; p++) {
		str_append_c(name, *p == source_sep ?
			     mail_namespace_get_sep(*ns_r) : *p);
	}
	return str_c(name);
}

/* The destination's mailbox of this source mailbox, opened and synchronised,
   or NULL. */
static struct mailbox *
dest_open(struct migration_imapc_user *muser, struct mailbox_list *source_list,
	  const struct migration_imapc_placeholder *entry)
{
	struct mail_user *dest = migration_imapc_user_find_dest(muser->user);
	struct mail_namespace *ns;
	struct mailbox_status status;
	struct mailbox *box;
	const char *name;

	if (dest == NULL)
		return NULL;
	name = dest_name(dest, source_list, entry, &ns);
	box = mailbox_alloc(ns->list, name, 0);
	if (strcmp(box->storage->name, IMAPC_STORAGE_NAME) != 0 &&
	    mailbox_open(box) == 0 && mailbox_sync(box, 0) == 0) {
		mailbox_get_open_status(box, STATUS_UIDVALIDITY, &status);
		if (status.uidvalidity == entry->uidvalidity)
			return box;
	}
	mailbox_free(&box);
	return NULL;
}

static const char *
dest_read_header(struct mailbox *box, uint32_t uid, const char *const *names)
{
	struct mailbox_transaction_context *t;
	struct mailbox_header_lookup_ctx *headers;
	struct istream *input;
	const unsigned char *data;
	string_t *str = NULL;
	struct mail *mail;
	size_t size;

	t = mailbox_transaction_begin(box, 0, __func__);
	headers = mailbox_header_lookup_init(box, names);
	mail = mail_alloc(t, 0, headers);
	if (mail_set_uid(mail, uid) &&
	    mail_get_header_stream(mail, headers, &input) == 0) {
		str = t_str_new(256);
		while (i_stream_read_more(input, &data, &size) > 0) {
			str_append_data(str, data, size);
			i_stream_skip(input, size);
		}
	}
	mail_free(&mail);
	mailbox_header_lookup_unref(&headers);
	mailbox_transaction_rollback(&t);
	return str == NULL ? NULL : str_c(str);
}

const char *
migration_imapc_placeholders_dest_header(struct migration_imapc_mailbox *mmbox,
					 uint32_t uid, uint32_t uidvalidity,
					 const char *const *names)
{
	const struct migration_imapc_placeholder entry = {
		.uidvalidity = uidvalidity,
		.uid = uid,
		.vname = mmbox->mbox->box.vname,
	};
	struct mailbox *box;
	const char *header;

	box = dest_open(mmbox->muser, mmbox->mbox->box.list, &entry);
	if (box == NULL)
		return NULL;
	header = dest_read_header(box, uid, names);
	mailbox_free(&box);
	return header;
}

static bool
dest_is_placeholder(struct mailbox *box, uint32_t uid, bool expunge,
		    enum mail_flags *flags_r)
{
	struct mailbox_transaction_context *t;
	const char *value;
	struct mail *mail;
	bool ret;

	*flags_r = 0;
	/* not an external one: the next sync has to delete the file as well */
	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	ret = mail_set_uid(mail, uid) &&
		mail_get_first_header(mail, PLACEHOLDER_HEADER, &value) > 0;
	if (ret)
		*flags_r = mail_get_flags(mail);
	if (ret && expunge)
		mail_expunge(mail);
	mail_free(&mail);
	if (mailbox_transaction_commit(&t) < 0)
		ret = FALSE;
	return ret;
}

static bool dest_was_opened(struct mailbox *box, uint32_t uid)
{
	return mail_index_get_header(box->view)->first_recent_uid > uid;
}

/* No session was told of the placeholder yet. */
static void dest_mark_unopened(struct mailbox *box, uint32_t uid)
{
	struct mail_index_transaction *t;

	if (!dest_was_opened(box, uid))
		return;
	t = mail_index_transaction_begin(box->view,
				MAIL_INDEX_TRANSACTION_FLAG_EXTERNAL);
	mail_index_update_header(t,
		offsetof(struct mail_index_header, first_recent_uid),
		&uid, sizeof(uid), TRUE);
	(void)mail_index_transaction_commit(&t);
}

/* ---- at the end of a run ---- */

struct placeholder_end {
	struct migration_imapc_user *muser;
	struct migration_imapc_list *mlist;
	struct migration_imapc_placeholder *entry;
	struct mailbox *box;
	enum mail_flags flags;
	/* the server can't be asked: its words */
	const char *lost;
};

static void
end_finding(struct placeholder_end *end, enum migration_severity severity,
	    enum finding_kind kind, const char *why)
{
	migration_run_finding(migration_run_find(end->muser->user), severity,
			      end->entry->vname, end->entry->uid, kind, "%s",
			      why);
}

static void
end_append(struct placeholder_end *end, struct istream *text, time_t date)
{
	const char *error;

	if (mail_replace_append(end->box, text, end->flags, date, &error) < 0) {
		end_finding(end, MIGRATION_SEVERITY_ERROR,
			    FINDING_MAIL_UNREADABLE,
			    t_strdup_printf("The source can read it now, but it "
					    "can't be saved: %s", error));
		return;
	}
	end_finding(end, MIGRATION_SEVERITY_WARNING, FINDING_PLACEHOLDER_KEPT,
		    "The source can read the mail now. A client has seen its "
		    "placeholder, so the mail is appended to the mailbox "
		    "instead");
	end->entry->kept = TRUE;
}

static void
end_replace(struct placeholder_end *end, struct istream *text, time_t date)
{
	const char *error;
	int ret;

	if (dest_was_opened(end->box, end->entry->uid) ||
	    mail_replace_why_not(end->box) != NULL) {
		end_append(end, text, date);
		return;
	}
	ret = mail_replace(end->box, end->entry->uid, text, date, &error);
	if (ret < 0) {
		end_finding(end, MIGRATION_SEVERITY_ERROR,
			    FINDING_MAIL_UNREADABLE,
			    t_strdup_printf("The source can read it now, but it "
				"can't take its placeholder's place: %s", error));
		return;
	}
	end->entry->done = TRUE;
	if (ret > 0) {
		end_finding(end, MIGRATION_SEVERITY_INFO,
			    FINDING_PLACEHOLDER_REPLACED,
			    "The source can read the mail now, it is in its "
			    "place");
	}
}

/* A run that is ended, or that lost its source, says so by itself. */
static void end_report_lost(struct placeholder_end *end)
{
	if (migration_run_is_cut_short(migration_run_find(end->muser->user))) {
		e_debug(end->muser->event, "mailbox %s: whether UID %u can be "
			"read now is looked at in the next run: %s",
			end->entry->vname, end->entry->uid, end->lost);
		return;
	}
	end_finding(end, MIGRATION_SEVERITY_ERROR, FINDING_MAIL_UNREADABLE,
		    t_strdup_printf("The source could not be asked for it again: "
				    "%s. A placeholder is in its place.",
				    end->lost));
}

/* Asks for the mail once, unless the server can't be asked. */
static void end_ask_source(struct placeholder_end *end)
{
	struct imapc_mailbox_list *list = end->mlist->list;
	struct migration_imapc_spare *spare;
	struct spare_reply reply;
	enum spare_result result;
	const char *remote_name;
	uint32_t uidvalidity;
	uoff_t size;
	bool login;

	if (migration_run_is_stopping())
		end->lost = "the run is ended";
	if (end->lost != NULL) {
		end_report_lost(end);
		return;
	}
	spare = migration_imapc_spare_get(end->mlist);
	remote_name = imapc_list_storage_to_remote_name(list,
		mailbox_list_get_storage_name(&list->list, end->entry->vname));
	result = migration_imapc_spare_open(spare, remote_name,
		(list->set->parsed_features & IMAPC_FEATURE_NO_EXAMINE) == 0,
		&uidvalidity, &login);
	if (result == SPARE_LOST || login) {
		end->lost = p_strdup(end->muser->placeholders->pool,
				     migration_imapc_spare_words(spare));
		end_report_lost(end);
		return;
	}
	if (result != SPARE_OK || uidvalidity != end->entry->uidvalidity) {
		/* another mailbox by now: dsync has its own view of that */
		end->entry->done = TRUE;
		return;
	}
	result = migration_imapc_spare_fetch(spare, end->entry->uid,
		"INTERNALDATE RFC822.SIZE BODY.PEEK[]", &reply);
	if (result == SPARE_OK && reply.text != NULL &&
	    i_stream_get_size(reply.text, TRUE, &size) > 0 &&
	    (reply.size == UOFF_T_MAX || reply.size == size)) {
		end_replace(end, reply.text, reply.internaldate);
	} else {
		end_finding(end, MIGRATION_SEVERITY_ERROR,
			    FINDING_MAIL_UNREADABLE,
			    t_strdup_printf("The source still answers: %s. A "
				"placeholder is in its place.",
				result != SPARE_OK ?
				migration_imapc_spare_words(spare) :
				"OK, but without the text"));
	}
	i_stream_unref(&reply.text);
}

static void end_entry(struct placeholder_end *end)
{
	struct migration_imapc_placeholder *entry = end->entry;

	end->box = dest_open(end->muser, &end->mlist->list->list, entry);
	if (end->box == NULL) {
		/* nothing of it is here: renamed, deleted, or begun anew */
		entry->done = TRUE;
		return;
	}
	if (!dest_is_placeholder(end->box, entry->uid, entry->gone,
				 &end->flags)) {
		/* deleted here, or its saving was not completed, or a run was
		   killed that had put the mail into its place */
		mail_replace_clean_up(end->box);
		entry->done = TRUE;
	} else if (entry->gone) {
		e_debug(end->muser->event, "mailbox %s: UID %u is gone at the "
			"source, its stand-in is deleted", entry->vname,
			entry->uid);
		entry->done = TRUE;
	} else if (entry->kept) {
		/* told once */
	} else if (entry->new) {
		dest_mark_unopened(end->box, entry->uid);
	} else {
		end_ask_source(end);
	}
	if (entry->done && entry->gone)
		(void)mailbox_sync(end->box, 0);
	mailbox_free(&end->box);
}

static struct migration_imapc_list *
user_find_list(struct mail_user *user, const char *vname)
{
	struct mail_namespace *ns = mail_namespace_find(user->namespaces, vname);

	if (strcmp(ns->list->name, MAILBOX_LIST_NAME_IMAPC) != 0)
		return NULL;
	return MIGRATION_IMAPC_LIST_CONTEXT(ns->list);
}

uint32_t migration_imapc_placeholders_made(struct migration_imapc_user *source,
					   struct mailbox *box)
{
	const struct migration_imapc_placeholder *entry;
	struct migration_imapc_list *mlist;
	struct mail_namespace *ns;
	uint32_t first_uid = 0;

	array_foreach(&source->placeholders->all, entry) {
		if (!entry->new || (first_uid != 0 && first_uid < entry->uid))
			continue;
		mlist = user_find_list(source->user, entry->vname);
		if (mlist != NULL &&
		    strcmp(dest_name(box->storage->user,
				     &mlist->list->list, entry, &ns),
			   box->vname) == 0)
			first_uid = entry->uid;
	}
	return first_uid;
}

/* A run that was killed left it: dsync would delete it, too, and be refused by
   the deletion guard. */
static bool entry_is_leftover(const struct migration_imapc_placeholder *entry)
{
	return entry->gone && !entry->new && !entry->done;
}

static void placeholders_end(struct migration_imapc_user *muser,
			     struct mail_user *dest, bool only_leftovers)
{
	struct placeholder_end end = { .muser = muser };
	struct migration_imapc_placeholders *list = muser->placeholders;
	bool dsyncing = dest->dsyncing;
	unsigned int i;

	/* what is done here is not dsync's */
	dest->dsyncing = FALSE;
	for (i = 0; i < array_count(&list->all); i++) T_BEGIN {
		end.entry = array_idx_modifiable(&list->all, i);
		end.mlist = user_find_list(muser->user, end.entry->vname);
		if (end.mlist != NULL &&
		    (!only_leftovers || entry_is_leftover(end.entry)))
			end_entry(&end);
	} T_END;
	if (end.mlist != NULL)
		migration_imapc_spare_rest(end.mlist);
	dest->dsyncing = dsyncing;
}

void migration_imapc_placeholders_begin(struct migration_imapc_user *muser)
{
	struct mail_user *dest = migration_imapc_user_find_dest(muser->user);

	if (dest == NULL || array_count(&placeholders_get(muser)->all) == 0)
		return;
	placeholders_end(muser, dest, TRUE);
	T_BEGIN {
		placeholders_write(muser);
	} T_END;
}

void migration_imapc_placeholders_finish(struct migration_imapc_user *muser)
{
	struct mail_user *dest = migration_imapc_user_find_dest(muser->user);
	struct migration_imapc_placeholders *list;

	if (dest == NULL)
		return;
	list = placeholders_get(muser);
	dest_set_source(dest, NULL);
	if (array_count(&list->all) > 0) {
		placeholders_end(muser, dest, FALSE);
		T_BEGIN {
			placeholders_write(muser);
		} T_END;
	}
	pool_unref(&list->pool);
	muser->placeholders = NULL;
}
