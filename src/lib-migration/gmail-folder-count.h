/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GMAIL_FOLDER_COUNT_H
#define GMAIL_FOLDER_COUNT_H

#include "gmail-label.h"

/* A user can limit how many messages IMAP shows of each folder: the newest
   1000, 2000, 5000 or 10000. Gmail does not say so, but each message of All Mail
   has the labels of all folders that must show it. So what a folder shows is
   compared with the number of messages that have its label in All Mail, and All
   Mail with the folders. */

enum gmail_folder_verdict {
	/* nothing is missing, as far as can be known */
	GMAIL_FOLDER_COMPLETE,
	/* as many messages as a limit allows, and there must be more */
	GMAIL_FOLDER_CUT_OFF,
	/* as many messages as a limit allows, and nothing to compare with that
	   would not be limited itself */
	GMAIL_FOLDER_AT_LIMIT,
	/* fewer messages than there must be, but no limit has this number:
	   labels can have changed between the two looks */
	GMAIL_FOLDER_DIFFERS,
};

struct gmail_folder_count {
	enum gmail_place place;
	/* messages that the folder shows */
	unsigned int shown;
	/* messages of All Mail that have the folder's label. Unused for All Mail
	   itself, for folders whose messages are not in All Mail (Spam, Trash),
	   and if All Mail is not among the folders. */
	unsigned int labelled;

	/* what comes out: messages that the folder must have at least */
	unsigned int expected;
	enum gmail_folder_verdict verdict;
};

/* Fills in the results. All Mail is one of the folders, unless it was not
   read. */
void gmail_folder_counts_judge(struct gmail_folder_count *folders,
			       unsigned int count);

#endif
