/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FETCH_CHUNK_H
#define FETCH_CHUNK_H

/* Cuts what is wanted of a mailbox into commands: each as large as the limits
   allow, so that many of them follow one another on the wire and none of them
   is too much for the server, for its limit of a line or for our memory. */

struct fetch_chunk_limits {
	/* mails in one command; at least 1 */
	unsigned int mails;
	/* sum of their sizes; a larger mail goes alone */
	uint64_t bytes;
	/* characters of the set of UIDs. RFC 7162 wants servers to take lines
	   of 8192, RFC 2683 asks clients to stay below 1000. */
	unsigned int line;
};

struct fetch_chunk {
	struct fetch_chunk_limits limits;

	unsigned int mails;
	uint64_t bytes;
	string_t *uids;
	uint32_t range_uid1, range_uid2;
};

/* uids becomes the set of UIDs; it is emptied first. */
void fetch_chunk_init(struct fetch_chunk *chunk,
		      const struct fetch_chunk_limits *limits, string_t *uids);
/* Adds a mail, if it fits. UIDs must ascend. The first mail always fits. After
   FALSE finish this chunk and add the mail to the next one. */
bool fetch_chunk_add(struct fetch_chunk *chunk, uint32_t uid, uint64_t size);
/* No more mails: the set is complete. */
void fetch_chunk_finish(struct fetch_chunk *chunk);

/* How many mails a command may ask for after the server refused one that asked
   for this many: half of them; 0 if there is nothing to halve. */
unsigned int fetch_chunk_halve(unsigned int mails);

#endif
