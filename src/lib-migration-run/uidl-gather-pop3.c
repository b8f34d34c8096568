/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "migration-run.h"
#include "uidl-gather-private.h"

/* How often a lost POP3 connection is made again without getting further. */
#define MAX_RECONNECTS 3

static int gather_pop3_error(struct uidl_gather *gather, const char **error_r,
			     enum pop3_client_error *type_r)
{
	*error_r = t_strdup(pop3_client_get_error(gather->pop3, type_r));
	return -1;
}

static int gather_pop3_open(struct uidl_gather *gather,
			    const ARRAY_TYPE(pop3_client_mail) **mails_r,
			    const char **error_r,
			    enum pop3_client_error *type_r)
{
	if (pop3_source_login(gather->source, error_r, type_r) < 0)
		return -1;
	if (pop3_client_list(gather->pop3, mails_r) < 0)
		return gather_pop3_error(gather, error_r, type_r);
	return 0;
}

int gather_pop3_list(struct uidl_gather *gather, const char **error_r,
		     enum pop3_client_error *type_r)
{
	const ARRAY_TYPE(pop3_client_mail) *mails;
	const struct pop3_client_mail *mail;
	unsigned int tries = 0;

	while (gather_pop3_open(gather, &mails, error_r, type_r) < 0) {
		/* once more if it was only the list that was cut off */
		struct pop3_client_stats stats;

		pop3_client_get_stats(gather->pop3, &stats);
		if (*type_r != POP3_CLIENT_ERROR_TEMP || tries++ > 0 ||
		    stats.waits < 3)
			return -1;
		e_debug(gather->set.event, "POP3: %s, trying again", *error_r);
	}
	array_foreach(mails, mail) {
		struct gather_pop3_mail *gmail =
			array_append_space(&gather->pop3_mails);

		gmail->number = mail->number;
		gmail->uidl = p_strdup(gather->pool, mail->uidl);
		gmail->size = mail->size;
		gmail->difference = "";
	}
	return 0;
}

/* After a reconnect: find the mails again by their UIDLs. A UIDL that the
   server repeats is found in order. */
static void
gather_pop3_renumber(struct uidl_gather *gather,
		     const ARRAY_TYPE(pop3_client_mail) *mails)
{
	const struct pop3_client_mail *mail;
	struct gather_pop3_mail *gmails;
	unsigned int i = 0, count;

	gmails = array_get_modifiable(&gather->pop3_mails, &count);
	array_foreach(mails, mail) {
		unsigned int n = i;

		/* servers keep the order: what is skipped was deleted */
		while (n < count && strcmp(gmails[n].uidl, mail->uidl) != 0)
			n++;
		if (n == count)
			continue;
		for (; i < n; i++)
			gmails[i].number = 0;
		gmails[i++].number = mail->number;
	}
	for (; i < count; i++)
		gmails[i].number = 0;
}

static int gather_pop3_reconnect(struct uidl_gather *gather,
				 const char **error_r,
				 enum pop3_client_error *type_r)
{
	const ARRAY_TYPE(pop3_client_mail) *mails;
	struct migration_run *run = migration_run_find(gather->set.user);

	e_debug(gather->set.event, "POP3: %s, connecting again", *error_r);
	migration_run_count(run, MIGRATION_COUNTER_RECONNECTS, 1);
	if (gather_pop3_open(gather, &mails, error_r, type_r) < 0)
		return -1;
	gather_pop3_renumber(gather, mails);
	return 0;
}

/* Mails being read, in the order of their replies. */
struct gather_reading {
	struct uidl_gather *gather;
	/* those that have no reply yet, begin with finished */
	ARRAY_TYPE(uint32_t) asked;
	unsigned int finished;
	enum gather_pop3_read what;
	struct mail_digest *digest;
};

