/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hex-binary.h"
#include "sha1.h"
#include "str.h"
#include "unichar.h"
#include "import-name.h"

/* bytes of the digest in a name */
#define IMPORT_NAME_DIGEST_SIZE 4

const char *
import_name_convert(const char *vname, char source_sep, char dest_sep)
{
	string_t *name = t_str_new(128);

	for (; *vname != '\0'; vname++) {
		if (*vname == source_sep)
			str_append_c(name, dest_sep);
		else if (*vname == dest_sep)
			str_append_c(name, '_');
		else
			str_append_c(name, *vname);
	}
	return str_c(name);
}

static bool needs_underscore(const char *vname, char source_sep, char dest_sep)
{
	return source_sep != dest_sep && strchr(vname, dest_sep) != NULL;
}

/* TRUE if the first one has more right to the name that both have. */
static bool name_goes_first(const char *vname1, const char *vname2,
			    char source_sep, char dest_sep)
{
	bool changed1 = needs_underscore(vname1, source_sep, dest_sep);
	bool changed2 = needs_underscore(vname2, source_sep, dest_sep);

	if (changed1 != changed2)
		return changed2;
	return strcmp(vname1, vname2) < 0;
}

const char *
import_name_decide(const char *vname, const char *const *all_vnames,
		   char source_sep, char dest_sep, const char **rival_r)
{
	const char *name = import_name_convert(vname, source_sep, dest_sep);
	const char *first = vname;
	unsigned char digest[SHA1_RESULTLEN];

	for (; *all_vnames != NULL; all_vnames++) {
		if (strcmp(import_name_convert(*all_vnames, source_sep,
					       dest_sep), name) == 0 &&
		    name_goes_first(*all_vnames, first, source_sep, dest_sep))
			first = *all_vnames;
	}
	if (strcmp(first, vname) == 0) {
		*rival_r = NULL;
		return name;
	}
	*rival_r = first;
	sha1_get_digest(vname, strlen(vname), digest);
	return t_strdup_printf("%s_%s", name,
		binary_to_hex(digest, IMPORT_NAME_DIGEST_SIZE));
}

static void append_byte(string_t *dest, char chr)
{
	str_printfa(dest, "==%02X", (unsigned char)chr);
}

const char *import_name_of_bytes(const char *name)
{
	string_t *dest = t_str_new(128);
	unichar_t chr;
	int len;

	if (strcasecmp(name, "INBOX") == 0) {
		append_byte(dest, *name);
		name++;
	}
	for (; *name != '\0'; name += len) {
		len = uni_utf8_get_char(name, &chr);
		if (len > 0 && chr >= ' ' && chr != 0x7f) {
			str_append_data(dest, name, len);
			continue;
		}
		len = 1;
		append_byte(dest, *name);
	}
	return str_c(dest);
}

bool import_name_is_below(const char *name, const char *parent, char sep)
{
	size_t len = strlen(parent);

	return len > 0 && strncmp(name, parent, len) == 0 && name[len] == sep;
}
