/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "lib-event.h"
#include "mail-user.h"
#include "user-debug.h"

#if DOVECOT_PREREQ(2, 4, 0)

void user_debug_inherit(struct mail_user *user)
{
	/* -D is given to the process, not to a user */
	static bool debugging = FALSE;

	if (event_want_debug(user->event))
		debugging = TRUE;
	else if (debugging)
		event_set_forced_debug(user->event, TRUE);
}

#else

void user_debug_inherit(struct mail_user *user ATTR_UNUSED)
{
}

#endif
