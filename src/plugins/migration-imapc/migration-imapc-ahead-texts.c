/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The texts of mails: which are wanted, which are asked for ahead of that, how
   they are waited for and used. See migration-imapc-ahead.h. */

#include "lib.h"
#include "array.h"
#include "seq-range-array.h"
#include "str.h"
#include "imapc-client-private.h"
#include "fetch-ahead.h"
#include "parity.h"
#include "migration-budget.h"
#include "migration-metadata.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead-private.h"

/* the socket is read again when so much was used */
#define AHEAD_READ_EVERY (256*1024)

/* ---- one text ---- */

void migration_imapc_ahead_text_came(struct migration_imapc_ahead *ahead,
				     const struct ahead_mail *mail)
{
	i_assert(ahead->on_its_way.mails > 0);
	ahead->on_its_way.mails--;
	ahead->on_its_way.bytes -= mail->taken_size;
}

void
migration_imapc_ahead_text_forget(struct migration_imapc_ahead *ahead,
				  struct ahead_mailbox *mailbox,
				  struct ahead_mail *mail)
{
	if (mail->text == AHEAD_TEXT_ASKED)
		migration_imapc_ahead_text_came(ahead, mail);
	if (mail->text == AHEAD_TEXT_ASKED || mail->text == AHEAD_TEXT_HERE) {
		fetch_window_remove(&ahead->window, mail->taken_size);
		i_assert(mailbox->texts_held > 0);
		mailbox->texts_held--;
	}
	migration_imapc_ahead_mail_clear(mail);
	mail->text = AHEAD_TEXT_UNWANTED;
}

/* ---- asking ---- */

static uint64_t ahead_mail_size(const struct ahead_mail *mail)
{
	return mail->size == UOFF_T_MAX ? AHEAD_UNKNOWN_SIZE : mail->size;
}

static void
ahead_send_texts(struct migration_imapc_ahead *ahead,
		 struct ahead_mailbox *mailbox, const char *uids,
		 unsigned int first_idx, unsigned int last_idx,
		 unsigned int mails)
{
	struct ahead_command *command;
	struct ahead_mail *mail;
	struct imapc_command *cmd;
	string_t *items;
	unsigned int i;

	command = migration_imapc_ahead_command_begin(ahead, mailbox,
						      AHEAD_COMMAND_TEXTS, &cmd);
	command->first_idx = first_idx;
	command->last_idx = last_idx;
	command->mails = mails;
	ahead->texts_pending++;
	for (i = first_idx; i <= last_idx; i++) {
		mail = array_idx_modifiable(&mailbox->mails, i);
		if (mail->text != AHEAD_TEXT_WANTED)
			continue;
		mail->text = AHEAD_TEXT_ASKED;
		mail->asked_by = command->number;
		mail->taken_size = fetch_window_add(&ahead->window,
						    ahead_mail_size(mail));
		ahead->on_its_way.bytes += mail->taken_size;
		ahead->on_its_way.mails++;
		mailbox->texts_held++;
	}
	items = t_str_new(64);
	if (mailbox->dates_with_texts)
		migration_imapc_ahead_append_dates(ahead, items);
	str_append(items, " BODY.PEEK[]");
	imapc_command_send(cmd, t_strdup_printf("UID FETCH %s (%s)", uids,
						str_c(items) + 1));
}

/* TRUE if one more mail may be asked for without a pause. */
static bool
ahead_budget_has_room(const struct migration_imapc_ahead *ahead,
		      const struct fetch_chunk *chunk,
		      const struct ahead_mail *mail)
{
	const struct fetch_budget_ahead asked = {
		.bytes = ahead->on_its_way.bytes + chunk->bytes,
		.mails = ahead->on_its_way.mails + chunk->mails,
	};

	return ahead->budget == NULL ||
		migration_budget_has_room(ahead->budget, &asked,
			mail->size == UOFF_T_MAX ? 0 : mail->size);
}

/* Asks for the next wanted texts of the mailbox by one command. Returns FALSE
   if there are none, or if none of them may be downloaded now; the first one may
   if must_ask. */
static bool
ahead_ask_texts(struct migration_imapc_ahead *ahead,
		struct ahead_mailbox *mailbox, bool must_ask)
{
	const struct fetch_window *window = &ahead->window;
	struct fetch_chunk_limits limits = ahead->chunk;
	struct fetch_chunk chunk;
	const struct ahead_mail *mail;
	unsigned int i, first_idx = UINT_MAX, last_idx = 0;
	unsigned int count = array_count(&mailbox->mails);
	uint64_t files = 0;
	bool file;

