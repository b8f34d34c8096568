/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_SETTINGS_H
#define MIGRATION_SETTINGS_H

/* Of `backup`, `sync` and `import` only: other commands would replace their
   report. */
#define MIGRATION_REPORT_PATH_DEFAULT "~/dovecot-migration-report.json"

#define MIGRATION_STATUS_PATH_DEFAULT "~/dovecot-migration-status.json"

/* Settings that concern a whole run, whichever plugins take part in it. */
struct migration_settings {
	pool_t pool;
	/* Where each run's report is written, "" for nowhere. ~/ is the user's
	   home. */
	const char *report_path;
	/* Where a run writes once a second how far it is, "" for nowhere. */
	const char *status_path;
	/* "auto", "yes" or "no": a line on the terminal */
	const char *progress;
	/* where runs on several hosts lock a user, "" for nowhere (see
	   dict-open.h); and how long one that is silent counts as alive, in
	   seconds */
	const char *lock_dict;
	unsigned int lock_lease;
	/* how many of a mailbox's mails a run may delete: see delete-guard.h */
	const char *max_deletes;
};

extern const struct setting_parser_info migration_setting_parser_info;

#endif
