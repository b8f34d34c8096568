/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "str.h"
#include "wildcard-match.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "mailbox-list-iter.h"
#include "migration-run.h"
#include "second-user.h"
#include "verify-storage.h"

#define MAILBOX_OPEN_FLAGS \
	(MAILBOX_FLAG_READONLY | MAILBOX_FLAG_IGNORE_ACLS)

/*
 * Names
 */

static int verify_name_cmp(const struct verify_name *a,
			   const struct verify_name *b)
{
	return strcmp(a->name, b->name);
}

static bool name_matches(const char *name, const char *const *masks)
{
	for (; *masks != NULL; masks++) {
		if (wildcard_match(name, *masks))
			return TRUE;
	}
	return FALSE;
}

bool verify_filter_matches(const struct verify_filter *filter,
			   const char *name)
{
	if (filter->masks[0] != NULL && !name_matches(name, filter->masks))
		return FALSE;
	if (name_matches(name, filter->excludes))
		return FALSE;
	return !array_is_created(&filter->special_names) ||
		array_lsearch(&filter->special_names, &name,
			      i_strcmp_p) == NULL;
}

/* -x '\\All': by the special-use attribute, as doveadm backup has it. What the
   source calls so is left out on both sides. */
static bool
special_use_is_excluded(const struct verify_filter *filter,
			const struct mailbox_info *info)
{
	const char *const *uses, *const *exclude;

	if (info->special_use == NULL)
		return FALSE;
	uses = t_strsplit_spaces(info->special_use, " ");
	for (exclude = filter->excludes; *exclude != NULL; exclude++) {
		if (**exclude == '\\' && str_array_icase_find(uses, *exclude))
			return TRUE;
	}
	return FALSE;
}

static void filter_add_name(struct verify_filter *filter, pool_t pool,
			    const char *name)
{
	if (!array_is_created(&filter->special_names))
		p_array_init(&filter->special_names, pool, 4);
	name = p_strdup(pool, name);
	array_push_back(&filter->special_names, &name);
}

static int
list_error(struct mail_namespace *ns, const char *what,
	   struct verify_error *error_r)
{
	const char *text;

	text = mailbox_list_get_last_internal_error(ns->list, &error_r->error);
	error_r->text = t_strdup_printf("Listing %s%s failed: %s", what,
		ns->prefix_len == 0 ? "" :
		t_strdup_printf(" of namespace %s", ns->prefix), text);
	return -1;
}

static int
list_mailboxes(struct mail_namespace *ns, struct verify_filter *filter,
	       pool_t pool, ARRAY_TYPE(verify_name) *names,
	       struct verify_error *error_r)
{
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	struct verify_name *name;

	iter = mailbox_list_iter_init(ns->list, "*",
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_NO_AUTO_BOXES |
				      MAILBOX_LIST_ITER_RETURN_SPECIALUSE);
	while ((info = mailbox_list_iter_next(iter)) != NULL) {
		if (special_use_is_excluded(filter, info))
			filter_add_name(filter, pool, info->vname);
		if (!verify_filter_matches(filter, info->vname))
			continue;
		name = array_append_space(names);
		name->name = p_strdup(pool, info->vname);
		name->ns = ns;
		name->exists = (info->flags & (MAILBOX_NOSELECT |
					       MAILBOX_NONEXISTENT)) == 0;
		name->noselect = !name->exists;
	}
	if (mailbox_list_iter_deinit(&iter) < 0)
		return list_error(ns, "mailboxes", error_r);
	return 0;
}

static int
list_subscriptions(struct mail_namespace *ns,
		   const struct verify_filter *filter, pool_t pool,
		   ARRAY_TYPE(verify_name) *names, struct verify_error *error_r)
{
	struct mailbox_list_iterate_context *iter;
	const struct mailbox_info *info;
	struct verify_name *name;

	iter = mailbox_list_iter_init(ns->list, "*",
				      MAILBOX_LIST_ITER_SKIP_ALIASES |
				      MAILBOX_LIST_ITER_SELECT_SUBSCRIBED |
				      MAILBOX_LIST_ITER_RETURN_NO_FLAGS);
	while ((info = mailbox_list_iter_next(iter)) != NULL) {
		if (!verify_filter_matches(filter, info->vname))
			continue;
		name = array_append_space(names);
		name->name = p_strdup(pool, info->vname);
		name->ns = ns;
		name->subscribed = TRUE;
	}
	if (mailbox_list_iter_deinit(&iter) < 0)
		return list_error(ns, "subscriptions", error_r);
	return 0;
}

