/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "mbox-trace.h"

static const char words[] = "From ";
#define WORDS_LEN (sizeof(words) - 1)

void mbox_trace_begin(struct mbox_trace *trace, string_t *lines)
{
	i_zero(trace);
	trace->lines = lines;
}

void mbox_trace_add(struct mbox_trace *trace, const void *data, size_t size)
{
	const char *chars = data;
	size_t i;

	for (i = 0; i < size; i++) {
		if (chars[i] == '\r')
			continue;
		if (trace->matched == WORDS_LEN)
			str_append_c(trace->lines, chars[i]);
		else if (chars[i] == words[trace->matched])
			trace->matched++;
		else
			trace->matched = chars[i] == words[0] ? 1 : 0;
		if (chars[i] == '\n')
			trace->matched = 0;
	}
}

void mbox_trace_end(struct mbox_trace *trace)
{
	mbox_trace_add(trace, "\n", 1);
}

bool mbox_trace_is_part_of(const string_t *trace, const char *expected,
			   size_t expected_size)
{
	return str_len(trace) <= expected_size &&
		memcmp(str_data(trace), expected, str_len(trace)) == 0;
}
