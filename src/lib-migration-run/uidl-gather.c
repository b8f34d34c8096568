/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-user.h"
#include "mail-storage-private.h"
#include "uidl-order.h"
#include "mailbox-evidence.h"
#include "migration-run.h"
#include "uidl-gather-private.h"

struct uidl_gather *uidl_gather_init(const struct uidl_gather_settings *set)
{
	struct uidl_gather *gather;
	pool_t pool;

	pool = pool_alloconly_create(MEMPOOL_GROWING"uidl gather", 1024*16);
	gather = p_new(pool, struct uidl_gather, 1);
	gather->pool = pool;
	gather->set = *set;
	i_array_init(&gather->mailboxes, 4);
	i_array_init(&gather->pop3_mails, 128);
	return gather;
}

void uidl_gather_deinit(struct uidl_gather **_gather)
{
	struct uidl_gather *gather = *_gather;
	struct gather_mailbox *gbox;

	*_gather = NULL;
	if (gather->match != NULL)
		uidl_match_deinit(&gather->match);
	array_foreach_modifiable(&gather->mailboxes, gbox) {
		array_free(&gbox->mails);
		array_free(&gbox->results);
	}
	array_free(&gather->mailboxes);
	array_free(&gather->pop3_mails);
	pool_unref(&gather->pool);
}

/* --- matching --- */

static void gather_match_init(struct uidl_gather *gather)
{
	const struct uidl_match_settings set = {
		.skip_sizes = gather->set.skip_sizes,
		.no_top = gather->no_top,
		.max_body_bytes = gather->set.max_body_bytes,
	};
	const struct gather_pop3_mail *pop3_mail;
	const struct gather_imap_mail *mail;
	struct gather_mailbox *gbox;
	unsigned int idx = 0, mailbox;

	if (gather->match != NULL)
		uidl_match_deinit(&gather->match);
	gather->match = uidl_match_init(&set);
	array_foreach(&gather->pop3_mails, pop3_mail) {
		uidl_match_add_pop3(gather->match, pop3_mail->uidl,
				    pop3_mail->size);
	}
	array_foreach_modifiable(&gather->mailboxes, gbox) {
		mailbox = uidl_match_add_mailbox(gather->match,
						 gbox->uidvalidity);
		gbox->first_idx = idx;
		array_foreach(&gbox->mails, mail) {
			uidl_match_add_imap(gather->match, mailbox, mail->uid,
					    mail->size, mail->gmail_msgid);
			if (mail->known_uidl != NULL) {
				uidl_match_set_known(gather->match,
						     mail->known_uidl);
			}
			idx++;
		}
	}
}

static int
gather_request(struct uidl_gather *gather,
	       const struct uidl_match_request *request,
	       const char **error_r, enum pop3_client_error *type_r)
{
	struct gather_mailbox *gbox;
	int ret = 0;

	/* IMAP first: POP3 servers are quicker to cut idle connections, and
	   Yahoo loses its state when texts were fetched before headers */
	*type_r = POP3_CLIENT_ERROR_TEMP;
	array_foreach_modifiable(&gather->mailboxes, gbox) {
		if (gather_imap_read(gather, gbox, request->imap_headers,
				     request->imap_headers_count,
				     MAILBOX_EVIDENCE_HEADER, error_r) < 0 ||
		    gather_imap_read(gather, gbox, request->imap_bodies,
				     request->imap_bodies_count,
				     MAILBOX_EVIDENCE_TEXT, error_r) < 0)
			ret = -1;
		gather_mailbox_close(gbox);
		if (ret < 0)
			return -1;
	}
	if (gather_pop3_read(gather, request->pop3_headers,
			     request->pop3_headers_count,
			     GATHER_POP3_READ_HEADERS,
			     error_r, type_r) < 0 ||
	    gather_pop3_read(gather, request->pop3_bodies,
			     request->pop3_bodies_count,
			     GATHER_POP3_READ_TEXTS,
			     error_r, type_r) < 0)
		return -1;
	return 0;
}

