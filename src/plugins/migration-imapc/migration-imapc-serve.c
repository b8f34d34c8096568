/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mails of a mailbox that was fetched ahead: what is known of them is put where
   stock imapc looks for it, so that it has nothing left to ask for. What is not
   known is waited for if it is on its way, asked for all mails of the mailbox
   at once if it can be, and else left to stock, which then selects the mailbox
   (migration-imapc-virtual.c). */

#include "lib.h"
#include "array.h"
#include "buffer.h"
#include "imap-arg.h"
#include "seq-range-array.h"
#include "mail-search.h"
#include "index-mail.h"
#include "imapc-mail.h"
#include "migration-budget.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* What can be served. All else needs the server. */
#define SERVED_FIELDS \
	(MAIL_FETCH_FLAGS | MAIL_FETCH_RECEIVED_DATE | MAIL_FETCH_SAVE_DATE | \
	 MAIL_FETCH_PHYSICAL_SIZE | MAIL_FETCH_VIRTUAL_SIZE | \
	 MAIL_FETCH_STREAM_HEADER | MAIL_FETCH_STREAM_BODY | \
	 MAIL_FETCH_GUID | MAIL_FETCH_UIDL_BACKEND | MAIL_FETCH_POP3_ORDER)

struct serve_mail {
	union mail_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(serve_mail_module, &mail_module_register);

#define SERVE_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, serve_mail_module)

static struct serve_mail *serve_mail_context(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;

	return SERVE_MAIL_CONTEXT_REQUIRE(pmail);
}

static struct migration_imapc_mailbox *serve_mailbox(struct mail *mail)
{
	return MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
}

static struct index_mail_data *serve_data(struct mail *mail)
{
	struct index_mail *imail = INDEX_MAIL(mail);

	return &imail->data;
}

/* ---- dates and sizes ---- */

static void
serve_put_details(struct mail *mail, const struct ahead_mail *known,
		  bool have_savedate)
{
	struct index_mail_data *data = serve_data(mail);

	if (known->received_date != (time_t)-1) {
		data->received_date = known->received_date;
		/* without that extension stock does the same */
		if (!have_savedate)
			data->save_date = known->received_date;
	}
	if (have_savedate && known->save_date != (time_t)-1)
		data->save_date = known->save_date;
	if (known->size != UOFF_T_MAX && data->stream == NULL) {
		data->physical_size = data->virtual_size = known->size;
		/* servers are known to tell wrong ones */
		data->inexact_total_sizes = TRUE;
	}
}

/* Makes dates and sizes known, of all mails if they are not. Returns -1 if the
   server is gone. */
static int serve_details(struct mail *mail)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);
	struct migration_imapc_ahead *ahead = mmbox->mlist->ahead;
	struct ahead_mailbox *mailbox = mmbox->served;
	struct ahead_mail *known = migration_imapc_ahead_mail(mailbox, mail->uid);
	enum ahead_part part;

	if (known == NULL)
		return migration_imapc_virtual_leave(mmbox, "an unknown mail");
	part = known->uid < mailbox->new_uid ? AHEAD_PART_OLD_DETAILS :
		AHEAD_PART_NEW_DETAILS;
	if (part == AHEAD_PART_OLD_DETAILS)
		ahead->want_old_details = TRUE;
	if (known->received_date == (time_t)-1 || known->size == UOFF_T_MAX) {
		(void)migration_imapc_ahead_wait_parts(ahead, mailbox, part);
		/* it may have been fetched anew */
		known = migration_imapc_ahead_mail(mailbox, mail->uid);
	}
	if (known == NULL || known->received_date == (time_t)-1 ||
	    known->size == UOFF_T_MAX) {
		return migration_imapc_virtual_leave(mmbox,
			"the server told no date or size of a mail");
	}
	serve_put_details(mail, known, ahead->have_savedate);
	return 0;
}

/* ---- texts ---- */

/* TRUE if stock will find the text in its cache. */
static bool serve_text(struct mail *mail)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);
	struct imapc_mail_cache *cache = &mmbox->mbox->prev_mail_cache;
	struct ahead_mailbox *mailbox = mmbox->served;
	struct ahead_mail *known;

	if (cache->uid == mail->uid)
		return TRUE;
	known = migration_imapc_ahead_mail(mailbox, mail->uid);
	if (known == NULL ||
	    !migration_imapc_ahead_wait_text(mmbox->mlist->ahead, mailbox, known))
		return FALSE;
	imapc_mail_cache_free(cache);
	cache->uid = mail->uid;
	cache->fd = known->fd;
	cache->buf = known->body;
	known->fd = -1;
	known->body = NULL;
	migration_imapc_ahead_text_used(mmbox->mlist->ahead, mailbox, known);
	return TRUE;
}

