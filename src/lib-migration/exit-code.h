/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef EXIT_CODE_H
#define EXIT_CODE_H

/* doveadm's exit codes, for one user and for the users of -A together. The
   other codes are stock's: 0 all done, 2 mailboxes changed during the run (run
   again), 64 wrong usage, 67 no such user, 68 not found, 75 temporary (run
   again later), 77 refused (password, permission), 78 wrong configuration. */

/* The command did its work, but something is not the same on both sides: the
   report and the summary list it. Also if a mailbox was left out on purpose. */
#define MIGRATION_EXIT_FINDINGS 3

/* doveadm migration plan: the run would delete mails at the destination, and is
   allowed to. */
#define MIGRATION_EXIT_WOULD_DELETE 4

/* The exit code of one user's run. An exit code of stock's own that says more
   than "done" stays, because retry rules of existing scripts rely on it. But a
   mailbox that we left out on purpose is to stock one that changed meanwhile
   (2), and it would be so again: then it is MIGRATION_EXIT_FINDINGS. */
int migration_exit_code_run(int stock_exit_code, uint64_t error_findings,
			    bool mailbox_left_out, const char **reason_r);

/* What an exit code of a user's run means to a person, in a few words, and what
   the next run will do, in a sentence. Constants. */
const char *migration_exit_code_meaning(int exit_code);
const char *migration_exit_code_next_run(int exit_code);

/* TRUE if it says that running it again, sooner or later, is all that is
   needed: 2 and 75. */
bool migration_exit_code_is_again(int exit_code);

/* TRUE if the command did its work, whatever it found: 0, 2, 3 and 4. */
bool migration_exit_code_is_done(int exit_code);

/* The worse of two users' exit codes: stock's rule that a temporary failure
   wins over all others, and otherwise the first failure stays, with "done
   with findings" and "changed during the run" below any failure. */
int migration_exit_code_worse(int earlier, int later);

#endif
