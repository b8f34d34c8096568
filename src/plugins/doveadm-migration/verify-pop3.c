/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "bsearch-insert-pos.h"
#include "hash.h"
#include "str.h"
#include "mail-namespace.h"
#include "mail-search-build.h"
#include "mail-storage.h"
#include "mail-user.h"
#include "mailbox-evidence.h"
#include "migration-run.h"
#include "pop3-uidl-format.h"
#include "doveadm-pop3-settings.h"
#include "maildrop-mailboxes.h"
#include "verify-pop3.h"

struct verify_pop3_dest {
	/* the INBOX, and the others of its namespace if they count as well */
	ARRAY(struct mailbox *) boxes;
	bool all_mailboxes;
};

/* A mail of the list, while several mailboxes are put into one order */
struct dest_item {
	struct parity_pop3_mail mail;
	/* UINT32_MAX if none is stored */
	uint32_t order;
};
ARRAY_DEFINE_TYPE(dest_item, struct dest_item);

struct verify_pop3_source {
	pool_t pool;
	struct mail_user *user;
	struct pop3_source *source;
	/* the source's */
	struct pop3_client *client;

	/* while headers are read */
	ARRAY_TYPE(parity_pop3_mail) *list;
	struct mail_digest *digest;
};

/* as the POP3 server sorts */
static const enum mail_sort_type pop3_sort_program[] = {
	MAIL_SORT_POP3_ORDER, MAIL_SORT_END
};

/*
 * Source
 */

static int
source_failed_with(enum pop3_client_error error, const char *text,
		   struct verify_error *error_r)
{
	error_r->text = t_strdup_printf("POP3: %s", text);
	switch (error) {
	case POP3_CLIENT_ERROR_NONE:
	case POP3_CLIENT_ERROR_TEMP:
	case POP3_CLIENT_ERROR_BUSY:
		error_r->error = MAIL_ERROR_TEMP;
		break;
	case POP3_CLIENT_ERROR_AUTH:
		error_r->error = MAIL_ERROR_PERM;
		break;
	case POP3_CLIENT_ERROR_UNSUPPORTED:
		error_r->error = MAIL_ERROR_NOTPOSSIBLE;
		break;
	}
	return -1;
}

static int
source_error(struct verify_pop3_source *source, struct verify_error *error_r)
{
	enum pop3_client_error error;
	const char *text = pop3_client_get_error(source->client, &error);

	return source_failed_with(error, text, error_r);
}

int verify_pop3_source_init(struct mail_user *user,
			    const struct doveadm_pop3_settings *set,
			    struct event *event, pool_t pool,
			    struct verify_pop3_source **source_r,
			    struct verify_error *error_r)
{
	struct pop3_source_settings source_set;
	struct verify_pop3_source *source;
	enum pop3_client_error error;
	const char *text;

	if (pop3_source_get_settings(user, set->mailbox, &set->limits, event,
				     &source_set, &error_r->text) < 0) {
		error_r->error = MAIL_ERROR_PARAMS;
		return -1;
	}
	source = p_new(pool, struct verify_pop3_source, 1);
	source->pool = pool;
	source->user = user;
	source->source = pop3_source_init(&source_set);
	source->client = pop3_source_get_client(source->source);
	if (pop3_source_login(source->source, &text, &error) < 0) {
		pop3_source_deinit(&source->source);
		return source_failed_with(error, text, error_r);
	}
	*source_r = source;
	return 0;
}

void verify_pop3_source_deinit(struct verify_pop3_source **_source)
{
	struct verify_pop3_source *source = *_source;
	struct migration_run *run = migration_run_find(source->user);
	struct pop3_client_stats stats;

	*_source = NULL;
	pop3_client_get_stats(source->client, &stats);
	migration_run_count(run, MIGRATION_COUNTER_POP3_TOPS, stats.tops);
	migration_run_count(run, MIGRATION_COUNTER_POP3_BYTES, stats.bytes_in);
	pop3_source_deinit(&source->source);
}

int verify_pop3_source_list(struct verify_pop3_source *source,
			    ARRAY_TYPE(parity_pop3_mail) *list,
			    struct verify_error *error_r)
{
	const ARRAY_TYPE(pop3_client_mail) *mails;
	const struct pop3_client_mail *mail;
	struct parity_pop3_mail *item;

