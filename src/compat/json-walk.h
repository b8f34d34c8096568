/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef JSON_WALK_H
#define JSON_WALK_H

/* A value in a JSON document: a string, a number (as it is written), true and
   false; null is not told. path are the names of the members that lead to it,
   and the indexes of array elements, such as "mailboxes/3/source/mails". Both
   are valid during the call. */
typedef void json_walk_callback_t(void *context, const char *path,
				  const char *value);

/* Calls back for all values of a document that is one object, however deep.
   Returns 0, or -1 and error_r (data stack) if the text is no such document;
   some values may have been told before that was seen. */
int json_walk(const char *text, size_t size, json_walk_callback_t *callback,
	      void *context, const char **error_r);

#endif