static int gather_match(struct uidl_gather *gather, const char **error_r,
			enum pop3_client_error *type_r)
{
	struct uidl_match_request request;
	bool had_top = !gather->no_top;

	gather_match_init(gather);
	while (uidl_match_next(gather->match, &request)) {
		int ret;

		e_debug(gather->set.event, "UIDL matcher asks for headers of "
			"%u POP3 and %u IMAP mails, texts of %u and %u",
			request.pop3_headers_count, request.imap_headers_count,
			request.pop3_bodies_count, request.imap_bodies_count);
		T_BEGIN {
			ret = gather_request(gather, &request, error_r, type_r);
		} T_END_PASS_STR_IF(ret < 0, error_r);
		if (ret < 0)
			return -1;
		if (gather->no_top && had_top) {
			/* begin again with what can be known without it */
			e_debug(gather->set.event,
				"POP3: the server has no TOP");
			return gather_match(gather, error_r, type_r);
		}
	}
	return 0;
}

/* --- mails delivered meanwhile --- */

bool gather_is_leftover(struct uidl_gather *gather, unsigned int pop3_idx)
{
	const struct gather_pop3_mail *mail =
		array_idx(&gather->pop3_mails, pop3_idx);
	unsigned int partner;

	return !mail->late &&
		uidl_match_get_pop3(gather->match, pop3_idx, &partner) ==
		UIDL_MATCH_NONE;
}

struct gather_late {
	struct uidl_gather *gather;
};

static void late_evidence(void *context, const struct mailbox_evidence *evidence)
{
	struct gather_late *late = context;
	struct gather_pop3_mail *mails;
	const struct header_digest *header;
	unsigned int i, count;

	mails = array_get_modifiable(&late->gather->pop3_mails, &count);
	for (i = 0; i < count; i++) {
		header = uidl_match_get_pop3_header(late->gather->match, i);
		if (header == NULL || !gather_is_leftover(late->gather, i))
			continue;
		if (header_digest_compare(header, evidence->header) !=
		    HEADER_LIKENESS_OTHER) {
			mails[i].late = TRUE;
			return;
		}
	}
}

/* The maildrop was listed after the mailbox. A mail that came between the two
   is in the mailbox by now: look there once more. Whatever goes wrong here, the
   mail is reported as unmatched as it would be without. */
static void gather_find_late(struct uidl_gather *gather)
{
	struct gather_mailbox *inbox = array_front_modifiable(&gather->mailboxes);
	struct gather_late late = { gather };
	struct mailbox *box;
	ARRAY_TYPE(seq_range) uids;
	uint32_t last_uid, uid, seq, count;
	const char *error;

	if (uidl_gather_unmatched_pop3(gather, &error, &error) == 0 ||
	    gather->no_top)
		return;
	if (array_count(&inbox->mails) == 0)
		last_uid = 0;
	else {
		const struct gather_imap_mail *last = array_back(&inbox->mails);

		last_uid = last->uid;
	}
	box = mailbox_alloc(inbox->box->list, inbox->box->vname,
			    MAILBOX_FLAG_READONLY);
	if (mailbox_open(box) == 0 &&
	    mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) == 0) {
		t_array_init(&uids, 4);
		count = mail_index_view_get_messages_count(box->view);
		for (seq = count; seq > 0; seq--) {
			mail_index_lookup_uid(box->view, seq, &uid);
			if (uid <= last_uid)
				break;
			seq_range_array_add(&uids, uid);
		}
		(void)mailbox_evidence_read(box, &uids, MAILBOX_EVIDENCE_HEADER,
					    late_evidence, &late, &error);
	}
	mailbox_free(&box);
}

/* --- results --- */

unsigned int
gather_find_mailbox(struct uidl_gather *gather, unsigned int imap_idx)
{
	const struct gather_mailbox *gboxes;
	unsigned int i, count;

	gboxes = array_get(&gather->mailboxes, &count);
	for (i = count; i > 1; i--) {
		if (gboxes[i-1].first_idx <= imap_idx)
			break;
	}
	return i - 1;
}

