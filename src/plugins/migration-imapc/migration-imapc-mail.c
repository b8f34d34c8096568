/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mails of a search that stock imapc fetches ahead (migration-imapc-fetch.c), and
   what happens when one of them cannot be had. */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "istream.h"
#include "index-mail.h"
#include "imapc-mail.h"
#include "mail-opening.h"
#include "migration-budget.h"
#include "migration-run.h"
#include "migration-imapc-fetch-private.h"

/* A mail of which only metadata is fetched */
#define MIGRATION_IMAPC_METADATA_SIZE 1024
#define MIGRATION_IMAPC_LEARNABLE_FIELDS \
	(MAIL_FETCH_RECEIVED_DATE | MAIL_FETCH_PHYSICAL_SIZE | \
	 MAIL_FETCH_VIRTUAL_SIZE)

struct migration_imapc_mail {
	union mail_module_context module_ctx;
	/* the search in whose window the mail is, or NULL */
	struct migration_imapc_search *search;
	uint64_t taken_size;
	/* the mail that was last got in other ways than imapc's, or 0 */
	uint32_t replaced_uid;
	/* its header fields, if imapc does not have them; or NULL */
	struct istream *header;
};

static void
migration_imapc_mail_add_temp_wanted_fields(struct mail *mail,
					    enum mail_fetch_field fields,
					    struct mailbox_header_lookup_ctx *headers)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
	struct migration_imapc_search *search = mmbox->returned;
	enum mail_fetch_field new_fields =
		fields & MIGRATION_IMAPC_LEARNABLE_FIELDS;
	struct mail *other;
	unsigned int i;

	mmail->module_ctx.super.add_temp_wanted_fields(mail, fields, headers);
	if (mmbox->served != NULL || search == NULL || search->returned_mail != mail ||
	    !migration_imapc_search_is_new(search, new_fields, headers))
		return;
	migration_imapc_search_learn(search, new_fields, headers);

	/* those that were asked for before this was known */
	for (i = 0; i < search->ctx->unused_mail_idx; i++) {
		other = array_idx_elem(&search->ctx->mails, i);
		mmail = MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(
			(struct mail_private *)other);
		mmail->module_ctx.super.add_temp_wanted_fields(other,
			new_fields, headers);
		(void)mmail->module_ctx.super.prefetch(other);
	}
}

static void
migration_imapc_mail_enter_window(struct migration_imapc_mail *mmail,
				  struct migration_imapc_search *search,
				  struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);
	uint64_t size = MIGRATION_IMAPC_METADATA_SIZE;

	if ((imail->fetching_fields & MAIL_FETCH_STREAM_BODY) != 0) T_BEGIN {
		migration_imapc_sizes_ask(search, mail->seq);
		size = migration_imapc_sizes_take(search, mail->uid);
	} T_END;
	mmail->taken_size = fetch_window_add(&search->window, size);
	mmail->search = search;

	if (fetch_window_should_send(&search->window)) {
		imapc_mail_fetch_flush(search->mmbox->mbox);
		fetch_window_sent(&search->window);
	}
}

/* 0 if it is not known */
static uint64_t
migration_imapc_mail_known_size(struct migration_imapc_mailbox *mmbox,
				struct mail *mail)
{
	return POINTER_CAST_TO(hash_table_lookup(mmbox->sizes,
						 POINTER_CAST(mail->uid)),
			       uint32_t);
}

/* FALSE if the mail's text is wanted, and has to wait for another day. */
static bool
migration_imapc_mail_may_prefetch(struct migration_imapc_search *search,
				  struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);

	if ((imail->imail.data.wanted_fields & MAIL_FETCH_STREAM_BODY) == 0)
		return TRUE;
	if (!search->over_budget) {
		search->over_budget = !migration_imapc_budget_allows(
			search->mmbox, &search->window,
			migration_imapc_mail_known_size(search->mmbox, mail));
	}
	return !search->over_budget;
}

