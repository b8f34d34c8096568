/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_NAME_H
#define IMPORT_NAME_H

/* Names of an import's mailboxes. `doveadm import` changes the source's
   hierarchy separator to the destination's, and a separator of the destination
   that stands in a name to "_". Two mailboxes of the source, "x.y" and "x_y",
   can come to one name then, and their mails into one mailbox. */

/* The name that `doveadm import` gives (data stack). */
const char *
import_name_convert(const char *vname, char source_sep, char dest_sep);

/* The name under which a mailbox is kept apart from all others of the source
   (NULL-terminated, its own may be among them): what import_name_convert()
   gives, unless another one has more right to that. The one whose name need not
   be changed has it, else the first in byte order. The others get "_" and eight
   hex digits of their name's SHA-1 behind it, the same ones in each run.
   *rival_r is the one who has the name, or NULL (data stack). */
const char *
import_name_decide(const char *vname, const char *const *all_vnames,
		   char source_sep, char dest_sep, const char **rival_r);

/* A name for a mailbox whose storage has a name that is no modified UTF-7 (RFC
   3501 5.1.3): Dovecot lists it and does not find it then. name is what Dovecot
   makes of it, which is what the storage says, byte for byte. Text remains as
   it is ("R&D", "Gr\303\266\303\237e"); bytes that are no UTF-8, and control
   characters, become "==" and two hex digits, as in mailbox-name.h, and so does
   the first letter of what clients would take for the INBOX (data stack). */
const char *import_name_of_bytes(const char *name);

/* TRUE if the mailbox is below the parent, in names of one storage. */
bool import_name_is_below(const char *name, const char *parent, char sep);

#endif
