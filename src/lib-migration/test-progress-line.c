/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "str.h"
#include "run-status.h"
#include "progress-line.h"
#include "check-suite.h"

static const struct {
	unsigned int width;
	struct run_status status;
	const char *line;
} tests[] = {
#define RUNNING .state = RUN_STATE_RUNNING, .user = "jane", .wait = ""
	/* nothing is known yet */
	{ 79, { RUNNING, .mailbox = "", .eta_secs = -1 },
	  "jane 0 mails 0.0/s" },
	/* no totals: a source that is not asked for them */
	{ 79, { RUNNING, .mailbox = "INBOX", .mailbox_number = 1, .mails = 17,
		.mails_per_sec = 8.5, .eta_secs = -1 },
	  "jane 17 mails 1 INBOX 8.5/s" },
#define FULL RUNNING, .mailbox_number = 3, .mailboxes = 12, .mails = 420, \
	.mails_total = 1000, .mails_per_sec = 12.34, .bytes_per_sec = 1234567
	{ 100, { FULL, .mailbox = "INBOX", .eta_secs = 83 },
	  "jane  42% [###########.................] 3/12 INBOX 420/1000 mails "
	  "12/s 1.2 MB/s ETA 1:23" },
	{ 79, { FULL, .mailbox = "INBOX", .eta_secs = 3723 },
	  "jane  42% [######.........] 3/12 INBOX 420/1000 mails "
	  "12/s 1.2 MB/s ETA 1:02:03" },
	/* what is worth least goes first */
	{ 66, { FULL, .mailbox = "INBOX", .eta_secs = 83 },
	  " 42% [####......] 3/12 INBOX 420/1000 mails 12/s 1.2 MB/s ETA 1:23" },
	{ 54, { FULL, .mailbox = "INBOX", .eta_secs = 83 },
	  " 42% 3/12 INBOX 420/1000 mails 12/s 1.2 MB/s ETA 1:23" },
	{ 40, { FULL, .mailbox = "INBOX", .eta_secs = 83 },
	  " 42% 3/12 INBOX 12/s 1.2 MB/s ETA 1:23" },
	{ 30, { FULL, .mailbox = "INBOX", .eta_secs = 83 },
	  " 42% 3/12 INBOX 12/s ETA 1:23" },
	{ 20, { FULL, .mailbox = "INBOX", .eta_secs = 83 },
	  " 42% 3/12 ETA 1:23" },
	{ 14, { FULL, .mailbox = "INBOX", .eta_secs = 83 }, " 42% ETA 1:23" },
	{ 9, { FULL, .mailbox = "INBOX", .eta_secs = 83 }, " 42% 3/12" },
	{ 4, { FULL, .mailbox = "INBOX", .eta_secs = 83 }, " 42%" },
	{ 3, { FULL, .mailbox = "INBOX", .eta_secs = 83 }, "" },
	{ 0, { FULL, .mailbox = "INBOX", .eta_secs = 83 }, "" },
	/* names */
	{ 30, { FULL, .mailbox = "Archive/2019/Invoices", .eta_secs = 83 },
	  " 42% 3/12 Archi\xE2\x80\xA6 12/s ETA 1:23" },
	{ 32, { FULL, .mailbox = "Entw\xC3\xBCrfe und mehr", .eta_secs = 83 },
	  " 42% 3/12 Entw\xC3\xBCrf\xE2\x80\xA6 12/s ETA 1:23" },
	/* each of these takes two columns */
	{ 31, { FULL, .mailbox = "\xE5\x8F\x97\xE4\xBF\xA1\xE7\xAE\xB1\xE5\x8F\x97",
		.eta_secs = 83 },
	  " 42% 3/12 \xE5\x8F\x97\xE4\xBF\xA1\xE7\xAE\xB1\xE2\x80\xA6 12/s ETA 1:23" },
	{ 33, { FULL, .mailbox = "\xE5\x8F\x97\xE4\xBF\xA1\xE7\xAE\xB1\xE5\x8F\x97",
		.eta_secs = 83 },
	  " 42% 3/12 \xE5\x8F\x97\xE4\xBF\xA1\xE7\xAE\xB1\xE5\x8F\x97 12/s ETA 1:23" },
	/* a combining accent takes none */
	{ 30, { FULL, .mailbox = "Cafe\xCC\x81s", .eta_secs = 83 },
	  " 42% 3/12 Cafe\xCC\x81s 12/s ETA 1:23" },
	/* nothing that a terminal would obey */
	{ 30, { FULL, .mailbox = "A\033[2J", .eta_secs = 83 },
	  " 42% 3/12 A?[2J 12/s ETA 1:23" },
	{ 30, { FULL, .mailbox = "A\xC2\x9B" "2J\xFF", .eta_secs = 83 },
	  " 42% 3/12 A?2J? 12/s ETA 1:23" },
	/* how long */
	{ 20, { FULL, .mailbox = "", .eta_secs = -1 }, "jane  42% 12/s ETA ?" },
	{ 20, { FULL, .mailbox = "", .eta_secs = 200000 },
	  " 42% 12/s ETA 2d07h" },
	{ 20, { RUNNING, .mailbox = "", .mails = 7, .mails_total = 7 },
	  "100% 0.0/s ETA 0:00" },
	/* more than there were at the beginning */
	{ 14, { RUNNING, .mailbox = "", .mails = 8, .mails_total = 7 },
	  "100% ETA 0:00" },
	/* waiting */
#define WAITING .state = RUN_STATE_WAITING, .user = "jane", .mails = 420, \
	.mails_total = 1000, .mailbox = "INBOX", .mailbox_number = 3, \
	.mailboxes = 12
	{ 79, { WAITING, .wait = "throttled", .wait_left_msecs = 29001,
		.eta_secs = 100 },
	  " 42% [###......] 3/12 INBOX 420/1000 mails 0.0/s waiting 30 s: "
	  "server throttles" },
	{ 40, { WAITING, .wait = "throttled", .wait_left_msecs = 30000 },
	  " 42% 3/12 waiting 30 s: server throttles" },
	{ 24, { WAITING, .wait = "throttled", .wait_left_msecs = 30000 },
	  " 42% waiting 30 s: serv\xE2\x80\xA6" },
	{ 60, { WAITING, .wait = "quota", .wait_left_msecs = 3600000 },
	  " 42% 3/12 INBOX waiting 1:00:00: the server's quota is spent" },
	{ 50, { WAITING, .wait = "something", .wait_left_msecs = 0 },
	  "jane  42% 3/12 INBOX 0.0/s waiting: something" },
};

START_TEST(test_progress_line)
{
	string_t *line = t_str_new(64);

	progress_line_append(line, tests[_i].width, &tests[_i].status);
	ck_assert_str_eq(str_c(line), tests[_i].line);
	ck_assert_uint_le(progress_text_width(str_c(line)), tests[_i].width);
}
END_TEST

/* whatever the width, the line fits */
START_TEST(test_progress_line_fits_every_width)
{
	string_t *line = t_str_new(256);
	unsigned int width;

	for (width = 0; width < 250; width++) {
		str_truncate(line, 0);
		progress_line_append(line, width, &tests[_i].status);
		ck_assert_msg(progress_text_width(str_c(line)) <= width,
			      "%u: %s", width, str_c(line));
		ck_assert_ptr_null(strchr(str_c(line), '\n'));
	}
}
END_TEST

int main(void)
{
	Suite *s;
	TCase *tc = check_suite_begin(&s, "progress-line");

	tcase_add_loop_test(tc, test_progress_line, 0, N_ELEMENTS(tests));
	tcase_add_loop_test(tc, test_progress_line_fits_every_width, 0,
			    N_ELEMENTS(tests));
	return check_suite_run(s);
}
