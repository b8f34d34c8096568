/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "migration-run.h"
#include "source-pause.h"
#include "source-mailbox.h"

/* A connection can be lost anywhere by chance. One that is lost so often at the
   same mailbox, each time after a login that was accepted and without getting
   further, is lost because of the mailbox. */
#define SOURCE_MAILBOX_MAX_LOSSES 3
/* What is meant for the account is about the mailbox if it is said of it this
   often. */
#define SOURCE_MAILBOX_MAX_THROTTLINGS 3
/* What mailboxes are waited for at the end of a run: if they stay as they are for
   ever, each run waits that long. */
#define SOURCE_MAILBOX_PATIENCE_MSECS (60*1000)

struct source_mailbox {
	const char *vname;
	/* the server's, or how the connection ended */
	const char *words;
	/* since the command was called the last time */
	bool refused;
	enum source_refusal refusal;
	/* connections lost at it, since anything got further */
	unsigned int losses;
	/* refused with words about the account */
	unsigned int throttlings;
};

static struct source_mailbox *
source_mailbox_find(const struct migration_run *run, const char *vname)
{
	struct source_mailbox *mailbox;

	array_foreach_elem(&run->source_mailboxes, mailbox) {
		if (strcmp(mailbox->vname, vname) == 0)
			return mailbox;
	}
	return NULL;
}

static struct source_mailbox *
source_mailbox_get(struct migration_run *run, const char *vname)
{
	struct source_mailbox *mailbox = source_mailbox_find(run, vname);

	if (mailbox == NULL) {
		mailbox = p_new(run->pool, struct source_mailbox, 1);
		mailbox->vname = p_strdup(run->pool, vname);
		array_push_back(&run->source_mailboxes, &mailbox);
	}
	return mailbox;
}

static bool source_mailbox_is_lost(const struct source_mailbox *mailbox)
{
	return mailbox->losses >= SOURCE_MAILBOX_MAX_LOSSES;
}

void source_mailbox_refused(struct migration_run *run, const char *vname,
			    enum source_refusal refusal, const char *words)
{
	struct source_mailbox *mailbox = source_mailbox_get(run, vname);

	mailbox->words = p_strdup(run->pool, words);
	mailbox->refused = TRUE;
	mailbox->refusal = refusal;
	e_debug(run->event, "mailbox %s is left out: %s", vname, words);
}

bool source_mailbox_throttled(struct migration_run *run, const char *vname,
			      const char *words)
{
	struct source_mailbox *mailbox;
	struct server_reply reply;
	bool first = !run->source_throttled;

	server_reply_understand(words, &reply);
	if (reply.meaning != SERVER_REPLY_SLOW_DOWN)
		return FALSE;
	run->source_throttled = TRUE;
	mailbox = source_mailbox_get(run, vname);
	return ++mailbox->throttlings >= SOURCE_MAILBOX_MAX_THROTTLINGS ||
		(first && reply.wait_msecs == 0);
}

bool source_mailbox_give_up(struct migration_run *run)
{
	struct source_mailbox *mailbox = run->source_failure_mailbox == NULL ?
		NULL : source_mailbox_find(run, run->source_failure_mailbox);

	if (mailbox == NULL || run->source_mailbox_given_up ||
	    mailbox->throttlings == 0)
		return FALSE;
	run->source_mailbox_given_up = TRUE;
	mailbox->throttlings = SOURCE_MAILBOX_MAX_THROTTLINGS;
	return TRUE;
}

void source_mailbox_set_present(struct migration_run *run, const char *vname)
{
	run->source_mailbox = p_strdup(run->pool, vname);
}

bool source_mailbox_is_left_out(const struct migration_run *run,
				const char *vname)
{
	const struct source_mailbox *mailbox = source_mailbox_find(run, vname);

	return mailbox != NULL &&
		(mailbox->refused || source_mailbox_is_lost(mailbox));
}

void source_mailbox_lost(struct migration_run *run, const char *words)
{
	struct source_mailbox *mailbox;
	struct server_reply reply;

	server_reply_understand(words, &reply);
	if (run->source_failure_mailbox == NULL ||
	    server_reply_is_general(reply.meaning))
		return;
	mailbox = source_mailbox_get(run, run->source_failure_mailbox);
	mailbox->words = p_strdup(run->pool, words);
	if (++mailbox->losses == SOURCE_MAILBOX_MAX_LOSSES) {
		e_debug(run->event, "mailbox %s is left out: %u connections "
			"were lost at it: %s", mailbox->vname, mailbox->losses,
			words);
	}
}

void source_mailboxes_begin(struct migration_run *run)
{
	struct source_mailbox *mailbox;

	run->source_mailbox = run->source_failure_mailbox = NULL;
	run->source_throttled = FALSE;
	array_foreach_elem(&run->source_mailboxes, mailbox)
		mailbox->refused = FALSE;
}

bool source_mailboxes_want_another_run(struct migration_run *run,
				       struct retry_state *state)
{
	struct source_mailbox *mailbox;

	if (run->continue_later || migration_run_is_stopping())
		return FALSE;
	array_foreach_elem(&run->source_mailboxes, mailbox) {
		if (mailbox->refused &&
		    mailbox->refusal == SOURCE_REFUSAL_TEMPORARY) {
			return source_pause_within(run, state,
				SOURCE_MAILBOX_PATIENCE_MSECS,
				RETRY_FAILURE_COMMAND, mailbox->words);
		}
	}
	return FALSE;
}

static void
source_mailbox_report(struct migration_run *run,
		      const struct source_mailbox *mailbox)
{
	const char *why = "The source ends the connection at it";
	const char *next = ", the next run tries again";

	if (mailbox->refused && mailbox->refusal == SOURCE_REFUSAL_GONE) {
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING,
			mailbox->vname, 0, FINDING_MAILBOX_GONE,
			"The source deleted or renamed it during the run: %s",
			mailbox->words);
		return;
	}
	if (mailbox->refused) {
		why = "The source does not open it";
	} else if (!source_mailbox_is_lost(mailbox))
		return;
	if (mailbox->refused &&
	    mailbox->refusal == SOURCE_REFUSAL_PERMANENT) {
		next = "";
		migration_run_leave_out_mailbox(run);
	} else {
		run->continue_later = TRUE;
	}
	migration_run_finding(run, MIGRATION_SEVERITY_ERROR, mailbox->vname, 0,
			      FINDING_MAILBOX_UNAVAILABLE,
			      "%s: %s. It was left "
			      "out%s", why, mailbox->words, next);
}

void source_mailboxes_report(struct migration_run *run)
{
	struct source_mailbox *mailbox;
	bool account = run->continue_later;

	array_foreach_elem(&run->source_mailboxes, mailbox) {
		/* else it was the account, which is told already */
		if (mailbox->throttlings == 0 || !account)
			source_mailbox_report(run, mailbox);
	}
}
