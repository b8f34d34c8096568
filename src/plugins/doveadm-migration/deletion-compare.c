/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "mailbox-evidence.h"
#include "deletion-compare.h"

/* One side of the comparison. */
struct compared_mailbox {
	struct mailbox *box;
	struct mailbox_status status;
	/* there is none */
	bool missing;
	ARRAY_TYPE(reuse_mail) mails;
};

static void note_size(void *context, const struct mailbox_evidence *evidence)
{
	ARRAY_TYPE(reuse_mail) *mails = context;
	struct reuse_mail *mail = array_append_space(mails);

	mail->uid = evidence->uid;
	mail->size = evidence->size;
}

static void note_header(void *context, const struct mailbox_evidence *evidence)
{
	struct reuse_mail *mail = mailbox_reuse_find(context, evidence->uid);

	if (mail != NULL) {
		memcpy(mail->header, evidence->header->all,
		       sizeof(mail->header));
		mail->telling = header_digest_is_telling(evidence->header);
	}
}

static void note_text(void *context, const struct mailbox_evidence *evidence)
{
	struct reuse_mail *mail = mailbox_reuse_find(context, evidence->uid);

	if (mail != NULL) {
		mail->text = *evidence->body;
		mail->have_text = TRUE;
	}
}

static int
read_mails(struct compared_mailbox *compared, const char **error_r)
{
	ARRAY_TYPE(reuse_mail) *mails = &compared->mails;
	ARRAY_TYPE(seq_range) uids;

	t_array_init(&uids, 1);
	seq_range_array_add_range(&uids, 1, (uint32_t)-1);
	if (mailbox_evidence_read(compared->box, &uids, MAILBOX_EVIDENCE_SIZE,
				  note_size, mails, error_r) < 0)
		return -1;
	mailbox_reuse_sort_by_uid(mails);
	if (mailbox_evidence_read(compared->box, &uids,
				  MAILBOX_EVIDENCE_HEADER, note_header, mails,
				  error_r) < 0)
		return -1;
	mailbox_reuse_sort(mails);
	return 0;
}

static int
compared_open(struct compared_mailbox *compared, struct mail_user *user,
	      const char *vname, const char **error_r)
{
	struct mail_namespace *ns = mail_namespace_find(user->namespaces, vname);
	enum mail_error error;
	const char *text;

	i_zero(compared);
	i_array_init(&compared->mails, 128);
	compared->box = mailbox_alloc(ns->list, vname, MAILBOX_FLAG_READONLY |
				      MAILBOX_FLAG_IGNORE_ACLS);
	if (mailbox_sync(compared->box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		text = mailbox_get_last_internal_error(compared->box, &error);
		compared->missing = error == MAIL_ERROR_NOTFOUND;
		*error_r = t_strdup(text);
		return compared->missing ? 0 : -1;
	}
	mailbox_get_open_status(compared->box, STATUS_UIDNEXT |
				STATUS_UIDVALIDITY, &compared->status);
	return read_mails(compared, error_r);
}

static void compared_close(struct compared_mailbox *compared)
{
	mailbox_free(&compared->box);
	array_free(&compared->mails);
}

/* Of mails that look alike the texts say whether they are: those that are here
   cost nothing. */
static int
find_pairs(struct compared_mailbox *here, const struct compared_mailbox *there,
	   ARRAY_TYPE(reuse_pair) *pairs, const char **error_r)
{
	ARRAY_TYPE(seq_range) uids;
	int ret = 0;

	t_array_init(&uids, 8);
	mailbox_reuse_doubtful(&here->mails, &there->mails, &uids);
	if (array_count(&uids) > 0) {
		mailbox_reuse_sort_by_uid(&here->mails);
		ret = mailbox_evidence_read(here->box, &uids,
			MAILBOX_EVIDENCE_TEXT, note_text, &here->mails, error_r);
		mailbox_reuse_sort(&here->mails);
	}
	mailbox_reuse_pair(&here->mails, &there->mails, pairs);
	return ret;
}

static int
compare(struct compared_mailbox *here, struct compared_mailbox *there,
	struct deletion_comparison *result, const char **error_r)
{
	result->mails = array_count(&here->mails);
	result->uid_next = here->status.uidnext;
	result->uid_validity = here->status.uidvalidity;
	result->source_mails = array_count(&there->mails);
	result->source_uid_validity = there->status.uidvalidity;
	result->only_here = mailbox_reuse_count_only_in_first(&here->mails,
							      &there->mails);
	return find_pairs(here, there, &result->pairs, error_r);
}

int deletion_compare(struct mail_user *user, struct mail_user *source_user,
		     const char *vname, const char *source_vname, pool_t pool,
		     struct deletion_comparison *result_r,
		     const char **error_r)
{
	struct compared_mailbox here, there;
	int ret;

	i_zero(result_r);
	p_array_init(&result_r->pairs, pool, 16);
	ret = compared_open(&here, user, vname, error_r);
	if (ret == 0) {
		ret = compared_open(&there, source_user, source_vname, error_r);
		if (ret == 0)
			ret = compare(&here, &there, result_r, error_r);
		compared_close(&there);
	}
	compared_close(&here);
	return ret;
}

uint32_t deletion_source_uidvalidity(struct mail_user *source_user,
				     const char *vname)
{
	struct mail_namespace *ns =
		mail_namespace_find(source_user->namespaces, vname);
	struct mailbox *box;
	struct mailbox_status status;
	uint32_t uidvalidity = 0;

	/* not opened: this is STATUS */
	box = mailbox_alloc(ns->list, vname,
			    MAILBOX_FLAG_READONLY | MAILBOX_FLAG_IGNORE_ACLS);
	if (mailbox_get_status(box, STATUS_UIDVALIDITY | STATUS_UIDNEXT,
			       &status) == 0)
		uidvalidity = status.uidvalidity;
	mailbox_free(&box);
	return uidvalidity;
}
