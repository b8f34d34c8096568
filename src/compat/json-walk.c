/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "istream.h"
#include "str.h"
#include "json-walk.h"

#include <ctype.h>

/* An object or array that the walk is in. */
struct walk_level {
	/* of the path up to here */
	size_t path_len;
	bool array;
	unsigned int idx;
};

struct walk {
	json_walk_callback_t *callback;
	void *context;
	string_t *path;
	ARRAY(struct walk_level) levels;
};

static void walk_down(struct walk *walk, bool array)
{
	struct walk_level *level = array_append_space(&walk->levels);

	level->path_len = str_len(walk->path);
	level->array = array;
}

/* Returns FALSE at the end of the document. */
static bool walk_up(struct walk *walk)
{
	array_pop_back(&walk->levels);
	return array_count(&walk->levels) > 0;
}

/* The path becomes that of the next value; name is not used within arrays. */
static void walk_next(struct walk *walk, const char *name)
{
	struct walk_level *level = array_back_modifiable(&walk->levels);

	str_truncate(walk->path, level->path_len);
	if (level->path_len > 0)
		str_append_c(walk->path, '/');
	if (level->array)
		str_printfa(walk->path, "%u", level->idx++);
	else
		str_append(walk->path, name);
}

static void walk_tell(struct walk *walk, const char *value)
{
	walk->callback(walk->context, str_c(walk->path), value);
}

#if DOVECOT_PREREQ(2, 4, 0)

#include "json-istream.h"

static void walk_node(struct walk *walk, const struct json_node *node)
{
	if (json_node_is_end(node)) {
		(void)walk_up(walk);
		return;
	}
	walk_next(walk, node->name);
	switch (node->type) {
	case JSON_TYPE_OBJECT:
		walk_down(walk, FALSE);
		break;
	case JSON_TYPE_ARRAY:
		walk_down(walk, TRUE);
		break;
	case JSON_TYPE_STRING:
	case JSON_TYPE_NUMBER:
		walk_tell(walk, json_node_as_str(node));
		break;
	case JSON_TYPE_TRUE:
		walk_tell(walk, "true");
		break;
	case JSON_TYPE_FALSE:
		walk_tell(walk, "false");
		break;
	default:
		break;
	}
}

static int
walk_all(struct walk *walk, const char *text, size_t size, const char **error_r)
{
	struct istream *input = i_stream_create_from_data(text, size);
	struct json_istream *json;
	struct json_node node;
	int ret;

	json = json_istream_create_object(input, NULL,
					  JSON_PARSER_FLAG_NUMBERS_AS_STRING);
	i_stream_unref(&input);
	while (json_istream_walk(json, &node) > 0)
		walk_node(walk, &node);
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

/* Returns FALSE at the end of the document. */
static bool
walk_token(struct walk *walk, enum json_type type, const char *value)
{
	const struct walk_level *level = array_back(&walk->levels);

	/* members have their names already */
	if (level->array && type != JSON_TYPE_ARRAY_END)
		walk_next(walk, NULL);
	switch (type) {
	case JSON_TYPE_OBJECT_KEY:
		walk_next(walk, value);
		break;
	case JSON_TYPE_OBJECT:
		walk_down(walk, FALSE);
		break;
	case JSON_TYPE_ARRAY:
		walk_down(walk, TRUE);
		break;
	case JSON_TYPE_OBJECT_END:
	case JSON_TYPE_ARRAY_END:
		return walk_up(walk);
	case JSON_TYPE_STRING:
	case JSON_TYPE_NUMBER:
		walk_tell(walk, value);
		break;
	case JSON_TYPE_TRUE:
		walk_tell(walk, "true");
		break;
	case JSON_TYPE_FALSE:
		walk_tell(walk, "false");
		break;
	case JSON_TYPE_NULL:
		break;
	}
	return TRUE;
}

static int
walk_all(struct walk *walk, const char *text, size_t size, const char **error_r)
{
	struct istream *input = i_stream_create_from_data(text, size);
	struct json_parser *parser = json_parser_init(input);
	enum json_type type;
	const char *value;
	int ret;

	while (json_parse_next(parser, &type, &value) > 0) {
		if (!walk_token(walk, type, value))
			break;
	}
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

int json_walk(const char *text, size_t size, json_walk_callback_t *callback,
	      void *context, const char **error_r)
{
	struct walk walk = { .callback = callback, .context = context };
	const char *error = NULL;
	int ret;

	walk.path = str_new(default_pool, 128);
	i_array_init(&walk.levels, 8);
	walk_down(&walk, FALSE);
	/* no data stack frame: the callback may allocate from the caller's */
	ret = walk_all(&walk, text, size, &error);
	array_free(&walk.levels);
	str_free(&walk.path);
	if (ret < 0)
		*error_r = error;
	return ret;
}
