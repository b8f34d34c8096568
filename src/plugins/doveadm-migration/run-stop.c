/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "lib-signals.h"
#include "module-dir.h"
#include "mail-storage-hooks.h"
#include "mail-user.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "imapc-storage.h"
#include "compat-imapc.h"
#include "migration-run.h"
#include "migration-user.h"
#include "run-stop.h"

#include <signal.h>
#include <unistd.h>

#define RUN_STOP_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, run_stop_storage_module)

struct run_stop_storage {
	union mail_storage_module_context module_ctx;
};

static MODULE_CONTEXT_DEFINE_INIT(run_stop_storage_module,
				  &mail_storage_module_register);

static int (*run_give_up)(void);
static int run_signo;
static bool alarm_is_set;
static bool signals_are_held;
/* of both users */
static ARRAY(struct imapc_storage *) imapc_storages;

int run_stop_signo(void)
{
	return run_signo;
}

static void disconnect(struct imapc_client *client)
{
	struct imapc_client_connection *const *conns;
	unsigned int i;

	compat_imapc_client_set_retry_count(client, 0);
	/* callbacks of aborted commands can change the list */
	for (i = 0; i < array_count(&client->conns); i++) {
		conns = array_idx(&client->conns, i);
		imapc_connection_set_no_reconnect((*conns)->conn);
		imapc_connection_disconnect((*conns)->conn);
	}
}

/* The handlers are called from an I/O loop, that is, while something waits. */
static void run_stop_alarm(const siginfo_t *si ATTR_UNUSED,
			   void *context ATTR_UNUSED)
{
	if (run_give_up != NULL)
		_exit(run_give_up());
}

static void run_stop_signal(const siginfo_t *si, void *context ATTR_UNUSED)
{
	struct imapc_storage *storage;

	if (run_signo != 0)
		return;
	run_signo = si->si_signo;
	migration_run_set_stopping(TRUE);
	lib_signals_set_handler(SIGALRM, LIBSIG_FLAG_DELAYED |
				LIBSIG_FLAG_IOLOOP_AUTOMOVE,
				run_stop_alarm, NULL);
	alarm_is_set = TRUE;
	(void)alarm(RUN_STOP_MAX_SECS);

	if (!array_is_created(&imapc_storages))
		return;
	array_foreach_elem(&imapc_storages, storage) {
		if (storage->client != NULL && storage->client->client != NULL)
			disconnect(storage->client->client);
	}
}

static void hold_signals(bool hold)
{
	sigset_t signals;

	if (signals_are_held == hold)
		return;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &signals, NULL);
	signals_are_held = hold;
}

void run_stop_run_returned(void)
{
	hold_signals(FALSE);
}

void run_stop_begin(int (*give_up)(void))
{
	const enum libsig_flags flags =
		LIBSIG_FLAG_DELAYED | LIBSIG_FLAG_IOLOOP_AUTOMOVE;

	run_give_up = give_up;
	run_signo = 0;
	lib_signals_set_handler(SIGINT, flags, run_stop_signal, NULL);
	lib_signals_set_handler(SIGTERM, flags, run_stop_signal, NULL);
}

void run_stop_end(void)
{
	hold_signals(FALSE);
	run_give_up = NULL;
	if (alarm_is_set) {
		(void)alarm(0);
		lib_signals_unset_handler(SIGALRM, run_stop_alarm, NULL);
		alarm_is_set = FALSE;
	}
	lib_signals_unset_handler(SIGINT, run_stop_signal, NULL);
	lib_signals_unset_handler(SIGTERM, run_stop_signal, NULL);
	migration_run_set_stopping(FALSE);
}

static void run_stop_storage_destroy(struct mail_storage *storage)
{
	struct run_stop_storage *sstorage = RUN_STOP_CONTEXT_REQUIRE(storage);
	struct imapc_storage *const *storagep;

	/* dsync-late-signal: dsync is done, and takes a signal that comes while
	   its source logs out for a failure, for which it has no reason */
	if (run_give_up != NULL && storage->user->dsyncing)
		hold_signals(TRUE);
	array_foreach(&imapc_storages, storagep) {
		if (&(*storagep)->storage == storage) {
			array_delete(&imapc_storages,
				     array_foreach_idx(&imapc_storages,
						       storagep), 1);
			break;
		}
	}
	if (array_count(&imapc_storages) == 0)
		array_free(&imapc_storages);
	sstorage->module_ctx.super.destroy(storage);
}

static void run_stop_mail_storage_created(struct mail_storage *storage)
{
	struct mail_storage_vfuncs *v = storage->vlast;
	struct run_stop_storage *sstorage;
	struct imapc_storage *imapc_storage;

	if (strcmp(storage->name, IMAPC_STORAGE_NAME) != 0 ||
	    !migration_user_has_plugin(storage->user))
		return;
	sstorage = p_new(storage->pool, struct run_stop_storage, 1);
	sstorage->module_ctx.super = *v;
	storage->vlast = &sstorage->module_ctx.super;
	v->destroy = run_stop_storage_destroy;
	MODULE_CONTEXT_SET(storage, run_stop_storage_module, sstorage);

	imapc_storage = IMAPC_STORAGE(storage);
	if (!array_is_created(&imapc_storages))
		i_array_init(&imapc_storages, 2);
	array_push_back(&imapc_storages, &imapc_storage);
}

static struct mail_storage_hooks run_stop_mail_storage_hooks = {
	.mail_storage_created = run_stop_mail_storage_created,
};

static char run_stop_module_path[] = "lib04_migration_stop";
static struct module run_stop_module = { .path = run_stop_module_path };

void run_stop_init(void)
{
	/* never removed: see deletion_guard_init() */
	mail_storage_hooks_add_forced(&run_stop_module,
				      &run_stop_mail_storage_hooks);
}
