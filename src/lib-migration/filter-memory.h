/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FILTER_MEMORY_H
#define FILTER_MEMORY_H

#include "guid.h"

/* Which mails earlier runs left out (mail-filter.h), as a file of one line for
   each mailbox. A later line of a mailbox replaces an earlier one, so what is
   decided is appended before dsync acts on it. A line that is cut off or damaged
   is as if it were not there. */

struct filter_memory;

/* A mail that was left out, and what it was left out by. */
struct filter_memory_mail {
	uint32_t uid;
	/* UOFF_T_MAX and (time_t)-1 if they were not asked for */
	uoff_t size;
	time_t received_date;
};
ARRAY_DEFINE_TYPE(filter_memory_mail, struct filter_memory_mail);

struct filter_memory_mailbox {
	guid_128_t guid;
	uint32_t uidvalidity;
	/* all mails below were decided about */
	uint32_t decided_uid;
	/* those that were left out, ascending by UID; all others were not */
	ARRAY_TYPE(filter_memory_mail) mails;
	/* how many of them would not be left out any more */
	unsigned int late_count;
};

/* source names server and account: what was decided for others is kept, and not
   believed. */
struct filter_memory *filter_memory_init(const char *source);
void filter_memory_deinit(struct filter_memory **memory);

/* Reads the file. Returns the number of lines that are damaged. */
unsigned int filter_memory_read(struct filter_memory *memory, const char *text);
/* Appends the whole file. */
void filter_memory_write(const struct filter_memory *memory, string_t *dest);
/* Appends a mailbox's line. */
void filter_memory_write_mailbox(const struct filter_memory *memory,
				 const struct filter_memory_mailbox *mailbox,
				 string_t *dest);
/* TRUE if something is known of this source. */
bool filter_memory_has_any(const struct filter_memory *memory);

/* NULL if nothing was decided about it since it has this UIDVALIDITY. It stays
   what it is until filter_memory_set(). */
const struct filter_memory_mailbox *
filter_memory_find(const struct filter_memory *memory, const guid_128_t guid,
		   uint32_t uidvalidity);
/* Replaces what was known of the mailbox. Everything is copied. Returns FALSE if
   it was the same. */
bool filter_memory_set(struct filter_memory *memory,
		       const struct filter_memory_mailbox *mailbox);
/* NULL if the mail was not left out. */
const struct filter_memory_mail *
filter_memory_find_mail(const struct filter_memory_mailbox *mailbox,
			uint32_t uid);

#endif
