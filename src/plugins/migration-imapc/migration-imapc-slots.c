/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* migration_imapc_max_connections: how many connections all runs on this machine
   have to the source (connection-cap.h). A run's first connection is waited for
   before the login, and counts until the run is done with the source, whether it
   is connected or not. The second one, for mails that the server does not give,
   takes turns with the first if there is no slot for it. */

#include "lib.h"
#include "array.h"
#include "imapc-client-private.h"
#include "imapc-connection.h"
#include "connection-slot.h"
#include "migration-run.h"
#include "migration-imapc-private.h"
#include "migration-imapc-ahead.h"
#include "migration-imapc-slots.h"

#define SLOTS_SETTING "migration_imapc_max_connections"

static void
slots_get_cap(struct migration_imapc_list *mlist, struct connection_cap *cap_r)
{
	const char *error;

	if (!migration_imapc_max_connections_parse(mlist->muser->set, cap_r,
						   &error))
		i_unreached(); /* the settings were checked */
	if (cap_r->counted)
		cap_r->max = mlist->profile.host_connections;
}

bool migration_imapc_slots_take_first(struct migration_imapc_list *mlist,
				      const char **why_r)
{
	struct migration_run *run =
		migration_run_find(mlist->list->list.ns->user);
	struct connection_cap cap;

	if (mlist->slot != NULL)
		return TRUE;
	slots_get_cap(mlist, &cap);
	return connection_slot_wait(run, migration_imapc_list_source(mlist),
		&cap, run->patience_msecs, SLOTS_SETTING, &mlist->slot, why_r);
}

bool migration_imapc_slots_keep_first(struct migration_imapc_list *mlist)
{
	struct connection_cap_waits waits = { .tries = 0 };
	struct connection_cap cap;
	unsigned int msecs;

	slots_get_cap(mlist, &cap);
	/* without a slot nothing could be counted */
	if (mlist->slot == NULL ||
	    connection_cap_decide(&cap, connection_slot_number(mlist->slot),
				  FALSE, 0, 0, &waits,
				  &msecs) == CONNECTION_CAP_GO)
		return TRUE;
	e_debug(mlist->muser->event, "%s allows %u connections, and others have "
		"them: this one is closed until one of theirs ends",
		migration_imapc_list_source(mlist), cap.max);
	connection_slot_release(&mlist->slot);
	return FALSE;
}

bool migration_imapc_slots_have_neighbour(struct migration_imapc_list *mlist)
{
	return connection_slot_has_neighbour(mlist->slot,
					     migration_imapc_list_source(mlist));
}

/* Nothing is on its way then: nothing has to be sent twice. imapc connects again
   when it wants something, and selects its mailbox again. */
static void slots_rest_first(struct migration_imapc_list *mlist)
{
	struct imapc_client_connection *conn;
	struct imapc_client_mailbox *box;

	e_debug(mlist->muser->event, "no second connection to %s is free: the "
		"first one makes room for it", migration_imapc_list_source(mlist));
	if (mlist->ahead != NULL)
		migration_imapc_ahead_drain(mlist->ahead);
	array_foreach_elem(&mlist->list->client->client->conns, conn) {
		box = imapc_connection_get_mailbox(conn->conn);
		if (box != NULL && box->reopen_callback != NULL)
			box->reconnecting = TRUE;
		imapc_connection_disconnect_full(conn->conn, TRUE);
	}
}

void migration_imapc_slots_take_second(struct migration_imapc_list *mlist)
{
	struct connection_cap_waits waits = { .tries = 0 };
	struct connection_cap cap;
	const char *error;
	unsigned int msecs;

	slots_get_cap(mlist, &cap);
	if (!cap.counted || mlist->slot == NULL ||
	    connection_slot_take(migration_imapc_list_source(mlist), cap.max,
				 &mlist->spare_slot, &error) < 0)
		return;
	if (connection_cap_decide(&cap,
			connection_slot_number(mlist->spare_slot), TRUE, 0, 0,
			&waits, &msecs) == CONNECTION_CAP_IN_TURN) {
		mlist->spare_in_turn = TRUE;
		slots_rest_first(mlist);
	}
}

void migration_imapc_slots_release_second(struct migration_imapc_list *mlist)
{
	mlist->spare_in_turn = FALSE;
	connection_slot_release(&mlist->spare_slot);
}