	if (pop3_client_list(source->client, &mails) < 0)
		return source_error(source, error_r);
	array_foreach(mails, mail) {
		item = array_append_space(list);
		item->uidl = p_strdup(source->pool, mail->uidl);
		item->size = mail->size;
		item->number = mail->number;
	}
	return 0;
}

static int
parity_pop3_mail_number_cmp(const uint32_t *number,
			    const struct parity_pop3_mail *mail)
{
	return *number < mail->number ? -1 : (*number > mail->number ? 1 : 0);
}

/* A server lists its mails by number. */
static struct parity_pop3_mail *
list_find_number(ARRAY_TYPE(parity_pop3_mail) *list, uint32_t number)
{
	unsigned int idx;

	if (!array_bsearch_insert_pos(list, &number,
				      parity_pop3_mail_number_cmp, &idx))
		return NULL;
	return array_idx_modifiable(list, idx);
}

static void
source_header_finished(struct verify_pop3_source *source, uint32_t number,
		       bool ok)
{
	struct parity_pop3_mail *mail;
	struct header_digest *header;

	if (source->digest == NULL)
		source->digest = mail_digest_init();
	header = p_new(source->pool, struct header_digest, 1);
	mail_digest_deinit(&source->digest, header, NULL);
	mail = list_find_number(source->list, number);
	if (ok && mail != NULL)
		mail->header = header;
}

static void
source_header_input(void *context, uint32_t number, const unsigned char *data,
		    size_t size, bool ok)
{
	struct verify_pop3_source *source = context;

	if (!ok || data == NULL) {
		source_header_finished(source, number, ok);
		return;
	}
	if (source->digest == NULL)
		source->digest = mail_digest_init();
	mail_digest_more(source->digest, data, size);
}

int verify_pop3_source_read_headers(struct verify_pop3_source *source,
				    const ARRAY_TYPE(parity_pop3_pair) *pairs,
				    ARRAY_TYPE(parity_pop3_mail) *list,
				    struct verify_error *error_r)
{
	const struct parity_pop3_pair *pair;
	ARRAY(uint32_t) numbers;
	int ret;

	t_array_init(&numbers, array_count(pairs) + 1);
	array_foreach(pairs, pair) {
		const struct parity_pop3_mail *mail =
			array_idx(list, pair->source_idx);
		array_push_back(&numbers, &mail->number);
	}
	source->list = list;
	ret = pop3_client_read(source->client, array_front(&numbers),
			       array_count(&numbers), FALSE,
			       source_header_input, source);
	if (source->digest != NULL)
		mail_digest_deinit(&source->digest, NULL, NULL);
	source->list = NULL;
	return ret < 0 ? source_error(source, error_r) : 0;
}

/*
 * Destination
 */

static int
dest_error(struct mailbox *box, const char *doing, struct verify_error *error_r)
{
	const char *text;

	text = mailbox_get_last_internal_error(box, &error_r->error);
	error_r->text = t_strdup_printf("POP3 list of mailbox %s: %s failed: %s",
					mailbox_get_vname(box), doing, text);
	return -1;
}

