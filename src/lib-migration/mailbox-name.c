/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hex-binary.h"
#include "imap-utf7.h"
#include "sha1.h"
#include "str.h"
#include "unichar.h"
#include "mailbox-name.h"

#include <ctype.h>

#define ESCAPE_CHAR '='
/* a file's name may have 255 bytes nearly everywhere */
#define LEVEL_MAX_BYTES 255
/* Maildir++ begins each with a dot */
#define ONE_FILE_NAME_MAX_BYTES (LEVEL_MAX_BYTES - 1)
/* below all limits */
#define PLAIN_MAX_BYTES 100
/* with the path to the mailboxes below PATH_MAX */
#define PATH_MAX_BYTES 3000
/* of a digest */
#define DIGEST_BYTES 8
#define DIGEST_SUFFIX_LEN (2 + DIGEST_BYTES * 2)
/* A cut level says something with this many bytes, and has a digest. */
#define CUT_MIN_BYTES (DIGEST_SUFFIX_LEN + 6)

/* ---- one level ---- */

static bool is_hex(const char *text)
{
	return strchr("0123456789ABCDEF", text[0]) != NULL && text[0] != '\0' &&
		strchr("0123456789ABCDEF", text[1]) != NULL && text[1] != '\0';
}

static bool ends_with_digest(const char *text)
{
	size_t len = strlen(text);

	if (len < DIGEST_SUFFIX_LEN)
		return FALSE;
	text += len - DIGEST_SUFFIX_LEN;
	return text[0] == ESCAPE_CHAR && text[1] == '~' &&
		strspn(text + 2, "0123456789abcdef") == DIGEST_BYTES * 2;
}

/* A name that looks as if something were escaped in it. */
static bool looks_escaped(const char *text)
{
	const char *p;

	for (p = strchr(text, ESCAPE_CHAR); p != NULL;
	     p = strchr(p + 1, ESCAPE_CHAR)) {
		if (is_hex(p + 1))
			return TRUE;
	}
	return ends_with_digest(text);
}

/* The level in UTF-8, or FALSE if it is not modified UTF-7 as it should be. */
static bool level_read(const char *remote, string_t *utf8)
{
	const char *again;

	return imap_utf7_to_utf8(remote, utf8) == 0 &&
		uni_utf8_str_is_valid(str_c(utf8)) &&
		t_imap_utf8_to_utf7(str_c(utf8), &again) == 0 &&
		strcmp(again, remote) == 0;
}

/* Why the character cannot stay, or NULL. pos is its place in the level. */
static const char *
char_is_refused(const char *level, size_t pos, bool first_level,
		const struct mailbox_name_rules *rules)
{
	char chr = level[pos];

	if ((unsigned char)chr < ' ' || chr == 0x7f)
		return "it has control characters";
	if (chr == rules->separator)
		return t_strdup_printf("'%c' separates levels", chr);
	if (rules->percent_is_misread && chr == '%' &&
	    i_isxdigit(level[pos+1]) && i_isxdigit(level[pos+2]))
		return "dsync would read '%' and two hex digits as a character";
	if (rules->storage_escapes)
		return NULL;
	if (chr == rules->storage_separator)
		return t_strdup_printf("'%c' separates levels in files", chr);
	if (chr == '/')
		return "file names cannot have '/'";
	if (chr == '~' && pos == 0 && first_level)
		return "Dovecot wants no '~' at the beginning";
	return NULL;
}

static bool is_file_of_dovecot(const char *level)
{
	static const char *const prefixes[] = {
		"dovecot", "maildir", "subscriptions", "courier", NULL
	};
	unsigned int i;

	for (i = 0; prefixes[i] != NULL; i++) {
		if (strncmp(level, prefixes[i], strlen(prefixes[i])) == 0)
			return TRUE;
	}
	return FALSE;
}

/* Why the level as a whole cannot have this name: its first character is
   escaped then. */
static const char *
level_is_refused(const char *level, bool first_level, bool not_inbox,
		 const struct mailbox_name_rules *rules)
{
	if (not_inbox && strcasecmp(level, "INBOX") == 0)
		return "INBOX is another mailbox";
	if (rules->storage_escapes)
		return NULL;
	if (strcmp(level, ".") == 0 || strcmp(level, "..") == 0)
		return "it is a name of file systems";
	if (rules->reserved != NULL && str_array_find(rules->reserved, level))
		return "the mailbox format uses this name itself";
	if (first_level && rules->root_has_files && is_file_of_dovecot(level))
		return "Dovecot has files of such names there";
	return NULL;
}

static void escape_char(string_t *dest, char chr)
{
	str_printfa(dest, "%c%02X", ESCAPE_CHAR, (unsigned char)chr);
}

