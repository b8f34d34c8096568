/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "seq-range-array.h"
#include "mail-search-build.h"
#include "mail-storage-private.h"
#include "import-evidence.h"
#include "import-lookup.h"

/* Shows in logs as the reason of our transactions. */
#define IMPORT_LOOKUP_REASON "migration_import"

struct import_lookup {
	struct mailbox *box;
	struct import_index *index;
	/* the index has its mails */
	bool filled;
	/* NULL while they are not needed */
	struct mailbox_transaction_context *trans;
	struct mail *mail;
};

static int import_lookup_begin_reading(struct import_lookup *lookup)
{
	if (lookup->trans != NULL)
		return 0;
	if (mailbox_open(lookup->box) < 0)
		return -1;
	lookup->trans = mailbox_transaction_begin(lookup->box, 0,
						  IMPORT_LOOKUP_REASON);
	lookup->mail = mail_alloc(lookup->trans, 0, NULL);
	return 0;
}

int import_lookup_end_reading(struct import_lookup *lookup)
{
	if (lookup->trans == NULL)
		return 0;
	mail_free(&lookup->mail);
	return mailbox_transaction_commit(&lookup->trans);
}

void import_lookup_set_box(struct import_lookup *lookup, struct mailbox *box)
{
	i_assert(lookup->trans == NULL);
	lookup->box = box;
}

struct mail *import_lookup_get_mail(struct import_lookup *lookup, uint32_t uid)
{
	if (import_lookup_begin_reading(lookup) < 0)
		return NULL;
	return mail_set_uid(lookup->mail, uid) ? lookup->mail : NULL;
}

static void
import_lookup_set_flags(struct import_lookup *lookup, struct mail *mail,
			struct import_identity *identity)
{
	identity->flags = mail_get_flags(mail);
	identity->keywords = import_index_keywords(lookup->index,
						   mail_get_keywords(mail));
}

static int
import_lookup_search(struct import_lookup *lookup,
		     const ARRAY_TYPE(seq_range) *uids,
		     enum mail_fetch_field wanted_fields,
		     struct mailbox_header_lookup_ctx *headers,
		     enum import_evidence evidence)
{
	const bool first = !lookup->filled;
	struct mail_search_args *args = mail_search_build_init();
	struct mail_search_context *ctx;
	struct mail_search_arg *arg;
	struct import_identity identity;
	struct mail *mail;

	if (uids == NULL)
		mail_search_build_add_all(args);
	else {
		arg = mail_search_build_add(args, SEARCH_UIDSET);
		p_array_init(&arg->value.seqset, args->pool,
			     array_count(uids));
		array_append_array(&arg->value.seqset, uids);
	}
	if (import_lookup_begin_reading(lookup) < 0) {
		mail_search_args_unref(&args);
		return -1;
	}
	ctx = mailbox_search_init(lookup->trans, args, NULL,
				  wanted_fields, headers);
	mail_search_args_unref(&args);

	while (mailbox_search_next(ctx, &mail)) {
		i_zero(&identity);
		import_evidence_read(mail, evidence, &identity);
		if ((evidence & IMPORT_EVIDENCE_KEY) != 0)
			import_lookup_set_flags(lookup, mail, &identity);
		if (first)
			import_index_add(lookup->index, mail->uid, &identity);
		else
			import_index_set(lookup->index, mail->uid, &identity);
	}
	lookup->filled = TRUE;
	return mailbox_search_deinit(&ctx);
}

static int
import_lookup_read_keys(struct import_lookup *lookup,
			enum import_evidence evidence)
{
	struct mailbox_header_lookup_ctx *headers;
	ARRAY_TYPE(seq_range) uids;
	int ret;

