/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SOURCE_MAILBOX_H
#define SOURCE_MAILBOX_H

#include "retry-policy.h"

struct migration_run;

/* Mailboxes that the source does not open. dsync ends the user's run at the
   first of them, and at each later run again. Here such a mailbox is left out
   while all others are migrated, and is never deleted at the destination.

   What may pass ([INUSE], [SERVERBUG], [UNAVAILABLE] and the like, RFC 5530) is
   asked for again when everything else is done, for a minute at most and within
   the run's patience. What remains is a finding with the server's words. */

enum source_refusal {
	/* it may open later */
	SOURCE_REFUSAL_TEMPORARY,
	SOURCE_REFUSAL_PERMANENT,
	/* the server has no such mailbox any more */
	SOURCE_REFUSAL_GONE,
};

/* The server refused the mailbox: it is left out until the command is called
   again. */
void source_mailbox_refused(struct migration_run *run, const char *vname,
			    enum source_refusal refusal, const char *words);
/* The same, with words that are about the whole account ("throttled"). Returns
   TRUE if they seem to be about the mailbox alone: RFC 5530's LIMIT is said of
   both. The first mailbox that is refused so is taken for such a one, if the
   server asks for no wait: if it is the account, the next one is refused, too.
   The caller then leaves the mailbox out, and else has failed. */
bool source_mailbox_throttled(struct migration_run *run, const char *vname,
			      const char *words);
/* The command failed at a mailbox that was refused so, and the patience is used
   up. Returns TRUE, once in a run, if the command is to be called again without
   that mailbox: others would never be reached. */
bool source_mailbox_give_up(struct migration_run *run);
/* The run works on this mailbox from now on. If the connection is lost again and
   again, that is counted against it. */
void source_mailbox_set_present(struct migration_run *run, const char *vname);
/* Not to be asked for now: it was refused, or cost too many connections. */
bool source_mailbox_is_left_out(const struct migration_run *run,
				const char *vname);

/* The command has failed because of the source, and did not get further than
   the time before: notes at which mailbox. Not if the words are about the whole
   account. */
void source_mailbox_lost(struct migration_run *run, const char *words);

/* The command is about to be called (again): what was refused is asked for
   again, what costs connections is not. */
void source_mailboxes_begin(struct migration_run *run);
/* The command has finished, with mailboxes left out that may open by now. Waits,
   and returns TRUE if it shall be called again. *state begins as all 0. */
bool source_mailboxes_want_another_run(struct migration_run *run,
				       struct retry_state *state);
/* All is done: what was left out becomes findings, and shows in the exit
   code. */
void source_mailboxes_report(struct migration_run *run);

#endif