static void
level_escape(const char *level, bool first_level,
	     const struct mailbox_name_rules *rules, bool first_char,
	     string_t *dest)
{
	size_t i;

	for (i = 0; level[i] != '\0'; i++) {
		if ((i == 0 && first_char) || level[i] == ESCAPE_CHAR ||
		    char_is_refused(level, i, first_level, rules) != NULL)
			escape_char(dest, level[i]);
		else
			str_append_c(dest, level[i]);
	}
}

static void
level_escape_bytes(const char *level, bool first_level,
		   const struct mailbox_name_rules *rules, string_t *dest)
{
	size_t i;

	for (i = 0; level[i] != '\0'; i++) {
		if (level[i] == '&' || (unsigned char)level[i] < ' ' ||
		    (unsigned char)level[i] >= 0x7f) {
			str_append_c(dest, ESCAPE_CHAR);
			escape_char(dest, level[i]);
		} else if (level[i] == ESCAPE_CHAR ||
			   char_is_refused(level, i, first_level, rules) != NULL) {
			escape_char(dest, level[i]);
		} else {
			str_append_c(dest, level[i]);
		}
	}
}

static const char *
level_fit(const char *remote, bool first_level, bool not_inbox,
	  const struct mailbox_name_rules *rules, const char **reason_r)
{
	string_t *utf8 = t_str_new(128), *dest = t_str_new(128);
	const char *level, *whole, *reason = NULL;
	size_t i;

	if (remote[0] == '\0') {
		*reason_r = "a level of it has no name";
		return t_strdup_printf("%c00", ESCAPE_CHAR);
	}
	if (!level_read(remote, utf8)) {
		*reason_r = "it is no valid modified UTF-7";
		level_escape_bytes(remote, first_level, rules, dest);
		return str_c(dest);
	}
	level = str_c(utf8);
	whole = level_is_refused(level, first_level, not_inbox, rules);
	for (i = 0; level[i] != '\0' && reason == NULL; i++)
		reason = char_is_refused(level, i, first_level, rules);
	if (whole != NULL)
		reason = whole;
	else if (reason == NULL && looks_escaped(level))
		reason = "it looks as if something were escaped in it";
	if (reason == NULL)
		return level;
	*reason_r = reason;
	level_escape(level, first_level, rules, whole != NULL, dest);
	return str_c(dest);
}

/* ---- lengths ---- */

/* Bytes that the level takes in a file's name. */
static size_t
stored_size(const char *level, const struct mailbox_name_rules *rules)
{
	const char *stored = level;
	size_t size, i;

	if (!rules->storage_utf8 && t_imap_utf8_to_utf7(level, &stored) < 0)
		i_unreached();
	size = strlen(stored);
	for (i = 0; rules->storage_escapes && level[i] != '\0'; i++) {
		/* it becomes an escape character and two hex digits */
		if (!i_isalnum(level[i]) && (unsigned char)level[i] < 0x80)
			size += 2;
	}
	return size;
}

static const char *digest_suffix(const char *name)
{
	unsigned char digest[SHA1_RESULTLEN];

	sha1_get_digest(name, strlen(name), digest);
	return t_strdup_printf("%c~%s", ESCAPE_CHAR,
			       binary_to_hex(digest, DIGEST_BYTES));
}

/* The beginning of the level, and a digest of all of it: max bytes at most. */
static const char *
level_cut(const char *level, size_t max,
	  const struct mailbox_name_rules *rules)
{
	const char *suffix = digest_suffix(level);
	string_t *head = t_str_new(256);
	size_t len = strlen(level);

	do {
		/* whole characters only */
		do {
			len--;
		} while (((unsigned char)level[len] & 0xc0) == 0x80);
		/* and no half of an escape */
		if (len > 0 && level[len-1] == ESCAPE_CHAR)
			len--;
		else if (len > 1 && level[len-2] == ESCAPE_CHAR)
			len -= 2;
		str_truncate(head, 0);
		str_append_data(head, level, len);
		str_append(head, suffix);
	} while (len > 0 && stored_size(str_c(head), rules) > max);
	return str_c(head);
}

static const char *
join(const char *const *levels, const struct mailbox_name_rules *rules)
{
	const char separator[] = { rules->separator, '\0' };

	return t_strarray_join(levels, separator);
}

/* Cuts what is too long. Parents are cut without a look at their children, so
   that children stay below their parents. */
