/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PLACEHOLDER_H
#define PLACEHOLDER_H

/* The mail that is stored in place of one that the source does not give: its
   true header as far as it could be read, a text that says what happened, and
   every part that could be read. It says of itself what it is in a header field
   of its own, and is well-formed MIME whatever the mail was.

   The header fields that describe the body (Content-*, MIME-Version) are kept
   under the prefix X-Migration-Original-, because the body is another one. All
   others, and so what dsync takes for the mail's identity, stay. */

#define PLACEHOLDER_HEADER "X-Migration-Placeholder"

struct placeholder {
	/* where the mail is at the source */
	const char *mailbox;
	uint32_t uidvalidity, uid;
	time_t internaldate;
	/* what RFC822.SIZE says, or UOFF_T_MAX */
	uoff_t size;
	/* what the server answered, or how the connection ended */
	const char *words;
	/* the header with its line ends, NULL if it could not be read */
	const char *header;
};

struct placeholder_part {
	/* "1", "2.1"; or "TEXT" for the whole body, whose description is in the
	   mail's header */
	const char *number;
	/* the part's own header, NULL if it could not be read */
	const char *mime_header;
	/* bytes that could be read, and whether these are all */
	uoff_t size;
	bool complete;
};

/* Writes the header and the text, which names the parts. Their data follow:
   for each part placeholder_write_part() and then the data, at last
   placeholder_write_end(). */
void placeholder_write_begin(string_t *dest, const struct placeholder *mail,
			     const struct placeholder_part *parts,
			     unsigned int parts_count);
void placeholder_write_part(string_t *dest, const struct placeholder *mail,
			    const struct placeholder_part *part);
void placeholder_write_end(string_t *dest, const struct placeholder *mail);

/* The header fields that a mail gets of which none could be read: all but
   PLACEHOLDER_HEADER. */
void placeholder_write_made_header(string_t *dest,
				   const struct placeholder *mail);

/* TRUE if the header, which may be NULL, says that the body has parts. */
bool placeholder_header_is_multipart(const char *header);

#endif
