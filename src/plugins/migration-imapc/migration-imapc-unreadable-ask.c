/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Asking for a mail in every way there is: whole, as header and text, in pieces,
   in parts; on a connection of its own that is made again if the mail costs it.
   */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "istream.h"
#include "istream-concat.h"
#include "imapc-client-private.h"
#include "placeholder.h"
#include "secret-mask.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-spare.h"
#include "migration-imapc-unreadable.h"

/* A mail is asked for whole so often before it is asked for in pieces. */
#define UNREADABLE_WHOLE_TRIES 2
/* ... and so often if the server says each time that it is temporary, with
   growing waits: some 50 seconds. Once so many mails were worth that, the next
   ones are not. */
#define UNREADABLE_TEMPORARY_TRIES 9
#define UNREADABLE_PATIENT_MAILS 3
/* Connections that one mail may cost */
#define UNREADABLE_MAX_LOSSES 4
/* Pieces get smaller where they are refused */
#define UNREADABLE_LARGEST_PIECE (1024*1024)
#define UNREADABLE_SMALLEST_PIECE 4096
/* more parts are not looked for if the server does not say how many there are */
#define UNREADABLE_MAX_PARTS 100

static void unreadable_note_words(struct unreadable *u, const char *words)
{
	/* the first ones are about the mail, later ones may be about its
	   pieces */
	if (u->words == NULL && *words != '\0')
		u->words = p_strdup(u->pool, migration_secrets_mask(words));
}

static enum unreadable_result
unreadable_stop(struct unreadable *u, const char *words)
{
	u->stop = TRUE;
	migration_imapc_stop(u->mlist, u->mail->box, words);
	return UNREADABLE_STOP;
}

/* The mailbox is not any more what dsync takes it for. The command is called
   again, and sees it as it is by then. */
static void unreadable_mailbox_changed(struct unreadable *u, const char *words)
{
	const char *vname = u->mail->box->vname;

	u->stop = TRUE;
	mail_storage_set_error(u->mail->box->storage, MAIL_ERROR_TEMP, words);
	source_failed(migration_run_find(u->mail->box->storage->user),
		t_strdup_printf("mailbox %s changed during the run", vname));
}

static bool words_are_permanent(const char *words)
{
	struct server_reply reply;

	server_reply_understand(words, &reply);
	return !server_reply_is_temporary(reply.meaning);
}

/* Opens the mail's mailbox on the spare connection. TRUE if it is open. */
static bool unreadable_open(struct unreadable *u)
{
	struct migration_imapc_spare *spare = migration_imapc_spare_get(u->mlist);
	struct imapc_mailbox *mbox = u->mmbox->mbox;
	const char *words;
	uint32_t uidvalidity;
	bool login;
	enum spare_result result;

	while (!u->stop) {
		result = migration_imapc_spare_open(spare,
			imapc_mailbox_get_remote_name(mbox),
			(mbox->storage->set->parsed_features &
			 IMAPC_FEATURE_NO_EXAMINE) == 0, &uidvalidity, &login);
		words = migration_imapc_spare_words(spare);
		if (result == SPARE_OK)
			break;
		if (result == SPARE_REFUSED && !login &&
		    words_are_permanent(words))
			unreadable_mailbox_changed(u, words);
		else if (!migration_imapc_pause(u->mlist, &u->mlist->spare_failures,
				result == SPARE_LOST ? RETRY_FAILURE_CONNECTION :
				login ? RETRY_FAILURE_LOGIN :
				RETRY_FAILURE_COMMAND, words))
			(void)unreadable_stop(u, words);
	}
	if (u->stop)
		return FALSE;
	retry_progress(&u->mlist->spare_failures);
	if (uidvalidity !=
	    mail_index_get_header(u->mail->box->view)->uid_validity) {
		unreadable_mailbox_changed(u,
			"The mailbox's UIDVALIDITY has changed");
		return FALSE;
	}
	return TRUE;
}

/* TRUE if the words are about the whole connection or account: then it was
   waited for, or the run has to end. */
static bool unreadable_is_general(struct unreadable *u, const char *words)
{
	struct server_reply reply;

	server_reply_understand(words, &reply);
	if (!server_reply_is_general(reply.meaning))
		return FALSE;
	if (!migration_imapc_pause(u->mlist, &u->mlist->throttlings,
				   RETRY_FAILURE_COMMAND, words))
		(void)unreadable_stop(u, words);
	return TRUE;
}

