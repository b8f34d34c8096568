/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GMAIL_TAKEOUT_H
#define GMAIL_TAKEOUT_H

#include "gmail-label.h"

/* An archive of Google Takeout is an mbox whose mails tell their labels in a
   header field of their own:

     X-GM-THRID: 1864464279665606918
     X-Gmail-Labels: Inbox,Important,Unread,"A, B",Category Updates

   Google calls it CSV. As soon as there is a letter that is not ASCII, all of it
   is one text of encoded words (RFC 2047). Gmail's own labels are in the language
   of the account, and there are some that IMAP does not have: Opened, Unread and
   Archived, the categories, and the keywords that mail clients gave the message
   over IMAP, as IMAP_keyword. */

#define GMAIL_TAKEOUT_HEADER "X-Gmail-Labels"

struct gmail_takeout {
	/* as if Gmail had sent them as X-GM-LABELS */
	ARRAY_TYPE(gmail_label) labels;
	/* TRASH and SPAM if Gmail shows the message there alone, else ALL */
	enum gmail_place place;
	/* \Seen, \Draft */
	enum mail_flags flags;
	/* of mail clients */
	ARRAY_TYPE(const_string) keywords;
};

/* value is the decoded header field, UTF-8. What is returned lives in the
   pool. */
void gmail_takeout_parse(const char *value, pool_t pool,
			 struct gmail_takeout *takeout_r);

/* The name of the folder for one of the mailboxes in struct gmail_mapping, if
   the destination has none with its special-use attribute: "\\Sent" -> "Sent". */
const char *gmail_takeout_folder(const char *mailbox);

#endif
