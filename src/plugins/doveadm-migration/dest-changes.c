/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "mail-index-private.h"
#include "mail-transaction-log.h"
#include "mail-storage-private.h"
#include "dest-changes.h"

struct change_reader {
	pool_t pool;
	ARRAY_TYPE(dsync_plan_mail) *mails;
};

static int mail_uid_cmp(const uint32_t *uid, const struct dsync_plan_mail *mail)
{
	return *uid < mail->uid ? -1 : *uid > mail->uid ? 1 : 0;
}

/* The index of the first mail from this UID on. */
static unsigned int first_mail(struct change_reader *reader, uint32_t uid)
{
	unsigned int idx;

	(void)array_bsearch_insert_pos(reader->mails, &uid, mail_uid_cmp, &idx);
	return idx;
}

static struct dsync_plan_mail *
mail_in_range(struct change_reader *reader, unsigned int idx, uint32_t last_uid)
{
	struct dsync_plan_mail *mail;

	if (idx >= array_count(reader->mails))
		return NULL;
	mail = array_idx_modifiable(reader->mails, idx);
	return mail->uid > last_uid ? NULL : mail;
}

static void
read_flags(struct change_reader *reader, const void *data, size_t size)
{
	const struct mail_transaction_flag_update *rec = data, *end;
	struct dsync_plan_mail *mail;
	unsigned int idx;
	enum mail_flags added, removed;

	end = CONST_PTR_OFFSET(data, size);
	for (; rec < end; rec++) {
		added = rec->add_flags;
		removed = rec->remove_flags;
		idx = first_mail(reader, rec->uid1);
		while ((mail = mail_in_range(reader, idx++, rec->uid2)) != NULL) {
			mail->flags_added |= added;
			mail->flags_removed &= ENUM_NEGATE(added);
			mail->flags_removed |= removed;
			mail->flags_added &= ENUM_NEGATE(removed);
		}
	}
}

static const char *const *
words_with(pool_t pool, const char *const *words, const char *word)
{
	ARRAY_TYPE(const_string) all;

	if (words != NULL && str_array_icase_find(words, word))
		return words;
	p_array_init(&all, pool, 4);
	for (; words != NULL && *words != NULL; words++)
		array_push_back(&all, words);
	array_push_back(&all, &word);
	array_append_zero(&all);
	return array_front(&all);
}

static const char *const *
words_without(pool_t pool, const char *const *words, const char *word)
{
	ARRAY_TYPE(const_string) all;

	if (words == NULL)
		return NULL;
	p_array_init(&all, pool, 4);
	for (; *words != NULL; words++) {
		if (strcasecmp(*words, word) != 0)
			array_push_back(&all, words);
	}
	array_append_zero(&all);
	return array_front(&all);
}

static void
read_keyword(struct change_reader *reader, const void *data, size_t size)
{
	const struct mail_transaction_keyword_update *rec = data;
	const uint32_t *uids, *end;
	struct dsync_plan_mail *mail;
	const char *name;
	unsigned int idx, offset = sizeof(*rec) + rec->name_size;

	offset = (offset + 3) / 4 * 4;
	name = p_strndup(reader->pool, (const void *)(rec + 1), rec->name_size);
	uids = CONST_PTR_OFFSET(rec, offset);
	end = CONST_PTR_OFFSET(rec, size);
	for (; uids + 1 < end; uids += 2) {
		idx = first_mail(reader, uids[0]);
		while ((mail = mail_in_range(reader, idx++, uids[1])) != NULL) {
			bool add = rec->modify_type == MODIFY_ADD;
			const char *const **to = add ? &mail->keywords_added :
				&mail->keywords_removed;
			const char *const **from = add ?
				&mail->keywords_removed : &mail->keywords_added;

			*to = words_with(reader->pool, *to, name);
			*from = words_without(reader->pool, *from, name);
		}
	}
}

void dest_changes_read(struct mailbox *box, pool_t pool,
		       ARRAY_TYPE(dsync_plan_mail) *mails)
{
	struct change_reader reader = { .pool = pool, .mails = mails };
	const struct mail_transaction_header *hdr;
	struct mail_transaction_log_view *log_view;
	const void *data;

	log_view = mail_transaction_log_view_open(box->index->log);
	if (mail_transaction_log_view_set_all(log_view) <= 0) {
		mail_transaction_log_view_close(&log_view);
		return;
	}
	while (mail_transaction_log_view_next(log_view, &hdr, &data) > 0) {
		switch (hdr->type & MAIL_TRANSACTION_TYPE_MASK) {
		case MAIL_TRANSACTION_FLAG_UPDATE:
			read_flags(&reader, data, hdr->size);
			break;
		case MAIL_TRANSACTION_KEYWORD_UPDATE: T_BEGIN {
			read_keyword(&reader, data, hdr->size);
		} T_END; break;
		}
	}
	mail_transaction_log_view_close(&log_view);
}
