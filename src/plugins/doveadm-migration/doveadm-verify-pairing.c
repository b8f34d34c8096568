/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Compares a mailbox whose mails have other UIDs at the destination, by the
   pairs that a plugin knows. Differences are told with the source's UIDs, and
   mails that only the destination has with their own. */

#include "lib.h"
#include "array.h"
#include "seq-range-array.h"
#include "mail-namespace.h"
#include "mail-user.h"
#include "migration-pairing.h"
#include "doveadm-verify-private.h"
#include "verify-proof.h"

static int
paired_side_open(struct verify_side *side,
		 const struct migration_pairing *pairing, pool_t pool,
		 struct verify_error *error_r)
{
	side->data.name = pairing->title;
	side->data.exists = TRUE;
	p_array_init(&side->data.mails, pool, 64);
	return verify_mailbox_open(side->name, &side->box, error_r) < 0 ||
		verify_mailbox_read(side->box, pool, &side->data, error_r) < 0 ?
		-1 : 0;
}

static int parity_mail_uid_cmp(const struct parity_mail *m1,
			       const struct parity_mail *m2)
{
	return m1->uid < m2->uid ? -1 : (m1->uid > m2->uid ? 1 : 0);
}

static struct parity_mail *
find_mail(struct parity_mailbox *data, uint32_t uid)
{
	const struct parity_mail key = { .uid = uid };
	const struct parity_mail *mail = array_bsearch(&data->mails, &key,
						       parity_mail_uid_cmp);

	return mail == NULL ? NULL :
		array_idx_modifiable(&data->mails,
				     mail - array_front(&data->mails));
}

/* Only what the destination must have. */
static void
source_take_expected(const struct verify_side *side,
		     const struct migration_pairing *pairing,
		     struct parity_mailbox *data_r, pool_t pool)
{
	const struct parity_mail *mail;
	unsigned int i = 0, count;
	const uint32_t *uids = array_get(&pairing->source_uids, &count);

	*data_r = side->data;
	p_array_init(&data_r->mails, pool, 64);
	array_foreach(&side->data.mails, mail) {
		while (i < count && uids[i] < mail->uid)
			i++;
		if (i < count && uids[i] == mail->uid)
			array_push_back(&data_r->mails, mail);
	}
}

/* With the source's UIDs; what has none there is an extra mail. */
static void
dest_take_pairs(struct verify_side *side,
		const struct migration_pairing *pairing,
		const struct parity_mailbox *source,
		struct parity_mailbox *data_r,
		const struct parity_policy *policy, pool_t pool,
		ARRAY_TYPE(parity_difference) *differences)
{
	const struct migration_pair *pair;
	struct parity_difference *diff;
	struct parity_mail *mail, copy;

	*data_r = side->data;
	p_array_init(&data_r->mails, pool, 64);
	array_foreach(&pairing->pairs, pair) {
		mail = side->box == NULL ? NULL :
			find_mail(&side->data, pair->dest_uid);
		if (mail == NULL)
			continue;
		if (pair->source_uid != 0) {
			copy = *mail;
			copy.uid = pair->source_uid;
			array_push_back(&data_r->mails, &copy);
			continue;
		}
		diff = array_append_space(differences);
		diff->kind = PARITY_MAIL_EXTRA;
		diff->weight = policy->allow_extra ? PARITY_WEIGHT_EXPECTED :
			PARITY_WEIGHT_DIFFERENT;
		diff->uid = pair->dest_uid;
		diff->source = "";
		diff->dest = p_strdup_printf(pool, "UID %u", pair->dest_uid);
		diff->reason = "another mailbox has it, or the source has not";
	}
	array_sort(&data_r->mails, parity_mail_uid_cmp);
	/* it has UIDs of its own */
	data_r->uid_validity = source->uid_validity;
	data_r->uid_next = source->uid_next;
}

static uint32_t
pairing_dest_uid(const struct migration_pairing *pairing, uint32_t source_uid)
{
	const struct migration_pair *pair;

	array_foreach(&pairing->pairs, pair) {
		if (pair->source_uid == source_uid)
			return pair->dest_uid;
	}
	i_unreached();
}

/* Reads the texts of the mails of this side that have these UIDs of the
   source, and gives them to data. */
static int
paired_read_texts(struct verify_context *vctx, struct verify_side *side,
		  const struct migration_pairing *dest_pairing,
		  const ARRAY_TYPE(seq_range) *source_uids,
		  struct parity_mailbox *data, pool_t pool,
		  struct verify_error *error_r)
{
	struct verify_text_context tctx = { vctx, side->what };
	struct seq_range_iter iter;
	ARRAY_TYPE(seq_range) uids;
	unsigned int n;
	uint32_t uid, own_uid;
	int ret;

