/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef DOVEADM_USERS_H
#define DOVEADM_USERS_H

struct doveadm_mail_cmd_context;

/* For a command that runs for several users (-A, -F, -u mask): one who cannot be
   looked up or initialized is counted and named instead of ending the command
   for all who come after him, or being passed over with exit code 0, and a
   summary is logged at the end. In hook_doveadm_mail_init, after the other
   wrappers. */
void doveadm_users_wrap(struct doveadm_mail_cmd_context *ctx);

#endif
