/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef IMPORT_INDEX_H
#define IMPORT_INDEX_H

#include "seq-range-array.h"
#include "import-decide.h"

/* The mails that a mailbox had before an import began, each to be paired with
   at most one mail of the source. That makes counting right: a mail that is
   twice in the source and once here is imported once, and when the import is
   run again both have their partner.

   One mail takes about 60 bytes, plus 32 once its text had to be read. */
struct import_index;

/* What import_index_pair() wants to know before it can answer. */
enum import_need {
	/* evidence on the mail of the source */
	IMPORT_NEED_SOURCE,
	/* evidence on the mail dest_uid of the index */
	IMPORT_NEED_DEST,
	/* evidence on all mails of the index without a partner, and their
	   flags. Asked for once and for KEY and SIZE only. */
	IMPORT_NEED_ALL_DEST,
};

struct import_question {
	enum import_need need;
	enum import_evidence evidence;
	uint32_t dest_uid;
};

/* With reusable a mail is never taken: it is the partner of any number of
   mails. */
struct import_index *import_index_init(bool reusable);
void import_index_deinit(struct import_index **index);

/* Adds a mail; UIDs must ascend. identity has the GUID, or nothing if it
   cannot be read. All mails are added before the first question. */
void import_index_add(struct import_index *index, uint32_t uid,
		      const struct import_identity *identity);
unsigned int import_index_count(const struct import_index *index);

/* Answers a question for one mail: merges what identity has into what is
   known. */
void import_index_set(struct import_index *index, uint32_t uid,
		      const struct import_identity *identity);
/* IMPORT_NEED_ALL_DEST has been answered for all mails. */
void import_index_set_finished(struct import_index *index);

/* Takes the mail of this UID, which is in the index, as somebody's partner.
   FALSE if it is one already. */
bool import_index_take_uid(struct import_index *index, uint32_t uid);

/* Keywords as a set of bits, for struct import_identity. Two sets beyond 64
   keywords may look the same. */
uint64_t import_index_keywords(struct import_index *index,
			       const char *const *keywords);

/* UIDs of the mails that have no partner yet. */
void import_index_get_unpaired(const struct import_index *index,
			       ARRAY_TYPE(seq_range) *uids);

/* Finds a partner for a mail of the source.
   Returns 1 and *uid_r, the partner, which is taken from now on;
   0 if the mail is not here;
   -1 and *question_r if something must be found out first: answer it and call
   again with the same mail.
   *reason_r is set if the result is not -1. */
int import_index_pair(struct import_index *index,
		      const struct import_identity *src, uint32_t *uid_r,
		      struct import_question *question_r,
		      const char **reason_r);

#endif