static void keep_header(struct gather_reading *reading, uint32_t idx)
{
	struct gather_pop3_mail *mail =
		array_idx_modifiable(&reading->gather->pop3_mails, idx);
	const unsigned char *data;

	data = mail_digest_get_header_text(reading->digest, &mail->header_size);
	mail->header = mail->header_size == 0 ? "" :
		p_memdup(reading->gather->pool, data, mail->header_size);
	mail_digest_deinit(&reading->digest, NULL, NULL);
}

static void
reading_mail(void *context, uint32_t number ATTR_UNUSED,
	     const unsigned char *data, size_t size, bool ok)
{
	struct gather_reading *reading = context;
	struct uidl_match *match = reading->gather->match;
	struct header_digest header;
	struct body_digest body;
	uint32_t idx;

	if (ok && reading->digest == NULL)
		reading->digest = mail_digest_init();
	if (data != NULL) {
		mail_digest_more(reading->digest, data, size);
		return;
	}
	idx = *array_idx(&reading->asked, reading->finished);
	reading->finished++;
	if (!ok)
		return;
	if (reading->what == GATHER_POP3_READ_HEADER_TEXTS) {
		keep_header(reading, idx);
		return;
	}
	mail_digest_deinit(&reading->digest, &header, &body);
	uidl_match_add_pop3_header(match, idx, &header);
	if (reading->what == GATHER_POP3_READ_TEXTS)
		uidl_match_add_pop3_body(match, idx, &body);
}

/* Read what is left of the reading. */
static int
gather_pop3_read_more(struct uidl_gather *gather,
		      struct gather_reading *reading)
{
	ARRAY_TYPE(uint32_t) numbers;
	unsigned int i;
	uint32_t idx;
	int ret;

	array_delete(&reading->asked, 0, reading->finished);
	reading->finished = 0;
	i_array_init(&numbers, array_count(&reading->asked));
	for (i = array_count(&reading->asked); i > 0; i--) {
		const struct gather_pop3_mail *mail;

		idx = *array_idx(&reading->asked, i - 1);
		mail = array_idx(&gather->pop3_mails, idx);
		if (mail->number == 0)
			array_delete(&reading->asked, i - 1, 1);
	}
	array_foreach_elem(&reading->asked, idx) {
		const struct gather_pop3_mail *mail =
			array_idx(&gather->pop3_mails, idx);

		array_push_back(&numbers, &mail->number);
	}
	ret = array_count(&numbers) == 0 ? 0 :
		pop3_client_read(gather->pop3, array_front(&numbers),
				 array_count(&numbers),
				 reading->what == GATHER_POP3_READ_TEXTS,
				 reading_mail, reading);
	array_free(&numbers);
	/* the reply that was cut off */
	if (reading->digest != NULL)
		mail_digest_deinit(&reading->digest, NULL, NULL);
	return ret;
}

int gather_pop3_read(struct uidl_gather *gather, const uint32_t *indexes,
		     unsigned int count, enum gather_pop3_read what,
		     const char **error_r, enum pop3_client_error *type_r)
{
	struct gather_reading reading = { .gather = gather, .what = what };
	unsigned int tries = 0;
	int ret = 0;

	if (count == 0 || gather->no_top)
		return 0;
	i_array_init(&reading.asked, count);
	array_append(&reading.asked, indexes, count);
	while (gather_pop3_read_more(gather, &reading) < 0) {
		(void)gather_pop3_error(gather, error_r, type_r);
		/* a server may end sessions by their age as often as it likes,
		   as long as each one brings something; broken-dot too */
		if (reading.finished > 0)
			tries = 0;
		if (tries++ == MAX_RECONNECTS ||
		    *type_r != POP3_CLIENT_ERROR_TEMP ||
		    gather_pop3_reconnect(gather, error_r, type_r) < 0) {
			ret = -1;
			break;
		}
	}
	array_free(&reading.asked);
	if (pop3_client_has_no_top(gather->pop3))
		gather->no_top = TRUE;
	return ret;
}
