/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mails that the source does not give.

   dsync ends the user's run at the first of them, and at each later run again.
   A gap instead would be worse: its UID could never be filled in later, and
   dsync's answer to a missing UID is to delete the mailbox. So the mail is
   asked for in every way there is, alone and on a connection of its own: whole,
   as header and text, in pieces, in parts. Together these can still be the
   mail, byte for byte. If they are not, a placeholder takes its place, with all
   that could be read (placeholder.h), and a finding says so.

   A mail that others get is never replaced because the server is busy: what is
   meant for all mails ends the run instead. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "ioloop.h"
#include "istream.h"
#include "istream-concat.h"
#include "index-mail.h"
#include "imapc-client-private.h"
#include "imapc-mail.h"
#include "placeholder.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-spare.h"
#include "migration-imapc-placeholders.h"
#include "migration-imapc-unreadable.h"

/* ---- the placeholder ---- */

static struct istream *
unreadable_build(struct unreadable *u, const struct placeholder *mail)
{
	ARRAY(struct istream *) inputs;
	ARRAY(struct placeholder_part) parts;
	const struct unreadable_part *part;
	struct istream *input, *all;
	string_t *str = t_str_new(1024);

	t_array_init(&parts, 8);
	t_array_init(&inputs, 16);
	array_foreach(&u->parts, part)
		array_push_back(&parts, &part->part);
	placeholder_write_begin(str, mail, array_is_empty(&parts) ? NULL :
				array_front(&parts), array_count(&parts));
	array_foreach(&u->parts, part) {
		placeholder_write_part(str, mail, &part->part);
		input = i_stream_create_copy_from_data(str_data(str),
						       str_len(str));
		array_push_back(&inputs, &input);
		input = part->text;
		i_stream_ref(input);
		array_push_back(&inputs, &input);
		str_truncate(str, 0);
	}
	placeholder_write_end(str, mail);
	input = i_stream_create_copy_from_data(str_data(str), str_len(str));
	array_push_back(&inputs, &input);

	array_append_zero(&inputs);
	all = i_stream_create_concat(array_front_modifiable(&inputs));
	array_pop_back(&inputs);
	array_foreach_elem(&inputs, input)
		i_stream_unref(&input);
	return all;
}

static struct placeholder unreadable_placeholder(struct unreadable *u)
{
	struct placeholder mail = {
		.mailbox = u->mail->box->vname,
		.uidvalidity = mail_index_get_header(
			u->mail->box->view)->uid_validity,
		.uid = u->mail->uid,
		.internaldate = u->internaldate == (time_t)-1 ? 0 :
			u->internaldate,
		.size = u->size,
		.words = u->words == NULL ? "nothing" : u->words,
	};

	return mail;
}

static void
unreadable_make_placeholder(struct unreadable *u, const char *header, bool gone)
{
	struct migration_run *run =
		migration_run_find(u->mail->box->storage->user);
	struct placeholder mail = unreadable_placeholder(u);

	mail.header = header;
	u->text = unreadable_build(u, &mail);
	migration_imapc_placeholders_add(u->mmbox, mail.uid, mail.uidvalidity,
					 gone);
	if (gone) {
		e_debug(u->mmbox->muser->event, "mailbox %s: UID %u was expunged "
			"during the run: a stand-in keeps its place until the "
			"run's end", mail.mailbox, mail.uid);
		return;
	}
	migration_run_finding(run, MIGRATION_SEVERITY_ERROR, mail.mailbox,
		mail.uid, FINDING_MAIL_UNREADABLE, "The source answers: %s. A "
		"placeholder with %s is in its place. A later run puts the mail "
		"there when it can be read.", mail.words,
		array_is_empty(&u->parts) ?
		(header != NULL ? "its header" : "no part of it") :
		"what could be read");
}

/* ---- glue ---- */

static void unreadable_give(struct unreadable *u)
{
	struct imapc_mail *imail = IMAPC_MAIL(u->mail);
	struct index_mail_data *data = &imail->imail.data;

	index_mail_close_streams(&imail->imail);
	i_stream_seek(u->text, 0);
	data->stream = u->text;
	u->text = NULL;
	imail->header_fetched = imail->body_fetched = TRUE;
	imail->fetch_failed = FALSE;
	if (data->received_date == (time_t)-1) {
		data->received_date = u->internaldate != (time_t)-1 ?
			u->internaldate : ioloop_time;
	}
	if (data->save_date == (time_t)-1) {
		data->save_date = u->save_date != (time_t)-1 ?
			u->save_date : 0;
	}
	imapc_mail_init_stream(imail);
}