/* FALSE if the mail's text would have to be asked for, and must not be. */
static bool
migration_imapc_mail_may_read(struct migration_imapc_mailbox *mmbox,
			      struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);
	bool allowed;

	if (mmbox->served != NULL || imail->body_fetched ||
	    (imail->fetching_fields & MAIL_FETCH_STREAM_BODY) != 0)
		return TRUE;
	allowed = migration_imapc_budget_allows(mmbox, NULL,
			migration_imapc_mail_known_size(mmbox, mail));
	if (allowed && mmbox->returned != NULL)
		mmbox->returned->over_budget = FALSE;
	return allowed;
}

static bool migration_imapc_mail_prefetch(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
	struct migration_imapc_search *search = mmbox->searching;

	if (search == NULL || mmbox->served != NULL)
		return mmail->module_ctx.super.prefetch(mail);

	if (search->learned_fields != 0 || search->learned_headers != NULL) {
		mmail->module_ctx.super.add_temp_wanted_fields(mail,
			search->learned_fields, search->learned_headers);
	}
	/* stock sends what is collected whenever it waits for something */
	if (mmbox->mbox->pending_fetch_request == NULL)
		fetch_window_sent(&search->window);
	if (!migration_imapc_mail_may_prefetch(search, mail))
		return migration_imapc_budget_prefetch(&mmail->module_ctx.super,
						       mail);
	if (mmail->module_ctx.super.prefetch(mail))
		return TRUE;
	if (mmail->search == NULL)
		migration_imapc_mail_enter_window(mmail, search, mail);
	migration_imapc_search_set_room(search, search->ctx->unused_mail_idx + 1);
	return FALSE;
}

static void
migration_imapc_mail_count(struct migration_imapc_mailbox *mmbox,
			   struct mail *mail)
{
	struct imapc_mail *imail = IMAPC_MAIL(mail);
	uoff_t size = imail->imail.data.physical_size;
	struct migration_run *run;

	if (!imail->body_fetched || mail->uid == mmbox->counted_uid)
		return;
	/* closed and opened again: imapc kept the text of the latest mail */
	mmbox->counted_uid = mail->uid;
	run = migration_run_find(mail->box->storage->user);
	migration_run_count(run, MIGRATION_COUNTER_MAILS_FETCHED, 1);
	if (size == UOFF_T_MAX)
		return;
	migration_run_count(run, MIGRATION_COUNTER_BYTES_FETCHED, size);
	/* of what is fetched ahead, every text was counted when it came */
	if (mmbox->budget != NULL && mmbox->served == NULL)
		migration_budget_count(mmbox->budget, size);
}

/* imapc could not get something of the mail. TRUE if it shall be tried in other
   ways: the mail is to be copied, and that was not tried before. */
static bool migration_imapc_mail_wants_other_ways(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);

	return mail->lookup_abort == MAIL_LOOKUP_ABORT_NEVER &&
		mail->box->storage->user->dsyncing &&
		mail->uid != mmail->replaced_uid &&
		!migration_imapc_serve_is_refused(
			MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box), mail->uid);
}

/* TRUE if the mail was had in other ways, or its stand-in was put in its place. */
static bool migration_imapc_mail_replace(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);

	if (!migration_imapc_mail_wants_other_ways(mail))
		return FALSE;
	mmail->replaced_uid = mail->uid;
	return migration_imapc_unreadable_replace(mmbox, mail) == 0;
}

static int
migration_imapc_mail_get_stream(struct mail *mail, bool get_body,
				struct message_size *hdr_size,
				struct message_size *body_size,
				struct istream **stream_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);

	if (get_body && !migration_imapc_mail_may_read(mmbox, mail)) {
		return migration_imapc_budget_get_stream(mmbox,
			&mmail->module_ctx.super, mail,
			migration_imapc_mail_known_size(mmbox, mail),
			hdr_size, body_size, stream_r);
	}
	if (mmail->module_ctx.super.get_stream(mail, get_body, hdr_size,
					       body_size, stream_r) == 0)
		return 0;
	if (!migration_imapc_mail_replace(mail))
		return -1;
	return mmail->module_ctx.super.get_stream(mail, get_body, hdr_size,
						  body_size, stream_r);
}