/* One FETCH, on a connection that is made again if it was lost. */
static enum spare_result
unreadable_fetch(struct unreadable *u, const char *items,
		 struct spare_reply *reply_r)
{
	struct migration_imapc_spare *spare = migration_imapc_spare_get(u->mlist);
	enum spare_result result = SPARE_LOST;
	const char *words;

	i_zero(reply_r);
	reply_r->parts_count = -1;
	while (unreadable_open(u)) {
		result = migration_imapc_spare_fetch(spare, u->mail->uid, items,
						     reply_r);
		words = migration_imapc_spare_words(spare);
		if (reply_r->size != UOFF_T_MAX)
			u->size = reply_r->size;
		if (reply_r->internaldate != (time_t)-1)
			u->internaldate = reply_r->internaldate;
		if (reply_r->save_date != (time_t)-1)
			u->save_date = reply_r->save_date;
		if (result == SPARE_OK || result == SPARE_NO_DATA) {
			retry_progress(&u->mlist->throttlings);
			return result;
		}
		i_stream_unref(&reply_r->text);
		if (!unreadable_is_general(u, words)) {
			unreadable_note_words(u, words);
			break;
		}
	}
	if (result == SPARE_LOST && ++u->losses >= UNREADABLE_MAX_LOSSES)
		e_debug(u->mmbox->muser->event, "UID %u costs connections: "
			"no more of them", u->mail->uid);
	return result;
}

/* ---- the whole mail ---- */

static bool unreadable_savedate_wanted(struct unreadable *u)
{
	return (u->mmbox->mbox->capabilities & IMAPC_CAPABILITY_SAVEDATE) != 0;
}

/* The text is all of the mail. If the server has another opinion of its size,
   it has to send the same text twice. */
static bool unreadable_is_whole(struct unreadable *u, struct istream *text)
{
	uoff_t size, old_size;

	if (i_stream_get_size(text, TRUE, &size) <= 0)
		return FALSE;
	if (u->size == UOFF_T_MAX || size == u->size)
		return TRUE;
	unreadable_note_words(u, t_strdup_printf("%"PRIuUOFF_T" bytes came of a "
		"mail of %"PRIuUOFF_T" bytes", size, u->size));
	if (u->text != NULL &&
	    i_stream_get_size(u->text, TRUE, &old_size) > 0 && old_size == size)
		return TRUE;
	i_stream_unref(&u->text);
	u->text = text;
	i_stream_ref(text);
	return FALSE;
}

static enum unreadable_result unreadable_check_gone(struct unreadable *u)
{
	struct spare_reply reply;

	switch (unreadable_fetch(u, "FLAGS", &reply)) {
	case SPARE_NO_DATA:
		return UNREADABLE_GONE;
	case SPARE_OK:
	case SPARE_REFUSED:
	case SPARE_LOST:
		break;
	}
	return u->stop ? UNREADABLE_STOP : UNREADABLE_REFUSED;
}

/* TRUE if the mail shall be asked for once more. */
static bool unreadable_try_again(struct unreadable *u, enum spare_result result)
{
	struct server_reply reply;
	struct retry_state failures = { .reached = TRUE };
	struct migration_imapc_spare *spare = migration_imapc_spare_get(u->mlist);
	const char *words = migration_imapc_spare_words(spare);
	bool patient = u->mlist->given_up_mails < UNREADABLE_PATIENT_MAILS;

	u->tries++;
	server_reply_understand(words, &reply);
	if (result == SPARE_REFUSED && reply.meaning == SERVER_REPLY_TEMPORARY &&
	    patient && u->tries < UNREADABLE_TEMPORARY_TRIES) {
		failures.failures = u->tries - 1;
		failures.waited_msecs = u->mlist->unreadable_waited_msecs;
		if (migration_imapc_pause(u->mlist, &failures,
					  RETRY_FAILURE_COMMAND, words)) {
			u->mlist->unreadable_waited_msecs = failures.waited_msecs;
			return TRUE;
		}
		return FALSE;
	}
	if (u->tries >= UNREADABLE_WHOLE_TRIES)
		return FALSE;
	migration_run_count(migration_run_find(u->mail->box->storage->user),
			    MIGRATION_COUNTER_RETRIES, 1);
	/* the connection may have something to do with it */
	migration_imapc_spare_close(spare);
	return TRUE;
}