/* a mailbox and its subscription come from two lists */
static void names_merge(ARRAY_TYPE(verify_name) *names)
{
	struct verify_name *all;
	unsigned int i, kept = 0, count;

	array_sort(names, verify_name_cmp);
	all = array_get_modifiable(names, &count);
	for (i = 0; i < count; i++) {
		if (kept > 0 && strcmp(all[kept-1].name, all[i].name) == 0) {
			all[kept-1].exists |= all[i].exists;
			all[kept-1].noselect |= all[i].noselect;
			all[kept-1].subscribed |= all[i].subscribed;
		} else {
			all[kept++] = all[i];
		}
	}
	array_delete(names, kept, count - kept);
}

static bool
namespace_wanted(const struct mail_namespace *ns,
		 const struct verify_filter *filter)
{
	if (filter->namespaces == NULL)
		return second_user_want_namespace(ns);
	return str_array_find(filter->namespaces, ns->prefix);
}

static int
check_namespace_names(struct mail_user *user,
		      const struct verify_filter *filter,
		      struct verify_error *error_r)
{
	const char *const *prefix;

	if (filter->namespaces == NULL)
		return 0;
	for (prefix = filter->namespaces; *prefix != NULL; prefix++) {
		if (mail_namespace_find_prefix(user->namespaces,
					       *prefix) == NULL) {
			error_r->text = t_strdup_printf("-n %s: no namespace "
				"has this prefix", *prefix);
			error_r->error = MAIL_ERROR_PARAMS;
			return -1;
		}
	}
	return 0;
}

int verify_list_names(struct mail_user *user,
		      struct verify_filter *filter, pool_t pool,
		      ARRAY_TYPE(verify_name) *names,
		      struct verify_error *error_r)
{
	struct mail_namespace *ns;

	if (check_namespace_names(user, filter, error_r) < 0)
		return -1;
	for (ns = user->namespaces; ns != NULL; ns = ns->next) {
		if (!namespace_wanted(ns, filter))
			continue;
		if (list_mailboxes(ns, filter, pool, names, error_r) < 0 ||
		    list_subscriptions(ns, filter, pool, names, error_r) < 0)
			return -1;
	}
	names_merge(names);
	return 0;
}

static const char *namespace_root(struct mail_namespace *ns)
{
	const char *path;

	/* remote storages have none */
	if (!mailbox_list_get_root_path(ns->list, MAILBOX_LIST_PATH_TYPE_MAILBOX,
					&path))
		return "";
	return path;
}

int verify_check_places(struct mail_user *source, struct mail_user *dest,
			const struct verify_filter *filter,
			struct verify_error *error_r)
{
	struct mail_namespace *ns, *source_ns;
	const char *root;

	for (ns = dest->namespaces; ns != NULL; ns = ns->next) {
		if (!namespace_wanted(ns, filter))
			continue;
		source_ns = mail_namespace_find_prefix(source->namespaces,
						       ns->prefix);
		root = namespace_root(ns);
		if (source_ns == NULL || root[0] == '\0' ||
		    strcmp(root, namespace_root(source_ns)) != 0)
			continue;
		error_r->text = t_strdup_printf("Namespace \"%s\" is %s for "
			"both source and destination: there is nothing to "
			"compare. The source's location is used for namespaces "
			"that have none of their own", ns->prefix, root);
		error_r->error = MAIL_ERROR_PARAMS;
		return -1;
	}
	return 0;
}

/*
 * Mailboxes
 */

int verify_box_error(struct mailbox *box, const char *doing,
		     struct verify_error *error_r)
{
	const char *text;

	text = mailbox_get_last_internal_error(box, &error_r->error);
	error_r->text = t_strdup_printf("Mailbox %s: %s failed: %s",
					mailbox_get_vname(box), doing, text);
	return -1;
}

void verify_read_ahead(const ARRAY_TYPE(verify_name) *names,
		       struct migration_run *run)
{
	const struct verify_name *name, *first = NULL;
	struct mailbox_status status;
	struct mailbox *box;