struct gather_imap_mail *
gather_find_imap(struct uidl_gather *gather, unsigned int imap_idx,
		 unsigned int *mailbox_r)
{
	struct gather_mailbox *gbox;

	*mailbox_r = gather_find_mailbox(gather, imap_idx);
	gbox = array_idx_modifiable(&gather->mailboxes, *mailbox_r);
	return array_idx_modifiable(&gbox->mails, imap_idx - gbox->first_idx);
}

/* Gives all matched mails their order numbers. Returns how many cannot be where
   the server has them. */
static unsigned int gather_assign_orders(struct uidl_gather *gather)
{
	ARRAY(struct uidl_order_mail) orders;
	struct uidl_order_mail *order;
	struct gather_mailbox *gbox;
	struct gather_imap_mail *mail;
	unsigned int i, n = 0, partner, mailbox, lost;
	unsigned int count = array_count(&gather->pop3_mails);
	bool several = FALSE;

	i_array_init(&orders, count + 1);
	for (i = 0; i < count; i++) {
		if (uidl_match_get_pop3(gather->match, i, &partner) ==
		    UIDL_MATCH_NONE)
			continue;
		mail = gather_find_imap(gather, partner, &mailbox);
		if (mailbox != 0)
			several = TRUE;
		order = array_append_space(&orders);
		order->uid = mail->uid;
		order->known = mail->known_uidl != NULL;
		order->order = mail->known_order;
	}
	if (several) {
		/* UIDs of several mailboxes say nothing about the order: all
		   mails need a number */
		array_foreach_modifiable(&orders, order)
			order->uid = UINT32_MAX - n++;
	}
	(void)array_append_space(&orders);
	lost = uidl_order_assign(array_front_modifiable(&orders),
				 array_count(&orders) - 1);
	for (i = n = 0; i < count; i++) {
		struct uidl_gather_mail *result;
		const struct gather_pop3_mail *pop3_mail;

		if (uidl_match_get_pop3(gather->match, i, &partner) ==
		    UIDL_MATCH_NONE)
			continue;
		mail = gather_find_imap(gather, partner, &mailbox);
		gbox = array_idx_modifiable(&gather->mailboxes, mailbox);
		pop3_mail = array_idx(&gather->pop3_mails, i);
		result = array_append_space(&gbox->results);
		result->uid = mail->uid;
		result->uidl = pop3_mail->uidl;
		order = array_idx_modifiable(&orders, n++);
		result->order = order->order;
	}
	array_free(&orders);
	return lost;
}

static int uidl_gather_mail_cmp(const struct uidl_gather_mail *a,
				const struct uidl_gather_mail *b)
{
	return a->uid < b->uid ? -1 : (a->uid > b->uid ? 1 : 0);
}

static void gather_finish(struct uidl_gather *gather)
{
	struct migration_run *run = migration_run_find(gather->set.user);
	struct gather_mailbox *gbox;
	unsigned int lost = gather_assign_orders(gather);

	array_foreach_modifiable(&gather->mailboxes, gbox)
		array_sort(&gbox->results, uidl_gather_mail_cmp);
	if (lost > 0) {
		gbox = array_front_modifiable(&gather->mailboxes);
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING,
			mailbox_get_vname(gbox->box), 0, FINDING_POP3_ORDER,
			"%u mails cannot be at the place where the POP3 server "
			"has them, because their neighbours were migrated "
			"earlier without POP3 order", lost);
	}
}