static enum unreadable_result unreadable_get_whole(struct unreadable *u)
{
	const char *items = unreadable_savedate_wanted(u) ?
		"INTERNALDATE RFC822.SIZE SAVEDATE BODY.PEEK[]" :
		"INTERNALDATE RFC822.SIZE BODY.PEEK[]";
	enum unreadable_result ret;
	struct spare_reply reply;
	enum spare_result result;
	bool whole;

	do {
		result = unreadable_fetch(u, items, &reply);
		if (u->stop)
			return UNREADABLE_STOP;
		if (result == SPARE_OK && reply.text != NULL) {
			whole = unreadable_is_whole(u, reply.text);
			if (whole) {
				i_stream_unref(&u->text);
				u->text = reply.text;
				return UNREADABLE_TEXT;
			}
			i_stream_unref(&reply.text);
		} else if (result == SPARE_NO_DATA || result == SPARE_OK) {
			unreadable_note_words(u, "OK, but without the text");
			ret = unreadable_check_gone(u);
			if (ret != UNREADABLE_REFUSED)
				return ret;
		}
	} while (unreadable_try_again(u, result));
	i_stream_unref(&u->text);
	return UNREADABLE_REFUSED;
}

/* ---- in pieces ---- */

static bool unreadable_may_ask(struct unreadable *u)
{
	return !u->stop && u->losses < UNREADABLE_MAX_LOSSES;
}

struct istream *
migration_imapc_unreadable_ask_section(struct unreadable *u, const char *section)
{
	struct spare_reply reply;

	if (!unreadable_may_ask(u))
		return NULL;
	if (unreadable_fetch(u, t_strdup_printf("BODY.PEEK[%s]", section),
			     &reply) == SPARE_OK)
		return reply.text;
	return NULL;
}

/* Reads a section from its beginning as far as it goes. Returns NULL if not
   even the beginning could be read. */
static struct istream *
unreadable_get_pieces(struct unreadable *u, const char *section,
		      bool *complete_r)
{
	ARRAY(struct istream *) pieces;
	struct istream *piece, *all = NULL;
	uoff_t offset = 0, size, want = UNREADABLE_LARGEST_PIECE;
	struct spare_reply reply;

	*complete_r = FALSE;
	t_array_init(&pieces, 16);
	while (want >= UNREADABLE_SMALLEST_PIECE && unreadable_may_ask(u)) {
		if (unreadable_fetch(u, t_strdup_printf(
				"BODY.PEEK[%s]<%"PRIuUOFF_T".%"PRIuUOFF_T">",
				section, offset, want), &reply) != SPARE_OK ||
		    reply.text == NULL ||
		    i_stream_get_size(reply.text, TRUE, &size) <= 0) {
			i_stream_unref(&reply.text);
			want /= 16;
			continue;
		}
		/* a server that ignores the range sends all of it */
		piece = reply.text;
		array_push_back(&pieces, &piece);
		offset += size;
		if (size < want || size > want) {
			*complete_r = TRUE;
			break;
		}
	}
	if (array_count(&pieces) > 0) {
		array_append_zero(&pieces);
		all = i_stream_create_concat(array_front_modifiable(&pieces));
		array_pop_back(&pieces);
		array_foreach_elem(&pieces, piece)
			i_stream_unref(&piece);
	}
	return all;
}

static bool
unreadable_take_if_whole(struct unreadable *u, struct istream *text)
{
	uoff_t size;

	/* put together from pieces: only the server's size can prove it */
	if (u->size == UOFF_T_MAX ||
	    i_stream_get_size(text, TRUE, &size) <= 0 || size != u->size)
		return FALSE;
	u->text = text;
	i_stream_ref(text);
	return TRUE;
}

static bool
unreadable_join(struct unreadable *u, struct istream *header,
		struct istream *body)
{
	struct istream *const inputs[] = { header, body, NULL };
	struct istream *text;
	bool ret;

	if (header == NULL || body == NULL)
		return FALSE;
	text = i_stream_create_concat((struct istream **)inputs);
	ret = unreadable_take_if_whole(u, text);
	i_stream_unref(&text);
	return ret;
}