/* An error comes back when the mail is used: the server was asked for the text
   and did not send it, so that whoever wants it tries other ways
   (migration-imapc-unreadable.c); or it must not be asked for, and the run ends
   here. */
static bool serve_text_will_fail(struct mail *mail)
{
	const struct ahead_mail *known = migration_imapc_ahead_mail(
		serve_mailbox(mail)->served, mail->uid);

	return known != NULL && (known->text == AHEAD_TEXT_MISSING ||
				 known->text == AHEAD_TEXT_REFUSED);
}

bool migration_imapc_serve_is_refused(struct migration_imapc_mailbox *mmbox,
				      uint32_t uid)
{
	const struct ahead_mail *known;

	if (mmbox->served == NULL)
		return FALSE;
	known = migration_imapc_ahead_mail(mmbox->served, uid);
	return known != NULL && known->text == AHEAD_TEXT_REFUSED;
}

static int serve_text_fail(struct mail *mail)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);
	const struct ahead_mail *known =
		migration_imapc_ahead_mail(mmbox->served, mail->uid);
	const char *error;

	if (known->text == AHEAD_TEXT_REFUSED) {
		error = migration_budget_stop(mmbox->budget,
			known->size == UOFF_T_MAX ? 0 : known->size);
	} else {
		error = t_strdup_printf("The source did not send UID %u",
					mail->uid);
	}
	mail_storage_set_error(mail->box->storage, MAIL_ERROR_TEMP, error);
	return -1;
}

/* ---- header fields ---- */

/* The fields as the server's reply, which stock parses. */
static void
serve_say_header(struct mail *mail, const char *const *names,
		 const buffer_t *header)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);
	ARRAY_TYPE(imap_arg_list) list;
	struct imapc_untagged_reply reply;
	struct imap_arg args[5], *arg;
	const char *const *name;

	t_array_init(&list, 8);
	for (name = names;; name++) {
		arg = array_append_space(&list);
		if (*name == NULL)
			break;
		arg->type = IMAP_ARG_ATOM;
		arg->_data.str = *name;
		arg->str_len = strlen(*name);
	}
	arg->type = IMAP_ARG_EOL;

	i_zero(&args);
	args[0].type = IMAP_ARG_ATOM;
	args[0]._data.str = "BODY[HEADER.FIELDS";
	args[1].type = IMAP_ARG_LIST;
	args[1]._data.list = list;
	args[2].type = IMAP_ARG_ATOM;
	args[2]._data.str = "]";
	args[3].type = IMAP_ARG_LITERAL;
	args[3]._data.str = t_strndup(header->data, header->used);
	args[3].str_len = header->used;
	args[4].type = IMAP_ARG_EOL;

	i_zero(&reply);
	reply.name = "FETCH";
	reply.args = args;
	reply.untagged_box_context = imail->imail.mail.mail.box;
	imapc_mail_fetch_update(imail, &reply, args);
}

static void
serve_put_header(struct mail *mail, const char *const *names,
		 const buffer_t *header)
{
	struct index_mail_data *data = serve_data(mail);

	/* a mail that nobody said to want a header of before is not cached
	   otherwise */
	data->no_caching = data->forced_no_caching = FALSE;
	T_BEGIN {
		serve_say_header(mail, names, header);
	} T_END;
}

/* A mail that the source had when the destination became the same. */
static struct ahead_mail *
serve_old_header(struct mail *mail, struct ahead_mail *known)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);
	struct migration_imapc_ahead *ahead = mmbox->mlist->ahead;

	migration_imapc_changes_read_header(ahead, mmbox->served, known);
	if (known->header != NULL ||
	    !migration_imapc_ahead_wait_parts(ahead, mmbox->served,
					      AHEAD_PART_HEADERS))
		return known;
	return migration_imapc_ahead_mail(mmbox->served, mail->uid);
}

