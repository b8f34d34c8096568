/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_NAME_H
#define MAILBOX_NAME_H

/* A source's mailbox names at a destination that cannot hold all of them.

   A name that the destination can hold stays as it is. In others, what it
   cannot hold is written as "=" and two hex digits (upper case): "a.b" becomes
   "a=2Eb" in Maildir++, whose "." separates levels. Nothing but the name itself
   decides this, so it is the same in each run, and mailbox_name_unfit() gets
   the source's name back. Two names never become one.

   Bytes of a name that is no valid modified UTF-7 (RFC 3501 5.1.3), or not the
   one way to write it that this RFC allows, are written as "==" and two hex
   digits: such a name is an identifier only. */

/* What the destination is like. */
struct mailbox_name_rules {
	/* between the levels of the names that clients see */
	char separator;
	/* between the levels of its storage: '.' in Maildir++, else '/' */
	char storage_separator;
	/* All levels are one file name, at most 255 bytes (Maildir++); else
	   each level is one. */
	bool one_file_name;
	/* Dovecot is configured to escape in its storage what file names cannot
	   hold (mailbox_list_storage_escape_char). */
	bool storage_escapes;
	/* file names are UTF-8, not modified UTF-7 */
	bool storage_utf8;
	/* A "%" with two hex digits after it is read as another character
	   (imapc-percent). */
	bool percent_is_misread;
	/* level names that the storage uses itself, e.g. cur, new and tmp;
	   NULL-terminated, or NULL */
	const char *const *reserved;
	/* Names that belong to other namespaces of the destination, as all that
	   is below them; NULL-terminated, or NULL */
	const char *const *other_namespaces;
	/* The folder of the mailboxes holds files of Dovecot's, too: Maildir
	   with LAYOUT=fs. */
	bool root_has_files;
};

/* Returns the name at the destination (data stack): UTF-8, levels separated by
   rules->separator. remote_name is what the server says, without a namespace
   prefix, with its separator, or '\0' if it has none. It is never the INBOX
   itself, so a name that looks like it is escaped; with below_prefix, which says
   that a prefix was taken off, also such a first level. *reason_r says why the
   name is not the source's, or is NULL.

   A level that is too long for a file name is cut, and ends with "=~" and 16
   hex digits of its digest; if there is no room for that below its parents, the
   mailbox becomes one at the top. The source's name is in the report only then. */
const char *
mailbox_name_fit(const char *remote_name, char remote_separator,
		 bool below_prefix, const struct mailbox_name_rules *rules,
		 const char **reason_r);

/* TRUE if every storage can hold the name as it is: some letters and digits of
   ASCII and blanks in each of its levels, and no more than that. */
bool mailbox_name_is_plain(const char *name, char separator);

/* The reverse: returns TRUE and *remote_name_r (data stack), or FALSE if the
   name was cut, or is none that mailbox_name_fit() makes. */
bool mailbox_name_unfit(const char *name, char separator, char remote_separator,
			const char **remote_name_r);

/* Another name for a mailbox whose name is taken: the same for the same
   remote_name (data stack). */
const char *
mailbox_name_differ(const char *name, const char *remote_name);

#endif
