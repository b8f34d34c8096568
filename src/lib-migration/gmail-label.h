/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GMAIL_LABEL_H
#define GMAIL_LABEL_H

#include "mail-types.h"

struct imap_arg;
struct gmail_keywords;

/* Gmail stores a message once and gives it labels; over IMAP it shows one copy
   in the folder of each label, one in the folder of all mail, and the label
   names as X-GM-LABELS of each copy. What of this becomes a mailbox, a flag or
   a keyword is decided here. */

enum gmail_label_policy {
	/* what Gmail's IMAP shows: a folder for each label, and all mail */
	GMAIL_LABELS_FOLDERS,
	/* user labels are keywords; their folders are not migrated */
	GMAIL_LABELS_KEYWORDS,
	/* folders, and keywords on every copy */
	GMAIL_LABELS_BOTH,
};

/* What a mailbox of Gmail's is. */
enum gmail_place {
	/* the folder of a user label */
	GMAIL_PLACE_LABEL,
	GMAIL_PLACE_INBOX,
	GMAIL_PLACE_ALL,
	GMAIL_PLACE_SENT,
	GMAIL_PLACE_DRAFTS,
	GMAIL_PLACE_SPAM,
	GMAIL_PLACE_TRASH,
	GMAIL_PLACE_STARRED,
	GMAIL_PLACE_IMPORTANT,
	/* Gmail's own, but none of the above: [Gmail] itself, Chats */
	GMAIL_PLACE_OTHER,
};

struct gmail_label {
	/* as a person sees it: UTF-8. Gmail's own labels, which can be written
	   "\\Inbox" as an atom or as a string, begin with one backslash. */
	const char *name;
	/* as Gmail sent it: the name that the label's folder has in IMAP */
	const char *imap_name;
	bool system:1;
};
ARRAY_DEFINE_TYPE(gmail_label, struct gmail_label);

/* What becomes of one label of one message. */
struct gmail_label_decision {
	/* the special-use attribute or the name of a mailbox that shows the
	   message at the destination because of the label, or NULL */
	const char *mailbox;
	enum mail_flags flags;
	/* or NULL */
	const char *keyword;
	const char *reason;
};

/* What becomes of one copy of a message. */
struct gmail_message {
	const struct gmail_label *labels;
	unsigned int labels_count;
	/* the mailbox that shows this copy. Its own label is not among the
	   labels (Gmail leaves it out). */
	enum gmail_place place;
	/* name of the mailbox (UTF-8), used for GMAIL_PLACE_LABEL and _OTHER */
	const char *place_name;
};

struct gmail_mapping {
	/* Where the message is to be found at the destination after all: "INBOX",
	   special-use attributes such as "\\All" (their folders' names are in
	   the user's language), and folders of user labels. */
	ARRAY_TYPE(const_string) mailboxes;
	/* to be added to those that the server gives */
	enum mail_flags flags;
	ARRAY_TYPE(const_string) keywords;
	/* one phrase for each label, separated by "; " */
	const char *reason;
};

/* Keyword by which Dovecot's gmail-migration marks, in All Mail, the messages
   that another folder shows as well. Stock spelling. */
#define GMAIL_KEYWORD_HAVE_LABELS "$GMailHaveLabels"
#define GMAIL_KEYWORD_IMPORTANT "$Important"
#define GMAIL_KEYWORD_MUTED "$Muted"

/* The value of migration_gmail_labels; unknown words are refused earlier. */
enum gmail_label_policy gmail_label_policy_parse(const char *value);

/* What a mailbox is. special_use is its attribute in LIST or "". system_prefix
   is what the names of Gmail's own folders begin with, see below. */
enum gmail_place gmail_place_find(const char *name, const char *special_use,
				  const char *system_prefix);
/* The prefix, with the separator, as learned from the name of the \All folder;
   NULL if the user hides that folder from IMAP. "[Gmail]/", or "[Google Mail]/"
   where Google could not use the name Gmail. */
const char *gmail_system_prefix(const char *all_name);
/* "\\All", "INBOX", ...; for GMAIL_PLACE_LABEL and _OTHER the name. */
const char *gmail_place_mailbox(enum gmail_place place, const char *name);
/* The name of the label that the messages of a place have elsewhere: "\\Inbox",
   "\\Sent", ...; what gmail_place_mailbox() says if they have none. */
const char *gmail_place_label(enum gmail_place place, const char *name);

/* TRUE if the policy migrates such a mailbox. *reason_r is always set. */
bool gmail_mailbox_is_migrated(enum gmail_place place, const char *name,
			       enum gmail_label_policy policy,
			       struct gmail_keywords *keywords,
			       const char **reason_r);
/* The same for a label that has a keyword. */
bool gmail_place_is_migrated(enum gmail_place place,
			     enum gmail_label_policy policy,
			     const char **reason_r);

/* Reads the value of X-GM-LABELS. A name that is not valid modified UTF-7 is
   kept as it is. Returns 0, or -1 if the value is not a list of strings. */
int gmail_labels_parse(const struct imap_arg *arg, pool_t pool,
		       ARRAY_TYPE(gmail_label) *labels_r);

/* What the policy makes of a label. Strings live as long as `keywords`, or on
   the data stack. */
void gmail_label_decide(const struct gmail_label *label,
			enum gmail_label_policy policy,
			struct gmail_keywords *keywords,
			struct gmail_label_decision *decision_r);

/* The same for all labels of a message, its place included (data stack). */
void gmail_message_map(const struct gmail_message *msg,
		       enum gmail_label_policy policy,
		       struct gmail_keywords *keywords,
		       struct gmail_mapping *mapping_r);

#endif
