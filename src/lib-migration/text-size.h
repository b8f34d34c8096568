/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TEXT_SIZE_H
#define TEXT_SIZE_H

/* Whether a mail was saved as it was sent, judged by sizes. Dovecot changes line
   ends when it saves: a bare LF counts as CR LF later, of CR CR LF one CR is lost
   (QUIRKS.md, "cr-cr-lf"), and so is a CR at the very end. */
struct text_size {
	uoff_t bytes;
	/* line ends without CR, and with more than one */
	uoff_t bare_lf, cr_cr_lf;
	/* CRs at the end of what was read so far, 2 for more */
	unsigned int trailing_cr;
};

/* Begins with a zeroed struct. */
void text_size_more(struct text_size *size, const unsigned char *data,
		    size_t len);
/* saved: the size that Dovecot tells of the saved mail, line ends as CR LF. */
bool text_size_is_saved(const struct text_size *sent, uoff_t saved);

#endif