	/* the first mail always fits */
	if (window->mails < window->limits.mails) {
		limits.mails = I_MIN(limits.mails,
				     window->limits.mails - window->mails);
	} else {
		limits.mails = 1;
	}
	limits.bytes = window->bytes >= window->limits.bytes ? 0 :
		I_MIN(limits.bytes, window->limits.bytes - window->bytes);
	fetch_chunk_init(&chunk, &limits, t_str_new(256));
	for (i = mailbox->next_wanted; i < count; i++) {
		mail = array_idx(&mailbox->mails, i);
		if (mail->text != AHEAD_TEXT_WANTED)
			continue;
		file = ahead_mail_size(mail) > AHEAD_MAX_INLINE_LITERAL_SIZE;
		if (!(must_ask && chunk.mails == 0) &&
		    !ahead_budget_has_room(ahead, &chunk, mail)) {
			ahead->budget_is_full = TRUE;
			break;
		}
		if ((file && ahead->window.files + files >= AHEAD_WINDOW_FILES) ||
		    !fetch_chunk_add(&chunk, mail->uid, ahead_mail_size(mail)))
			break;
		if (file)
			files++;
		if (first_idx == UINT_MAX)
			first_idx = i;
		last_idx = i;
	}
	mailbox->next_wanted = i;
	if (chunk.mails == 0)
		return FALSE;
	fetch_chunk_finish(&chunk);
	ahead_send_texts(ahead, mailbox, str_c(chunk.uids), first_idx, last_idx,
			 chunk.mails);
	return TRUE;
}

/* ---- what is probably wanted ---- */

/* The texts of the sample, as if the destination had all mails: what it does not
   have is asked for in vain. */
static void
ahead_guess_sample(struct migration_imapc_ahead *ahead,
		   struct ahead_mailbox *mailbox)
{
	ARRAY_TYPE(seq_range) all, uids;
	struct ahead_mail *mail;

	if (mailbox->sampled ||
	    (ahead->wanted->sample_percent == 0 && ahead->wanted->sample_min == 0) ||
	    !migration_imapc_mail_filter_mark(ahead->mlist, mailbox))
		return;
	mailbox->sampled = TRUE;
	if (array_is_created(&ahead->wanted->without_texts) &&
	    array_bsearch(&ahead->wanted->without_texts, &mailbox->vname,
			  i_strcmp_p) != NULL)
		return;
	t_array_init(&all, 16);
	t_array_init(&uids, 64);
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (!mail->left_out)
			seq_range_array_add(&all, mail->uid);
	}
	parity_sample_texts(mailbox->source.uidvalidity, &all,
			    ahead->wanted->sample_percent,
			    ahead->wanted->sample_min, &uids);
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (mail->text == AHEAD_TEXT_UNWANTED &&
		    seq_range_exists(&uids, mail->uid))
			mail->text = AHEAD_TEXT_WANTED;
	}
}

/* The texts that are probably wanted: those of all mails that the destination
   does not have, unless this run already showed that it is not so. */
static void
ahead_guess_texts(struct migration_imapc_ahead *ahead,
		  struct ahead_mailbox *mailbox)
{
	struct ahead_mail *mail;

	if (!ahead->guess_right || ahead->guess_wrong || mailbox->texts_exact ||
	    !fetch_ahead_can_guess(&mailbox->source, &mailbox->dest) ||
	    !migration_imapc_mail_filter_mark(ahead->mlist, mailbox))
		return;
	/* it may have been looked through before anything was guessed */
	mailbox->next_wanted = 0;
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (mail->uid >= mailbox->new_uid && !mail->left_out &&
		    mail->text == AHEAD_TEXT_UNWANTED &&
		    !migration_imapc_reuse_has(ahead->mlist, mailbox,
					       mail->uid) &&
		    !migration_imapc_ahead_has_text(mailbox, mail->uid))
			mail->text = AHEAD_TEXT_WANTED;
	}
}

static bool
ahead_mailbox_is_listed(const struct ahead_mailbox *mailbox)
{
	return mailbox->pool != NULL && !mailbox->refused &&
		(mailbox->known & AHEAD_PART_FLAGS) != 0;
}

