/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SOURCE_PAUSE_H
#define SOURCE_PAUSE_H

#include "retry-policy.h"

struct migration_run;

/* Waiting for the source's server. The decisions are in retry-policy.h; here
   are the clock, the log and the run's record. */

/* A failure happened. Waits as long as it has to be, and returns TRUE if the
   same thing shall be tried again; FALSE also if a signal ends the run. words is
   what the server said, or how the connection ended, or NULL. */
bool source_pause(struct migration_run *run, struct retry_state *state,
		  enum retry_failure failure, const char *words);

/* The same, with a patience of its own if that is less than the run's. */
bool source_pause_within(struct migration_run *run, struct retry_state *state,
			 uint64_t patience_msecs, enum retry_failure failure,
			 const char *words);

/* The same for a server other than the run's source, with a patience of its own.
   words name the server. */
bool source_pause_other(struct migration_run *run, struct retry_state *state,
			uint64_t patience_msecs, enum retry_failure failure,
			const char *words);

/* The run ends because of the server, and a later one can go on: records it.
   Returns what to tell, with the time to continue if it is known (data
   stack). */
const char *source_stop(struct migration_run *run, const char *words);
/* The same for a server other than the run's source. words name the server. */
const char *source_stop_other(struct migration_run *run, const char *words);

/* Something failed because of the server. If the command fails then, it may be
   tried again from the beginning. The first words of a run are kept. */
void source_failed(struct migration_run *run, const char *words);

/* The command has failed. Waits and returns TRUE if it shall be called again:
   what it did until then counts as progress. *state begins as all 0. */
bool source_wants_another_run(struct migration_run *run,
			      struct retry_state *state);

#endif