/* TRUE if stock will find the fields in its cache. */
static bool
serve_headers(struct mail *mail, struct mailbox_header_lookup_ctx *headers)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);
	struct migration_imapc_ahead *ahead = mmbox->mlist->ahead;
	struct ahead_mailbox *mailbox = mmbox->served;
	struct ahead_mail *known;

	if (imapc_mail_has_headers_in_cache(INDEX_MAIL(mail), headers))
		return TRUE;
	migration_imapc_ahead_set_headers(ahead, mailbox, headers->name);
	if (!migration_imapc_ahead_wait_parts(ahead, mailbox,
					      AHEAD_PART_HEADERS))
		return FALSE;
	known = migration_imapc_ahead_mail(mailbox, mail->uid);
	if (known != NULL && known->header == NULL &&
	    migration_imapc_changes_only(mailbox)) {
		known = serve_old_header(mail, known);
	}
	if (known == NULL || known->header == NULL)
		return FALSE;
	serve_put_header(mail, mailbox->header_names, known->header);
	/* in a sync of both directions it is read a second time, to find out
	   what the other side lacks */
	if ((mail->box->flags & MAILBOX_FLAG_READONLY) != 0)
		buffer_free(&known->header);
	return TRUE;
}

/* What was fetched before a sync of both directions changed the mailbox. */
static void
serve_kept_headers(struct mail *mail, struct mailbox_header_lookup_ctx *headers)
{
	struct ahead_mailbox *mailbox = serve_mailbox(mail)->kept;
	const struct ahead_mail *known;

	if (mailbox == NULL || headers == NULL ||
	    (mailbox->known & AHEAD_PART_HEADERS) == 0 ||
	    imapc_mail_has_headers_in_cache(INDEX_MAIL(mail), headers))
		return;
	known = migration_imapc_ahead_mail(mailbox, mail->uid);
	if (known == NULL || known->header == NULL)
		return;
	serve_put_header(mail, mailbox->header_names, known->header);
}

/* ---- methods ---- */

/* Puts what is wanted where stock finds it, or leaves it to stock. */
static int serve_wanted(struct mail *mail)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);
	struct index_mail_data *data = serve_data(mail);
	struct ahead_mail *known =
		migration_imapc_ahead_mail(mmbox->served, mail->uid);

	if (known == NULL ||
	    (data->wanted_fields & ENUM_NEGATE(SERVED_FIELDS)) != 0) {
		return migration_imapc_virtual_leave(mmbox,
			"something is wanted that was not fetched ahead");
	}
	/* the source's index goes with the run: what is known already need not
	   be found in its cache. Header fields are found nowhere else. */
	if (data->wanted_headers == NULL)
		data->no_caching = data->forced_no_caching = TRUE;
	if ((data->wanted_fields & (MAIL_FETCH_STREAM_BODY |
				    MAIL_FETCH_STREAM_HEADER)) != 0) {
		/* as stock does when it asks for it */
		mail->mail_stream_accessed = TRUE;
		if (!serve_text(mail)) {
			/* nor are its dates worth a wait then */
			if (serve_text_will_fail(mail))
				return 0;
			return migration_imapc_virtual_leave(mmbox,
				t_strdup_printf("no text of UID %u came",
						mail->uid));
		}
	} else if (data->wanted_headers != NULL &&
		   !serve_headers(mail, data->wanted_headers)) {
		return migration_imapc_virtual_leave(mmbox,
			t_strdup_printf("no header of UID %u came", mail->uid));
	}
	if (mmbox->served == NULL)
		return 0;
	/* some of them come with the text only; and the mail may have been
	   fetched anew */
	known = migration_imapc_ahead_mail(mmbox->served, mail->uid);
	if (known != NULL) {
		serve_put_details(mail, known,
				  mmbox->mlist->ahead->have_savedate);
	}
	if ((data->wanted_fields & (MAIL_FETCH_RECEIVED_DATE |
				    MAIL_FETCH_SAVE_DATE)) != 0 &&
	    data->received_date == (time_t)-1)
		return serve_details(mail);
	return 0;
}

/* An import compares it first: its text may not be needed. */
static bool serve_text_is_held(struct mail *mail)
{
	const struct ahead_mail *known = migration_imapc_ahead_mail(
		serve_mailbox(mail)->served, mail->uid);

	return known != NULL && known->text == AHEAD_TEXT_HELD;
}

static bool serve_prefetch(struct mail *mail)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);

	if (mmbox->served != NULL && serve_text_is_held(mail))
		return TRUE;
	/* an error comes back when the mail is used */
	if (mmbox->served != NULL && (serve_wanted(mail) < 0 ||
	    (mmbox->served != NULL && serve_text_will_fail(mail))))
		return TRUE;
	if (mmbox->served == NULL)
		serve_kept_headers(mail, serve_data(mail)->wanted_headers);
	return serve_mail_context(mail)->module_ctx.super.prefetch(mail);
}