/* As many bytes as the line is seen to need. */
static void ahead_set_window(struct migration_imapc_ahead *ahead)
{
	uint64_t bytes, old_bytes = ahead->window.limits.bytes;

	if (ahead->filled && ahead->texts_pending == 0)
		fetch_pace_ran_dry(&ahead->pace);
	ahead->filled = FALSE;
	bytes = fetch_pace_window(&ahead->pace);
	ahead->window.limits.bytes = bytes;
	if (bytes > old_bytes + old_bytes / 8 ||
	    bytes < old_bytes - old_bytes / 8) {
		e_debug(ahead->muser->event, "asking for %"PRIu64" kB of texts "
			"ahead, the line carries %"PRIu64" kB/s",
			bytes / 1024, fetch_pace_rate(&ahead->pace) / 1024);
	}
}

/* A message that several mailboxes show comes with the first one: no texts of
   those after a mailbox of which it is not known what it will bring. */
static bool
ahead_mailbox_holds_back(struct migration_imapc_ahead *ahead,
			 const struct ahead_mailbox *mailbox)
{
	return ahead->extra_items[0] != '\0' && !mailbox->visited &&
		mailbox->source.messages > 0 &&
		!migration_imapc_record_source_is_same(ahead->mlist, mailbox) &&
		(!ahead_mailbox_is_listed(mailbox) ||
		 !fetch_ahead_can_guess(&mailbox->source, &mailbox->dest));
}

/* Asks for what is wanted of this mailbox. FALSE if others have to wait. */
static bool
ahead_topup_mailbox(struct migration_imapc_ahead *ahead,
		    struct ahead_mailbox *mailbox)
{
	const char *reason;

	if (ahead_mailbox_holds_back(ahead, mailbox))
		return FALSE;
	if (!ahead_mailbox_is_listed(mailbox) ||
	    (mailbox->visited && !mailbox->open))
		return TRUE;
	if (ahead->wanted->wanted && !mailbox->texts_exact)
		ahead_guess_sample(ahead, mailbox);
	else if (!mailbox->texts_exact && !mailbox->open)
		ahead_guess_texts(ahead, mailbox);
	while (fetch_window_has_room(&ahead->window, &reason)) {
		if (!ahead_ask_texts(ahead, mailbox, FALSE))
			break;
	}
	if (!fetch_window_has_room(&ahead->window, &reason)) {
		ahead->filled = TRUE;
		return FALSE;
	}
	/* a run that ends at the limit has used all that it brought */
	return !ahead->budget_is_full;
}

void migration_imapc_ahead_topup_texts(struct migration_imapc_ahead *ahead)
{
	struct ahead_mailbox *mailbox;

	if (ahead->budget_is_spent || !fetch_ahead_should_fill(&ahead->window))
		return;
	ahead_set_window(ahead);
	ahead->budget_is_full = FALSE;
	ahead->texts_asked = FALSE;
	array_foreach_elem(&ahead->mailboxes, mailbox) {
		if (!ahead_topup_mailbox(ahead, mailbox))
			return;
	}
	ahead->texts_asked = TRUE;
}

/* ---- what is wanted ---- */

/* Was what is probably wanted what is wanted? If so the next mailboxes' texts
   need not wait for the question. */
static void
ahead_learn_from_texts(struct migration_imapc_ahead *ahead,
		       struct ahead_mailbox *mailbox,
		       const ARRAY_TYPE(seq_range) *uids)
{
	const struct ahead_mail *mail;
	bool probable, wanted;
	unsigned int count = 0;

	if (!fetch_ahead_can_guess(&mailbox->source, &mailbox->dest))
		return;
	array_foreach(&mailbox->mails, mail) {
		probable = mail->uid >= mailbox->new_uid && !mail->left_out;
		wanted = seq_range_exists(uids, mail->uid);
		if (probable && !wanted) {
			if (!ahead->guess_wrong) {
				e_debug(ahead->muser->event, "mailbox %s: not "
					"all new mails are wanted, so texts of "
					"the next mailboxes wait until they "
					"are", mailbox->vname);
			}
			ahead->guess_wrong = TRUE;
			return;
		}
		if (probable)
			count++;
	}
	if (count > 0)
		ahead->guess_right = TRUE;
}

