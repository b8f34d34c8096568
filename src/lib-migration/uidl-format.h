/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_FORMAT_H
#define UIDL_FORMAT_H

/* POP3 UIDLs that a server makes from what IMAP shows as well. A format is
   never assumed: it says what a UIDL would mean, the matcher confirms it. */

struct uidl_format {
	/* For reports. */
	const char *name;
	/* v, u: UIDVALIDITY and UID in decimal. V, U: as eight hex digits.
	   G: X-GM-MSGID in hex. Everything else stands for itself. */
	const char *pattern;
	/* pop3_uidl_format that makes the same UIDLs on Dovecot 2.3 and 2.4,
	   NULL if none does. */
	const char *dovecot_23, *dovecot_24;
};

struct uidl_format_value {
	uint32_t uidvalidity, uid;
	uint64_t gmail_msgid;
};

/* All formats, ended by a NULL name. */
extern const struct uidl_format uidl_formats[];

/* TRUE if the format's UIDLs name the UIDVALIDITY, so that they cannot be
   another counter by chance. */
bool uidl_format_has_uidvalidity(const struct uidl_format *format);
bool uidl_format_has_gmail_msgid(const struct uidl_format *format);

/* Read a UIDL. FALSE if it is not of the format; value_r's members that the
   format does not name are 0. */
bool uidl_format_parse(const struct uidl_format *format, const char *uidl,
		       struct uidl_format_value *value_r);
/* Write a UIDL into the data stack. */
const char *uidl_format_write(const struct uidl_format *format,
			      const struct uidl_format_value *value);

#endif
