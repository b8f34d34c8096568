/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "buffer.h"
#include "istream.h"
#include "ostream.h"
#include "message-parser.h"
#include "mbox-quote.h"

static const char from_line[] = "From ";
#define FROM_LINE_LEN (sizeof(from_line) - 1)

/* What has been read of a line that may be a quoted one. */
struct quote_state {
	/* the '>' at its beginning */
	unsigned int marks;
	/* characters of from_line behind them */
	unsigned int matched;
	/* the line cannot be one any more */
	bool decided;
};

/* Returns TRUE if the line has just turned out to be a quoted one. */
static bool quote_state_next(struct quote_state *state, unsigned char c)
{
	if (c == '\n') {
		i_zero(state);
		return FALSE;
	}
	if (state->decided)
		return FALSE;
	if (c == '>' && state->matched == 0)
		state->marks++;
	else if (c == (unsigned char)from_line[state->matched] &&
		 state->marks > 0)
		state->matched++;
	else
		state->decided = TRUE;
	if (state->matched < FROM_LINE_LEN)
		return FALSE;
	state->decided = TRUE;
	return TRUE;
}

/* Reads the header. Returns TRUE if it has the field. */
static bool header_has_field(struct istream *input, const char *field)
{
	struct message_header_parser_ctx *parser;
	struct message_header_line *line;
	bool found = FALSE;

	parser = message_parse_header_init(input, NULL, 0);
	while (message_parse_header_next(parser, &line) > 0) {
		if (strcasecmp(line->name, field) == 0)
			found = TRUE;
	}
	message_parse_header_deinit(&parser);
	return found;
}

bool mbox_quote_find(struct istream *input, const char *field)
{
	struct quote_state state;
	const unsigned char *data;
	size_t size, i;
	bool found = FALSE;

	if (!header_has_field(input, field))
		return FALSE;
	i_zero(&state);
	while (!found && i_stream_read_more(input, &data, &size) > 0) {
		for (i = 0; i < size && !found; i++)
			found = quote_state_next(&state, data[i]);
		i_stream_skip(input, size);
	}
	return found;
}

static int copy_header(struct istream *input, struct ostream *output)
{
	const unsigned char *data, *end;
	size_t size;
	bool at_line_start = TRUE, last = FALSE;

	/* up to the first line without text */
	while (!last && i_stream_read_more(input, &data, &size) > 0) {
		end = memchr(data, '\n', size);
		if (end != NULL)
			size = end + 1 - data;
		if (end != NULL && at_line_start &&
		    (size == 1 || (size == 2 && data[0] == '\r')))
			last = TRUE;
		/* a '\r' can come alone, before its '\n' */
		at_line_start = end != NULL ||
			(at_line_start && size == 1 && data[0] == '\r');
		if (o_stream_send(output, data, size) < 0)
			return -1;
		i_stream_skip(input, size);
	}
	return input->stream_errno == 0 ? 0 : -1;
}

/* The line's marks and what follows them are held back until it is known what
   they are. */
static void
undo_more(struct quote_state *state, unsigned int *held, unsigned char c,
	  buffer_t *text)
{
	if (quote_state_next(state, c)) {
		/* one mark less */
		*held = 0;
		buffer_append_c(text, c);
		buffer_delete(text, text->used - state->marks -
			      FROM_LINE_LEN, 1);
		return;
	}
	*held = state->decided ? 0 : state->marks + state->matched;
	buffer_append_c(text, c);
}

int mbox_quote_undo(struct istream *input, struct ostream *output)
{
	buffer_t *text = buffer_create_dynamic(default_pool, IO_BLOCK_SIZE);
	struct quote_state state;
	const unsigned char *data;
	size_t size, i;
	unsigned int held = 0;
	int ret = copy_header(input, output);

	i_zero(&state);
	while (ret == 0 && i_stream_read_more(input, &data, &size) > 0) {
		for (i = 0; i < size; i++)
			undo_more(&state, &held, data[i], text);
		i_stream_skip(input, size);
		if (o_stream_send(output, text->data, text->used - held) < 0)
			ret = -1;
		buffer_delete(text, 0, text->used - held);
	}
	if (ret == 0 && o_stream_send(output, text->data, text->used) < 0)
		ret = -1;
	buffer_free(&text);
	return ret == 0 && input->stream_errno == 0 ? 0 : -1;
}
