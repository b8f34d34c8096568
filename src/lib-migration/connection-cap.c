/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hex-binary.h"
#include "sha1.h"
#include "str-sanitize.h"
#include "connection-cap.h"

/* Another run's end is noticed soon, and hundreds of runs that wait are no
   load. */
#define CAP_FIRST_WAIT_MSECS 100
#define CAP_MAX_WAIT_MSECS 1000

#define CAP_NAME_PREFIX "dovecot-migration/"

bool connection_cap_parse(const char *setting, const char *value,
			  struct connection_cap *cap_r, const char **error_r)
{
	i_zero(cap_r);
	cap_r->counted = TRUE;
	if (strcmp(value, "auto") == 0)
		return TRUE;
	if (strcmp(value, "unlimited") == 0) {
		cap_r->counted = FALSE;
		return TRUE;
	}
	if (str_to_uint(value, &cap_r->max) < 0 || cap_r->max == 0) {
		*error_r = t_strdup_printf("%s must be a number above 0, auto or "
			"unlimited: %s", setting, str_sanitize(value, 80));
		return FALSE;
	}
	return TRUE;
}

static unsigned int cap_wait(unsigned int tries, uint32_t chance)
{
	unsigned int msecs = CAP_FIRST_WAIT_MSECS;

	while (tries-- > 0 && msecs < CAP_MAX_WAIT_MSECS)
		msecs *= 2;
	msecs = I_MIN(msecs, CAP_MAX_WAIT_MSECS);
	/* those that began together come back one by one */
	return msecs * 3 / 4 + msecs / 4 * (chance % 1024) / 1023;
}

enum connection_cap_action
connection_cap_decide(const struct connection_cap *cap, unsigned int slot,
		      bool second, uint64_t patience_msecs, uint32_t chance,
		      struct connection_cap_waits *waits,
		      unsigned int *wait_msecs_r)
{
	unsigned int msecs;

	*wait_msecs_r = 0;
	if (!cap->counted ||
	    (slot != CONNECTION_CAP_NO_SLOT &&
	     (cap->max == 0 || slot < cap->max)))
		return CONNECTION_CAP_GO;
	if (second)
		return CONNECTION_CAP_IN_TURN;
	msecs = cap_wait(waits->tries, chance);
	if (waits->msecs + msecs > patience_msecs)
		return CONNECTION_CAP_LATER;
	waits->tries++;
	waits->msecs += msecs;
	*wait_msecs_r = msecs;
	return CONNECTION_CAP_WAIT;
}

const char *connection_cap_slot_name(const char *server, unsigned int slot)
{
	const char *name = t_strdup_printf(CAP_NAME_PREFIX"%s/%u",
					   t_str_lcase(server), slot);
	unsigned char digest[SHA1_RESULTLEN];

	if (strlen(name) <= CONNECTION_CAP_NAME_LEN)
		return name;
	server = t_str_lcase(server);
	sha1_get_digest(server, strlen(server), digest);
	return t_strdup_printf(CAP_NAME_PREFIX"%s/%u",
			       binary_to_hex(digest, sizeof(digest)), slot);
}
