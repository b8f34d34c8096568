/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "unichar.h"
#include "json-escape.h"
#include "json-text.h"

void json_text_append(string_t *dest, const char *text)
{
	/* Mailbox names are UTF-8, but a foreign server's words and UIDLs can
	   be anything, and no JSON parser takes a text with a wrong byte. */
	string_t *valid = t_str_new(128);

	str_append_c(dest, '"');
	if (uni_utf8_get_valid_data((const unsigned char *)text, strlen(text),
				    valid))
		json_append_escaped(dest, text);
	else
		json_append_escaped(dest, str_c(valid));
	str_append_c(dest, '"');
}
