/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_MAP_H
#define MAILBOX_MAP_H

#include "mailbox-prefix.h"

/* Which of a source's mailboxes are migrated, and under which names. */

/* The administrator's rules (migration_imapc_map), separated by ";" or line ends:

     \Sent = Sent            the mailbox with this special-use (RFC 6154)
     Old Mail = Archive      one mailbox; its children go with it
     Archiv/2* = Archive/2*  all that match; "*" is what it matched, "?" is any
                             one character
     !Spam, !\Junk, !Old *   left out
     +Sent, +\Drafts         only these (and further ones with "+")

   Names are those that the mailboxes have at the destination without rules, with
   "/" between levels. "\Other" and "\Shared" stand for all mailboxes of other
   users and for shared ones. A name with ; = ! + " \ * ? or blanks at its ends
   is written in double quotes, in which \ stands before " and \; what is quoted
   has no wildcards. The first rule that matches a mailbox counts; one that leaves
   out comes before one that renames. */
struct mailbox_map;

/* Returns 0 and *map_r, or -1 and *error_r (data stack), which says what is wrong
   with which rule. An empty text has no rules. */
int mailbox_map_parse(pool_t pool, const char *text,
		      struct mailbox_map **map_r, const char **error_r);

/* A mailbox that the destination is configured to have for a special use. */
struct mailbox_map_use {
	const char *special_use;
	/* its name, as clients see it */
	const char *name;
};

enum mailbox_map_change {
	/* it keeps the name that it has without rules */
	MAILBOX_MAP_KEPT,
	/* a rule, or its special-use, gives it another one */
	MAILBOX_MAP_RENAMED,
	/* its name is another mailbox's */
	MAILBOX_MAP_TAKEN,
	/* it is not migrated: a rule says so */
	MAILBOX_MAP_LEFT_OUT,
	/* it is not selectable and another mailbox has its name */
	MAILBOX_MAP_MERGED,
};

struct mailbox_map_entry {
	const char *remote_name;
	/* its name without rules: mailbox_name_fit() */
	const char *name;
	/* special-use attributes with blanks between them, "" for none */
	const char *special_use;
	enum mailbox_owner owner;
	bool is_inbox;
	/* \Noselect or \NonExistent: only its children are mailboxes */
	bool noselect;

	/* The rest is the decision. NULL: not migrated. */
	const char *dest;
	enum mailbox_map_change change;
	/* why, unless change is KEPT; else NULL, or why it was not renamed */
	const char *reason;
};
ARRAY_DEFINE_TYPE(mailbox_map_entry, struct mailbox_map_entry);

/* Decides for all mailboxes; the texts are on the data stack or belong to the
   arguments. Entries get sorted by remote_name. uses is what the destination is
   configured for: a mailbox with that special-use goes there, unless a rule says
   otherwise, several have that use, or the name is another mailbox's.

   Returns 0, or -1 and *error_r if rules cannot be followed: several mailboxes
   would become one, or the INBOX another mailbox. */
int mailbox_map_apply(const struct mailbox_map *map,
		      const struct mailbox_map_use *uses, unsigned int uses_count,
		      char separator, ARRAY_TYPE(mailbox_map_entry) *entries,
		      const char **error_r);

/* The name that the rules give to one mailbox without special-use, of which only
   the name is known, or NULL if they leave it out. */
const char *
mailbox_map_name(const struct mailbox_map *map, const char *name,
		 char separator);

#endif