static void serve_set_seq(struct mail *mail, uint32_t seq, bool saving)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);

	/* stock asks for what is wanted at once if this is no search */
	if (mmbox->served != NULL && !saving && !pmail->search_mail &&
	    (pmail->wanted_fields != 0 || pmail->wanted_headers != NULL)) {
		(void)migration_imapc_virtual_leave(mmbox,
			"a single mail is wanted");
	}
	serve_mail_context(mail)->module_ctx.super.set_seq(mail, seq, saving);
}

/* A date that is not known yet. One that comes with a text does not come
   without it, and whoever gets that in other ways gets the date as well. */
static int serve_date(struct mail *mail)
{
	return serve_text_will_fail(mail) ? serve_text_fail(mail) :
		serve_details(mail);
}

static int serve_get_received_date(struct mail *mail, time_t *date_r)
{
	if (serve_mailbox(mail)->served != NULL &&
	    serve_data(mail)->received_date == (time_t)-1 &&
	    serve_date(mail) < 0)
		return -1;
	return serve_mail_context(mail)->module_ctx.super.
		get_received_date(mail, date_r);
}

static int serve_get_save_date(struct mail *mail, time_t *date_r)
{
	if (serve_mailbox(mail)->served != NULL &&
	    serve_data(mail)->save_date == (time_t)-1 &&
	    serve_date(mail) < 0)
		return -1;
	return serve_mail_context(mail)->module_ctx.super.
		get_save_date(mail, date_r);
}

static int serve_size(struct mail *mail)
{
	const struct index_mail_data *data = serve_data(mail);

	if (serve_mailbox(mail)->served == NULL || data->stream != NULL ||
	    data->physical_size != UOFF_T_MAX)
		return 0;
	return serve_details(mail);
}

static int serve_get_physical_size(struct mail *mail, uoff_t *size_r)
{
	if (serve_size(mail) < 0)
		return -1;
	return serve_mail_context(mail)->module_ctx.super.
		get_physical_size(mail, size_r);
}

static int serve_get_virtual_size(struct mail *mail, uoff_t *size_r)
{
	if (serve_size(mail) < 0)
		return -1;
	return serve_mail_context(mail)->module_ctx.super.
		get_virtual_size(mail, size_r);
}

static int
serve_get_header_stream(struct mail *mail,
			struct mailbox_header_lookup_ctx *headers,
			struct istream **stream_r)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);

	if (mmbox->served != NULL && serve_data(mail)->stream == NULL &&
	    mmbox->mbox->prev_mail_cache.uid != mail->uid &&
	    !serve_headers(mail, headers) &&
	    migration_imapc_virtual_leave(mmbox,
			"a header is wanted that was not fetched ahead") < 0)
		return -1;
	if (mmbox->served == NULL)
		serve_kept_headers(mail, headers);
	return serve_mail_context(mail)->module_ctx.super.
		get_header_stream(mail, headers, stream_r);
}

static int
serve_get_stream(struct mail *mail, bool get_body,
		 struct message_size *hdr_size,
		 struct message_size *body_size, struct istream **stream_r)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);

	if (mmbox->served != NULL && serve_data(mail)->stream == NULL &&
	    mmbox->mbox->prev_mail_cache.uid != mail->uid &&
	    (!get_body || !serve_text(mail))) {
		if (serve_text_will_fail(mail))
			return serve_text_fail(mail);
		if (migration_imapc_virtual_leave(mmbox,
			"a text is wanted that was not fetched ahead") < 0)
			return -1;
	}
	return serve_mail_context(mail)->module_ctx.super.
		get_stream(mail, get_body, hdr_size, body_size, stream_r);
}

static int
serve_get_special(struct mail *mail, enum mail_fetch_field field,
		  const char **value_r)
{
	struct migration_imapc_mailbox *mmbox = serve_mailbox(mail);

	if (mmbox->served != NULL &&
	    (field & (MAIL_FETCH_IMAP_BODY | MAIL_FETCH_IMAP_BODYSTRUCTURE |
		      MAIL_FETCH_IMAP_ENVELOPE | MAIL_FETCH_BODY_SNIPPET)) != 0 &&
	    migration_imapc_virtual_leave(mmbox,
			"something is wanted that was not fetched ahead") < 0)
		return -1;
	return serve_mail_context(mail)->module_ctx.super.
		get_special(mail, field, value_r);
}

