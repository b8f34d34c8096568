/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HEADER_DIGEST_H
#define HEADER_DIGEST_H

/* What is left of a mail's header after everything was taken away that servers
   change between their IMAP and their POP3 view of it (QUIRKS.md,
   "header-views"). Two mails with one digest have the same header for every
   purpose of matching. */

struct header_digest {
	/* All fields, in any order, without those that servers add. */
	uint64_t all[2];
	/* Hashes of single fields' values. 0 = the field is not there. */
	uint64_t message_id, date, from, subject;
	/* The first half of the MD5 of the Message-ID, with its angle brackets
	   and without them: some servers make POP3 UIDLs of it. */
	uint64_t message_id_md5[2];
	/* Bytes up to and including the empty line, every line end counted as
	   CR LF, as IMAP and POP3 count sizes. */
	uint32_t raw_size;
	/* Fields that went into all. */
	uint32_t field_count;
};

enum header_likeness {
	/* Nothing speaks for one mail. */
	HEADER_LIKENESS_OTHER = 0,
	/* Message-ID, Date and From are the same, other fields are not. */
	HEADER_LIKENESS_FIELDS,
	/* All fields are the same. */
	HEADER_LIKENESS_EQUAL,
};

/* What is left of a body: line ends, the final newline and NUL do not count.
   The text of a mail without header fields belongs to it. */
struct body_digest {
	uint64_t sum[2];
};

/* Digest a header. Reads up to the empty line, or to the end without one. */
void header_digest_get(const unsigned char *data, size_t size,
		       struct header_digest *digest_r);

enum header_likeness
header_digest_compare(const struct header_digest *a,
		      const struct header_digest *b);
/* TRUE if the header says enough to identify a mail. Mails without Message-ID
   and with next to no other field look all alike. */
bool header_digest_is_telling(const struct header_digest *digest);

/* Digest of Message-ID, Date and From. FALSE if there is no Message-ID. */
bool header_digest_get_fields(const struct header_digest *digest,
			      uint64_t sum_r[2]);

/* What digest.message_id is if the header has this Message-ID. */
uint64_t header_digest_of_message_id(const char *message_id);

/* TRUE if there is nothing in the body that counts. */
bool body_digest_is_empty(const struct body_digest *digest);

/* A whole mail in pieces, as a stream gives it. */
struct istream;
struct mail_digest;

struct mail_digest *mail_digest_init(void);
void mail_digest_more(struct mail_digest *digest,
		      const unsigned char *data, size_t size);
/* Adds the stream from where it stands. Returns 0, or -1 if it cannot be read. */
int mail_digest_stream(struct mail_digest *digest, struct istream *input);
/* The header so far, as it was added. Valid until more is added. */
const unsigned char *
mail_digest_get_header_text(struct mail_digest *digest, size_t *size_r);
/* Gives both digests of what was added and frees. Either may be NULL. */
void mail_digest_deinit(struct mail_digest **digest,
			struct header_digest *header_r,
			struct body_digest *body_r);

#endif
