/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SYNC_RECORD_H
#define SYNC_RECORD_H

/* What both sides of a mailbox were when they were last seen to be the same.
   HIGHESTMODSEQs of two servers have nothing to do with each other, so one side
   says nothing of the other one. But if each of the two is what it was when they
   were the same, they still are. */

/* One side of a mailbox at one moment: enough to see that it is as it was. */
struct sync_side {
	uint32_t uidvalidity, uidnext, messages;
	/* 0: the server has none, or it means nothing */
	uint64_t highestmodseq;
	/* the first mail with \Recent; the destination's only */
	uint32_t first_recent_uid;
};

/* TRUE if one side is what it was. reason_r is set on both paths. */
bool sync_side_is_same(const struct sync_side *then,
		       const struct sync_side *now, const char **reason_r);

struct sync_record;

/* key names all on which the comparison depended: server, account, options. */
struct sync_record *sync_record_init(const char *key);
void sync_record_deinit(struct sync_record **record);

/* Fills an empty record from what sync_record_write() wrote. Returns FALSE and
   reason_r if that is not to be trusted, because it is damaged or was written
   for another key: the record stays empty. */
bool sync_record_read(struct sync_record *record, const char *text,
		      const char **reason_r);
void sync_record_write(const struct sync_record *record, string_t *dest);

/* The two sides of this mailbox are the same. */
void sync_record_set(struct sync_record *record, const char *mailbox,
		     const struct sync_side *source,
		     const struct sync_side *dest);
/* Nothing is known of this mailbox. */
void sync_record_unset(struct sync_record *record, const char *mailbox);
unsigned int sync_record_count(const struct sync_record *record);
/* What the two sides were when they were the same. FALSE if nothing is known
   of the mailbox. */
bool sync_record_get(const struct sync_record *record, const char *mailbox,
		     struct sync_side *source_r, struct sync_side *dest_r);

/* TRUE if this side of the mailbox is what it was. reason_r is set on both
   paths. */
bool sync_record_source_is_same(const struct sync_record *record,
				const char *mailbox,
				const struct sync_side *source,
				const char **reason_r);
bool sync_record_dest_is_same(const struct sync_record *record,
			      const char *mailbox,
			      const struct sync_side *dest,
			      const char **reason_r);

#endif
