/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "message-date.h"
#include "placeholder.h"

#define ORIGINAL_PREFIX "X-Migration-Original-"
/* what a server says may be long, and is not to be trusted */
#define WORDS_MAX_LEN 400

static const char *placeholder_boundary(const struct placeholder *mail)
{
	return t_strdup_printf("=_migration-placeholder_%u_%u=",
			       mail->uidvalidity, mail->uid);
}

/* One line of printable ASCII. */
static const char *placeholder_words(const char *words)
{
	string_t *str = t_str_new(128);

	for (; *words != '\0' && str_len(str) < WORDS_MAX_LEN; words++) {
		str_append_c(str, *words >= ' ' && *words < 127 ?
			     *words : '?');
	}
	return str_c(str);
}

static bool field_describes_body(const char *line)
{
	return strncasecmp(line, "Content-", 8) == 0 ||
		strncasecmp(line, "MIME-Version:", 13) == 0;
}

/* Calls append for each field of the header, with its continuation lines. */
static void
header_foreach(const char *header, string_t *dest,
	       void (*append)(string_t *dest, const char *field, size_t len))
{
	const char *start, *end;

	for (start = header; *start != '\0'; start = end) {
		if (*start == '\n' || (start[0] == '\r' && start[1] == '\n'))
			break;
		end = start;
		do {
			end = strchr(end, '\n');
			end = end == NULL ? start + strlen(start) : end + 1;
		} while (*end == ' ' || *end == '\t');
		append(dest, start, end - start);
	}
}

/* With CRLF, whatever it had. */
static void append_field(string_t *dest, const char *field, size_t len)
{
	while (len > 0 && (field[len-1] == '\n' || field[len-1] == '\r'))
		len--;
	str_append_data(dest, field, len);
	str_append(dest, "\r\n");
}

static void append_true_field(string_t *dest, const char *field, size_t len)
{
	if (strncasecmp(field, PLACEHOLDER_HEADER":",
			strlen(PLACEHOLDER_HEADER) + 1) == 0)
		return;
	if (field_describes_body(field))
		str_append(dest, ORIGINAL_PREFIX);
	append_field(dest, field, len);
}

static void append_body_field(string_t *dest, const char *field, size_t len)
{
	if (strncasecmp(field, "Content-", 8) == 0)
		append_field(dest, field, len);
}

void placeholder_write_made_header(string_t *dest,
				   const struct placeholder *mail)
{
	str_printfa(dest, "Date: %s\r\n", message_date_create(mail->internaldate));
	str_append(dest, "From: Mail migration <MAILER-DAEMON>\r\n");
	str_printfa(dest, "Subject: A message that could not be read "
		    "(UID %u)\r\n", mail->uid);
	str_printfa(dest, "Message-ID: <migration-placeholder.%u.%u@localhost>"
		    "\r\n", mail->uidvalidity, mail->uid);
}

static void
append_text(string_t *dest, const struct placeholder *mail,
	    const struct placeholder_part *parts, unsigned int parts_count)
{
	unsigned int i;

	str_append(dest,
		"This message could not be copied from the old mail server, "
		"which did not\r\ngive it. It stands here in place of it.\r\n"
		"\r\n");
	str_printfa(dest, "Folder: %s\r\nUID:    %u\r\n", mail->mailbox,
		    mail->uid);
	if (mail->size != UOFF_T_MAX) {
		str_printfa(dest, "Size:   %"PRIuUOFF_T" bytes\r\n",
			    mail->size);
	}
	str_printfa(dest, "The server's answer: %s\r\n\r\n",
		    placeholder_words(mail->words));
	str_append(dest, mail->header != NULL ?
		   "The header above is the message's own.\r\n" :
		   "The header could not be read either.\r\n");
	for (i = 0; i < parts_count; i++) {
		str_printfa(dest, "Part %s could be read: %s%"PRIuUOFF_T
			    " bytes%s.\r\n", parts[i].number,
			    parts[i].complete ? "" : "the first ",
			    parts[i].size,
			    parts[i].complete ? "" : " of it");
	}
	if (parts_count > 0)
		str_append(dest, "These parts follow.\r\n");
	str_append(dest,
		"\r\nIf a later migration run can read the message, it takes "
		"this one's place.\r\n");
}

void placeholder_write_begin(string_t *dest, const struct placeholder *mail,
			     const struct placeholder_part *parts,
			     unsigned int parts_count)
{
	str_printfa(dest, PLACEHOLDER_HEADER": uid=%u; uidvalidity=%u\r\n",
		    mail->uid, mail->uidvalidity);
	if (mail->header != NULL)
		header_foreach(mail->header, dest, append_true_field);
	else
		placeholder_write_made_header(dest, mail);
	str_printfa(dest, "MIME-Version: 1.0\r\n"
		    "Content-Type: multipart/mixed;\r\n\tboundary=\"%s\"\r\n"
		    "\r\n--%s\r\n"
		    "Content-Type: text/plain; charset=utf-8\r\n"
		    "Content-Transfer-Encoding: 8bit\r\n\r\n",
		    placeholder_boundary(mail), placeholder_boundary(mail));
	append_text(dest, mail, parts, parts_count);
}

void placeholder_write_part(string_t *dest, const struct placeholder *mail,
			    const struct placeholder_part *part)
{
	str_printfa(dest, "\r\n--%s\r\n", placeholder_boundary(mail));
	if (part->mime_header != NULL)
		header_foreach(part->mime_header, dest, append_body_field);
	else if (strcmp(part->number, "TEXT") == 0 && mail->header != NULL)
		header_foreach(mail->header, dest, append_body_field);
	else {
		str_append(dest, "Content-Type: application/octet-stream\r\n"
			   "Content-Transfer-Encoding: 8bit\r\n");
	}
	str_append(dest, "\r\n");
}

void placeholder_write_end(string_t *dest, const struct placeholder *mail)
{
	str_printfa(dest, "\r\n--%s--\r\n", placeholder_boundary(mail));
}

static void append_if_multipart(string_t *dest, const char *field, size_t len)
{
	const char *value, *end = field + len;

	if (strncasecmp(field, "Content-Type:", 13) != 0)
		return;
	value = field + 13;
	while (value < end && (*value == ' ' || *value == '\t' ||
			       *value == '\r' || *value == '\n'))
		value++;
	if (end - value >= 10 && strncasecmp(value, "multipart/", 10) == 0)
		str_append_c(dest, 'y');
}

bool placeholder_header_is_multipart(const char *header)
{
	string_t *found = t_str_new(4);

	if (header != NULL)
		header_foreach(header, found, append_if_multipart);
	return str_len(found) > 0;
}
