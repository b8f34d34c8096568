/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "net.h"
#include "str.h"
#include "str-sanitize.h"
#include "json-members.h"
#include "oauth2-sasl.h"

#define MASK "<hidden>"
#define MASK_MIN_CHARS 4
/* of a server's words */
#define CHALLENGE_MAX_CHARS 300

static const char *const mechanism_names[] = {
	[MIGRATION_OAUTH2_XOAUTH2] = "XOAUTH2",
	[MIGRATION_OAUTH2_OAUTHBEARER] = "OAUTHBEARER",
};

const char *
migration_oauth2_mechanism_name(enum migration_oauth2_mechanism mechanism)
{
	return mechanism_names[mechanism];
}

enum migration_oauth2_mechanism
migration_oauth2_mechanism_choose(const char *const *announced)
{
	if (!str_array_icase_find(announced, "XOAUTH2") &&
	    str_array_icase_find(announced, "OAUTHBEARER"))
		return MIGRATION_OAUTH2_OAUTHBEARER;
	return MIGRATION_OAUTH2_XOAUTH2;
}

/* saslname of RFC 5801 */
static void append_gs2_name(string_t *dest, const char *name)
{
	for (; *name != '\0'; name++) {
		if (*name == ',')
			str_append(dest, "=2C");
		else if (*name == '=')
			str_append(dest, "=3D");
		else
			str_append_c(dest, *name);
	}
}

void migration_oauth2_append_message(string_t *dest,
				     enum migration_oauth2_mechanism mechanism,
				     const char *user, const char *host,
				     in_port_t port, const char *token)
{
	switch (mechanism) {
	case MIGRATION_OAUTH2_XOAUTH2:
		str_printfa(dest, "user=%s\001", user);
		break;
	case MIGRATION_OAUTH2_OAUTHBEARER:
		str_append(dest, "n,a=");
		append_gs2_name(dest, user);
		str_append(dest, ",\001");
		if (host != NULL)
			str_printfa(dest, "host=%s\001", host);
		if (port != 0)
			str_printfa(dest, "port=%u\001", port);
		break;
	}
	str_printfa(dest, "auth=Bearer %s\001\001", token);
}

const char *
migration_oauth2_challenge_answer(enum migration_oauth2_mechanism mechanism)
{
	return mechanism == MIGRATION_OAUTH2_XOAUTH2 ? "" : "\001";
}

static void
challenge_member(void *context, const char *name, const char *value)
{
	string_t *dest = context;

	str_printfa(dest, "%s%s %s", str_len(dest) > 0 ? ", " : "", name,
		    value[0] == '\0' ? "\"\"" : value);
}

const char *migration_oauth2_challenge_text(const void *data, size_t size)
{
	string_t *str = t_str_new(128);
	const char *error;

	if (json_members_parse(data, size, challenge_member, str, &error) < 0 ||
	    str_len(str) == 0)
		return str_sanitize(t_strndup(data, size), CHALLENGE_MAX_CHARS);
	return str_sanitize(str_c(str), CHALLENGE_MAX_CHARS);
}

const char *migration_oauth2_mask(const char *text, const char *secret)
{
	string_t *str;
	const char *p;
	size_t len;

	if (secret == NULL || (len = strlen(secret)) < MASK_MIN_CHARS ||
	    strstr(text, secret) == NULL)
		return text;
	str = t_str_new(strlen(text));
	while ((p = strstr(text, secret)) != NULL) {
		str_append_data(str, text, p - text);
		str_append(str, MASK);
		text = p + len;
	}
	str_append(str, text);
	return str_c(str);
}

/* What follows the words, up to a blank, a quote or the end of the line. */
static const char *mask_after(const char *line, const char *words)
{
	const char *p = strstr(line, words), *end;

	if (p == NULL)
		return line;
	p += strlen(words);
	end = p + strcspn(p, " '\"");
	if (end == p)
		return line;
	return t_strconcat(t_strdup_until(line, p), MASK, end, NULL);
}

const char *migration_oauth2_mask_command(const char *line)
{
	line = mask_after(line, "AUTHENTICATE XOAUTH2 ");
	line = mask_after(line, "AUTHENTICATE OAUTHBEARER ");
	return mask_after(line, "Bearer ");
}