bool migration_imapc_ahead_has_text(struct ahead_mailbox *mailbox, uint32_t uid)
{
	return mailbox->extra != NULL &&
		migration_metadata_has_text(mailbox->extra, uid);
}

void migration_imapc_ahead_want_texts(struct migration_imapc_ahead *ahead,
				      struct ahead_mailbox *mailbox,
				      const ARRAY_TYPE(seq_range) *uids)
{
	struct ahead_mail *mail;

	if (!mailbox->texts_exact)
		ahead_learn_from_texts(ahead, mailbox, uids);
	mailbox->texts_exact = TRUE;
	array_foreach_modifiable(&mailbox->mails, mail) {
		if (!seq_range_exists(uids, mail->uid)) {
			if (mailbox->extra != NULL &&
			    mail->text != AHEAD_TEXT_UNWANTED) {
				migration_metadata_text_unwanted(
					mailbox->extra, mail->uid);
			}
			migration_imapc_ahead_text_forget(ahead, mailbox, mail);
		} else if (migration_imapc_ahead_has_text(mailbox, mail->uid))
			migration_imapc_ahead_text_forget(ahead, mailbox, mail);
		else if ((mail->text == AHEAD_TEXT_UNWANTED ||
			  mail->text == AHEAD_TEXT_USED) &&
			 !migration_imapc_reuse_has(ahead->mlist, mailbox,
						    mail->uid)) {
			mail->text = ahead->is_import ? AHEAD_TEXT_HELD :
				AHEAD_TEXT_WANTED;
			mailbox->holds_texts = ahead->is_import;
		}
	}
	mailbox->next_wanted = 0;
	migration_imapc_ahead_topup(ahead);
}

/* ---- waiting and using ---- */

/* Pauses if texts come faster than they should. */
static bool ahead_text_is_allowed(struct migration_imapc_ahead *ahead,
				  const struct ahead_mail *mail)
{
	return ahead->budget == NULL ||
		migration_budget_ask(ahead->budget, &ahead->on_its_way,
				     mail->size == UOFF_T_MAX ? 0 : mail->size);
}

bool migration_imapc_ahead_wait_text(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     struct ahead_mail *mail)
{
	unsigned int idx;

	if (mailbox->holds_texts)
		migration_imapc_query_compare(ahead, mailbox, NULL);
	if (mail->text == AHEAD_TEXT_UNWANTED || mail->text == AHEAD_TEXT_HELD ||
	    mail->text == AHEAD_TEXT_USED || mail->text == AHEAD_TEXT_REFUSED)
		mail->text = AHEAD_TEXT_WANTED;
	ahead->awaited = mail;
	while (mail->text == AHEAD_TEXT_WANTED ||
	       mail->text == AHEAD_TEXT_ASKED) {
		if (ahead->over || migration_imapc_ahead_connection_is_taken(
			ahead))
			break;
		if (mail->text == AHEAD_TEXT_WANTED) {
			if (!ahead_text_is_allowed(ahead, mail)) {
				mail->text = AHEAD_TEXT_REFUSED;
				ahead->budget_is_spent = TRUE;
				break;
			}
			/* whatever the window says, this one is needed now */
			idx = array_ptr_to_idx(&mailbox->mails, mail);
			mailbox->next_wanted = I_MIN(mailbox->next_wanted, idx);
			T_BEGIN {
				(void)ahead_ask_texts(ahead, mailbox, TRUE);
			} T_END;
		}
		if (!migration_imapc_ahead_wait(ahead))
			break;
	}
	ahead->awaited = NULL;
	return mail->text == AHEAD_TEXT_HERE;
}

void migration_imapc_ahead_text_used(struct migration_imapc_ahead *ahead,
				     struct ahead_mailbox *mailbox,
				     struct ahead_mail *mail)
{
	i_assert(mail->text == AHEAD_TEXT_HERE);

	ahead->used_bytes += mail->taken_size + sizeof(*mail);
	migration_imapc_ahead_text_forget(ahead, mailbox, mail);
	mail->text = AHEAD_TEXT_USED;
	/* a mail that was used makes room for texts, for nothing else */
	if (!ahead->texts_asked && fetch_ahead_should_fill(&ahead->window))
		migration_imapc_ahead_topup(ahead);
	if (ahead->used_bytes >= AHEAD_READ_EVERY) {
		ahead->used_bytes = 0;
		migration_imapc_ahead_read(ahead);
	}
}
