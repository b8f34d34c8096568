/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* gmail-folder-limit: a user can limit how many messages IMAP shows of each
   folder. Nothing says so, but All Mail says which labels its messages have. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "gmail-folder-count.h"
#include "migration-run.h"
#include "migration-gmail-private.h"

struct migration_gmail_count {
	enum gmail_place place;
	/* of the folder, or NULL if it was not read in this run */
	const char *vname;
	unsigned int shown, labelled;
};

static struct migration_gmail_count *
count_get(struct migration_gmail_list *mlist, const char *label)
{
	struct migration_gmail_count *count;

	count = hash_table_lookup(mlist->counts, label);
	if (count == NULL) {
		count = p_new(mlist->pool, struct migration_gmail_count, 1);
		label = p_strdup(mlist->pool, label);
		hash_table_insert(mlist->counts, label, count);
	}
	return count;
}

static void forget_labelled(struct migration_gmail_list *mlist)
{
	struct hash_iterate_context *iter;
	struct migration_gmail_count *count;
	const char *label;

	iter = hash_table_iterate_init(mlist->counts);
	while (hash_table_iterate(iter, mlist->counts, &label, &count))
		count->labelled = 0;
	hash_table_iterate_deinit(&iter);
}

void migration_gmail_counts_add(struct migration_gmail_mailbox *gbox)
{
	struct migration_gmail_list *mlist = gbox->mlist;
	const struct migration_gmail_table *table = gbox->table;
	const struct migration_gmail_entry *entry;
	struct migration_gmail_count *folder;
	const char *const *label;

	folder = count_get(mlist, table->place == GMAIL_PLACE_LABEL ?
			   imapc_mailbox_get_remote_name(gbox->mbox) :
			   gmail_place_label(table->place, table->place_name));
	folder->place = table->place;
	if (folder->vname == NULL)
		folder->vname = p_strdup(mlist->pool, gbox->mbox->box.vname);
	folder->shown = 0;
	if (table->place == GMAIL_PLACE_ALL)
		forget_labelled(mlist);
	array_foreach(&table->entries, entry) {
		folder->shown++;
		if (table->place != GMAIL_PLACE_ALL)
			continue;
		for (label = entry->mapping->labels; *label != NULL; label++)
			count_get(mlist, *label)->labelled++;
	}
}

static void
count_report(struct migration_run *run, const char *vname,
	     const struct gmail_folder_count *count)
{
	const char *remedy = "Choose \"Do not limit the number of messages in "
		"an IMAP folder\" in Gmail's settings, tab Forwarding and "
		"POP/IMAP, and run again.";

	switch (count->verdict) {
	case GMAIL_FOLDER_COMPLETE:
		break;
	case GMAIL_FOLDER_CUT_OFF:
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING, vname, 0,
			FINDING_GMAIL_FOLDER_LIMIT,
			"Gmail shows exactly %u messages, "
			"a limit that the user has set: there are %u or more by "
			"their labels. %s", count->shown, count->expected,
			remedy);
		break;
	case GMAIL_FOLDER_AT_LIMIT:
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING, vname, 0,
			FINDING_GMAIL_FOLDER_LIMIT,
			"Gmail shows exactly %u messages, "
			"which is one of the limits that a user can set. %s",
			count->shown, remedy);
		break;
	case GMAIL_FOLDER_DIFFERS:
		migration_run_finding(run, MIGRATION_SEVERITY_INFO, vname, 0,
			FINDING_GMAIL_FOLDER_COUNT,
			"Gmail shows %u messages, but there "
			"are %u by their labels. Run again: if it was changed "
			"during the run, this will be gone. Otherwise look at "
			"the limit of messages in Gmail's settings, tab "
			"Forwarding and POP/IMAP.", count->shown,
			count->expected);
		break;
	}
}

static void migration_gmail_counts_compare(struct migration_gmail_list *mlist)
{
	struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);
	ARRAY(struct gmail_folder_count) folders;
	ARRAY_TYPE(const_string) names;
	struct hash_iterate_context *iter;
	struct migration_gmail_count *count;
	struct gmail_folder_count *folder;
	const char *label;
	unsigned int i;

	t_array_init(&folders, 64);
	t_array_init(&names, 64);
	iter = hash_table_iterate_init(mlist->counts);
	while (hash_table_iterate(iter, mlist->counts, &label, &count)) {
		if (count->vname == NULL)
			continue;
		folder = array_append_space(&folders);
		folder->place = count->place;
		folder->shown = count->shown;
		folder->labelled = count->labelled;
		array_push_back(&names, &count->vname);
	}
	hash_table_iterate_deinit(&iter);

	if (array_is_empty(&folders))
		return;
	gmail_folder_counts_judge(array_front_modifiable(&folders),
				  array_count(&folders));
	for (i = 0; i < array_count(&folders); i++) {
		folder = array_idx_modifiable(&folders, i);
		e_debug(mlist->muser->event, "mailbox %s: shows %u messages, at "
			"least %u by their labels",
			array_idx_elem(&names, i), folder->shown,
			folder->expected);
		count_report(run, array_idx_elem(&names, i), folder);
	}
}

void migration_gmail_counts_report(struct migration_gmail_list *mlist)
{
	T_BEGIN {
		migration_gmail_counts_compare(mlist);
	} T_END;
}
