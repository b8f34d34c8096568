/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

/* Appends ["]text["] as a JSON string, whatever bytes the text has. */
void json_text_append(string_t *dest, const char *text);

#endif
