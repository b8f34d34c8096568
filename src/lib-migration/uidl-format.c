/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "uidl-format.h"

const struct uidl_format uidl_formats[] = {
	{ "Dovecot", "UV", "%08Xu%08Xv", "%{uid | hex(8)}%{uidvalidity | hex(8)}" },
	{ "Cyrus", "v.u", "%v.%u", "%{uidvalidity}.%{uid}" },
	{ "UW-IMAP", "VU", "%08Xv%08Xu", "%{uidvalidity | hex(8)}%{uid | hex(8)}" },
	{ "Cyrus (courier) or Critical Path", "v-u", "%v-%u",
	  "%{uidvalidity}-%{uid}" },
	{ "Courier by Dovecot", "UIDu-v", "UID%u-%v", "UID%{uid}-%{uidvalidity}" },
	{ "UID and UIDVALIDITY", "u.v", "%u.%v", "%{uid}.%{uidvalidity}" },
	{ "Gmail", "GmailIdG", NULL, NULL },
	{ "UID alone", "u", "%u", "%{uid}" },
	{ NULL, NULL, NULL, NULL }
};

/* "UID" and "GmailId" contain letters that are codes elsewhere. */
static const char *const literals[] = { "UID", "GmailId", NULL };

static const char *literal_at(const char *pattern)
{
	for (unsigned int i = 0; literals[i] != NULL; i++) {
		if (strncmp(pattern, literals[i], strlen(literals[i])) == 0)
			return literals[i];
	}
	return NULL;
}

static bool pattern_has(const char *pattern, const char *codes)
{
	const char *literal;

	while (*pattern != '\0') {
		if ((literal = literal_at(pattern)) != NULL)
			pattern += strlen(literal);
		else if (strchr(codes, *pattern++) != NULL)
			return TRUE;
	}
	return FALSE;
}

bool uidl_format_has_uidvalidity(const struct uidl_format *format)
{
	return pattern_has(format->pattern, "vV");
}

bool uidl_format_has_gmail_msgid(const struct uidl_format *format)
{
	return pattern_has(format->pattern, "G");
}

/* No leading zeros: a server never writes them, and 007 is not 7. */
static bool parse_decimal(const char **uidl, uint32_t *num_r)
{
	const char *p = *uidl;

	if (*p < '1' || *p > '9')
		return FALSE;
	return str_parse_uint32(p, num_r, uidl) == 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Exactly count digits, or up to 16 without a leading zero if count is 0. */
static bool parse_hex(const char **uidl, unsigned int count, uint64_t *num_r)
{
	const char *p = *uidl;
	unsigned int i;

	if (count == 0 && *p == '0')
		return FALSE;
	*num_r = 0;
	for (i = 0; i < (count == 0 ? 16 : count); i++) {
		if (hex_digit(p[i]) < 0)
			break;
		*num_r = (*num_r << 4) | hex_digit(p[i]);
	}
	if (i == 0 || (count != 0 && i != count))
		return FALSE;
	*uidl += i;
	return TRUE;
}

static bool
parse_code(char code, const char **uidl, struct uidl_format_value *value)
{
	uint64_t num = 0;

	switch (code) {
	case 'v':
		return parse_decimal(uidl, &value->uidvalidity);
	case 'u':
		return parse_decimal(uidl, &value->uid);
	case 'V':
		if (!parse_hex(uidl, 8, &num))
			return FALSE;
		value->uidvalidity = num;
		return num != 0;
	case 'U':
		if (!parse_hex(uidl, 8, &num))
			return FALSE;
		value->uid = num;
		return num != 0;
	case 'G':
		return parse_hex(uidl, 0, &value->gmail_msgid);
	}
	if (**uidl != code)
		return FALSE;
	*uidl += 1;
	return TRUE;
}

bool uidl_format_parse(const struct uidl_format *format, const char *uidl,
		       struct uidl_format_value *value_r)
{
	const char *pattern = format->pattern, *literal;

	i_zero(value_r);
	while (*pattern != '\0') {
		if ((literal = literal_at(pattern)) != NULL) {
			size_t len = strlen(literal);

			if (strncmp(uidl, literal, len) != 0)
				return FALSE;
			uidl += len;
			pattern += len;
		} else if (!parse_code(*pattern++, &uidl, value_r)) {
			return FALSE;
		}
	}
	return *uidl == '\0';
}

const char *uidl_format_write(const struct uidl_format *format,
			      const struct uidl_format_value *value)
{
	const char *pattern = format->pattern, *literal;
	string_t *str = t_str_new(64);

	while (*pattern != '\0') {
		if ((literal = literal_at(pattern)) != NULL) {
			str_append(str, literal);
			pattern += strlen(literal);
			continue;
		}
		switch (*pattern) {
		case 'v':
			str_printfa(str, "%u", value->uidvalidity);
			break;
		case 'u':
			str_printfa(str, "%u", value->uid);
			break;
		case 'V':
			str_printfa(str, "%08x", value->uidvalidity);
			break;
		case 'U':
			str_printfa(str, "%08x", value->uid);
			break;
		case 'G':
			str_printfa(str, "%"PRIx64, value->gmail_msgid);
			break;
		default:
			str_append_c(str, *pattern);
		}
		pattern++;
	}
	return str_c(str);
}
