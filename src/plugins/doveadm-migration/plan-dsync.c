/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "guid.h"
#include "hex-binary.h"
#include "istream.h"
#include "istream-crlf.h"
#include "md5.h"
#include "message-header-hash.h"
#include "mailbox-log.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "mail-storage-private.h"
#include "mailbox-list.h"
#include "doveadm-settings.h"
#include "deletion-guard.h"
#include "dest-changes.h"
#include "plan-dsync.h"

/* of both 2.3.19.1 and 2.4.1 (dsync_brain_set_hdr_hash_version()) */
#define DSYNC_HEADER_HASH_VERSION 3

/*
 * Names
 */

/* "" if there is none */
static const char *
mailbox_guid(const struct verify_name *name, pool_t pool)
{
	struct mailbox_metadata metadata;
	struct mailbox *box;
	const char *guid = "";

	box = mailbox_alloc(name->ns->list, name->name, MAILBOX_FLAG_READONLY |
			    MAILBOX_FLAG_IGNORE_ACLS);
	if (mailbox_get_metadata(box, MAILBOX_METADATA_GUID, &metadata) == 0)
		guid = p_strdup(pool, guid_128_to_string(metadata.guid));
	mailbox_free(&box);
	return guid;
}

static void
pair_source(struct plan_dsync_pair *pair, const struct verify_name *source,
	    pool_t pool)
{
	pair->source = source;
	pair->name = source->name;
	pair->source_name = p_strdup(pool,
		mailbox_list_get_storage_name(source->ns->list, source->name));
}

/* Merges the two sorted lists. */
static void
pair_by_name(const ARRAY_TYPE(verify_name) *source_names,
	     const ARRAY_TYPE(verify_name) *dest_names, pool_t pool,
	     ARRAY_TYPE(plan_dsync_pair) *pairs)
{
	const struct verify_name *source, *dest;
	unsigned int s = 0, d = 0, source_count, dest_count;
	struct plan_dsync_pair *pair;
	int cmp;

	source = array_get(source_names, &source_count);
	dest = array_get(dest_names, &dest_count);
	while (s < source_count || d < dest_count) {
		if (s < source_count && !source[s].exists) {
			s++;
			continue;
		}
		if (d < dest_count && !dest[d].exists) {
			d++;
			continue;
		}
		cmp = s == source_count ? 1 : d == dest_count ? -1 :
			strcmp(source[s].name, dest[d].name);
		pair = array_append_space(pairs);
		pair->old_name = pair->source_name = "";
		if (cmp >= 0) {
			pair->dest = &dest[d];
			pair->name = dest[d++].name;
		}
		if (cmp <= 0)
			pair_source(pair, &source[s++], pool);
	}
}

static struct plan_dsync_pair *
find_dest_guid(ARRAY_TYPE(plan_dsync_pair) *pairs, const char *guid, pool_t pool)
{
	struct plan_dsync_pair *pair;

	array_foreach_modifiable(pairs, pair) {
		if (pair->source == NULL && pair->dest != NULL &&
		    strcmp(mailbox_guid(pair->dest, pool), guid) == 0)
			return pair;
	}
	return NULL;
}

static bool
log_has_deleted(struct mail_namespace *dest_namespaces, const char *vname,
		const char *guid)
{
	struct mail_namespace *ns = mail_namespace_find(dest_namespaces, vname);
	struct mailbox_log *log = mailbox_list_get_changelog(ns->list);
	const struct mailbox_log_record *record;
	struct mailbox_log_iter *iter;
	bool deleted = FALSE;

	if (log == NULL)
		return FALSE;
	iter = mailbox_log_iter_init(log);
	while ((record = mailbox_log_iter_next(iter)) != NULL) {
		if (record->type == MAILBOX_LOG_RECORD_DELETE_MAILBOX &&
		    strcmp(guid_128_to_string(record->mailbox_guid), guid) == 0)
			deleted = TRUE;
	}
	(void)mailbox_log_iter_deinit(&iter);
	return deleted;
}

