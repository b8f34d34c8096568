/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef JSON_MEMBERS_H
#define JSON_MEMBERS_H

/* A member of a JSON object whose value is a string, a number (as it is
   written) or true and false. The strings are valid during the call. */
typedef void json_member_callback_t(void *context, const char *name,
				    const char *value);

/* Calls back for the members of a JSON object, not for those of objects and
   arrays within it, nor for names that have a "/". Returns 0, or -1 and error_r
   (data stack) if the text is no JSON object; some members may have been told
   before that was seen. */
int json_members_parse(const char *text, size_t size,
		       json_member_callback_t *callback, void *context,
		       const char **error_r);

#endif
