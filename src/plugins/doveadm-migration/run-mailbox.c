/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "module-dir.h"
#include "mail-storage-hooks.h"
#include "migration-user.h"
#include "run-mailbox.h"
#include "run-progress.h"

struct run_mailbox_module run_mailbox_module =
	MODULE_CONTEXT_INIT(&mail_storage_module_register);

static void run_mailbox_allocated(struct mailbox *box)
{
	struct mailbox_vfuncs *v = box->vlast;
	struct run_mailbox *rbox;

	if (!migration_user_has_plugin(box->storage->user))
		return;
	rbox = p_new(box->pool, struct run_mailbox, 1);
	rbox->module_ctx.super = *v;
	box->vlast = &rbox->module_ctx.super;
	MODULE_CONTEXT_SET(box, run_mailbox_module, rbox);
	/* what several of them have is called by the one before */
	save_check_mailbox_init(box, &rbox->save_check, v);
	run_progress_mailbox_init(v);
	deletion_guard_mailbox_init(v);
}

static struct mail_storage_hooks run_mailbox_mail_storage_hooks = {
	.mailbox_allocated = run_mailbox_allocated,
};

/* see deletion_guard_init() */
static char run_mailbox_module_path[] = "lib04_migration_run";
static struct module run_mailbox_plugin = { .path = run_mailbox_module_path };

void run_mailbox_init(void)
{
	mail_storage_hooks_add_forced(&run_mailbox_plugin,
				      &run_mailbox_mail_storage_hooks);
}