	t_array_init(&uids, 64);
	seq_range_array_iter_init(&iter, source_uids);
	for (n = 0; seq_range_array_iter_nth(&iter, n, &uid); n++) {
		seq_range_array_add(&uids, dest_pairing == NULL ? uid :
				    pairing_dest_uid(dest_pairing, uid));
	}
	ret = verify_mailbox_read_texts(side->box, &uids, pool, &side->data,
					verify_text_failed, &tctx, error_r);
	for (n = 0; seq_range_array_iter_nth(&iter, n, &uid); n++) {
		own_uid = dest_pairing == NULL ? uid :
			pairing_dest_uid(dest_pairing, uid);
		find_mail(data, uid)->digest =
			find_mail(&side->data, own_uid)->digest;
	}
	return ret;
}

static int
paired_compare(struct verify_context *vctx,
	       const struct migration_pairing *pairing, pool_t pool,
	       struct verify_side *source,
	       struct verify_side *dest, struct verify_result *result,
	       ARRAY_TYPE(parity_difference) *differences,
	       struct verify_error *error_r)
{
	struct parity_mailbox source_data, dest_data;
	ARRAY_TYPE(seq_range) uids;
	int ret = 0;

	if (paired_side_open(source, pairing, pool, error_r) < 0 ||
	    (array_count(&pairing->pairs) > 0 &&
	     paired_side_open(dest, pairing, pool, error_r) < 0))
		return -1;
	source_take_expected(source, pairing, &source_data, pool);
	/* a destination without the mailbox only lacks the mails */
	dest->data.name = pairing->title;
	dest->data.exists = TRUE;
	dest->data.subscribed = source_data.subscribed;
	dest_take_pairs(dest, pairing, &source_data, &dest_data,
			&vctx->cmd->policy, pool, differences);
	result->source_count = array_count(&source_data.mails);
	result->dest_count = array_count(&pairing->pairs);

	p_array_init(&uids, pool, 64);
	parity_want_texts(&source_data, &dest_data, vctx->cmd->sample_percent,
			  vctx->cmd->sample_min, &uids);
	if (array_count(&uids) > 0) {
		ret = paired_read_texts(vctx, source, NULL, &uids,
					&source_data, pool, error_r);
		if (ret >= 0) {
			result->text_count = ret;
			ret = paired_read_texts(vctx, dest, pairing, &uids,
						&dest_data, pool, error_r);
		}
	}
	parity_compare(&source_data, &dest_data, &vctx->cmd->policy, pool,
		       differences);
	return ret < 0 ? -1 : 0;
}

void verify_pairing_run(struct verify_context *vctx,
			const struct migration_pairing *pairing,
			const struct verify_name *source_name,
			const struct verify_name *dest_name, pool_t pool)
{
	struct verify_side source = { .what = "Source", .name = source_name };
	struct verify_side dest = { .what = "Destination", .name = dest_name };
	ARRAY_TYPE(parity_difference) differences;
	struct verify_result result;
	struct verify_error error;

	i_zero(&result);
	result.name = pairing->title;
	p_array_init(&differences, pool, 16);
	if (paired_compare(vctx, pairing, pool, &source, &dest, &result,
			   &differences, &error) < 0) {
		verify_failed(vctx, result.name, source.box == NULL ?
			      source.what : dest.what, &error);
		result.error = error.text;
	}
	migration_run_count(vctx->run, MIGRATION_COUNTER_MAILS_COMPARED,
			    result.source_count);
	migration_run_count(vctx->run, MIGRATION_COUNTER_BODIES_COMPARED,
			    result.text_count);
	verify_finish_result(vctx, &result, &differences);
	verify_proof_add(vctx, &result, NULL, NULL, NULL);
	if (source.box != NULL)
		mailbox_free(&source.box);
	if (dest.box != NULL)
		mailbox_free(&dest.box);
}

void verify_pairing(struct verify_context *vctx)
{
	pool_t pool = pool_alloconly_create("verify pairing", 16384);
	struct verify_name source_name = { .exists = TRUE };
	struct verify_name dest_name = { .exists = TRUE };
	struct migration_pairing pairing;
	struct verify_error error = { .error = MAIL_ERROR_TEMP };
	int ret;

	ret = migration_pairing_find(vctx->source_user, vctx->dest_user, pool,
				     &pairing, &error.text);
	if (ret < 0)
		verify_failed(vctx, pairing.vname, "Both sides", &error);
	else if (ret > 0 &&
		 verify_filter_matches(&vctx->cmd->filter, pairing.vname)) {
		source_name.name = dest_name.name = pairing.vname;
		source_name.ns = mail_namespace_find(
			vctx->source_user->namespaces, pairing.vname);
		dest_name.ns = mail_namespace_find(
			vctx->dest_user->namespaces, pairing.vname);
		verify_pairing_run(vctx, &pairing, &source_name, &dest_name,
				   pool);
	}
	pool_unref(&pool);
}
