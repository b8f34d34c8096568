/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef USERS_SUMMARY_H
#define USERS_SUMMARY_H

/* How the users of a command that ran for several ended. */

struct users_summary;

struct users_summary *users_summary_init(void);
void users_summary_deinit(struct users_summary **summary);

/* exit_code: of this user, as doc/report.md lists them. */
void users_summary_add(struct users_summary *summary, const char *username,
		       int exit_code);
/* Appends one line without a newline: the number of users, and how many of them
   are done, done with findings, to be run again and failed, each with its first
   names. Classes without users are left out. */
void users_summary_append(string_t *dest, const struct users_summary *summary);

#endif
