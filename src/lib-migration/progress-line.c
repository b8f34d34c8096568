/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* wcwidth() */
#ifndef _GNU_SOURCE
#  define _GNU_SOURCE
#endif

#include "lib.h"
#include "str.h"
#include "unichar.h"
#include "run-status.h"
#include "progress-line.h"

#include <locale.h>
#include <wchar.h>

#define NAME_MIN_WIDTH 6
#define BAR_MIN_WIDTH 10
#define BAR_MAX_WIDTH 30

/* The parts of the line, as they follow each other ... */
enum part {
	PART_USER,
	PART_PERCENT,
	PART_BAR,
	PART_MAILBOX_NUMBER,
	PART_MAILBOX,
	PART_MAILS,
	PART_MAIL_RATE,
	PART_BYTE_RATE,
	PART_END,

	PART_COUNT
};

/* ... and by how much they are worth. */
static const enum part parts_by_worth[] = {
	PART_PERCENT, PART_END, PART_MAILBOX_NUMBER, PART_MAILBOX,
	PART_MAIL_RATE, PART_BYTE_RATE, PART_MAILS, PART_BAR, PART_USER,
};
_Static_assert(N_ELEMENTS(parts_by_worth) == PART_COUNT,
	       "each part has its worth");

struct line {
	/* NULL: not in the line */
	const char *texts[PART_COUNT];
	unsigned int width, used;
};

/* -1 if it cannot be shown. C.UTF-8 is a part of the C library; doveadm itself
   runs in the locale "C", which knows no width of anything. */
static int char_width(unichar_t chr)
{
	static locale_t utf8 = (locale_t)0;
	locale_t old;
	int width;

	if (utf8 == (locale_t)0)
		utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	if (utf8 == (locale_t)0)
		return chr < 0x20 || (chr >= 0x7f && chr < 0xa0) ? -1 : 1;
	old = uselocale(utf8);
	width = wcwidth((wchar_t)chr);
	(void)uselocale(old);
	return width;
}

/* A terminal obeys control characters, U+009B too. */
static const char *text_printable(const char *text)
{
	string_t *dest = t_str_new(64);
	unichar_t chr;
	int len;

	for (; *text != '\0'; text += len) {
		len = uni_utf8_get_char(text, &chr);
		if (len > 0 && char_width(chr) >= 0)
			str_append_data(dest, text, len);
		else
			str_append_c(dest, '?');
		len = I_MAX(len, 1);
	}
	return str_c(dest);
}

/* As much of the printable text as fits, in bytes. */
static size_t
text_fit(const char *text, unsigned int max_width, unsigned int *width_r)
{
	const char *p = text;
	unsigned int width = 0, w;
	unichar_t chr;
	int len;

	while (*p != '\0' && (len = uni_utf8_get_char(p, &chr)) > 0) {
		w = I_MAX(char_width(chr), 0);
		if (width + w > max_width)
			break;
		width += w;
		p += len;
	}
	*width_r = width;
	return p - text;
}

unsigned int progress_text_width(const char *text)
{
	unsigned int width;

	(void)text_fit(text, UINT_MAX - 2, &width);
	return width;
}

static const char *text_cut(const char *text, unsigned int max_width)
{
	unsigned int width;
	size_t len = text_fit(text, max_width, &width);

	if (text[len] == '\0')
		return text;
	len = text_fit(text, max_width - 1, &width);
	return t_strdup_printf("%.*s\xE2\x80\xA6", (int)len, text);
}

/*
 * Parts
 */

static unsigned int get_percent(const struct run_status *status)
{
	if (status->mails >= status->mails_total)
		return 100;
	return status->mails * 100 / status->mails_total;
}

static const char *format_time(int64_t secs)
{
	unsigned int s = secs % 60, m = secs / 60 % 60;
	unsigned int h = I_MIN(secs / 3600, 100000);

	if (h >= 48)
		return t_strdup_printf("%ud%02uh", h / 24, h % 24);
	if (h > 0)
		return t_strdup_printf("%u:%02u:%02u", h, m, s);
	return t_strdup_printf("%u:%02u", m, s);
}

static const char *format_wait(const struct run_status *status)
{
	uint64_t secs = (status->wait_left_msecs + 999) / 1000;
	const char *text = run_status_wait_text(status->wait);

	if (secs == 0)
		return t_strdup_printf("waiting: %s", text);
	return t_strdup_printf("waiting %s: %s", secs < 100 ?
			       t_strdup_printf("%"PRIu64" s", secs) :
			       format_time(secs), text);
}

static const char *format_end(const struct run_status *status)
{
	if (status->state == RUN_STATE_WAITING)
		return format_wait(status);
	if (status->mails_total == 0)
		return NULL;
	if (status->eta_secs < 0)
		return "ETA ?";
	return t_strdup_printf("ETA %s", format_time(status->eta_secs));
}