static int
dest_add_mailbox(struct verify_pop3_dest *dest, struct mail_namespace *ns,
		 const char *vname, struct verify_error *error_r)
{
	struct mailbox *box;

	box = mailbox_alloc(ns->list, vname, MAILBOX_FLAG_READONLY |
			    MAILBOX_FLAG_IGNORE_ACLS);
	array_push_back(&dest->boxes, &box);
	if (mailbox_open(box) < 0 ||
	    mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		return dest_error(box, "Opening it", error_r);
	return 0;
}

static int
dest_add_other_mailboxes(struct verify_pop3_dest *dest,
			 struct mail_namespace *ns,
			 struct verify_error *error_r)
{
	ARRAY_TYPE(const_string) vnames;
	const char *vname;

	t_array_init(&vnames, 32);
	if (maildrop_mailboxes_list(ns, &vnames, &error_r->text,
				    &error_r->error) < 0)
		return -1;
	array_foreach_elem(&vnames, vname) {
		if (dest_add_mailbox(dest, ns, vname, error_r) < 0)
			return -1;
	}
	return 0;
}

int verify_pop3_dest_open(struct mail_user *user, bool all_mailboxes,
			  pool_t pool, struct verify_pop3_dest **dest_r,
			  struct verify_error *error_r)
{
	struct mail_namespace *ns = mail_namespace_find_inbox(user->namespaces);
	struct verify_pop3_dest *dest;

	dest = p_new(pool, struct verify_pop3_dest, 1);
	dest->all_mailboxes = all_mailboxes;
	p_array_init(&dest->boxes, pool, 8);
	if (dest_add_mailbox(dest, ns, "INBOX", error_r) < 0 ||
	    (all_mailboxes &&
	     dest_add_other_mailboxes(dest, ns, error_r) < 0)) {
		verify_pop3_dest_close(&dest);
		return -1;
	}
	*dest_r = dest;
	return 0;
}

void verify_pop3_dest_close(struct verify_pop3_dest **_dest)
{
	struct verify_pop3_dest *dest = *_dest;
	struct mailbox **box;

	*_dest = NULL;
	array_foreach_modifiable(&dest->boxes, box)
		mailbox_free(box);
}

/* Returns 1, 0 if the mail is gone meanwhile, -1 and error_r if it can't be
   read. */
static int
dest_mail_read(struct mail *mail, pool_t pool, struct dest_item *item_r,
	       const char **error_r)
{
	struct parity_pop3_mail *mail_r = &item_r->mail;
	enum mail_error error;
	const char *uidl, *order;
	string_t *str;

	if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0 ||
	    mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &order) < 0 ||
	    mail_get_virtual_size(mail, &mail_r->size) < 0) {
		*error_r = mailbox_get_last_internal_error(mail->box, &error);
		return error == MAIL_ERROR_EXPUNGED ? 0 : -1;
	}
	if (str_to_uint32(order, &item_r->order) < 0 || item_r->order == 0)
		item_r->order = UINT32_MAX;
	mail_r->uid = mail->uid;
	mail_r->made_up = uidl[0] == '\0';
	if (mail_r->made_up) {
		str = t_str_new(64);
		if (pop3_uidl_format_expand(mail, str, error_r) < 0)
			return -1;
		uidl = str_c(str);
	}
	mail_r->uidl = p_strdup(pool, uidl);
	return 1;
}

static int
dest_list_read(struct mailbox *box, struct mailbox_transaction_context *trans,
	       pool_t pool, ARRAY_TYPE(dest_item) *list,
	       struct verify_error *error_r)
{
	struct mail_search_args *args;
	struct mail_search_context *search;
	struct dest_item item;
	struct mail *mail;
	const char *error;
	int ret = 1;

	args = mail_search_build_init();
	mail_search_build_add_all(args);
	search = mailbox_search_init(trans, args, pop3_sort_program,
				     MAIL_FETCH_VIRTUAL_SIZE, NULL);
	mail_search_args_unref(&args);
	while (ret >= 0 && mailbox_search_next(search, &mail)) T_BEGIN {
		i_zero(&item);
		ret = dest_mail_read(mail, pool, &item, &error);
		if (ret > 0) {
			array_push_back(list, &item);
		} else if (ret < 0) {
			error_r->text = p_strdup_printf(pool, "POP3 list of "
				"mailbox %s: UIDL of UID %u: %s",
				mailbox_get_vname(box), mail->uid, error);
			error_r->error = MAIL_ERROR_TEMP;
		}
	} T_END;
	if (mailbox_search_deinit(&search) < 0 && ret >= 0)
		ret = dest_error(box, "Searching it", error_r);
	return ret < 0 ? -1 : 0;
}

static int
dest_list_mailbox(struct verify_pop3_dest *dest, unsigned int idx, pool_t pool,
		  ARRAY_TYPE(dest_item) *list, struct verify_error *error_r)
{
	struct mailbox *box = array_idx_elem(&dest->boxes, idx);
	struct mailbox_transaction_context *trans;
	struct dest_item *item;
	unsigned int i, first = array_count(list);
	int ret;

	trans = mailbox_transaction_begin(box, 0, "migration verify");
	ret = dest_list_read(box, trans, pool, list, error_r);
	mailbox_transaction_rollback(&trans);
	for (i = first; i < array_count(list); i++) {
		item = array_idx_modifiable(list, i);
		item->mail.mailbox = idx;
	}
	return ret;
}

