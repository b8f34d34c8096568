/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "fetch-window.h"
#include "sync-record.h"
#include "fetch-ahead.h"

uint32_t fetch_ahead_new_uid(const struct sync_side *source,
			     const struct sync_side *dest)
{
	if (dest->uidnext == 0 || dest->uidvalidity != source->uidvalidity)
		return 1;
	return dest->uidnext;
}

bool fetch_ahead_can_guess(const struct sync_side *source,
			   const struct sync_side *dest)
{
	/* no mail was ever in it */
	if (dest->uidnext <= 1)
		return TRUE;
	return dest->uidvalidity == source->uidvalidity;
}

bool fetch_ahead_should_fill(const struct fetch_window *window)
{
	return window->mails <= window->limits.mails / 2 &&
		window->bytes <= window->limits.bytes / 2 &&
		window->files <= window->limits.files / 2;
}

int fetch_ahead_name_cmp(const char *name1, const char *name2, char separator)
{
	unsigned char c1, c2;

	for (; *name1 != '\0' && *name1 == *name2; name1++, name2++) ;
	c1 = *name1 == separator ? 1 : *name1;
	c2 = *name2 == separator ? 1 : *name2;
	return (int)c1 - (int)c2;
}
