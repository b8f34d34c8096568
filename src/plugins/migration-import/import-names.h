/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_NAMES_H
#define IMPORT_NAMES_H

struct mailbox;

/* What stock has put in front of the source's name, whose separators it has
   changed to the destination's (of the mailbox's pool). NULL if this is no mailbox
   to import into. */
const char *import_names_get_parent(struct mailbox *box,
				    const struct mailbox *source_box);

/* Stock changes a separator of the destination in a source's name to '_', so
   that two mailboxes can come to have one name. One of them gets another name
   then, and a finding. Nobody has looked at the mailbox yet: it can still be
   another one.

   *vnames are the names of the source's mailboxes, NULL-terminated, or NULL if
   they were not needed yet: then they are read, of the source user's pool, which
   can cost a remote server's answer. */
void import_names_keep_apart(struct mailbox *box,
			     const struct mailbox *source_box,
			     const char *parent, const char *const **vnames);

#endif
