/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PROGRESS_TERMINAL_H
#define PROGRESS_TERMINAL_H

struct run_status;

/* One line on standard error that is updated in place. Log lines do not meet it:
   it is taken away before each, and drawn again below. */

/* TRUE if there is a terminal. */
bool progress_terminal_is_possible(void);

void progress_terminal_begin(void);
/* Draws the line as wide as the terminal is now. Nothing happens while the
   process is in the background. */
void progress_terminal_draw(const struct run_status *status);
/* Takes it away. */
void progress_terminal_end(void);

#endif