static int dest_item_cmp(const struct dest_item *i1, const struct dest_item *i2)
{
	if (i1->order != i2->order)
		return i1->order < i2->order ? -1 : 1;
	if (i1->mail.mailbox != i2->mail.mailbox)
		return i1->mail.mailbox < i2->mail.mailbox ? -1 : 1;
	return i1->mail.uid < i2->mail.uid ? -1 :
		(i1->mail.uid > i2->mail.uid ? 1 : 0);
}

int verify_pop3_dest_list(struct verify_pop3_dest *dest, pool_t pool,
			  ARRAY_TYPE(parity_pop3_mail) *list,
			  struct verify_error *error_r)
{
	ARRAY_TYPE(dest_item) items;
	const struct dest_item *item;
	unsigned int i;
	int ret = 0;

	i_array_init(&items, 128);
	for (i = 0; i < array_count(&dest->boxes) && ret == 0; i++)
		ret = dest_list_mailbox(dest, i, pool, &items, error_r);
	if (dest->all_mailboxes)
		array_sort(&items, dest_item_cmp);
	array_foreach(&items, item) {
		/* which mails a merged maildrop leaves out, nobody knows but
		   the source */
		if (!dest->all_mailboxes || !item->mail.made_up)
			array_push_back(list, &item->mail);
	}
	array_free(&items);
	return ret;
}

struct dest_headers_context {
	pool_t pool;
	ARRAY_TYPE(parity_pop3_mail) *list;
	/* UID -> place in the list, from 1 */
	HASH_TABLE(void *, void *) places;
};

static void
dest_header_read(void *context, const struct mailbox_evidence *evidence)
{
	struct dest_headers_context *ctx = context;
	struct parity_pop3_mail *mail;
	unsigned int place;

	place = POINTER_CAST_TO(hash_table_lookup(ctx->places,
					POINTER_CAST(evidence->uid)),
				unsigned int);
	if (place == 0)
		return;
	mail = array_idx_modifiable(ctx->list, place - 1);
	mail->header = p_memdup(ctx->pool, evidence->header,
				sizeof(*evidence->header));
}

static int
dest_read_mailbox_headers(struct verify_pop3_dest *dest, unsigned int idx,
			  const ARRAY_TYPE(parity_pop3_pair) *pairs,
			  pool_t pool, ARRAY_TYPE(parity_pop3_mail) *list,
			  struct verify_error *error_r)
{
	struct mailbox *box = array_idx_elem(&dest->boxes, idx);
	struct dest_headers_context ctx = { .pool = pool, .list = list };
	const struct parity_pop3_pair *pair;
	ARRAY_TYPE(seq_range) uids;
	int ret;

	hash_table_create_direct(&ctx.places, default_pool, array_count(pairs));
	t_array_init(&uids, 16);
	array_foreach(pairs, pair) {
		const struct parity_pop3_mail *mail =
			array_idx(list, pair->dest_idx);
		if (mail->mailbox != idx)
			continue;
		seq_range_array_add(&uids, mail->uid);
		hash_table_update(ctx.places, POINTER_CAST(mail->uid),
				  POINTER_CAST(pair->dest_idx + 1));
	}
	ret = mailbox_evidence_read(box, &uids, MAILBOX_EVIDENCE_HEADER,
				    dest_header_read, &ctx, &error_r->text);
	if (ret < 0)
		error_r->error = MAIL_ERROR_TEMP;
	hash_table_destroy(&ctx.places);
	return ret;
}

int verify_pop3_dest_read_headers(struct verify_pop3_dest *dest,
				  const ARRAY_TYPE(parity_pop3_pair) *pairs,
				  pool_t pool,
				  ARRAY_TYPE(parity_pop3_mail) *list,
				  struct verify_error *error_r)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < array_count(&dest->boxes) && ret == 0; i++) {
		ret = dest_read_mailbox_headers(dest, i, pairs, pool, list,
						error_r);
	}
	return ret;
}