	/* headers can be named for an opened mailbox only */
	if (import_lookup_begin_reading(lookup) < 0)
		return -1;
	i_array_init(&uids, 128);
	import_index_get_unpaired(lookup->index, &uids);
	headers = mailbox_header_lookup_init(lookup->box,
					     import_evidence_key_headers);
	ret = import_lookup_search(lookup, &uids, 0, headers, evidence);
	mailbox_header_lookup_unref(&headers);
	import_index_set_finished(lookup->index);
	array_free(&uids);
	return ret;
}

static void
import_lookup_read_one(struct import_lookup *lookup, uint32_t uid,
		       enum import_evidence evidence)
{
	struct import_identity identity;

	i_zero(&identity);
	if (import_lookup_get_mail(lookup, uid) != NULL)
		import_evidence_read(lookup->mail, evidence, &identity);
	else
		identity.unreadable = evidence;
	import_index_set(lookup->index, uid, &identity);
}

int import_lookup_find(struct import_lookup *lookup, struct mail *mail,
		       bool only_guid, struct import_identity *identity,
		       uint32_t *uid_r, const char **reason_r)
{
	struct import_question question;
	int ret;

	import_lookup_set_flags(lookup, mail, identity);
	while ((ret = import_index_pair(lookup->index, identity, uid_r,
					&question, reason_r)) < 0) {
		if (only_guid && question.evidence != IMPORT_EVIDENCE_GUID) {
			*reason_r = "no mail with this GUID";
			return 0;
		}
		switch (question.need) {
		case IMPORT_NEED_SOURCE:
			import_evidence_read(mail, question.evidence, identity);
			break;
		case IMPORT_NEED_DEST:
			import_lookup_read_one(lookup, question.dest_uid,
					       question.evidence);
			break;
		case IMPORT_NEED_ALL_DEST:
			if (import_lookup_read_keys(lookup,
						    question.evidence) < 0)
				return -1;
			break;
		}
	}
	return ret;
}

static bool read_numbered(struct mail *mail, struct import_numbered *numbered_r)
{
	struct import_identity identity;

	i_zero(numbered_r);
	i_zero(&identity);
	import_evidence_read(mail, IMPORT_EVIDENCE_KEY, &identity);
	numbered_r->key = identity.key;
	numbered_r->has_message_id = identity.has_message_id;
	return (identity.known & IMPORT_EVIDENCE_KEY) != 0 &&
		mail_get_received_date(mail, &numbered_r->received) == 0 &&
		mail_get_virtual_size(mail, &numbered_r->size) == 0;
}

bool import_lookup_find_numbered(struct import_lookup *lookup,
				 struct mail *mail)
{
	struct import_numbered src, dest;
	struct mail *dest_mail = import_lookup_get_mail(lookup, mail->uid);

	return dest_mail != NULL && read_numbered(dest_mail, &dest) &&
		read_numbered(mail, &src) &&
		import_numbered_is_same(&src, &dest) &&
		import_index_take_uid(lookup->index, mail->uid);
}

void import_lookup_get_unpaired(struct import_lookup *lookup,
				ARRAY_TYPE(seq_range) *uids)
{
	import_index_get_unpaired(lookup->index, uids);
}

struct import_lookup *
import_lookup_init(struct mailbox *box, bool reusable,
		   const ARRAY_TYPE(seq_range) *uids)
{
	struct import_lookup *lookup = i_new(struct import_lookup, 1);

	lookup->box = box;
	lookup->index = import_index_init(reusable);
	if (import_lookup_search(lookup, uids, MAIL_FETCH_GUID, NULL,
				 IMPORT_EVIDENCE_GUID) < 0)
		import_lookup_deinit(&lookup);
	return lookup;
}

void import_lookup_deinit(struct import_lookup **_lookup)
{
	struct import_lookup *lookup = *_lookup;

	*_lookup = NULL;
	if (lookup->mail != NULL)
		mail_free(&lookup->mail);
	if (lookup->trans != NULL)
		mailbox_transaction_rollback(&lookup->trans);
	import_index_deinit(&lookup->index);
	i_free(lookup);
}
