/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef RUN_MAILBOX_H
#define RUN_MAILBOX_H

/* What a run puts in front of the functions of each mailbox, at the source and at
   the destination: outermost the deletion guard, then the progress, then the
   check of what was saved. One context for all: Dovecot compares the whole tables
   of functions for each one that is put before a mailbox, and dsync allocates
   each mailbox ten times. */

#include "mail-storage-private.h"
#include "deletion-guard.h"
#include "save-check.h"

#define RUN_MAILBOX(obj) MODULE_CONTEXT(obj, run_mailbox_module)
#define RUN_MAILBOX_REQUIRE(obj) MODULE_CONTEXT_REQUIRE(obj, run_mailbox_module)

struct run_mailbox {
	union mailbox_module_context module_ctx;
	struct guard_mailbox guard;
	struct save_check_mailbox save_check;
};

/* Set for all mailboxes of users who have a plugin of the suite. */
extern MODULE_CONTEXT_DEFINE(run_mailbox_module, &mail_storage_module_register);

/* When the module is loaded. */
void run_mailbox_init(void);

#endif