void plan_dsync_pair_names(struct mail_namespace *dest_namespaces,
			   const ARRAY_TYPE(verify_name) *source_names,
			   const ARRAY_TYPE(verify_name) *dest_names,
			   pool_t pool, ARRAY_TYPE(plan_dsync_pair) *pairs)
{
	struct plan_dsync_pair *pair, *renamed;
	const char *guid;
	unsigned int i;

	pair_by_name(source_names, dest_names, pool, pairs);
	array_foreach_modifiable(pairs, pair) T_BEGIN {
		/* no side is left of one whose destination went to another */
		guid = pair->dest != NULL || pair->source == NULL ? "" :
			mailbox_guid(pair->source, pool);
		renamed = *guid == '\0' ? NULL :
			find_dest_guid(pairs, guid, pool);
		if (renamed != NULL) {
			pair->dest = renamed->dest;
			pair->old_name = renamed->name;
			renamed->dest = NULL;
		} else if (*guid != '\0') {
			pair->was_deleted = log_has_deleted(dest_namespaces,
							    pair->name, guid);
		}
	} T_END;
	for (i = 0; i < array_count(pairs); ) {
		pair = array_idx_modifiable(pairs, i);
		if (pair->source == NULL && pair->dest == NULL)
			array_delete(pairs, i, 1);
		else
			i++;
	}
}

const char *plan_dsync_bad_name(struct mail_namespace *dest_namespaces,
				const char *name)
{
	struct mail_namespace *ns = mail_namespace_find(dest_namespaces, name);
	struct mailbox *box = mailbox_alloc(ns->list, name, 0);
	const char *why = NULL;

	if (mailbox_verify_create_name(box) < 0)
		why = t_strdup(mailbox_get_last_error(box, NULL));
	mailbox_free(&box);
	return why;
}

/*
 * Mails
 */

/* dsync_mail_get_hdr_hash() */
static int
header_identity(struct mail *mail, struct mailbox_header_lookup_ctx *headers,
		pool_t pool, const char **identity_r)
{
	struct message_header_hash_context hash_ctx;
	struct md5_context md5_ctx;
	unsigned char result[MD5_RESULTLEN];
	struct istream *header, *input;
	const unsigned char *data;
	size_t size;
	int ret;

	if (mail_get_header_stream(mail, headers, &header) < 0)
		return -1;
	input = i_stream_create_lf(header);
	md5_init(&md5_ctx);
	i_zero(&hash_ctx);
	while (i_stream_read_more(input, &data, &size) > 0) {
		message_header_hash_more(&hash_ctx, &hash_method_md5, &md5_ctx,
					 DSYNC_HEADER_HASH_VERSION, data, size);
		i_stream_skip(input, size);
	}
	ret = input->stream_errno != 0 ? -1 : 0;
	i_stream_unref(&input);
	md5_final(&md5_ctx, result);
	*identity_r = p_strdup(pool, binary_to_hex(result, sizeof(result)));
	return ret;
}

/* By what mails are told apart. */
struct identity_source {
	bool wanted, guids;
	struct mailbox_header_lookup_ctx *headers;
};

static int
mail_read(struct mail *mail, const struct identity_source *by, pool_t pool,
	  struct dsync_plan_mail *data_r)
{
	const char *guid;
	int ret = 0;

	i_zero(data_r);
	data_r->uid = mail->uid;
	data_r->identity = "";
	data_r->flags = mail_get_flags(mail);
	data_r->keywords = p_strarray_dup(pool, mail_get_keywords(mail));
	if (mail_get_virtual_size(mail, &data_r->size) < 0)
		return -1;
	if (by->wanted) {
		data_r->modseq = mail_get_modseq(mail);
		if (!by->guids) {
			ret = header_identity(mail, by->headers, pool,
					      &data_r->identity);
		} else if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) == 0) {
			data_r->identity = p_strdup(pool, guid);
		} else {
			ret = -1;
		}
	}
	return ret;
}

static int
mails_read(struct mailbox *box, const struct identity_source *by, pool_t pool,
	   struct dsync_plan_side *side, struct verify_error *error_r)
{
	const enum mail_fetch_field wanted_fields = MAIL_FETCH_FLAGS |
		MAIL_FETCH_RECEIVED_DATE | MAIL_FETCH_VIRTUAL_SIZE |
		(by->guids ? MAIL_FETCH_GUID : 0);
	struct mailbox_transaction_context *trans;
	struct mail_search_context *search;
	struct mail_search_args *args;
	struct dsync_plan_mail data;
	enum mail_error error;
	struct mail *mail;
	int ret = 0;

