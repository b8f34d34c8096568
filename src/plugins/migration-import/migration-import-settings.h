/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMPORT_SETTINGS_H
#define MIGRATION_IMPORT_SETTINGS_H

struct migration_import_settings {
	pool_t pool;

	/* What is done with a mail that the destination has already:
	   "merge-flags" joins the flags and keywords of both, "skip" leaves
	   the destination's mail alone, "import" saves it once more. */
	const char *duplicates;
	/* Where a mail of the source is looked for before its text is fetched:
	   "mailbox" for the mailbox of the same name, "all" for all others as
	   well, from which it is copied then. */
	const char *scope;
	/* Mails that are committed together. What is committed stays if the
	   run is killed. */
	unsigned int commit_mails;
};

extern const struct setting_parser_info migration_import_setting_parser_info;

#endif
