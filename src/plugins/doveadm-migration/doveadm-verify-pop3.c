/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-storage.h"
#include "doveadm-pop3-settings.h"
#include "verify-pop3.h"
#include "doveadm-verify-private.h"
#include "verify-proof.h"

/* The mailbox that POP3 serves, or NULL if it is not to be compared. */
static const struct verify_name *verify_find_inbox(struct verify_context *vctx)
{
	const struct verify_name *name;

	array_foreach(&vctx->source_names, name) {
		if (strcmp(name->name, "INBOX") == 0)
			return name;
	}
	return NULL;
}

struct verify_pop3_lists {
	struct verify_pop3_source *source;
	struct verify_pop3_dest *dest;
	ARRAY_TYPE(parity_pop3_mail) source_list, dest_list;
	/* whose failure it was */
	const char *side;
};

static int
verify_pop3_read_lists(struct verify_context *vctx,
		       const struct doveadm_pop3_settings *set, pool_t pool,
		       struct verify_pop3_lists *lists,
		       struct verify_error *error_r)
{
	lists->side = "Source";
	if (verify_pop3_source_init(vctx->dest_user, set, vctx->run->event,
				    pool, &lists->source, error_r) < 0 ||
	    verify_pop3_source_list(lists->source, &lists->source_list,
				    error_r) < 0)
		return -1;
	lists->side = "Destination";
	if (verify_pop3_dest_open(vctx->dest_user, set->all_mailboxes, pool,
				  &lists->dest, error_r) < 0)
		return -1;
	return verify_pop3_dest_list(lists->dest, pool, &lists->dest_list,
				     error_r);
}

static int
verify_pop3_read_headers(struct verify_context *vctx, pool_t pool,
			 struct verify_pop3_lists *lists,
			 struct verify_result *result,
			 struct verify_error *error_r)
{
	ARRAY_TYPE(parity_pop3_pair) pairs;

	p_array_init(&pairs, pool, 64);
	parity_want_pop3_headers(&lists->source_list, &lists->dest_list,
				 vctx->cmd->sample_percent,
				 vctx->cmd->sample_min, &pairs);
	if (array_count(&pairs) == 0)
		return 0;
	result->text_count = array_count(&pairs);
	lists->side = "Source";
	if (verify_pop3_source_read_headers(lists->source, &pairs,
					    &lists->source_list, error_r) < 0)
		return -1;
	lists->side = "Destination";
	return verify_pop3_dest_read_headers(lists->dest, &pairs, pool,
					     &lists->dest_list, error_r);
}

static int
verify_pop3_compare(struct verify_context *vctx,
		    const struct doveadm_pop3_settings *set, pool_t pool,
		    struct verify_pop3_lists *lists,
		    struct verify_result *result,
		    ARRAY_TYPE(parity_difference) *differences,
		    struct verify_error *error_r)
{
	struct parity_policy policy = vctx->cmd->policy;

	if (verify_pop3_read_lists(vctx, set, pool, lists, error_r) < 0)
		return -1;
	result->source_count = array_count(&lists->source_list);
	result->dest_count = array_count(&lists->dest_list);
	migration_run_count(vctx->run, MIGRATION_COUNTER_POP3_MAILS,
			    result->source_count);
	if (verify_pop3_read_headers(vctx, pool, lists, result, error_r) < 0)
		return -1;
	policy.allow_extra_uidls = set->ignore_extra_uidls;
	parity_compare_pop3(&lists->source_list, &lists->dest_list, &policy,
			    pool, differences);
	return 0;
}

static void
verify_pop3_run(struct verify_context *vctx,
		const struct doveadm_pop3_settings *set, pool_t pool)
{
	ARRAY_TYPE(parity_difference) differences;
	struct verify_pop3_lists lists;
	struct verify_result result;
	struct verify_error error;

	i_zero(&result);
	result.name = set->all_mailboxes ? "all mailboxes (POP3)" :
		"INBOX (POP3)";
	i_zero(&lists);
	p_array_init(&lists.source_list, pool, 64);
	p_array_init(&lists.dest_list, pool, 64);
	p_array_init(&differences, pool, 16);
	if (verify_pop3_compare(vctx, set, pool, &lists, &result, &differences,
				&error) < 0) {
		verify_failed(vctx, result.name, lists.side, &error);
		result.error = error.text;
	}
	verify_finish_result(vctx, &result, &differences);
	verify_proof_add(vctx, &result, NULL, NULL, NULL);
	if (lists.source != NULL)
		verify_pop3_source_deinit(&lists.source);
	if (lists.dest != NULL)
		verify_pop3_dest_close(&lists.dest);
}

void verify_pop3(struct verify_context *vctx)
{
	struct doveadm_pop3_settings set;
	struct verify_error error;
	pool_t pool;

	if (verify_find_inbox(vctx) == NULL)
		return;
	pool = pool_alloconly_create("verify pop3", 16384);
	if (doveadm_pop3_settings_get(vctx->dest_user, pool, &set, &error) < 0)
		verify_failed(vctx, NULL, "Destination", &error);
	else if (set.mailbox[0] != '\0')
		verify_pop3_run(vctx, &set, pool);
	else {
		e_debug(vctx->run->event, "POP3 UIDLs and order are not "
			"compared: migration_pop3_mailbox is not set");
	}
	pool_unref(&pool);
}
