/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "json-members.h"

#include <ctype.h>

#if DOVECOT_PREREQ(2, 4, 0)

#include "json-istream.h"

static void
json_member(const struct json_node *node, json_member_callback_t *callback,
	    void *context)
{
	switch (node->type) {
	case JSON_TYPE_STRING:
	case JSON_TYPE_NUMBER:
		callback(context, node->name, json_node_as_str(node));
		break;
	case JSON_TYPE_TRUE:
		callback(context, node->name, "true");
		break;
	case JSON_TYPE_FALSE:
		callback(context, node->name, "false");
		break;
	default:
		break;
	}
}

int json_members_parse(const char *text, size_t size,
		       json_member_callback_t *callback, void *context,
		       const char **error_r)
{
	struct istream *input = i_stream_create_from_data(text, size);
	struct json_istream *json;
	struct json_node node;
	int ret;

	json = json_istream_create_object(input, NULL,
					  JSON_PARSER_FLAG_NUMBERS_AS_STRING);
	i_stream_unref(&input);
	/* no data stack frame: the callback may allocate from the caller's */
	while ((ret = json_istream_read_next(json, &node)) > 0)
		json_member(&node, callback, context);
	ret = json_istream_finish(&json, error_r);
	i_assert(ret != 0);
	return ret < 0 ? -1 : 0;
}

#else

#include "json-parser.h"

static bool ends_with_brace(const char *text, size_t size)
{
	while (size > 0 && i_isspace(text[size - 1]))
		size--;
	return size > 0 && text[size - 1] == '}';
}

static void
json_members_read(struct json_parser *parser,
		  json_member_callback_t *callback, void *context)
{
	enum json_type type;
	const char *value, *name;

	while (json_parse_next(parser, &type, &value) > 0) {
		if (type != JSON_TYPE_OBJECT_KEY)
			continue;
		name = t_strdup(value);
		if (json_parse_next(parser, &type, &value) <= 0)
			break;
		switch (type) {
		case JSON_TYPE_OBJECT:
		case JSON_TYPE_ARRAY:
			json_parse_skip(parser);
			break;
		case JSON_TYPE_STRING:
		case JSON_TYPE_NUMBER:
			callback(context, name, value);
			break;
		case JSON_TYPE_TRUE:
			callback(context, name, "true");
			break;
		case JSON_TYPE_FALSE:
			callback(context, name, "false");
			break;
		default:
			break;
		}
	}
}

int json_members_parse(const char *text, size_t size,
		       json_member_callback_t *callback, void *context,
		       const char **error_r)
{
	struct istream *input = i_stream_create_from_data(text, size);
	struct json_parser *parser = json_parser_init(input);
	int ret;

	/* no data stack frame: the callback may allocate from the caller's */
	json_members_read(parser, callback, context);
	ret = json_parser_deinit(&parser, error_r);
	i_stream_unref(&input);
	/* the parser does not mind a string without end */
	if (ret == 0 && !ends_with_brace(text, size)) {
		*error_r = "Missing '}'";
		return -1;
	}
	return ret;
}

#endif
