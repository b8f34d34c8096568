/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FETCH_PLAN_H
#define FETCH_PLAN_H

/* What a search of a source mailbox should ask of the server up front, for all
   mails at once, beyond what its caller asked for. Everything that the caller
   asks for only after it got the mail costs a round trip for each mail. */

enum fetch_plan_item {
	FETCH_PLAN_ITEM_BODY		= 0x01,
	FETCH_PLAN_ITEM_HEADER		= 0x02,
	FETCH_PLAN_ITEM_INTERNALDATE	= 0x04,
	FETCH_PLAN_ITEM_SIZE		= 0x08,
	/* an identity of the mail, such as X-GM-MSGID */
	FETCH_PLAN_ITEM_GUID		= 0x10,
};

struct fetch_plan_search {
	/* name of the doveadm command, or of the function, that searches */
	const char *command;
	/* what the search itself asks for */
	enum fetch_plan_item wanted;
	/* imapc makes the GUID from the whole header (guid-forced) */
	bool guid_from_header;
	/* what dsync was seen to ask for later, in an earlier search */
	enum fetch_plan_item learned;
	/* the search is dsync's list of all mails (not their texts) */
	bool dsync_list;
	/* which mails the search finds is known without looking into them */
	bool matches_known;
};

/* Returns the items to add to the wanted ones. reason_r is set if there are
   any, NULL otherwise. */
enum fetch_plan_item
fetch_plan_extend(const struct fetch_plan_search *search,
		  const char **reason_r);

/* Returns the items as IMAP FETCH calls them, for log lines. */
const char *fetch_plan_items_to_str(enum fetch_plan_item items);

/* TRUE if the doveadm command copies every mail that its search finds. */
bool fetch_plan_command_copies(const char *command);

#endif
