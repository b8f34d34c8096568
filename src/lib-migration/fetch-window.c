/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "fetch-window.h"

void fetch_window_init(struct fetch_window *window,
		       const struct fetch_window_limits *limits)
{
	i_assert(limits->mails > 0 && limits->bytes > 0 && limits->files > 0);
	i_assert(limits->unknown_size != FETCH_WINDOW_SIZE_UNKNOWN);

	i_zero(window);
	window->limits = *limits;
}

static bool
fetch_window_is_file(const struct fetch_window *window, uint64_t size)
{
	return size > window->limits.file_min_size;
}

uint64_t fetch_window_add(struct fetch_window *window, uint64_t size)
{
	if (size == FETCH_WINDOW_SIZE_UNKNOWN)
		size = window->limits.unknown_size;

	window->mails++;
	window->bytes += size;
	window->unsent_mails++;
	window->unsent_bytes += size;
	if (fetch_window_is_file(window, size))
		window->files++;
	return size;
}

void fetch_window_remove(struct fetch_window *window, uint64_t taken_size)
{
	i_assert(window->mails > 0 && window->bytes >= taken_size);

	window->mails--;
	window->bytes -= taken_size;
	if (fetch_window_is_file(window, taken_size)) {
		i_assert(window->files > 0);
		window->files--;
	}
}

void fetch_window_sent(struct fetch_window *window)
{
	window->unsent_mails = 0;
	window->unsent_bytes = 0;
}

bool fetch_window_has_room(const struct fetch_window *window,
			   const char **reason_r)
{
	if (window->mails >= window->limits.mails)
		*reason_r = "the limit of mails is reached";
	else if (window->bytes >= window->limits.bytes)
		*reason_r = "the limit of bytes is reached";
	else if (window->files >= window->limits.files)
		*reason_r = "the limit of temporary files is reached";
	else {
		*reason_r = "there is room";
		return TRUE;
	}
	return FALSE;
}

bool fetch_window_should_send(const struct fetch_window *window)
{
	return window->unsent_mails * 2 >= window->limits.mails ||
		window->unsent_bytes * 2 >= window->limits.bytes;
}
