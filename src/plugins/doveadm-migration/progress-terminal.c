/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "progress-line.h"
#include "progress-terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

/* of a terminal that does not say */
#define DEFAULT_WIDTH 80
#define ERASE_LINE "\r\033[K"

static struct {
	failure_callback_t *error, *info, *debug;
	/* what is on the screen */
	string_t *line;
	bool shown, active;
} terminal;

bool progress_terminal_is_possible(void)
{
	/* doveadm cleans its environment: there is no TERM to ask */
	return isatty(STDERR_FILENO) == 1;
}

static unsigned int terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return DEFAULT_WIDTH;
	return size.ws_col;
}

static bool is_in_foreground(void)
{
	pid_t group = tcgetpgrp(STDERR_FILENO);

	/* -1: it is not this session's terminal */
	return group == -1 || group == getpgrp();
}

static void terminal_write(const char *text)
{
	/* a line that is lost is drawn again in a second */
	(void)!write(STDERR_FILENO, text, strlen(text));
}

static void terminal_hide(void)
{
	if (terminal.shown)
		terminal_write(ERASE_LINE);
	terminal.shown = FALSE;
}

static void terminal_show(void)
{
	if (str_len(terminal.line) == 0 || !is_in_foreground())
		return;
	terminal_write(str_c(terminal.line));
	terminal.shown = TRUE;
}

void progress_terminal_draw(const struct run_status *status)
{
	str_truncate(terminal.line, 0);
	str_append(terminal.line, ERASE_LINE);
	/* the last column stays free: some terminals wrap there */
	progress_line_append(terminal.line, terminal_width() - 1, status);
	terminal_show();
}

/* Whatever is logged comes between taking the line away and drawing it. */
#define LOG_HANDLER(type) \
	static void ATTR_FORMAT(2, 0) \
	terminal_##type(const struct failure_context *ctx, \
			const char *format, va_list args) \
	{ \
		terminal_hide(); \
		terminal.type(ctx, format, args); \
		terminal_show(); \
	}
LOG_HANDLER(error)
LOG_HANDLER(info)
LOG_HANDLER(debug)

static void ATTR_NORETURN ATTR_FORMAT(2, 0)
terminal_fatal(const struct failure_context *ctx, const char *format,
	       va_list args)
{
	terminal_hide();
	default_fatal_handler(ctx, format, args);
}

void progress_terminal_begin(void)
{
	/* who logs to a terminal has the default one */
	failure_callback_t *fatal;

	i_assert(!terminal.active);

	terminal.active = TRUE;
	terminal.line = str_new(default_pool, 256);
	i_get_failure_handlers(&fatal, &terminal.error, &terminal.info,
			       &terminal.debug);
	i_set_fatal_handler(terminal_fatal);
	i_set_error_handler(terminal_error);
	i_set_info_handler(terminal_info);
	i_set_debug_handler(terminal_debug);
}

void progress_terminal_end(void)
{
	i_assert(terminal.active);

	terminal_hide();
	i_set_fatal_handler(default_fatal_handler);
	i_set_error_handler(terminal.error);
	i_set_info_handler(terminal.info);
	i_set_debug_handler(terminal.debug);
	str_free(&terminal.line);
	i_zero(&terminal);
}
