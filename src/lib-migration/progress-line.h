/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PROGRESS_LINE_H
#define PROGRESS_LINE_H

struct run_status;

/* Appends one line about the run that needs at most width columns of a
   terminal, without a newline: what a person wants to know most comes first,
   and is what a narrow terminal keeps. Mailbox names are cut between
   characters, control characters are shown as "?". */
void progress_line_append(string_t *dest, unsigned int width,
			  const struct run_status *status);

/* How many columns the UTF-8 text needs: 2 for East Asian wide characters and
   most pictographs, 0 for combining ones. */
unsigned int progress_text_width(const char *text);

#endif
