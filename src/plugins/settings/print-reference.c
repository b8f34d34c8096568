/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Prints one page of doc/: print-reference settings > doc/settings.md. It is
   not installed. `./dev reference` writes all pages, `make check` fails when
   one of them is not what this prints. */

#include "lib.h"
#include "str.h"
#include "reference.h"

#include <stdio.h>

static const struct {
	const char *name;
	void (*append)(string_t *dest);
} pages[] = {
	{ "errors", reference_append_errors },
	{ "findings", reference_append_findings },
	{ "settings", reference_append_settings },
};

/* Without a page's name: their names. */
int main(int argc, char *argv[])
{
	string_t *text;
	unsigned int i;

	lib_init();
	text = str_new(default_pool, 65536);
	for (i = 0; i < N_ELEMENTS(pages); i++) {
		if (argc < 2)
			str_printfa(text, "%s\n", pages[i].name);
		else if (strcmp(argv[1], pages[i].name) == 0) T_BEGIN {
			pages[i].append(text);
		} T_END;
	}
	if (str_len(text) == 0)
		i_fatal("There is no page %s", argv[1]);
	if (fputs(str_c(text), stdout) == EOF || fflush(stdout) != 0)
		i_fatal("Can't write the page: %m");
	str_free(&text);
	lib_deinit();
	return 0;
}
