/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What runs remember of the mails that they left out, and what they say of it.
   See migration-imapc-mail-filter.c. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "imap-util.h"
#include "migration-file.h"
#include "migration-run.h"
#include "migration-imapc-mail-filter-private.h"

#define FILTER_MEMORY_SUFFIX ".filtered"
/* 25 bytes for a mail that is left out */
#define FILTER_MEMORY_MAX_SIZE (64*1024*1024)
/* UIDs that a finding names: more is nothing that anybody reads */
#define FILTER_MAX_UIDS_LEN 200

/* ---- the file ---- */

static const char *filter_source(struct migration_imapc_list *mlist)
{
	const struct imapc_settings *set = mlist->list->set;

	return t_strdup_printf("%s:%u %s", set->imapc_host, set->imapc_port,
			       set->imapc_user);
}

static void filter_load(struct migration_imapc_mail_filter *mfilter)
{
	buffer_t *text = buffer_create_dynamic(default_pool, 4096);
	struct event *event = mfilter->mlist->muser->event;
	unsigned int damaged = 0;
	const char *error;

	if (migration_file_read(mfilter->path, FILTER_MEMORY_MAX_SIZE, text,
				&error) < 0) {
		mfilter->refusal = p_strdup(mfilter->mlist->list->list.pool,
			t_strdup_printf("Can't read which mails earlier runs "
					"left out: %s", error));
	} else {
		damaged = filter_memory_read(mfilter->memory, str_c(text));
	}
	if (damaged > 0) {
		e_debug(event, "%s: %u lines are damaged: of these mailboxes "
			"it is what the destination has that says what was "
			"left out", mfilter->path, damaged);
	}
	buffer_free(&text);
}

static const char *
filter_path(struct migration_imapc_list *mlist, const char **error_r)
{
	const char *path = migration_imapc_record_path(mlist);

	*error_r = mlist->muser->set->record[0] == '\0' ?
		"migration_imapc_record is empty" :
		"migration_imapc_record is in the home of a user who has none";
	return path == NULL ? NULL :
		t_strconcat(path, FILTER_MEMORY_SUFFIX, NULL);
}

void migration_imapc_mail_filter_init_memory(
	struct migration_imapc_mail_filter *mfilter)
{
	struct migration_imapc_list *mlist = mfilter->mlist;
	struct mail_user *user = mlist->list->list.ns->user;
	bool is_set = mail_filter_is_set(mfilter->filter);
	const char *path, *error;

	if (migration_imapc_user_is_imported(user))
		return;
	if (is_set && migration_imapc_user_is_synced(user)) {
		mfilter->refusal = "migration_imapc_filter_max_size, _since, "
			"_before and _flags are for one direction: a sync in "
			"both directions would take mails that are left out for "
			"deleted ones. Use backup, or sync with -1.";
		return;
	}
	path = filter_path(mlist, &error);
	if (path == NULL) {
		if (is_set) {
			mfilter->refusal = p_strdup_printf(mlist->list->list.pool,
				"migration_imapc_filter_max_size, _since, "
				"_before and _flags need a file to remember "
				"what was left out: %s", error);
		}
		return;
	}
	mfilter->path = i_strdup(path);
	mfilter->memory = filter_memory_init(filter_source(mlist));
	filter_load(mfilter);
}

/* ---- findings ---- */

static const char *
filter_uids_text(const ARRAY_TYPE(seq_range) *uids)
{
	string_t *str = t_str_new(128);

	imap_write_seq_range(str, uids);
	if (str_len(str) <= FILTER_MAX_UIDS_LEN)
		return str_c(str);
	str_truncate(str, FILTER_MAX_UIDS_LEN);
	while (str_len(str) > 0 && str_data(str)[str_len(str) - 1] != ',')
		str_truncate(str, str_len(str) - 1);
	str_append(str, "...");
	return str_c(str);
}

static void
filter_tell_late(struct migration_imapc_mail_filter *mfilter, const char *vname,
		 unsigned int count, const char *uids)
{
	migration_run_finding(
		migration_run_find(mfilter->mlist->list->list.ns->user),
		MIGRATION_SEVERITY_ERROR, vname, 0,
		FINDING_FILTERED_MAIL_WANTED,
		"%u mails%s were left out by an earlier run, and would not be "
		"any more: the filter or their flags have changed. Their UIDs "
		"are below those of later mails, where nothing can be put any "
		"more. When all runs of backup are done, doveadm import brings "
		"them over", count, uids);
}

static void filter_tell(struct filter_box *fbox)
{
	string_t *text = t_str_new(128);
	enum mail_filter_cause cause;
	unsigned int late = fbox->counts[MAIL_FILTER_CAUSE_NONE];

	for (cause = MAIL_FILTER_CAUSE_NONE + 1; cause < MAIL_FILTER_CAUSE_COUNT;
	     cause++) {
		if (fbox->counts[cause] == 0)
			continue;
		str_printfa(text, "%s%u mails are %s",
			    str_len(text) == 0 ? "" : "; ",
			    fbox->counts[cause], mail_filter_cause_text(cause));
	}
	if (str_len(text) > 0) {
		migration_run_finding(migration_run_find(
				fbox->mfilter->mlist->list->list.ns->user),
			MIGRATION_SEVERITY_INFO, fbox->vname, 0,
			FINDING_MAILS_FILTERED, "left out: %s", str_c(text));
	}
	if (late > 0) {
		filter_tell_late(fbox->mfilter, fbox->vname, late,
			t_strdup_printf(" (UIDs %s)",
					filter_uids_text(&fbox->late)));
	}
}

void migration_imapc_mail_filter_tell_again(
	struct migration_imapc_mail_filter *mfilter, const char *vname,
	const struct filter_memory_mailbox *memory)
{
	migration_run_finding(
		migration_run_find(mfilter->mlist->list->list.ns->user),
		MIGRATION_SEVERITY_INFO, vname, 0, FINDING_MAILS_FILTERED,
		"left out: %u mails, as in an earlier run",
		array_count(&memory->mails));
	if (memory->late_count > 0) {
		filter_tell_late(mfilter, vname, memory->late_count, "");
	}
}

/* ---- keeping it ---- */

static int
filter_write(struct migration_imapc_mail_filter *mfilter,
	     const struct filter_memory_mailbox *mailbox, const char **error_r)
{
	string_t *text = str_new(default_pool, 1024);
	int ret;

	if (!mfilter->compact) {
		filter_memory_write(mfilter->memory, text);
		ret = migration_file_replace(mfilter->path, text, error_r);
	} else {
		filter_memory_write_mailbox(mfilter->memory, mailbox, text);
		ret = migration_file_append(mfilter->path, text, error_r);
	}
	mfilter->compact = ret == 0;
	str_free(&text);
	return ret;
}

int migration_imapc_mail_filter_keep(struct filter_box *fbox,
				     const char **error_r)
{
	struct migration_imapc_mail_filter *mfilter = fbox->mfilter;
	struct mail_user *user = mfilter->mlist->list->list.ns->user;
	int ret = 0;

	fbox->next.late_count = fbox->counts[MAIL_FILTER_CAUSE_NONE];
	filter_tell(fbox);
	/* plan and verify decide nothing */
	if (user->dsyncing && mfilter->memory != NULL &&
	    filter_memory_set(mfilter->memory, &fbox->next))
		ret = filter_write(mfilter, &fbox->next, error_r);
	return ret;
}
