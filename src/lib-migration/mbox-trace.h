/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MBOX_TRACE_H
#define MBOX_TRACE_H

/* Who is killed while he appends mails to an mbox leaves a mail that is cut off.
   It must be cut away again, but what others have appended since must stay. An
   mbox does not say where a cut-off mail ends, and programs differ in whether
   they begin a line of their own then. But everything that anybody appends begins
   with the words "From ". So the trace of a text is what follows those words in
   each line that has them, wherever in the line they are.

   The trace of the mails that are to be appended is written down before. What is
   in the file afterwards is theirs alone as long as its trace is the beginning of
   that. */
struct mbox_trace {
	/* The lines' ends, each ended by "\n". A last line that is not ended in
	   the text, is not ended here either. */
	string_t *lines;
	/* so many characters of the words were found */
	unsigned int matched;
};

/* Begins a new trace, or that of a further mail: then the lines of the one before
   stay. */
void mbox_trace_begin(struct mbox_trace *trace, string_t *lines);
/* Adds a piece of the text. Carriage returns do not count. */
void mbox_trace_add(struct mbox_trace *trace, const void *data, size_t size);
/* What stands at the end of a mail without a newline gets one in an mbox. */
void mbox_trace_end(struct mbox_trace *trace);

/* TRUE if the text whose trace this is can be the first part of the expected
   one, and nothing else. */
bool mbox_trace_is_part_of(const string_t *trace, const char *expected,
			   size_t expected_size);

#endif