static int
migration_imapc_mail_get_received_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);

	if (mmail->module_ctx.super.get_received_date(mail, date_r) == 0)
		return 0;
	if (!migration_imapc_mail_replace(mail))
		return -1;
	return mmail->module_ctx.super.get_received_date(mail, date_r);
}

static int
migration_imapc_mail_get_save_date(struct mail *mail, time_t *date_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	int ret;

	ret = mmail->module_ctx.super.get_save_date(mail, date_r);
	if (ret >= 0)
		return ret;
	if (!migration_imapc_mail_replace(mail))
		return -1;
	return mmail->module_ctx.super.get_save_date(mail, date_r);
}

static int
migration_imapc_mail_get_header_stream(struct mail *mail,
				       struct mailbox_header_lookup_ctx *headers,
				       struct istream **stream_r)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
	struct istream *input = NULL;

	if (mail->box->storage->user->dsyncing)
		input = migration_imapc_unreadable_known_header(mmbox, mail,
								headers);
	if (input == NULL) {
		if (mmail->module_ctx.super.get_header_stream(mail, headers,
							      stream_r) == 0)
			return 0;
		if (!migration_imapc_mail_wants_other_ways(mail) ||
		    migration_imapc_unreadable_header(mmbox, mail, headers,
						      &input) < 0)
			return -1;
	}
	i_stream_unref(&mmail->header);
	*stream_r = mmail->header = input;
	return 0;
}

/* Stock's own method makes two events, to say at debug level that the mail was
   opened: a twentieth of all that moving a small mail takes. */
static int
migration_imapc_mail_istream_opened(struct mail *mail, struct istream **stream)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);
	struct imapc_mail *imail;

	if (mmail->module_ctx.super.istream_opened != index_mail_opened)
		return mmail->module_ctx.super.istream_opened(mail, stream);
	imail = IMAPC_MAIL(mail);
	if (imail->body != NULL)
		mail_opening_limit_buffers(*stream, imail->body->used);
	return mmbox->unheard ? 0 : index_mail_opened(mail, stream);
}

static void migration_imapc_mail_close(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct migration_imapc_mail *mmail =
		MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(pmail);
	struct migration_imapc_mailbox *mmbox =
		MIGRATION_IMAPC_CONTEXT_REQUIRE(mail->box);

	migration_imapc_mail_count(mmbox, mail);
	i_stream_unref(&mmail->header);
	mmail->module_ctx.super.close(mail);
	if (mmail->search != NULL) {
		fetch_window_remove(&mmail->search->window, mmail->taken_size);
		mmail->search = NULL;
	}
}

void migration_imapc_mail_allocated(struct mail *mail)
{
	struct mail_private *pmail = (struct mail_private *)mail;
	struct mail_vfuncs *v = pmail->vlast;
	struct migration_imapc_mail *mmail;

	if (strcmp(mail->box->storage->name, IMAPC_STORAGE_NAME) != 0) {
		migration_imapc_changes_dest_mail_allocated(mail);
		return;
	}
	if (MIGRATION_IMAPC_CONTEXT(mail->box) == NULL)
		return;

	mmail = p_new(pmail->pool, struct migration_imapc_mail, 1);
	mmail->module_ctx.super = *v;
	pmail->vlast = &mmail->module_ctx.super;
	v->prefetch = migration_imapc_mail_prefetch;
	v->add_temp_wanted_fields = migration_imapc_mail_add_temp_wanted_fields;
	v->get_header_stream = migration_imapc_mail_get_header_stream;
	v->get_stream = migration_imapc_mail_get_stream;
	v->istream_opened = migration_imapc_mail_istream_opened;
	v->get_received_date = migration_imapc_mail_get_received_date;
	v->get_save_date = migration_imapc_mail_get_save_date;
	v->close = migration_imapc_mail_close;
	MODULE_CONTEXT_SET(pmail, migration_imapc_mail_module, mmail);
}
