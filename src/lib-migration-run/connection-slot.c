/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "lib-event.h"
#include "migration-run.h"
#include "run-status.h"
#include "connection-slot.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Without a cap, slots are only numbers to be compared with one later. */
#define SLOTS_MAX 10000
/* So far up other runs are looked for. */
#define NEIGHBOURS_MAX 1000

struct connection_slot {
	int fd;
	unsigned int number;
};

union slot_address {
	struct sockaddr any;
	struct sockaddr_un un;
};

/* Returns the address's size. */
static socklen_t
slot_address(const char *server, unsigned int number,
	     union slot_address *addr_r)
{
	const char *name = connection_cap_slot_name(server, number);
	size_t len = strlen(name);

	/* abstract: it begins with a NUL and ends with its length */
	i_zero(addr_r);
	i_assert(len < sizeof(addr_r->un.sun_path));
	addr_r->un.sun_family = AF_UNIX;
	memcpy(addr_r->un.sun_path + 1, name, len);
	return offsetof(struct sockaddr_un, sun_path) + 1 + len;
}

static int slot_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* Returns 1, 0 if another socket has the name, -1. */
static int slot_bind(int fd, const char *server, unsigned int number)
{
	union slot_address addr;
	socklen_t len = slot_address(server, number, &addr);

	if (bind(fd, &addr.any, len) == 0)
		return 1;
	return errno == EADDRINUSE ? 0 : -1;
}

int connection_slot_take(const char *server, unsigned int max,
			 struct connection_slot **slot_r, const char **error_r)
{
	unsigned int number = 0;
	int fd, ret = 0;

	*slot_r = NULL;
	fd = slot_socket();
	if (fd == -1) {
		*error_r = t_strdup_printf("socket() failed: %m");
		return -1;
	}
	if (max == 0)
		max = SLOTS_MAX;
	for (; number < max && ret == 0; number++) T_BEGIN {
		ret = slot_bind(fd, server, number);
	} T_END;
	if (ret <= 0) {
		if (ret < 0)
			*error_r = t_strdup_printf("bind() failed: %m");
		i_close_fd(&fd);
		return ret;
	}
	*slot_r = i_new(struct connection_slot, 1);
	(*slot_r)->fd = fd;
	(*slot_r)->number = number - 1;
	return 1;
}

void connection_slot_release(struct connection_slot **_slot)
{
	struct connection_slot *slot = *_slot;

	*_slot = NULL;
	if (slot == NULL)
		return;
	i_close_fd(&slot->fd);
	i_free(slot);
}

unsigned int connection_slot_number(const struct connection_slot *slot)
{
	return slot == NULL ? CONNECTION_CAP_NO_SLOT : slot->number;
}

bool connection_slot_has_neighbour(const struct connection_slot *slot,
				   const char *server)
{
	union slot_address addr;
	bool found = FALSE;
	int fd;

	if (slot == NULL)
		return FALSE;
	if (slot->number > 0)
		return TRUE;
	/* theirs are above if one below has become free */
	if ((fd = slot_socket()) == -1)
		return FALSE;
	for (unsigned int i = 1; i < NEIGHBOURS_MAX && !found; i++) T_BEGIN {
		socklen_t len = slot_address(server, i, &addr);

		found = connect(fd, &addr.any, len) == 0;
	} T_END;
	i_close_fd(&fd);
	return found;
}

/* ---- waiting ---- */

static const char *
slot_stop(struct migration_run *run, const char *server,
	  const struct connection_cap *cap, const char *setting)
{
	const char *why = t_strdup_printf("All %u connections that migrations "
		"on this machine may have to %s (%s) are in use by others",
		cap->max, server, setting);

	if (!run->continue_later) {
		run->continue_later = TRUE;
		migration_run_finding(run, MIGRATION_SEVERITY_WARNING, NULL, 0,
			FINDING_CONNECTIONS_IN_USE, "%s. What was migrated "
			"stays, the next run goes on from there.", why);
	}
	return why;
}

bool connection_slot_wait(struct migration_run *run, const char *server,
			  const struct connection_cap *cap,
			  uint64_t patience_msecs, const char *setting,
			  struct connection_slot **slot_r, const char **why_r)
{
	struct connection_cap_waits waits = { .tries = 0 };
	const char *error;
	unsigned int msecs;

	*slot_r = NULL;
	if (!cap->counted)
		return TRUE;
	for (;;) {
		if (connection_slot_take(server, cap->max, slot_r, &error) < 0) {
			e_error(run->event, "Connections to %s are not counted "
				"(%s): %s", server, setting, error);
			return TRUE;
		}
		switch (connection_cap_decide(cap,
				connection_slot_number(*slot_r), FALSE,
				patience_msecs, i_rand(), &waits, &msecs)) {
		case CONNECTION_CAP_GO:
			return TRUE;
		case CONNECTION_CAP_WAIT:
			if (waits.tries == 1) {
				e_info(run->event, "Waiting for one of the %u "
					"connections that migrations on this "
					"machine may have to %s (%s)", cap->max,
					server, setting);
			}
			migration_run_waited(run, RUN_WAIT_CONNECTIONS, msecs);
			if (migration_progress_sleep(run, RUN_WAIT_CONNECTIONS,
						     msecs))
				break;
			*why_r = "The run was told to end";
			return FALSE;
		case CONNECTION_CAP_LATER:
		case CONNECTION_CAP_IN_TURN:
			*why_r = slot_stop(run, server, cap, setting);
			return FALSE;
		}
	}
}
