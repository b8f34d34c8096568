/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "gmail-folder-count.h"

static bool is_a_limit(unsigned int messages)
{
	/* the choices of "Limit IMAP folders to contain no more than this many
	   messages" */
	return messages == 1000 || messages == 2000 || messages == 5000 ||
		messages == 10000;
}

static bool is_part_of_all_mail(enum gmail_place place)
{
	switch (place) {
	case GMAIL_PLACE_LABEL:
	case GMAIL_PLACE_INBOX:
	case GMAIL_PLACE_SENT:
	case GMAIL_PLACE_DRAFTS:
	case GMAIL_PLACE_STARRED:
	case GMAIL_PLACE_IMPORTANT:
		return TRUE;
	default:
		return FALSE;
	}
}

/* What All Mail must have because a folder shows it. Gmail promises for the
   labels of users and the inbox only that all their messages carry the label. */
static unsigned int
all_mail_lacks(const struct gmail_folder_count *folders, unsigned int count)
{
	unsigned int i, lacks = 0;

	for (i = 0; i < count; i++) {
		if (folders[i].place != GMAIL_PLACE_LABEL &&
		    folders[i].place != GMAIL_PLACE_INBOX)
			continue;
		if (folders[i].shown > folders[i].labelled)
			lacks = I_MAX(lacks, folders[i].shown -
				      folders[i].labelled);
	}
	return lacks;
}

static enum gmail_folder_verdict
judge(const struct gmail_folder_count *folder, bool comparable)
{
	if (folder->shown < folder->expected) {
		return is_a_limit(folder->shown) ? GMAIL_FOLDER_CUT_OFF :
			GMAIL_FOLDER_DIFFERS;
	}
	return is_a_limit(folder->shown) && !comparable ?
		GMAIL_FOLDER_AT_LIMIT : GMAIL_FOLDER_COMPLETE;
}

void gmail_folder_counts_judge(struct gmail_folder_count *folders,
			       unsigned int count)
{
	const struct gmail_folder_count *all = NULL;
	struct gmail_folder_count *folder;
	unsigned int i;
	bool comparable;

	for (i = 0; i < count; i++) {
		if (folders[i].place == GMAIL_PLACE_ALL)
			all = &folders[i];
	}
	for (i = 0; i < count; i++) {
		folder = &folders[i];
		comparable = FALSE;
		folder->expected = folder->shown;
		if (all == NULL)
			;
		else if (folder == all)
			folder->expected += all_mail_lacks(folders, count);
		else if (is_part_of_all_mail(folder->place)) {
			folder->expected = I_MAX(folder->shown, folder->labelled);
			comparable = !is_a_limit(all->shown);
		}
		folder->verdict = judge(folder, comparable);
	}
}
