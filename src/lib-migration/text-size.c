/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "text-size.h"

void text_size_more(struct text_size *size, const unsigned char *data,
		    size_t len)
{
	size_t i;

	size->bytes += len;
	for (i = 0; i < len; i++) {
		if (data[i] == '\r') {
			if (size->trailing_cr < 2)
				size->trailing_cr++;
			continue;
		}
		if (data[i] == '\n') {
			if (size->trailing_cr == 0)
				size->bare_lf++;
			else if (size->trailing_cr > 1)
				size->cr_cr_lf++;
		}
		size->trailing_cr = 0;
	}
}

bool text_size_is_saved(const struct text_size *sent, uoff_t saved)
{
	uoff_t most = sent->bytes + sent->bare_lf;
	/* storage that keeps line ends loses no CR */
	uoff_t least = most - sent->cr_cr_lf - (sent->trailing_cr > 0 ? 1 : 0);

	return saved >= least && saved <= most;
}