static const char *format_byte_rate(double rate)
{
	static const char *const units[] = { "B/s", "kB/s", "MB/s", "GB/s" };
	unsigned int unit = 0;

	while (rate >= 1000 && unit + 1 < N_ELEMENTS(units)) {
		rate /= 1000;
		unit++;
	}
	return t_strdup_printf(rate < 10 && unit > 0 ? "%.1f %s" : "%.0f %s",
			       rate, units[unit]);
}

static void format_parts(const struct run_status *status, const char **texts)
{
	texts[PART_USER] = text_printable(status->user);
	if (status->mails_total != 0) {
		texts[PART_PERCENT] = t_strdup_printf("%3u%%",
						      get_percent(status));
		texts[PART_MAILS] = t_strdup_printf(
			"%"PRIu64"/%"PRIu64" mails", status->mails,
			status->mails_total);
	} else {
		/* not known of how many */
		texts[PART_PERCENT] = t_strdup_printf("%"PRIu64" mails",
						      status->mails);
	}
	if (status->mailbox[0] != '\0') {
		texts[PART_MAILBOX_NUMBER] = status->mailboxes == 0 ?
			t_strdup_printf("%u", status->mailbox_number) :
			t_strdup_printf("%u/%u", status->mailbox_number,
					status->mailboxes);
		texts[PART_MAILBOX] = text_printable(status->mailbox);
	}
	texts[PART_MAIL_RATE] = t_strdup_printf(
		status->mails_per_sec < 10 ? "%.1f/s" : "%.0f/s",
		status->mails_per_sec);
	if (status->bytes_per_sec > 0) {
		texts[PART_BYTE_RATE] =
			format_byte_rate(status->bytes_per_sec);
	}
	texts[PART_END] = format_end(status);
}

/*
 * Line
 */

/* A part takes its width and a blank. */
static bool line_add(struct line *line, enum part part, const char *text,
		     unsigned int width)
{
	unsigned int blank = line->used == 0 ? 0 : 1;

	if (line->used + blank + width > line->width)
		return FALSE;
	line->texts[part] = text;
	line->used += blank + width;
	return TRUE;
}

static const char *format_bar(const struct run_status *status,
			      unsigned int width)
{
	unsigned int i, full = get_percent(status) * (width - 2) / 100;
	string_t *bar = t_str_new(width);

	str_append_c(bar, '[');
	for (i = 0; i < width - 2; i++)
		str_append_c(bar, i < full ? '#' : '.');
	str_append_c(bar, ']');
	return str_c(bar);
}

/* The name of the mailbox and the bar share what is left. */
static void
line_grow(struct line *line, const struct run_status *status, const char *name)
{
	unsigned int left = line->width - line->used, width;

	if (line->texts[PART_MAILBOX] != NULL) {
		width = NAME_MIN_WIDTH + left;
		line->texts[PART_MAILBOX] = text_cut(name, width);
		width = progress_text_width(line->texts[PART_MAILBOX]);
		left -= width > NAME_MIN_WIDTH ? width - NAME_MIN_WIDTH : 0;
	}
	if (line->texts[PART_BAR] != NULL) {
		width = I_MIN(BAR_MIN_WIDTH + left, BAR_MAX_WIDTH);
		line->texts[PART_BAR] = format_bar(status, width);
	}
}

void progress_line_append(string_t *dest, unsigned int width,
			  const struct run_status *status)
{
	struct line line = { .width = width };
	const char *texts[PART_COUNT] = { NULL };
	unsigned int i, part_width;
	size_t begin = str_len(dest);
	enum part part;

	format_parts(status, texts);
	for (i = 0; i < N_ELEMENTS(parts_by_worth); i++) {
		part = parts_by_worth[i];
		if (part == PART_BAR && status->mails_total != 0) {
			(void)line_add(&line, part, "", BAR_MIN_WIDTH);
			continue;
		}
		if (texts[part] == NULL)
			continue;
		part_width = progress_text_width(texts[part]);
		if (part == PART_MAILBOX)
			part_width = I_MIN(part_width, NAME_MIN_WIDTH);
		if (!line_add(&line, part, texts[part], part_width) &&
		    part == PART_END && line.width > line.used + 1 + NAME_MIN_WIDTH) {
			/* that it waits is worth more than why */
			(void)line_add(&line, part, text_cut(texts[part],
				line.width - line.used - 1),
				line.width - line.used - 1);
		}
	}
	line_grow(&line, status, texts[PART_MAILBOX]);

	for (i = 0; i < PART_COUNT; i++) {
		if (line.texts[i] == NULL)
			continue;
		if (str_len(dest) > begin)
			str_append_c(dest, ' ');
		str_append(dest, line.texts[i]);
	}
}
