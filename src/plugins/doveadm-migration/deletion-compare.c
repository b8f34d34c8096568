/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "mailbox-evidence.h"
#include "deletion-compare.h"

struct known_mail {
	uint32_t uid;
	uoff_t size;
	uint64_t header[2];
};
ARRAY_DEFINE_TYPE(known_mail, struct known_mail);

static int known_mail_uid_cmp(const struct known_mail *a,
			      const struct known_mail *b)
{
	return a->uid < b->uid ? -1 : a->uid > b->uid ? 1 : 0;
}

static int known_mail_cmp(const struct known_mail *a,
			  const struct known_mail *b)
{
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return memcmp(a->header, b->header, sizeof(a->header));
}

static void note_size(void *context, const struct mailbox_evidence *evidence)
{
	ARRAY_TYPE(known_mail) *mails = context;
	struct known_mail *mail = array_append_space(mails);

	mail->uid = evidence->uid;
	mail->size = evidence->size;
}

static void note_header(void *context, const struct mailbox_evidence *evidence)
{
	ARRAY_TYPE(known_mail) *mails = context;
	const struct known_mail key = { .uid = evidence->uid };
	struct known_mail *mail;
	unsigned int idx;

	if (array_bsearch_insert_pos(mails, &key, known_mail_uid_cmp, &idx)) {
		mail = array_idx_modifiable(mails, idx);
		memcpy(mail->header, evidence->header->all,
		       sizeof(mail->header));
	}
}

static int
read_mails(struct mailbox *box, ARRAY_TYPE(known_mail) *mails,
	   const char **error_r)
{
	ARRAY_TYPE(seq_range) uids;

	t_array_init(&uids, 1);
	seq_range_array_add_range(&uids, 1, (uint32_t)-1);
	if (mailbox_evidence_read(box, &uids, MAILBOX_EVIDENCE_SIZE, note_size,
				  mails, error_r) < 0)
		return -1;
	array_sort(mails, known_mail_uid_cmp);
	if (mailbox_evidence_read(box, &uids, MAILBOX_EVIDENCE_HEADER,
				  note_header, mails, error_r) < 0)
		return -1;
	array_sort(mails, known_mail_cmp);
	return 0;
}

/* Both are sorted. */
static unsigned int
count_only_in_first(const ARRAY_TYPE(known_mail) *first,
		    const ARRAY_TYPE(known_mail) *second)
{
	const struct known_mail *a, *b;
	unsigned int i = 0, j = 0, a_count, b_count, only = 0;
	int ret;

	a = array_get(first, &a_count);
	b = array_get(second, &b_count);
	while (i < a_count) {
		ret = j == b_count ? -1 : known_mail_cmp(&a[i], &b[j]);
		if (ret < 0)
			only++;
		if (ret <= 0)
			i++;
		else
			j++;
	}
	return only;
}

/* Returns 1 if the mailbox was read, 0 if there is none. */
static int
read_mailbox(struct mail_user *user, const char *vname,
	     ARRAY_TYPE(known_mail) *mails, uint32_t *uid_next_r,
	     const char **error_r)
{
	struct mail_namespace *ns = mail_namespace_find(user->namespaces, vname);
	struct mailbox *box;
	struct mailbox_status status;
	enum mail_error error;
	const char *text;
	int ret = 1;

	*uid_next_r = 0;
	box = mailbox_alloc(ns->list, vname,
			    MAILBOX_FLAG_READONLY | MAILBOX_FLAG_IGNORE_ACLS);
	if (mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		text = mailbox_get_last_internal_error(box, &error);
		ret = error == MAIL_ERROR_NOTFOUND ? 0 : -1;
		*error_r = t_strdup(text);
	} else {
		mailbox_get_open_status(box, STATUS_UIDNEXT, &status);
		*uid_next_r = status.uidnext;
		if (read_mails(box, mails, error_r) < 0)
			ret = -1;
	}
	mailbox_free(&box);
	return ret;
}

int deletion_compare(struct mail_user *user, struct mail_user *source_user,
		     const char *vname, struct deletion_comparison *result_r,
		     const char **error_r)
{
	ARRAY_TYPE(known_mail) here, there;
	uint32_t uid_next;
	int ret = -1;

	i_zero(result_r);
	i_array_init(&here, 128);
	i_array_init(&there, 128);
	if (read_mailbox(user, vname, &here, &result_r->uid_next,
			 error_r) >= 0 &&
	    read_mailbox(source_user, vname, &there, &uid_next,
			 error_r) >= 0) {
		result_r->mails = array_count(&here);
		result_r->only_here = count_only_in_first(&here, &there);
		ret = 0;
	}
	array_free(&here);
	array_free(&there);
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
