/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MAILBOX_USE_H
#define MAILBOX_USE_H

#include "mailbox-map.h"

/* localized-names: What mailboxes are used for, from the names that providers and clients give
   them in the user's language: for servers that do not say it by special-use
   attributes (RFC 6154). A name proves nothing, so it is for
   migration_imapc_localized_names to ask for it. */

/* The special-use attribute that the name is known for, such as "\\Sent", or NULL.
   Case, and the way in which accents are encoded, do not matter. */
const char *mailbox_use_of_name(const char *name);

/* Sets the special_use of mailboxes at the top that have none, if no mailbox has
   that use. If the names of two mailboxes say it, nobody knows which one is meant,
   and neither gets it. */
void mailbox_use_guess(ARRAY_TYPE(mailbox_map_entry) *entries, char separator);

#endif
