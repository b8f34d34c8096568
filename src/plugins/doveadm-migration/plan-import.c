/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "doveadm-mail.h"
#include "import-lookup.h"
#include "import-name.h"
#include "import-source-user.h"
#include "mailbox-evidence.h"
#include "migration-run.h"
#include "second-user.h"
#include "plan-import.h"

#include <sysexits.h>

static int
plan_import_source_init(struct doveadm_mail_cmd_context *ctx,
			struct mail_user *dest_user,
			const char *source_username, const char *location,
			const char *const *options,
			struct mail_user **user_r, const char **error_r)
{
	const char *expanded;

	if (import_source_location_expand(dest_user, source_username, location,
					  &expanded, error_r) < 0)
		return -2;
	return import_source_user_init(ctx->storage_service,
		ctx->cur_service_user, source_username != NULL ?
			source_username : dest_user->username,
		expanded, options, user_r, error_r);
}

int plan_source_init(struct doveadm_mail_cmd_context *ctx,
		     struct mail_user *dest_user, bool import,
		     const char *source_username, const char *location,
		     const char *const *options, struct mail_user **user_r)
{
	struct event *event = migration_run_find(dest_user)->event;
	const char *error;
	int ret;

	ret = import ?
		plan_import_source_init(ctx, dest_user, source_username,
					location, options, user_r, &error) :
		second_user_init(ctx->storage_service, ctx->cur_service_user,
				 location, options, user_r, &error);
	if (ret >= 0)
		return 0;
	/* an unknown user is no fault of the location */
	if (ret == -3)
		e_error(event, "%s", error);
	else
		e_error(event, "Source %s: %s", location, error);
	ctx->exit_code = ret == -1 ? EX_TEMPFAIL :
		(ret == -2 ? EX_CONFIG : EX_NOUSER);
	return -1;
}

int plan_import_list_source(struct mail_user *source_user,
			    const struct verify_filter *filter, pool_t pool,
			    ARRAY_TYPE(verify_name) *names,
			    struct verify_error *error_r)
{
	/* it has one namespace */
	static const char *const namespaces[] = { "", NULL };
	struct verify_filter source_filter = *filter;

	source_filter.namespaces = namespaces;
	if (verify_list_names(source_user, &source_filter, pool, names,
			      error_r) < 0)
		return -1;
	if (array_is_empty(names)) {
		migration_run_finding(migration_run_find(source_user),
			MIGRATION_SEVERITY_WARNING, NULL, 0,
			FINDING_SOURCE_EMPTY, SOURCE_EMPTY_WORDS);
	}
	return 0;
}

/*
 * Names
 */

static const struct verify_name *
find_name(const ARRAY_TYPE(verify_name) *names, const char *name)
{
	const struct verify_name *entry;

	array_foreach(names, entry) {
		if (entry->exists && strcmp(entry->name, name) == 0)
			return entry;
	}
	return NULL;
}

static const char *const *
get_vnames(const ARRAY_TYPE(verify_name) *names)
{
	const struct verify_name *name;
	ARRAY_TYPE(const_string) vnames;

	t_array_init(&vnames, array_count(names) + 1);
	array_foreach(names, name) {
		if (name->exists)
			array_push_back(&vnames, &name->name);
	}
	array_append_zero(&vnames);
	return array_front(&vnames);
}

static void
pair_source_name(struct mail_namespace *dest_namespaces, const char *parent,
		 const struct verify_name *source,
		 const char *const *source_vnames, pool_t pool,
		 struct plan_import_pair *pair_r)
{
	struct mail_namespace *ns = mail_namespace_find(dest_namespaces,
		*parent != '\0' ? parent : source->name);
	char dest_sep = mail_namespace_get_sep(ns);
	const char *name, *rival;

	i_zero(pair_r);
	pair_r->source = source;
	name = import_name_decide(source->name, source_vnames,
				  mail_namespace_get_sep(source->ns), dest_sep,
				  &rival);
	if (*parent != '\0')
		name = t_strdup_printf("%s%c%s", parent, dest_sep, name);
	pair_r->name = p_strdup(pool, name);
	pair_r->rival = p_strdup(pool, rival);
}

static bool
is_paired(const ARRAY_TYPE(plan_import_pair) *pairs,
	  const struct verify_name *dest)
{
	const struct plan_import_pair *pair;

	array_foreach(pairs, pair) {
		if (pair->dest == dest)
			return TRUE;
	}
	return FALSE;
}

void plan_import_pair_names(struct mail_namespace *dest_namespaces,
			    const char *parent,
			    const ARRAY_TYPE(verify_name) *source_names,
			    const ARRAY_TYPE(verify_name) *dest_names,
			    pool_t pool, ARRAY_TYPE(plan_import_pair) *pairs)
{
	const char *const *vnames = get_vnames(source_names);
	const struct verify_name *name;
	struct plan_import_pair pair;

	array_foreach(source_names, name) {
		if (!name->exists)
			continue;
		pair_source_name(dest_namespaces, parent, name, vnames, pool,
				 &pair);
		pair.dest = find_name(dest_names, pair.name);
		array_push_back(pairs, &pair);
	}
	array_foreach(dest_names, name) {
		if (!name->exists || is_paired(pairs, name))
			continue;
		i_zero(&pair);
		pair.dest = name;
		pair.name = name->name;
		array_push_back(pairs, &pair);
	}
}

/*
 * Mails
 */