	p_array_init(&run->ahead.names, run->pool, array_count(names) + 1);
	array_foreach(names, name) {
		if (!name->exists)
			continue;
		if (first == NULL)
			first = name;
		array_push_back(&run->ahead.names, &name->name);
	}
	if (first == NULL)
		return;
	/* migration_imapc begins with the first question after the listing; an
	   error comes back when the mailbox is opened */
	box = mailbox_alloc(first->ns->list, first->name, MAILBOX_OPEN_FLAGS);
	(void)mailbox_get_status(box, STATUS_UIDVALIDITY | STATUS_UIDNEXT,
				 &status);
	mailbox_free(&box);
}

bool verify_mailbox_has_mails(const struct verify_name *name)
{
	struct mailbox_status status;
	struct mailbox *box;
	int ret;

	box = mailbox_alloc(name->ns->list, name->name, MAILBOX_OPEN_FLAGS);
	ret = mailbox_get_status(box, STATUS_MESSAGES, &status);
	mailbox_free(&box);
	return ret == 0 && status.messages > 0;
}

int verify_mailbox_open(const struct verify_name *name, struct mailbox **box_r,
			struct verify_error *error_r)
{
	struct mailbox *box;

	box = mailbox_alloc(name->ns->list, name->name, MAILBOX_OPEN_FLAGS);
	if (mailbox_open(box) < 0) {
		(void)verify_box_error(box, "Opening it", error_r);
		mailbox_free(&box);
		return -1;
	}
	if (mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		(void)verify_box_error(box, "Syncing it", error_r);
		mailbox_free(&box);
		return -1;
	}
	*box_r = box;
	return 0;
}

static int keyword_cmp(const char *const *a, const char *const *b)
{
	return strcasecmp(*a, *b);
}

static const char *
keywords_join(struct mail *mail, pool_t pool, const char *previous)
{
	const char *const *keywords = mail_get_keywords(mail);
	ARRAY_TYPE(const_string) sorted;
	const char *joined;

	if (keywords[0] == NULL)
		return "";
	t_array_init(&sorted, 8);
	for (; *keywords != NULL; keywords++)
		array_push_back(&sorted, keywords);
	array_sort(&sorted, keyword_cmp);
	array_append_zero(&sorted);
	joined = t_strarray_join(array_front(&sorted), " ");
	/* neighbours often have the same ones */
	return strcmp(joined, previous) == 0 ? previous :
		p_strdup(pool, joined);
}

/* Returns 1, 0 if the mail is gone meanwhile, -1 if it can't be read. */
static int
mail_read(struct mail *mail, pool_t pool, const char *previous_keywords,
	  struct parity_mail *data)
{
	if (mail_get_received_date(mail, &data->received_date) < 0 ||
	    mail_get_virtual_size(mail, &data->size) < 0) {
		enum mail_error error;

		(void)mailbox_get_last_internal_error(mail->box, &error);
		return error == MAIL_ERROR_EXPUNGED ? 0 : -1;
	}
	data->uid = mail->uid;
	data->flags = mail_get_flags(mail) & MAIL_FLAGS_NONRECENT;
	data->keywords = keywords_join(mail, pool, previous_keywords);
	return 1;
}

static int
mails_read(struct mailbox *box, struct mailbox_transaction_context *trans,
	   pool_t pool, struct parity_mailbox *data,
	   struct verify_error *error_r)
{
	const enum mail_fetch_field wanted_fields =
		MAIL_FETCH_FLAGS | MAIL_FETCH_RECEIVED_DATE |
		MAIL_FETCH_VIRTUAL_SIZE;
	struct mail_search_args *args;
	struct mail_search_context *search;
	struct parity_mail mail_data;
	struct mail *mail;
	const char *keywords = "";
	int ret = 1;

	/* all is asked for here, so that a remote storage can fetch it for
	   many mails at once */
	args = mail_search_build_init();
	mail_search_build_add_all(args);
	search = mailbox_search_init(trans, args, NULL, wanted_fields, NULL);
	mail_search_args_unref(&args);

	while (ret >= 0 && mailbox_search_next(search, &mail)) T_BEGIN {
		i_zero(&mail_data);
		ret = mail_read(mail, pool, keywords, &mail_data);
		if (ret > 0) {
			keywords = mail_data.keywords;
			array_push_back(&data->mails, &mail_data);
		} else if (ret < 0) {
			(void)verify_box_error(box, t_strdup_printf(
				"Reading UID %u", mail->uid), error_r);
			error_r->text = p_strdup(pool, error_r->text);
		}
	} T_END;
	if (mailbox_search_deinit(&search) < 0 && ret >= 0)
		ret = verify_box_error(box, "Searching it", error_r);
	return ret < 0 ? -1 : 0;
}

