/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "event-filter.h"
#include "istream.h"
#include "str.h"
#include "mail-opening.h"

static bool filter_is_empty(struct event_filter *filter)
{
	string_t *text;

	if (filter == NULL)
		return TRUE;
	text = t_str_new(128);
	event_filter_export(filter, text);
	return str_len(text) == 0;
}

bool mail_opening_is_unheard(struct event *event)
{
	bool unheard;

	/* a filter may name anything that a mail's event has */
	T_BEGIN {
		unheard = !event_want_debug(event) &&
			filter_is_empty(event_get_global_debug_log_filter()) &&
			filter_is_empty(event_get_global_debug_send_filter()) &&
			filter_is_empty(event_get_global_core_log_filter());
	} T_END;
	return unheard;
}

void mail_opening_limit_buffers(struct istream *stream, uoff_t size)
{
	const size_t more = 1024;

	if (size < (IO_BLOCK_SIZE - more) / 2)
		i_stream_set_max_buffer_size(stream, size * 2 + more);
}
