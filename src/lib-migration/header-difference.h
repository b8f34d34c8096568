/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HEADER_DIFFERENCE_H
#define HEADER_DIFFERENCE_H

/* For a person who wants to know why two headers were not taken for one. */

/* The field's value on one line, unfolded, at most 100 characters of it and
   nothing unprintable; "" if the field is not there. Data stack. */
const char *header_get_value(const unsigned char *data, size_t size,
			     const char *name);

/* What differs between a mail's header over POP3 and over IMAP, as a list for a
   sentence, e.g. "X-Foo only over IMAP, Subject with 8-bit bytes replaced by ?,
   Date differs". "" if nothing does. Fields and changes that never keep mails
   apart (header-digest.h) are not named. Data stack. */
const char *
header_difference(const unsigned char *pop3, size_t pop3_size,
		  const unsigned char *imap, size_t imap_size);

#endif
