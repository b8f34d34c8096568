/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* After an import the destination has what the source has, among its own: each
   mail of the source is one mail there, whatever its UID, and no two of them are
   the same one. Mails are paired as the import pairs them. */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "plan-import.h"
#include "doveadm-verify-private.h"

static void
pairing_init(const struct plan_import_pair *pair,
	     const struct import_plan_side *source,
	     const struct import_plan_side *dest, pool_t pool,
	     struct migration_pairing *pairing_r)
{
	const struct import_plan_mail *mail;
	struct migration_pair *new_pair;

	pairing_r->vname = pairing_r->title = pair->name;
	p_array_init(&pairing_r->source_uids, pool, 64);
	p_array_init(&pairing_r->pairs, pool, 64);
	array_foreach(&source->mails, mail)
		array_push_back(&pairing_r->source_uids, &mail->uid);
	if (!dest->exists)
		return;
	array_foreach(&dest->mails, mail) {
		/* its own */
		if (mail->partner_uid == 0)
			continue;
		new_pair = array_append_space(&pairing_r->pairs);
		new_pair->dest_uid = mail->uid;
		new_pair->source_uid = mail->partner_uid;
	}
}

static void
verify_import_pair(struct verify_context *vctx,
		   const struct plan_import_pair *pair)
{
	pool_t pool = pool_alloconly_create("verify import", 16384);
	struct import_plan_side source, dest;
	struct migration_pairing pairing;
	struct verify_error error;
	const char *side;

	if (plan_import_read(pair, pool, &source, &dest, &error, &side) < 0)
		verify_failed(vctx, pair->name, side, &error);
	else {
		pairing_init(pair, &source, &dest, pool, &pairing);
		verify_pairing_run(vctx, &pairing, pair->source, pair->dest,
				   pool);
	}
	pool_unref(&pool);
}

int verify_import(struct verify_context *vctx, pool_t pool)
{
	ARRAY_TYPE(plan_import_pair) pairs;
	const struct plan_import_pair *pair;
	struct verify_error error;

	p_array_init(&vctx->source_names, pool, 64);
	p_array_init(&vctx->dest_names, pool, 64);
	p_array_init(&pairs, pool, 64);
	i_zero(&vctx->cmd->filter.special_names);
	if (plan_import_list_source(vctx->source_user, &vctx->cmd->filter,
				    pool, &vctx->source_names, &error) < 0) {
		verify_failed(vctx, NULL, "Source", &error);
		return -1;
	}
	if (verify_list_names(vctx->dest_user, &vctx->cmd->filter, pool,
			      &vctx->dest_names, &error) < 0) {
		verify_failed(vctx, NULL, "Destination", &error);
		return -1;
	}
	plan_import_pair_names(vctx->dest_user->namespaces, vctx->cmd->parent,
			       &vctx->source_names, &vctx->dest_names, pool,
			       &pairs);
	array_foreach(&pairs, pair) T_BEGIN {
		if (pair->source != NULL && !doveadm_is_killed())
			verify_import_pair(vctx, pair);
	} T_END;
	if (doveadm_is_killed())
		doveadm_mail_failed_error(&vctx->cmd->ctx, MAIL_ERROR_TEMP);
	return 0;
}