/* ---- changes of the source: a sync in both directions ---- */

static void serve_change(struct mail *mail)
{
	/* a failure comes back when the change is sent */
	(void)migration_imapc_virtual_leave(serve_mailbox(mail),
					    "a mail is to be changed");
}

/* dsync also sets what is set already. */
static bool
serve_flags_differ(struct mail *mail, enum modify_type modify_type,
		   enum mail_flags flags)
{
	enum mail_flags old = mail_get_flags(mail) & MAIL_FLAGS_NONRECENT;

	flags &= MAIL_FLAGS_NONRECENT;
	switch (modify_type) {
	case MODIFY_ADD:
		return (flags & ENUM_NEGATE(old)) != 0;
	case MODIFY_REMOVE:
		return (flags & old) != 0;
	case MODIFY_REPLACE:
		return flags != old;
	}
	i_unreached();
}

static bool
serve_keywords_differ(struct mail *mail, enum modify_type modify_type,
		      const struct mail_keywords *keywords)
{
	const ARRAY_TYPE(keyword_indexes) *old = mail_get_keyword_indexes(mail);
	unsigned int i, idx, same = 0;

	array_foreach_elem(old, idx) {
		for (i = 0; i < keywords->count; i++) {
			if (keywords->idx[i] == idx)
				same++;
		}
	}
	switch (modify_type) {
	case MODIFY_ADD:
		return same < keywords->count;
	case MODIFY_REMOVE:
		return same > 0;
	case MODIFY_REPLACE:
		return same < keywords->count || same < array_count(old);
	}
	i_unreached();
}

static void
serve_update_flags(struct mail *mail, enum modify_type modify_type,
		   enum mail_flags flags)
{
	if (serve_flags_differ(mail, modify_type, flags))
		serve_change(mail);
	serve_mail_context(mail)->module_ctx.super.
		update_flags(mail, modify_type, flags);
}

static void
serve_update_keywords(struct mail *mail, enum modify_type modify_type,
		      struct mail_keywords *keywords)
{
	if (serve_keywords_differ(mail, modify_type, keywords))
		serve_change(mail);
	serve_mail_context(mail)->module_ctx.super.
		update_keywords(mail, modify_type, keywords);
}

static void serve_expunge(struct mail *mail)
{
	serve_change(mail);
	serve_mail_context(mail)->module_ctx.super.expunge(mail);
}

void migration_imapc_serve_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	struct serve_mail *smail;

	if (strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) != 0 ||
	    MIGRATION_IMAPC_CONTEXT(mail->box) == NULL)
		return;
	smail = p_new(pmail->pool, struct serve_mail, 1);
	smail->module_ctx.super = *v;
	pmail->vlast = &smail->module_ctx.super;
	v->prefetch = serve_prefetch;
	v->set_seq = serve_set_seq;
	v->get_received_date = serve_get_received_date;
	v->get_save_date = serve_get_save_date;
	v->get_physical_size = serve_get_physical_size;
	v->get_virtual_size = serve_get_virtual_size;
	v->get_header_stream = serve_get_header_stream;
	v->get_stream = serve_get_stream;
	v->get_special = serve_get_special;
	v->update_flags = serve_update_flags;
	v->update_keywords = serve_update_keywords;
	v->expunge = serve_expunge;
	MODULE_CONTEXT_SET(pmail, serve_mail_module, smail);
}

/* ---- search ---- */

void migration_imapc_serve_search(struct migration_imapc_mailbox *mmbox,
				  struct mailbox_transaction_context *t,
				  const struct mail_search_args *args)
{
	const struct mail_search_arg *arg = args->args;
	const struct seq_range *range;
	ARRAY_TYPE(seq_range) uids;
	uint32_t seq, uid, seq2, count;

	if (arg == NULL || arg->next != NULL || arg->match_not ||
	    arg->type != SEARCH_SEQSET || mmbox->served->pool == NULL)
		return;
	count = mail_index_view_get_messages_count(t->view);
	t_array_init(&uids, 64);
	array_foreach(&arg->value.seqset, range) {
		seq2 = I_MIN(range->seq2, count);
		for (seq = range->seq1; seq <= seq2; seq++) {
			mail_index_lookup_uid(t->view, seq, &uid);
			seq_range_array_add(&uids, uid);
		}
	}
	migration_imapc_ahead_want_texts(mmbox->mlist->ahead, mmbox->served,
					 &uids);
}
