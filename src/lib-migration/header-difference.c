/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "str-sanitize.h"
#include "header-digest.h"
#include "header-difference.h"

#define MAX_VALUE_LENGTH 100
/* More differences than this say: another mail. */
#define MAX_NAMED_DIFFERENCES 5

struct field {
	const char *name;
	/* with its name and line ends, as it came */
	const unsigned char *text;
	size_t size;
	/* of a header that has only this field */
	struct header_digest digest;
	bool matched;
};
ARRAY_DEFINE_TYPE(field, struct field);

static size_t field_end(const unsigned char *data, size_t size, size_t start)
{
	const unsigned char *lf;
	size_t pos = start;

	while (pos < size) {
		lf = memchr(data + pos, '\n', size - pos);
		pos = lf == NULL ? size : (size_t)(lf - data) + 1;
		if (pos == size || (data[pos] != ' ' && data[pos] != '\t'))
			break;
	}
	return pos;
}

static bool is_empty_line(const unsigned char *data, size_t size)
{
	size_t i;

	for (i = 0; i < size && data[i] == '\r'; i++) ;
	return i == size || data[i] == '\n';
}

static void
split_fields(const unsigned char *data, size_t size, ARRAY_TYPE(field) *fields)
{
	struct field *field;
	const unsigned char *colon;
	size_t pos, end;

	t_array_init(fields, 32);
	for (pos = 0; pos < size; pos = end) {
		if (is_empty_line(data + pos, size - pos))
			return;
		end = field_end(data, size, pos);
		colon = memchr(data + pos, ':', end - pos);
		if (colon == NULL)
			continue;
		field = array_append_space(fields);
		field->name = t_strdup_until(data + pos, colon);
		field->text = data + pos;
		field->size = end - pos;
		header_digest_get(field->text, field->size, &field->digest);
	}
}

const char *header_get_value(const unsigned char *data, size_t size,
			     const char *name)
{
	ARRAY_TYPE(field) fields;
	const struct field *field;
	string_t *value = t_str_new(128);

	split_fields(data, size, &fields);
	array_foreach(&fields, field) {
		size_t i = strlen(field->name) + 1;

		if (strcasecmp(field->name, name) != 0)
			continue;
		for (; i < field->size; i++) {
			unsigned char c = field->text[i];

			if (c == '\r' || c == '\n' ||
			    (str_len(value) == 0 && (c == ' ' || c == '\t')))
				continue;
			str_append_c(value, c == '\t' ? ' ' : c);
		}
		break;
	}
	return str_sanitize(str_c(value), MAX_VALUE_LENGTH);
}

static bool is_same_field(const struct field *a, const struct field *b)
{
	return strcasecmp(a->name, b->name) == 0 &&
		header_digest_compare(&a->digest, &b->digest) ==
		HEADER_LIKENESS_EQUAL;
}

/* Mark what both sides have. */
static void match_fields(ARRAY_TYPE(field) *pop3, ARRAY_TYPE(field) *imap)
{
	struct field *p, *i;

	array_foreach_modifiable(pop3, p) {
		array_foreach_modifiable(imap, i) {
			if (!i->matched && is_same_field(p, i)) {
				p->matched = i->matched = TRUE;
				break;
			}
		}
	}
}

static struct field *
find_unmatched(ARRAY_TYPE(field) *fields, const char *name)
{
	struct field *field;

	array_foreach_modifiable(fields, field) {
		if (!field->matched && strcasecmp(field->name, name) == 0)
			return field;
	}
	return NULL;
}

static bool has_8bit(const struct field *field)
{
	for (size_t i = 0; i < field->size; i++) {
		if (field->text[i] >= 0x80)
			return TRUE;
	}
	return FALSE;
}

/* Returns FALSE if there is no room for more. */
static bool ATTR_FORMAT(3, 4)
add_difference(string_t *str, unsigned int *count, const char *fmt, ...)
{
	va_list args;

	if (*count == MAX_NAMED_DIFFERENCES) {
		str_append(str, ", and more");
		*count += 1;
	}
	if (*count > MAX_NAMED_DIFFERENCES)
		return FALSE;
	if (*count > 0)
		str_append(str, ", ");
	*count += 1;
	va_start(args, fmt);
	str_vprintfa(str, fmt, args);
	va_end(args);
	return TRUE;
}

static void
add_changed(string_t *str, unsigned int *count, const struct field *pop3,
	    const struct field *imap)
{
	const char *name = str_sanitize(pop3->name, MAX_VALUE_LENGTH);

	if (has_8bit(imap) != has_8bit(pop3)) {
		(void)add_difference(str, count,
			"%s with its 8-bit bytes replaced over %s", name,
			has_8bit(imap) ? "POP3" : "IMAP");
	} else {
		(void)add_difference(str, count, "%s differs", name);
	}
}

static void
add_only(string_t *str, unsigned int *count, ARRAY_TYPE(field) *fields,
	 const char *protocol)
{
	struct field *field;

	array_foreach_modifiable(fields, field) {
		/* a field that does not count leaves an empty digest */
		if (!field->matched && field->digest.field_count > 0) {
			if (!add_difference(str, count, "%s only over %s",
					str_sanitize(field->name,
						     MAX_VALUE_LENGTH),
					protocol))
				return;
		}
	}
}

const char *
header_difference(const unsigned char *pop3, size_t pop3_size,
		  const unsigned char *imap, size_t imap_size)
{
	ARRAY_TYPE(field) pop3_fields, imap_fields;
	struct field *field, *other;
	string_t *str = t_str_new(128);
	unsigned int count = 0;

	split_fields(pop3, pop3_size, &pop3_fields);
	split_fields(imap, imap_size, &imap_fields);
	match_fields(&pop3_fields, &imap_fields);
	array_foreach_modifiable(&pop3_fields, field) {
		if (field->matched || field->digest.field_count == 0)
			continue;
		other = find_unmatched(&imap_fields, field->name);
		if (other != NULL) {
			add_changed(str, &count, field, other);
			field->matched = other->matched = TRUE;
		}
	}
	add_only(str, &count, &imap_fields, "IMAP");
	add_only(str, &count, &pop3_fields, "POP3");
	return str_c(str);
}
