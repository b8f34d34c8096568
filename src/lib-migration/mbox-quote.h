/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MBOX_QUOTE_H
#define MBOX_QUOTE_H

struct istream;
struct ostream;

/* In an mbox a line that begins with "From " can be taken for the beginning of a
   mail, so programs put a '>' in front of such lines in a mail's text. There are
   dialects: mboxrd does so with ">From ", ">>From " etc. as well, which can be
   taken back exactly. mboxo does not, so that nobody knows what ">From " was, and
   Dovecot quotes nothing. Google Takeout writes mboxrd. */

/* TRUE if the mail has the header field, and a line in its text that mboxrd has
   quoted. The input is left anywhere. */
bool mbox_quote_find(struct istream *input, const char *field);

/* Writes the mail as it was before it was quoted. The header is left as it is:
   it has no such lines. Returns 0, or -1 if the input or the output failed, whose
   stream_errno says why. */
int mbox_quote_undo(struct istream *input, struct ostream *output);

#endif
