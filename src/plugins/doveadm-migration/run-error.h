/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUN_ERROR_H
#define RUN_ERROR_H

struct migration_run;

/* Takes down the first error of the run that it is known what to do about: what
   is logged after it is mostly a consequence. Begins after
   migration_secrets_begin(), ends before migration_secrets_end(). */
void run_error_watch(struct migration_run *run);
void run_error_unwatch(void);

#endif
