/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef REFERENCE_H
#define REFERENCE_H

/* The pages of doc/ that are made of the program's own tables. Each appends a
   whole page, as Markdown. */

/* doc/settings.md */
void reference_append_settings(string_t *dest);
/* doc/errors.md */
void reference_append_errors(string_t *dest);
/* doc/findings.md */
void reference_append_findings(string_t *dest);

#endif