static const char *
fit_sizes(ARRAY_TYPE(const_string) *levels, const char *remote_name,
	  const struct mailbox_name_rules *rules, const char **reason_r)
{
	size_t size, room = rules->one_file_name ? ONE_FILE_NAME_MAX_BYTES :
		PATH_MAX_BYTES;
	const char **level, *last = *array_back(levels);

	array_foreach_modifiable(levels, level) {
		size = stored_size(*level, rules);
		if (size > I_MIN(room, LEVEL_MAX_BYTES)) {
			*reason_r = "it is too long for a file's name";
			if (room < CUT_MIN_BYTES) {
				return level_cut(t_strconcat(last,
					digest_suffix(remote_name), NULL),
					LEVEL_MAX_BYTES / 2, rules);
			}
			*level = level_cut(*level, I_MIN(room, LEVEL_MAX_BYTES),
					   rules);
			size = stored_size(*level, rules);
		}
		/* and the separator */
		room -= I_MIN(room, size + 1);
	}
	array_append_zero(levels);
	return join(array_front(levels), rules);
}

/* ---- names ---- */

static bool
is_in_other_namespace(const char *name, const struct mailbox_name_rules *rules)
{
	const char *const *prefix = rules->other_namespaces;
	size_t len;

	for (; prefix != NULL && *prefix != NULL; prefix++) {
		len = strlen(*prefix);
		if (strncmp(name, *prefix, len) == 0 &&
		    (name[len] == '\0' || name[len] == rules->separator))
			return TRUE;
	}
	return FALSE;
}

static const char *const *
split_levels(const char *name, char separator)
{
	const char sep[] = { separator, '\0' };
	const char *const all[] = { name, NULL };

	return separator == '\0' ? p_strarray_dup(pool_datastack_create(), all) :
		t_strsplit(name, sep);
}

const char *
mailbox_name_fit(const char *remote_name, char remote_separator,
		 bool below_prefix, const struct mailbox_name_rules *rules,
		 const char **reason_r)
{
	const char *const *remote = split_levels(remote_name, remote_separator);
	ARRAY_TYPE(const_string) levels;
	const char *level, *name;
	string_t *str;
	unsigned int i;

	*reason_r = NULL;
	t_array_init(&levels, 8);
	for (i = 0; remote[i] != NULL; i++) {
		level = level_fit(remote[i], i == 0,
				  i == 0 && (below_prefix || remote[1] == NULL),
				  rules, reason_r);
		array_push_back(&levels, &level);
	}
	name = fit_sizes(&levels, remote_name, rules, reason_r);
	if (!is_in_other_namespace(name, rules))
		return name;
	*reason_r = "the destination has another namespace there";
	str = t_str_new(128);
	escape_char(str, name[0]);
	str_append(str, name + 1);
	return str_c(str);
}

/* One level back to what the server calls it. */
static bool level_unfit(const char *level, string_t *dest)
{
	string_t *text = t_str_new(128);
	bool is_bytes = FALSE;
	buffer_t *byte = t_buffer_create(1);

	if (ends_with_digest(level))
		return FALSE;
	while (*level != '\0') {
		if (level[0] == ESCAPE_CHAR && level[1] == ESCAPE_CHAR &&
		    is_hex(level + 2)) {
			is_bytes = TRUE;
			level++;
		}
		if (level[0] != ESCAPE_CHAR || !is_hex(level + 1)) {
			str_append_c(text, *level++);
			continue;
		}
		buffer_set_used_size(byte, 0);
		if (hex_to_binary(t_strndup(level + 1, 2), byte) < 0)
			i_unreached();
		if (*(const unsigned char *)byte->data != '\0')
			buffer_append(text, byte->data, 1);
		level += 3;
	}
	if (is_bytes) {
		str_append_str(dest, text);
		return TRUE;
	}
	return imap_utf8_to_utf7(str_c(text), dest) == 0;
}

bool mailbox_name_is_plain(const char *name, char separator)
{
	unsigned int level_len = 0, len;

	for (len = 0; name[len] != '\0'; len++) {
		if (name[len] != separator) {
			if (!i_isalnum(name[len]) && name[len] != ' ')
				return FALSE;
			level_len++;
		} else if (level_len == 0) {
			return FALSE;
		} else {
			level_len = 0;
		}
	}
	return level_len > 0 && len <= PLAIN_MAX_BYTES;
}

bool mailbox_name_unfit(const char *name, char separator, char remote_separator,
			const char **remote_name_r)
{
	const char *const *levels = split_levels(name, separator);
	string_t *remote_name = t_str_new(128);
	unsigned int i;

	for (i = 0; levels[i] != NULL; i++) {
		if (i > 0)
			str_append_c(remote_name, remote_separator);
		if (!level_unfit(levels[i], remote_name))
			return FALSE;
	}
	*remote_name_r = str_c(remote_name);
	return TRUE;
}

const char *mailbox_name_differ(const char *name, const char *remote_name)
{
	return t_strconcat(name, digest_suffix(remote_name), NULL);
}
