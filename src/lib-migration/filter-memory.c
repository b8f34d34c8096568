/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "str.h"
#include "strescape.h"
#include "filter-memory.h"

/* The first field of each line: what it is a line of. A line of another version
   is of another source. */
#define FILTER_MEMORY_VERSION "1"
/* version, source, GUID, UIDVALIDITY, decided UID, late mails, mails */
#define FILTER_MEMORY_FIELDS 7

struct filter_memory {
	pool_t pool;
	const char *source;
	ARRAY(struct filter_memory_mailbox *) mailboxes;
	/* of other sources, as they are */
	ARRAY_TYPE(const_string) other_lines;
};

struct filter_memory *filter_memory_init(const char *source)
{
	pool_t pool = pool_alloconly_create("filter memory", 1024);
	struct filter_memory *memory = p_new(pool, struct filter_memory, 1);

	memory->pool = pool;
	memory->source = p_strdup(pool, source);
	p_array_init(&memory->mailboxes, pool, 16);
	p_array_init(&memory->other_lines, pool, 1);
	return memory;
}

void filter_memory_deinit(struct filter_memory **_memory)
{
	struct filter_memory *memory = *_memory;

	*_memory = NULL;
	pool_unref(&memory->pool);
}

/* ---- looking it up ---- */

static struct filter_memory_mailbox *
memory_find(const struct filter_memory *memory, const guid_128_t guid)
{
	struct filter_memory_mailbox *mailbox;

	array_foreach_elem(&memory->mailboxes, mailbox) {
		if (guid_128_equals(mailbox->guid, guid))
			return mailbox;
	}
	return NULL;
}

bool filter_memory_has_any(const struct filter_memory *memory)
{
	return array_count(&memory->mailboxes) > 0;
}

const struct filter_memory_mailbox *
filter_memory_find(const struct filter_memory *memory, const guid_128_t guid,
		   uint32_t uidvalidity)
{
	const struct filter_memory_mailbox *mailbox = memory_find(memory, guid);

	return mailbox == NULL || mailbox->uidvalidity != uidvalidity ? NULL :
		mailbox;
}

static int
mail_cmp(const struct filter_memory_mail *mail1,
	 const struct filter_memory_mail *mail2)
{
	return mail1->uid < mail2->uid ? -1 : mail1->uid > mail2->uid ? 1 : 0;
}

const struct filter_memory_mail *
filter_memory_find_mail(const struct filter_memory_mailbox *mailbox,
			uint32_t uid)
{
	unsigned int count, idx;
	const struct filter_memory_mail *mails =
		array_get(&mailbox->mails, &count);
	const struct filter_memory_mail key = { .uid = uid };

	return array_bsearch_insert_pos(&mailbox->mails, &key, mail_cmp,
					&idx) ? &mails[idx] : NULL;
}

static bool
mailbox_equals(const struct filter_memory_mailbox *mailbox1,
	       const struct filter_memory_mailbox *mailbox2)
{
	const struct filter_memory_mail *mail1, *mail2;
	unsigned int i;

	if (mailbox1->uidvalidity != mailbox2->uidvalidity ||
	    mailbox1->decided_uid != mailbox2->decided_uid ||
	    mailbox1->late_count != mailbox2->late_count ||
	    array_count(&mailbox1->mails) != array_count(&mailbox2->mails))
		return FALSE;
	for (i = 0; i < array_count(&mailbox1->mails); i++) {
		mail1 = array_idx(&mailbox1->mails, i);
		mail2 = array_idx(&mailbox2->mails, i);
		if (mail1->uid != mail2->uid || mail1->size != mail2->size ||
		    mail1->received_date != mail2->received_date)
			return FALSE;
	}
	return TRUE;
}

bool filter_memory_set(struct filter_memory *memory,
		       const struct filter_memory_mailbox *mailbox)
{
	struct filter_memory_mailbox *old = memory_find(memory, mailbox->guid);
	struct filter_memory_mailbox *copy;

	if (old != NULL && mailbox_equals(old, mailbox))
		return FALSE;
	copy = p_new(memory->pool, struct filter_memory_mailbox, 1);
	*copy = *mailbox;
	p_array_init(&copy->mails, memory->pool,
		     I_MAX(array_count(&mailbox->mails), 1));
	array_append_array(&copy->mails, &mailbox->mails);
	if (old != NULL)
		*old = *copy;
	else
		array_push_back(&memory->mailboxes, &copy);
	return TRUE;
}

/* ---- as text ---- */

