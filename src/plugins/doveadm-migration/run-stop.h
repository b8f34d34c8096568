/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUN_STOP_H
#define RUN_STOP_H

/* SIGINT and SIGTERM end a run within RUN_STOP_MAX_SECS, also while it waits for
   a server that says nothing. Stock notices them between two steps of dsync:
   so the connections to the source are given up, dsync's steps fail, what was
   saved is committed. A run that still waits somewhere after that is left
   where it is, like by kill -9, after its report was written. */
#define RUN_STOP_MAX_SECS 4

/* When the module is loaded. */
void run_stop_init(void);

/* Around one user's run. give_up() must write the report: the process ends with
   its return value. */
void run_stop_begin(int (*give_up)(void));
void run_stop_end(void);
/* dsync has returned. A signal that came after its last step is held back until
   then (a server's silence at the logout takes two seconds of it at most). */
void run_stop_run_returned(void);
/* The signal that came meanwhile, or 0. */
int run_stop_signo(void);

#endif
