/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GMAIL_COPY_H
#define GMAIL_COPY_H

/* Gmail shows a message in several folders, with one id. Once the destination
   has it in one folder, the copy for another folder can be made from there:
   nothing is downloaded, and the two can share the stored text. */

struct gmail_copy_mail {
	/* UOFF_T_MAX if it is not known */
	uoff_t size;
	time_t received_date;
	/* "" and 0 if there is none */
	const char *pop3_uidl;
	uint32_t pop3_order;
};

enum gmail_copy_way {
	/* both mailboxes refer to the same stored mail */
	GMAIL_COPY_SHARE,
	/* the text comes from the local mail and is stored once more */
	GMAIL_COPY_TEXT,
	/* the local mail is of no use: the text comes from the source */
	GMAIL_COPY_FETCH,
};

/* Decides by what the two mails, which have the same id, have in common.
   metadata_is_shared tells that mails which share their text share the other
   fields as well (sdbox, mdbox), otherwise each has its own POP3 fields
   (Maildir). *reason_r is set on every path. */
enum gmail_copy_way
gmail_copy_decide(const struct gmail_copy_mail *source,
		  const struct gmail_copy_mail *local, bool metadata_is_shared,
		  const char **reason_r);

#endif