static int unreadable_get(struct unreadable *u)
{
	const char *header_text;
	enum unreadable_result result;

	result = migration_imapc_unreadable_ask(u, &header_text);
	if (result == UNREADABLE_REFUSED && !u->stop) {
		u->mlist->given_up_mails++;
		if (strcmp(u->mmbox->muser->set->unreadable, "fail") == 0) {
			migration_run_finding(
				migration_run_find(u->mail->box->storage->user),
				MIGRATION_SEVERITY_ERROR, u->mail->box->vname,
				u->mail->uid, FINDING_MAIL_UNREADABLE,
				"The source answers: %s. With "
				"migration_imapc_unreadable = placeholder the "
				"run goes on without it.", u->words);
			mail_storage_set_error(u->mail->box->storage,
				MAIL_ERROR_TEMP, t_strdup_printf(
				"UID %u can't be read: %s", u->mail->uid,
				u->words));
			u->stop = TRUE;
		} else {
			/* a header and a body that do not fit together */
			migration_imapc_unreadable_ask_parts(u, header_text);
		}
	}
	if (!u->stop && result != UNREADABLE_TEXT) {
		unreadable_make_placeholder(u, header_text,
					    result == UNREADABLE_GONE);
	}
	return u->stop ? -1 : 0;
}

static void
unreadable_init(struct unreadable *u, struct migration_imapc_mailbox *mmbox,
		struct mail *mail)
{
	i_zero(u);
	u->mmbox = mmbox;
	u->mlist = MIGRATION_IMAPC_LIST_CONTEXT(mail->box->list);
	u->mail = mail;
	u->pool = pool_alloconly_create("unreadable mail", 2048);
	u->size = UOFF_T_MAX;
	u->internaldate = u->save_date = (time_t)-1;
	p_array_init(&u->parts, u->pool, 8);
}

static void unreadable_deinit(struct unreadable *u)
{
	struct unreadable_part *part;

	array_foreach_modifiable(&u->parts, part)
		i_stream_unref(&part->text);
	i_stream_unref(&u->text);
	migration_imapc_spare_rest(u->mlist);
	pool_unref(&u->pool);
}

int migration_imapc_unreadable_replace(struct migration_imapc_mailbox *mmbox,
				       struct mail *mail)
{
	struct unreadable u;
	int ret;

	if (strcmp(mail->box->list->name, MAILBOX_LIST_NAME_IMAPC) != 0)
		return -1;
	unreadable_init(&u, mmbox, mail);
	T_BEGIN {
		ret = unreadable_get(&u);
		if (ret == 0)
			unreadable_give(&u);
	} T_END;
	unreadable_deinit(&u);
	return ret;
}

/* The fields of a mail of which not even these can be read. What the
   destination has under the UID is taken for the same mail: anything else would
   be a conflict, which costs the whole mailbox. */
static struct istream *
unreadable_make_header(struct unreadable *u, const char *const *names)
{
	struct placeholder mail;
	const char *text;
	string_t *str;

	text = migration_imapc_placeholders_dest_header(u->mmbox, u->mail->uid,
		mail_index_get_header(u->mail->box->view)->uid_validity, names);
	if (text == NULL) {
		migration_imapc_unreadable_ask_details(u);
		mail = unreadable_placeholder(u);
		str = t_str_new(256);
		placeholder_write_made_header(str, &mail);
		str_append(str, "\r\n");
		text = str_c(str);
	}
	return i_stream_create_copy_from_data(text, strlen(text));
}

int migration_imapc_unreadable_header(struct migration_imapc_mailbox *mmbox,
				      struct mail *mail,
				      struct mailbox_header_lookup_ctx *headers,
				      struct istream **stream_r)
{
	struct unreadable u;

	if (strcmp(mail->box->list->name, MAILBOX_LIST_NAME_IMAPC) != 0)
		return -1;
	unreadable_init(&u, mmbox, mail);
	T_BEGIN {
		*stream_r = migration_imapc_unreadable_ask_section(&u, t_strdup_printf(
			"HEADER.FIELDS (%s)",
			t_strarray_join(headers->name, " ")));
		if (*stream_r == NULL && !u.stop)
			*stream_r = unreadable_make_header(&u, headers->name);
	} T_END;
	unreadable_deinit(&u);
	return *stream_r == NULL ? -1 : 0;
}

struct istream *
migration_imapc_unreadable_known_header(struct migration_imapc_mailbox *mmbox,
					struct mail *mail,
					struct mailbox_header_lookup_ctx *headers)
{
	uint32_t uidvalidity =
		mail_index_get_header(mail->box->view)->uid_validity;
	struct istream *input = NULL;
	const char *text;

	if (!migration_imapc_placeholders_have(mmbox, mail->uid, uidvalidity))
		return NULL;
	T_BEGIN {
		text = migration_imapc_placeholders_dest_header(mmbox, mail->uid,
			uidvalidity, headers->name);
		if (text != NULL) {
			input = i_stream_create_copy_from_data(text,
							       strlen(text));
		}
	} T_END;
	return input;
}
