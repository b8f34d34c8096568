/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_IMPORT_SOURCE_H
#define DOVEADM_IMPORT_SOURCE_H

struct doveadm_mail_cmd_context;

/* `doveadm import` of several users (-A, -F, -u with a mask): each of them
   gets his own mail, and his own mail storage stays his. Stock creates the
   source once and gives the first user's mail to all (QUIRKS.md,
   "import-source-once"), does not expand %{variables} in 2.4
   ("import-variables"); and as 2.3 looks the source's user up as root and
   remains root, what it writes then belongs to root ("import-as-root"). */

/* hook_doveadm_mail_init: wraps run() of `import`. Must come before other
   wrappers, which then see one user's import as a whole. */
void doveadm_import_source_wrap(struct doveadm_mail_cmd_context *ctx);

#endif
