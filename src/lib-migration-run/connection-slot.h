/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CONNECTION_SLOT_H
#define CONNECTION_SLOT_H

#include "connection-cap.h"

struct migration_run;
struct connection_slot;

/* A slot (connection-cap.h) that a process of this machine has. It is a name in
   the kernel: the address of an abstract UNIX socket, which only one socket has
   at a time. Processes of all users reach it, whoever they are and wherever
   their homes are, nothing has to be set up or cleaned, and the kernel gives it
   back the moment a process dies. It belongs to a network namespace, as does the
   address that the server counts connections by. `ss -xa` shows who has which.

   Lock files would need a folder that all users may write to: made by whom, if
   doveadm has given up root's rights by then? */

/* Takes the lowest free slot below max (0: any). Returns 1 and slot_r, 0 if none
   is free, or -1 and error_r (data stack) if that cannot be known. */
int connection_slot_take(const char *server, unsigned int max,
			 struct connection_slot **slot_r, const char **error_r);
/* Gives it back. NULL is ignored. */
void connection_slot_release(struct connection_slot **slot);
/* CONNECTION_CAP_NO_SLOT for NULL. */
unsigned int connection_slot_number(const struct connection_slot *slot);
/* Another connection has a slot of the same server, too. FALSE for NULL. */
bool connection_slot_has_neighbour(const struct connection_slot *slot,
				   const char *server);

/* The same as a run does for its first connection: waits for a slot, no longer
   than the patience, with the cause RUN_WAIT_CONNECTIONS. setting: where the cap
   comes from. Returns TRUE if a connection may be made: slot_r is NULL then if
   connections are not counted, or cannot be, which is logged as an error.
   FALSE and why_r (data stack) if the run ends: it is recorded as one that a
   later run continues. */
bool connection_slot_wait(struct migration_run *run, const char *server,
			  const struct connection_cap *cap,
			  uint64_t patience_msecs, const char *setting,
			  struct connection_slot **slot_r, const char **why_r);

#endif