int verify_mailbox_read(struct mailbox *box, pool_t pool,
			struct parity_mailbox *data,
			struct verify_error *error_r)
{
	struct mailbox_transaction_context *trans;
	struct mailbox_status status;
	int ret;

	if (mailbox_get_status(box, STATUS_UIDVALIDITY | STATUS_UIDNEXT |
			       STATUS_MESSAGES, &status) < 0)
		return verify_box_error(box, "Reading its state", error_r);
	data->uid_validity = status.uidvalidity;
	data->uid_next = status.uidnext;
	if (!array_is_created(&data->mails))
		p_array_init(&data->mails, pool, status.messages + 1);

	trans = mailbox_transaction_begin(box, 0, "migration verify");
	ret = mails_read(box, trans, pool, data, error_r);
	mailbox_transaction_rollback(&trans);
	return ret;
}

/*
 * Texts
 */

/* Returns 0 and digest_r, or -1 and error_r. */
static int
text_read(struct mail *mail, struct parity_digest *digest_r,
	  const char **error_r, enum mail_error *mail_error_r)
{
	struct parity_digest_ctx ctx;
	struct istream *input;
	const unsigned char *data;
	size_t size;

	if (mail_get_stream_because(mail, NULL, NULL, "migration verify",
				    &input) < 0) {
		*error_r = t_strdup(mailbox_get_last_internal_error(mail->box,
							mail_error_r));
		return -1;
	}
	parity_digest_init(&ctx);
	while (i_stream_read_more(input, &data, &size) > 0) {
		parity_digest_more(&ctx, data, size);
		i_stream_skip(input, size);
	}
	if (input->stream_errno != 0) {
		*error_r = t_strdup(i_stream_get_error(input));
		*mail_error_r = MAIL_ERROR_TEMP;
		return -1;
	}
	parity_digest_finish(&ctx, digest_r);
	return 0;
}

static struct parity_mail *
data_find_uid(struct parity_mailbox *data, uint32_t uid)
{
	struct parity_mail *mails, *mail;
	unsigned int count;
	size_t left = 0, right, mid;

	mails = array_get_modifiable(&data->mails, &count);
	right = count;
	while (left < right) {
		mid = (left + right) / 2;
		mail = &mails[mid];
		if (mail->uid == uid)
			return mail;
		if (mail->uid < uid)
			left = mid + 1;
		else
			right = mid;
	}
	return NULL;
}

int verify_mailbox_read_texts(struct mailbox *box,
			      const ARRAY_TYPE(seq_range) *uids, pool_t pool,
			      struct parity_mailbox *data,
			      verify_text_failed_t *failed_callback,
			      void *context, struct verify_error *error_r)
{
	struct mailbox_transaction_context *trans;
	struct mail_search_args *args;
	struct mail_search_arg *arg;
	struct mail_search_context *search;
	struct parity_digest digest;
	struct parity_mail *mail_data;
	struct mail *mail;
	enum mail_error mail_error;
	const char *error;
	int ret = 0;

	args = mail_search_build_init();
	arg = mail_search_build_add(args, SEARCH_UIDSET);
	p_array_init(&arg->value.seqset, args->pool, array_count(uids));
	array_append_array(&arg->value.seqset, uids);

	trans = mailbox_transaction_begin(box, 0, "migration verify");
	search = mailbox_search_init(trans, args, NULL,
				     MAIL_FETCH_STREAM_HEADER |
				     MAIL_FETCH_STREAM_BODY, NULL);
	mail_search_args_unref(&args);
	while (mailbox_search_next(search, &mail)) T_BEGIN {
		mail_data = data_find_uid(data, mail->uid);
		if (mail_data == NULL) {
			/* came after the metadata was read */
		} else if (text_read(mail, &digest, &error, &mail_error) == 0) {
			mail_data->digest = p_memdup(pool, &digest,
						     sizeof(digest));
			ret++;
		} else if (mail_error != MAIL_ERROR_EXPUNGED) {
			failed_callback(box, mail->uid, error, context);
		}
	} T_END;
	if (mailbox_search_deinit(&search) < 0)
		ret = verify_box_error(box, "Reading its texts", error_r);
	mailbox_transaction_rollback(&trans);
	return ret;
}