static void
write_mail(const struct filter_memory_mail *mail, string_t *dest)
{
	str_printfa(dest, "%u:", mail->uid);
	if (mail->size != UOFF_T_MAX)
		str_printfa(dest, "%"PRIuUOFF_T, mail->size);
	str_append_c(dest, ':');
	if (mail->received_date != (time_t)-1)
		str_printfa(dest, "%"PRIdTIME_T, mail->received_date);
	str_append_c(dest, ' ');
}

/* A point ends each line: without it the line was cut off. */
void filter_memory_write_mailbox(const struct filter_memory *memory,
				 const struct filter_memory_mailbox *mailbox,
				 string_t *dest)
{
	const struct filter_memory_mail *mail;

	str_append(dest, FILTER_MEMORY_VERSION"\t");
	str_append_tabescaped(dest, memory->source);
	str_printfa(dest, "\t%s\t%u\t%u\t%u\t",
		    guid_128_to_string(mailbox->guid), mailbox->uidvalidity,
		    mailbox->decided_uid, mailbox->late_count);
	array_foreach(&mailbox->mails, mail)
		write_mail(mail, dest);
	str_append(dest, ".\n");
}

void filter_memory_write(const struct filter_memory *memory, string_t *dest)
{
	struct filter_memory_mailbox *mailbox;
	const char *line;

	array_foreach_elem(&memory->other_lines, line)
		str_printfa(dest, "%s\n", line);
	array_foreach_elem(&memory->mailboxes, mailbox)
		filter_memory_write_mailbox(memory, mailbox, dest);
}

static bool read_mail(const char *word, struct filter_memory_mail *mail_r)
{
	const char *const *parts = t_strsplit(word, ":");

	mail_r->size = UOFF_T_MAX;
	mail_r->received_date = (time_t)-1;
	return str_array_length(parts) == 3 &&
		str_to_uint32(parts[0], &mail_r->uid) == 0 &&
		(parts[1][0] == '\0' ||
		 str_to_uoff(parts[1], &mail_r->size) == 0) &&
		(parts[2][0] == '\0' ||
		 str_to_time(parts[2], &mail_r->received_date) == 0);
}

static bool
read_mails(const char *words, ARRAY_TYPE(filter_memory_mail) *mails)
{
	const char *const *word = t_strsplit_spaces(words, " ");
	struct filter_memory_mail mail;
	uint32_t last_uid = 0;

	for (; *word != NULL && strcmp(*word, ".") != 0; word++) {
		if (!read_mail(*word, &mail) || mail.uid <= last_uid)
			return FALSE;
		last_uid = mail.uid;
		array_push_back(mails, &mail);
	}
	return *word != NULL && word[1] == NULL;
}

static bool
read_mailbox(const char *const *fields, struct filter_memory_mailbox *mailbox_r)
{
	i_zero(mailbox_r);
	t_array_init(&mailbox_r->mails, 64);
	return str_array_length(fields) == FILTER_MEMORY_FIELDS &&
		guid_128_from_string(fields[2], mailbox_r->guid) == 0 &&
		str_to_uint32(fields[3], &mailbox_r->uidvalidity) == 0 &&
		str_to_uint32(fields[4], &mailbox_r->decided_uid) == 0 &&
		str_to_uint(fields[5], &mailbox_r->late_count) == 0 &&
		read_mails(fields[6], &mailbox_r->mails);
}

/* Returns FALSE if it is damaged. */
static bool memory_read_line(struct filter_memory *memory, const char *line)
{
	const char *const *fields = t_strsplit_tabescaped(line);
	struct filter_memory_mailbox mailbox;

	if (fields[0] == NULL || fields[1] == NULL)
		return FALSE;
	if (strcmp(fields[0], FILTER_MEMORY_VERSION) != 0 ||
	    strcmp(fields[1], memory->source) != 0) {
		line = p_strdup(memory->pool, line);
		array_push_back(&memory->other_lines, &line);
		return TRUE;
	}
	if (!read_mailbox(fields, &mailbox))
		return FALSE;
	(void)filter_memory_set(memory, &mailbox);
	return TRUE;
}

unsigned int filter_memory_read(struct filter_memory *memory, const char *text)
{
	unsigned int damaged = 0;
	const char *end;

	while (*text != '\0') T_BEGIN {
		end = strchr(text, '\n');
		if (end == NULL)
			end = text + strlen(text);
		if (end > text &&
		    !memory_read_line(memory, t_strdup_until(text, end)))
			damaged++;
		text = *end == '\0' ? end : end + 1;
	} T_END;
	return damaged;
}
