/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_REPORT_H
#define MIGRATION_REPORT_H

struct migration_run;

/* The program's name and version. */
const char *migration_report_program(void);

/* Raised when a field changes its meaning or goes away; new fields alone do
   not raise it. The fields are documented in doc/report.md. */
#define MIGRATION_REPORT_VERSION 1

/* Appends ["]text["] as a JSON string, whatever bytes the text has. */
void migration_report_append_string(string_t *dest, const char *text);

/* Appends the whole report: one JSON object, ending with a newline. */
void migration_report_append_json(string_t *dest,
				  const struct migration_run *run);

/* Writes the report to the path, making its directory if needed. The file
   appears complete or not at all: it is written beside the path and renamed.
   Returns 0, or -1 and error_r (data stack). */
int migration_report_save(const struct migration_run *run, const char *path,
			  const char **error_r);

/* Appends what a person wants to read after the run: one line of counts, then
   the findings by kind with a few examples of each. Lines end with newlines. */
void migration_report_append_summary(string_t *dest,
				     const struct migration_run *run);

#endif