static void gather_count(struct uidl_gather *gather)
{
	struct migration_run *run = migration_run_find(gather->set.user);
	struct pop3_client_stats stats;
	struct uidl_match_result result;

	pop3_client_get_stats(gather->pop3, &stats);
	uidl_match_get_result(gather->match, &result);
	migration_run_count(run, MIGRATION_COUNTER_POP3_MAILS,
			    result.pop3_count);
	migration_run_count(run, MIGRATION_COUNTER_POP3_MATCHED,
			    result.pop3_count - result.pairs[UIDL_MATCH_NONE]);
	migration_run_count(run, MIGRATION_COUNTER_POP3_UNMATCHED,
			    result.pairs[UIDL_MATCH_NONE]);
	migration_run_count(run, MIGRATION_COUNTER_POP3_TOPS, stats.tops);
	migration_run_count(run, MIGRATION_COUNTER_POP3_RETRS, stats.texts);
	migration_run_count(run, MIGRATION_COUNTER_POP3_BYTES, stats.bytes_in);
	migration_run_count(run, MIGRATION_COUNTER_WAITS, stats.waits);
	for (unsigned int i = UIDL_MATCH_KNOWN; i < UIDL_MATCH_EVIDENCE_COUNT;
	     i++) {
		if (result.pairs[i] > 0) {
			e_debug(gather->set.event,
				"POP3: %u UIDLs matched by %s", result.pairs[i],
				uidl_match_evidence_name(i));
		}
	}
}

int uidl_gather_run(struct uidl_gather *gather, const char **error_r,
		    enum pop3_client_error *error_type_r)
{
	int ret;

	gather->source = pop3_source_init(&gather->set.pop3);
	gather->pop3 = pop3_source_get_client(gather->source);
	ret = gather_pop3_list(gather, error_r, error_type_r);
	if (ret == 0)
		ret = gather_match(gather, error_r, error_type_r);
	if (ret == 0) {
		gather_find_late(gather);
		gather_explain(gather);
		gather_finish(gather);
		gather_count(gather);
	}
	pop3_source_deinit(&gather->source);
	return ret;
}

static int uidl_gather_mail_uid_cmp(const uint32_t *uid,
				    const struct uidl_gather_mail *mail)
{
	return *uid < mail->uid ? -1 : (*uid > mail->uid ? 1 : 0);
}

const struct uidl_gather_mail *
uidl_gather_find(struct uidl_gather *gather, unsigned int mailbox,
		 uint32_t uid)
{
	struct gather_mailbox *gbox =
		array_idx_modifiable(&gather->mailboxes, mailbox);

	return array_bsearch(&gbox->results, &uid, uidl_gather_mail_uid_cmp);
}

void uidl_gather_get_result(struct uidl_gather *gather,
			    struct uidl_match_result *result_r)
{
	uidl_match_get_result(gather->match, result_r);
}

unsigned int uidl_gather_unmatched_pop3(struct uidl_gather *gather,
					const char **first_uidl_r,
					const char **reason_r)
{
	const struct gather_pop3_mail *mails;
	unsigned int i, count, unmatched = 0, nearest;

	*first_uidl_r = *reason_r = NULL;
	mails = array_get(&gather->pop3_mails, &count);
	for (i = 0; i < count; i++) {
		if (!gather_is_leftover(gather, i))
			continue;
		if (unmatched++ == 0) {
			*first_uidl_r = mails[i].uidl;
			*reason_r = uidl_match_leftover_pop3(gather->match, i,
							     &nearest);
		}
	}
	return unmatched;
}

unsigned int uidl_gather_unmatched_imap(struct uidl_gather *gather)
{
	struct uidl_match_result result;

	uidl_match_get_result(gather->match, &result);
	return result.imap_count -
		(result.pop3_count - result.pairs[UIDL_MATCH_NONE]);
}

unsigned int uidl_gather_pop3_count(struct uidl_gather *gather)
{
	return array_count(&gather->pop3_mails);
}

bool uidl_gather_pop3_mail(struct uidl_gather *gather, unsigned int idx,
			   const char **uidl_r, unsigned int *mailbox_r,
			   uint32_t *uid_r)
{
	const struct gather_pop3_mail *mail =
		array_idx(&gather->pop3_mails, idx);
	unsigned int partner;

	*uidl_r = mail->uidl;
	if (uidl_match_get_pop3(gather->match, idx, &partner) ==
	    UIDL_MATCH_NONE)
		return FALSE;
	*uid_r = gather_find_imap(gather, partner, mailbox_r)->uid;
	return TRUE;
}
