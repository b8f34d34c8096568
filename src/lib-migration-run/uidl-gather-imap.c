/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "mail-storage-private.h"
#include "mailbox-evidence.h"
#include "uidl-gather-private.h"

static void mailbox_collect_uids(struct gather_mailbox *gbox)
{
	struct mailbox *box = gbox->box;
	struct mailbox_status status;
	struct gather_imap_mail mail;
	uint32_t seq;

	mailbox_get_open_status(box, STATUS_UIDVALIDITY | STATUS_MESSAGES,
				&status);
	gbox->uidvalidity = status.uidvalidity;
	for (seq = 1; seq <= status.messages; seq++) {
		i_zero(&mail);
		mail_index_lookup_uid(box->view, seq, &mail.uid);
		mail.size = UOFF_T_MAX;
		array_push_back(&gbox->mails, &mail);
	}
}

static int gather_imap_mail_cmp(const uint32_t *uid,
				const struct gather_imap_mail *mail)
{
	return *uid < mail->uid ? -1 : (*uid > mail->uid ? 1 : 0);
}

static struct gather_imap_mail *
gather_mailbox_find(struct gather_mailbox *gbox, uint32_t uid)
{
	const struct gather_imap_mail *mail =
		array_bsearch(&gbox->mails, &uid, gather_imap_mail_cmp);

	return mail == NULL ? NULL :
		array_idx_modifiable(&gbox->mails,
				     array_ptr_to_idx(&gbox->mails, mail));
}

static void size_evidence(void *context, const struct mailbox_evidence *evidence)
{
	struct gather_mailbox *gbox = context;
	struct gather_imap_mail *mail =
		gather_mailbox_find(gbox, evidence->uid);

	if (mail != NULL) {
		mail->size = evidence->size;
		mail->gmail_msgid = evidence->gmail_msgid;
	}
}

static int mailbox_collect_sizes(struct gather_mailbox *gbox,
				 const char **error_r)
{
	ARRAY_TYPE(seq_range) uids;
	const struct gather_imap_mail *first, *last;
	const char *error;

	if (array_count(&gbox->mails) == 0)
		return 0;
	first = array_front(&gbox->mails);
	last = array_back(&gbox->mails);
	t_array_init(&uids, 1);
	seq_range_array_add_range(&uids, first->uid, last->uid);
	if (mailbox_evidence_read(gbox->box, &uids, MAILBOX_EVIDENCE_SIZE,
				  size_evidence, gbox, &error) < 0) {
		*error_r = t_strdup_printf("Mailbox %s: Reading sizes failed: %s",
					   mailbox_get_vname(gbox->box), error);
		return -1;
	}
	return 0;
}

int gather_mailbox_open(struct gather_mailbox *gbox, const char **error_r)
{
	struct mailbox *box;

	if (gbox->box->opened)
		return 0;
	box = mailbox_alloc(gbox->box->list, gbox->box->vname,
			    MAILBOX_FLAG_READONLY);
	if (mailbox_open(box) < 0 ||
	    mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		*error_r = t_strdup_printf("Mailbox %s cannot be opened: %s",
			mailbox_get_vname(box),
			mailbox_get_last_internal_error(box, NULL));
		mailbox_free(&box);
		return -1;
	}
	gbox->closed_box = gbox->box;
	gbox->box = box;
	return 0;
}

void gather_mailbox_close(struct gather_mailbox *gbox)
{
	if (gbox->closed_box == NULL)
		return;
	mailbox_free(&gbox->box);
	gbox->box = gbox->closed_box;
	gbox->closed_box = NULL;
}

static int gather_add(struct uidl_gather *gather, struct mailbox *box,
		      const char **error_r)
{
	struct gather_mailbox *gbox = array_append_space(&gather->mailboxes);
	int ret = -1;

	gbox->box = box;
	i_array_init(&gbox->mails, 128);
	i_array_init(&gbox->results, 128);
	if (gather_mailbox_open(gbox, error_r) == 0) {
		mailbox_collect_uids(gbox);
		ret = mailbox_collect_sizes(gbox, error_r);
	}
	gather_mailbox_close(gbox);
	return ret < 0 ? -1 : (int)array_count(&gather->mailboxes) - 1;
}

int uidl_gather_add_opened(struct uidl_gather *gather, struct mailbox *box,
			   const char **error_r)
{
	i_assert(box->opened);
	return gather_add(gather, box, error_r);
}

int uidl_gather_add_closed(struct uidl_gather *gather, struct mailbox *box,
			   const char **error_r)
{
	return gather_add(gather, box, error_r);
}

uint32_t uidl_gather_last_uidvalidity(struct uidl_gather *gather)
{
	const struct gather_mailbox *gbox = array_back(&gather->mailboxes);

	return gbox->uidvalidity;
}

void uidl_gather_add_known(struct uidl_gather *gather, uint32_t uid,
			   const char *uidl, uint32_t order)
{
	struct gather_imap_mail *mail =
		gather_mailbox_find(array_back_modifiable(&gather->mailboxes),
				    uid);

	if (mail != NULL) {
		mail->known_uidl = p_strdup(gather->pool, uidl);
		mail->known_order = order;
	}
}

struct gather_imap_reading {
	struct uidl_gather *gather;
	struct gather_mailbox *gbox;
};

static void imap_evidence(void *context, const struct mailbox_evidence *evidence)
{
	struct gather_imap_reading *reading = context;
	struct gather_mailbox *gbox = reading->gbox;
	struct gather_imap_mail *mail =
		gather_mailbox_find(gbox, evidence->uid);
	unsigned int idx;

	if (mail == NULL)
		return;
	idx = gbox->first_idx + array_ptr_to_idx(&gbox->mails, mail);
	uidl_match_add_imap_header(reading->gather->match, idx,
				   evidence->header);
	if (evidence->body != NULL) {
		uidl_match_add_imap_body(reading->gather->match, idx,
					 evidence->body);
	}
}

int gather_imap_read(struct uidl_gather *gather, struct gather_mailbox *gbox,
		     const uint32_t *indexes, unsigned int count,
		     enum mailbox_evidence_type type, const char **error_r)
{
	struct gather_imap_reading reading = { gather, gbox };
	ARRAY_TYPE(seq_range) uids;
	unsigned int i, end = gbox->first_idx + array_count(&gbox->mails);
	const char *error;
	int ret;

	t_array_init(&uids, 64);
	for (i = 0; i < count; i++) {
		const struct gather_imap_mail *mail;

		if (indexes[i] < gbox->first_idx || indexes[i] >= end)
			continue;
		mail = array_idx(&gbox->mails, indexes[i] - gbox->first_idx);
		seq_range_array_add(&uids, mail->uid);
	}
	if (array_count(&uids) == 0)
		return 0;
	if (gather_mailbox_open(gbox, error_r) < 0)
		return -1;
	ret = mailbox_evidence_read(gbox->box, &uids, type, imap_evidence,
				    &reading, &error);
	if (ret < 0) {
		*error_r = t_strdup_printf("Mailbox %s: Reading headers failed: %s",
					   mailbox_get_vname(gbox->box), error);
	}
	return ret;
}