static const char *unreadable_read_all(pool_t pool, struct istream *input)
{
	string_t *str = t_str_new(1024);
	const unsigned char *data;
	size_t size, i;

	i_stream_seek(input, 0);
	while (i_stream_read_more(input, &data, &size) > 0) {
		/* a header is text */
		for (i = 0; i < size; i++)
			str_append_c(str, data[i] == '\0' ? '?' : data[i]);
		i_stream_skip(input, size);
	}
	i_stream_seek(input, 0);
	return p_strdup(pool, str_c(str));
}

static void
unreadable_add_part(struct unreadable *u, const char *number,
		    const char *mime_header, struct istream *text, bool complete)
{
	struct unreadable_part *part;
	uoff_t size;

	if (i_stream_get_size(text, TRUE, &size) <= 0 || size == 0) {
		i_stream_unref(&text);
		return;
	}
	part = array_append_space(&u->parts);
	part->part.number = p_strdup(u->pool, number);
	part->part.mime_header = mime_header;
	part->part.size = size;
	part->part.complete = complete;
	part->text = text;
}

static void
unreadable_get_part(struct unreadable *u, const char *number)
{
	const char *mime_header = NULL;
	struct istream *mime = NULL, *text;
	bool complete = TRUE;

	if (strcmp(number, "TEXT") != 0) {
		mime = migration_imapc_unreadable_ask_section(u,
			t_strconcat(number, ".MIME", NULL));
	}
	if (mime != NULL)
		mime_header = unreadable_read_all(u->pool, mime);
	text = migration_imapc_unreadable_ask_section(u, number);
	if (text == NULL)
		text = unreadable_get_pieces(u, number, &complete);
	if (text != NULL)
		unreadable_add_part(u, number, mime_header, text, complete);
	i_stream_unref(&mime);
}

void migration_imapc_unreadable_ask_parts(struct unreadable *u,
					  const char *header)
{
	struct spare_reply reply;
	unsigned int i, count, had;
	bool known;

	if (!unreadable_may_ask(u))
		return;
	(void)unreadable_fetch(u, "BODYSTRUCTURE", &reply);
	i_stream_unref(&reply.text);
	known = reply.parts_count >= 0;
	if (known)
		count = reply.parts_count;
	else
		count = placeholder_header_is_multipart(header) ?
			UNREADABLE_MAX_PARTS : 0;
	if (count == 0)
		unreadable_get_part(u, "TEXT");
	for (i = 1; i <= count && unreadable_may_ask(u); i++) T_BEGIN {
		had = array_count(&u->parts);
		unreadable_get_part(u, t_strdup_printf("%u", i));
		if (!known && array_count(&u->parts) == had)
			count = i;
	} T_END;
}

/* ---- in every way ---- */

void migration_imapc_unreadable_ask_details(struct unreadable *u)
{
	struct spare_reply reply;

	if (!unreadable_may_ask(u) || u->internaldate != (time_t)-1)
		return;
	(void)unreadable_fetch(u, unreadable_savedate_wanted(u) ?
			       "INTERNALDATE RFC822.SIZE SAVEDATE" :
			       "INTERNALDATE RFC822.SIZE", &reply);
	i_stream_unref(&reply.text);
}

enum unreadable_result
migration_imapc_unreadable_ask(struct unreadable *u, const char **header_r)
{
	struct istream *header, *body, *pieces = NULL;
	enum unreadable_result result = unreadable_get_whole(u);
	bool complete;

	*header_r = NULL;
	if (result != UNREADABLE_REFUSED)
		return result;
	migration_imapc_unreadable_ask_details(u);
	header = migration_imapc_unreadable_ask_section(u, "HEADER");
	body = migration_imapc_unreadable_ask_section(u, "TEXT");
	if (unreadable_join(u, header, body))
		result = UNREADABLE_TEXT;
	else {
		pieces = unreadable_get_pieces(u, "", &complete);
		if (pieces != NULL && complete &&
		    unreadable_take_if_whole(u, pieces))
			result = UNREADABLE_TEXT;
	}
	if (header != NULL)
		*header_r = unreadable_read_all(u->pool, header);
	i_stream_unref(&header);
	i_stream_unref(&body);
	i_stream_unref(&pieces);
	return result;
}
