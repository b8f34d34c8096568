/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CONNECTION_CAP_H
#define CONNECTION_CAP_H

/* How many connections the runs on this machine may have to one server at once,
   whoever's mail they bring. Servers count them by address: Courier's MAXPERIP
   closes the one beyond it without a word.

   Each connection has a slot, numbered from 0; a run takes the lowest that is
   free. A cap of 4 allows slots 0 to 3. As long as nobody knows the cap, slots
   are taken all the same: once a run knows it, it sees whether its own is
   allowed.

   A run waits for its first connection only, and while it waits it has none, so
   that no two runs can wait for each other. */

struct connection_cap {
	/* FALSE: slots are neither taken nor counted */
	bool counted;
	/* the most connections; 0: not known, or none */
	unsigned int max;
};

/* No slot is free, or none that is allowed. */
#define CONNECTION_CAP_NO_SLOT UINT_MAX

enum connection_cap_action {
	/* connect */
	CONNECTION_CAP_GO,
	/* ask again after the wait */
	CONNECTION_CAP_WAIT,
	/* the patience is used up: a later run can go on (exit code 75) */
	CONNECTION_CAP_LATER,
	/* the run's first connection has to be closed for the time of the
	   second */
	CONNECTION_CAP_IN_TURN,
};

/* What one row of waits came to; begins as all 0. */
struct connection_cap_waits {
	unsigned int tries;
	uint64_t msecs;
};

/* The value of migration_imapc_max_connections or migration_pop3_max_connections:
   a number above 0, "unlimited", or "auto" for what the source is known to
   allow, which is in max once the caller knows it. Returns FALSE and error_r
   (data stack, it names the setting) if it is none of them. */
bool connection_cap_parse(const char *setting, const char *value,
			  struct connection_cap *cap_r, const char **error_r);

/* slot is the one that was free, which the run has now, or
   CONNECTION_CAP_NO_SLOT. second: the run has a connection already. chance is
   any number. Waits count as had. */
enum connection_cap_action
connection_cap_decide(const struct connection_cap *cap, unsigned int slot,
		      bool second, uint64_t patience_msecs, uint32_t chance,
		      struct connection_cap_waits *waits,
		      unsigned int *wait_msecs_r);

/* What the slot is called on this machine (data stack). server is host:port;
   the name has at most CONNECTION_CAP_NAME_LEN bytes and says both if they
   fit. */
const char *connection_cap_slot_name(const char *server, unsigned int slot);
/* as many as a socket's address holds */
#define CONNECTION_CAP_NAME_LEN 100

#endif