/* All mails, none of which has a partner yet. */
static void
read_side(struct mailbox *box, pool_t pool, struct import_plan_side *side_r)
{
	struct import_plan_mail *mail;
	struct mailbox_status status;
	uint32_t seq, count = mail_index_view_get_messages_count(box->view);

	mailbox_get_open_status(box, STATUS_UIDVALIDITY | STATUS_UIDNEXT,
				&status);
	side_r->exists = TRUE;
	side_r->uid_validity = status.uidvalidity;
	side_r->next_uid = status.uidnext;
	p_array_init(&side_r->mails, pool, count + 1);
	for (seq = 1; seq <= count; seq++) {
		mail = array_append_space(&side_r->mails);
		mail_index_lookup_uid(box->view, seq, &mail->uid);
	}
}

static int uid_cmp(const uint32_t *uid, const struct import_plan_mail *mail)
{
	return *uid < mail->uid ? -1 : (*uid > mail->uid ? 1 : 0);
}

/* Returns NULL if there is none. */
static struct import_plan_mail *
find_mail(struct import_plan_side *side, uint32_t uid)
{
	const struct import_plan_mail *found;

	found = array_bsearch(&side->mails, &uid, uid_cmp);
	return found == NULL ? NULL :
		array_idx_modifiable(&side->mails,
				     array_ptr_to_idx(&side->mails, found));
}

static void
set_partner(struct import_plan_side *side, uint32_t uid, uint32_t partner_uid)
{
	struct import_plan_mail *mail = find_mail(side, uid);

	if (mail != NULL)
		mail->partner_uid = partner_uid;
}

static void
set_size(void *context, const struct mailbox_evidence *evidence)
{
	struct import_plan_mail *mail = find_mail(context, evidence->uid);

	if (mail != NULL)
		mail->size = evidence->size;
}

/* The sizes of what will be saved. */
static int
read_sizes(struct mailbox *source_box, struct import_plan_side *source,
	   struct verify_error *error_r)
{
	const struct import_plan_mail *mail;
	ARRAY_TYPE(seq_range) uids;
	const char *error;

	t_array_init(&uids, 64);
	array_foreach(&source->mails, mail) {
		if (mail->partner_uid == 0)
			seq_range_array_add(&uids, mail->uid);
	}
	if (array_count(&uids) == 0 ||
	    mailbox_evidence_read(source_box, &uids, MAILBOX_EVIDENCE_SIZE,
				  set_size, source, &error) == 0)
		return 0;
	error_r->text = t_strdup_printf("Mailbox %s: Reading sizes failed: %s",
					mailbox_get_vname(source_box), error);
	error_r->error = MAIL_ERROR_TEMP;
	return -1;
}

/* As the import looks for partners: in the order of the source. */
static int
pair_mails(struct mailbox *source_box, struct import_lookup *lookup,
	   struct import_plan_side *source, struct import_plan_side *dest)
{
	struct mailbox_transaction_context *trans;
	struct mail_search_context *search;
	struct mail_search_args *args;
	struct import_identity identity;
	struct mail *mail;
	const char *reason;
	uint32_t uid;
	int ret = 0;

	trans = mailbox_transaction_begin(source_box, 0, "import");
	args = mail_search_build_init();
	mail_search_build_add_all(args);
	search = mailbox_search_init(trans, args, NULL, MAIL_FETCH_GUID, NULL);
	mail_search_args_unref(&args);
	while (ret >= 0 && mailbox_search_next(search, &mail)) T_BEGIN {
		i_zero(&identity);
		ret = import_lookup_find(lookup, mail, FALSE, &identity, &uid,
					 &reason);
		if (ret > 0) {
			set_partner(source, mail->uid, uid);
			set_partner(dest, uid, mail->uid);
		}
		if (ret >= 0) {
			e_debug(source_box->event, "Plan: UID %u: %s (%s)",
				mail->uid, ret > 0 ? "present" : "new", reason);
		}
	} T_END;
	if (mailbox_search_deinit(&search) < 0)
		ret = -1;
	(void)mailbox_transaction_commit(&trans);
	return ret < 0 ? -1 : 0;
}

static int
pair_boxes(struct mailbox *source_box, struct mailbox *dest_box,
	   struct import_plan_side *source, struct import_plan_side *dest,
	   struct verify_error *error_r, const char **side_r)
{
	struct import_lookup *lookup = import_lookup_init(dest_box, FALSE,
							  NULL);
	int ret;

	*side_r = "Destination";
	if (lookup == NULL)
		return verify_box_error(dest_box, "Reading it", error_r);
	ret = pair_mails(source_box, lookup, source, dest);
	if (ret < 0) {
		*side_r = "Source";
		(void)verify_box_error(source_box, "Reading it", error_r);
	}
	import_lookup_deinit(&lookup);
	return ret;
}

int plan_import_read(const struct plan_import_pair *pair, pool_t pool,
		     struct import_plan_side *source_r,
		     struct import_plan_side *dest_r,
		     struct verify_error *error_r, const char **side_r)
{
	struct mailbox *source_box = NULL, *dest_box = NULL;
	int ret = 0;

	i_zero(source_r);
	i_zero(dest_r);
	if (pair->source != NULL) {
		*side_r = "Source";
		ret = verify_mailbox_open(pair->source, &source_box, error_r);
		if (ret == 0)
			read_side(source_box, pool, source_r);
	}
	if (ret == 0 && pair->dest != NULL) {
		*side_r = "Destination";
		ret = verify_mailbox_open(pair->dest, &dest_box, error_r);
		if (ret == 0)
			read_side(dest_box, pool, dest_r);
	}
	if (ret == 0 && source_box != NULL && dest_box != NULL) {
		ret = pair_boxes(source_box, dest_box, source_r, dest_r,
				 error_r, side_r);
	}
	if (ret == 0 && source_box != NULL) {
		*side_r = "Source";
		ret = read_sizes(source_box, source_r, error_r);
	}
	if (dest_box != NULL)
		mailbox_free(&dest_box);
	if (source_box != NULL)
		mailbox_free(&source_box);
	return ret;
}