	trans = mailbox_transaction_begin(box, 0, "migration plan");
	args = mail_search_build_init();
	mail_search_build_add_all(args);
	search = mailbox_search_init(trans, args, NULL, wanted_fields,
				     by->headers);
	mail_search_args_unref(&args);
	while (ret == 0 && mailbox_search_next(search, &mail)) T_BEGIN {
		if (mail_read(mail, by, pool, &data) == 0)
			array_push_back(&side->mails, &data);
		else {
			/* one that is gone meanwhile is no mail of the plan */
			(void)mailbox_get_last_internal_error(box, &error);
			ret = error == MAIL_ERROR_EXPUNGED ? 0 : -1;
		}
	} T_END;
	if (ret < 0)
		(void)verify_box_error(box, "Reading it", error_r);
	if (mailbox_search_deinit(&search) < 0 && ret == 0)
		ret = verify_box_error(box, "Reading it", error_r);
	mailbox_transaction_rollback(&trans);
	return ret;
}

static int
side_read(struct mailbox *box, const struct identity_source *_by, pool_t pool,
	  struct dsync_plan_side *side, struct verify_error *error_r)
{
	struct identity_source by = *_by;
	struct mailbox_metadata metadata;
	struct mailbox_status status;
	int ret;

	mailbox_get_open_status(box, STATUS_UIDVALIDITY | STATUS_UIDNEXT |
				STATUS_MESSAGES, &status);
	if (mailbox_get_metadata(box, MAILBOX_METADATA_GUID, &metadata) < 0)
		return verify_box_error(box, "Reading it", error_r);
	side->exists = TRUE;
	side->guid = p_strdup(pool, guid_128_to_string(metadata.guid));
	side->uid_validity = status.uidvalidity;
	side->uid_next = status.uidnext;
	p_array_init(&side->mails, pool, status.messages + 1);
	if (by.wanted && !by.guids) {
		by.headers = mailbox_header_lookup_init(box,
			t_strsplit_spaces(doveadm_settings->dsync_hashed_headers,
					  " ,"));
	}
	ret = mails_read(box, &by, pool, side, error_r);
	if (by.headers != NULL)
		mailbox_header_lookup_unref(&by.headers);
	return ret;
}

/* dsync_brain_sync_mailbox_init_remote(): with backup and sync -1 */
static bool boxes_have_guids(struct mailbox *source, struct mailbox *dest)
{
	struct mailbox_status status, dest_status;

	mailbox_get_open_status(source, 0, &status);
	mailbox_get_open_status(dest, 0, &dest_status);
	return dest_status.have_save_guids &&
		(status.have_save_guids || status.have_guids);
}

static int
boxes_read(struct mailbox *source, struct mailbox *dest, bool merge,
	   pool_t pool, struct plan_dsync_sides *sides,
	   struct verify_error *error_r, const char **side_r)
{
	struct identity_source by = {
		.wanted = source != NULL && dest != NULL &&
			mail_index_view_get_messages_count(dest->view) > 0,
	};

	if (by.wanted)
		by.guids = sides->guids = boxes_have_guids(source, dest);
	*side_r = "Source";
	if (source != NULL &&
	    side_read(source, &by, pool, &sides->source, error_r) < 0)
		return -1;
	*side_r = "Destination";
	if (dest == NULL)
		return 0;
	if (side_read(dest, &by, pool, &sides->dest, error_r) < 0)
		return -1;
	sides->completed = deletion_guard_is_completed(dest);
	if (merge && by.wanted)
		dest_changes_read(dest, pool, &sides->dest.mails);
	return 0;
}

int plan_dsync_read(const struct plan_dsync_pair *pair, bool merge, pool_t pool,
		    struct plan_dsync_sides *sides_r,
		    struct verify_error *error_r, const char **side_r)
{
	struct mailbox *source = NULL, *dest = NULL;
	int ret = 0;

	i_zero(sides_r);
	sides_r->source.guid = sides_r->dest.guid = "";
	sides_r->dest.was_deleted = pair->was_deleted;
	*side_r = "Source";
	if (pair->source != NULL)
		ret = verify_mailbox_open(pair->source, &source, error_r);
	if (ret == 0 && pair->dest != NULL) {
		*side_r = "Destination";
		ret = verify_mailbox_open(pair->dest, &dest, error_r);
	}
	if (ret == 0) {
		ret = boxes_read(source, dest, merge, pool, sides_r, error_r,
				 side_r);
	}
	if (dest != NULL)
		mailbox_free(&dest);
	if (source != NULL)
		mailbox_free(&source);
	return ret;
}
