/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef FETCH_AHEAD_H
#define FETCH_AHEAD_H

struct fetch_window;
struct sync_side;

/* What to ask for ahead of its use, before the caller said what it wants. */

/* The first UID that the destination does not have, as far as UIDs tell: all
   mails are new to it if its UIDVALIDITY is another one. dest is all 0 if it
   has no such mailbox. */
uint32_t fetch_ahead_new_uid(const struct sync_side *source,
			     const struct sync_side *dest);

/* TRUE if the mails from fetch_ahead_new_uid() on are most probably the ones
   whose texts will be wanted. They are not if the destination has mails whose
   UIDs mean nothing here: then it may have the same mails under other UIDs, and
   what it has is not to be downloaded. */
bool fetch_ahead_can_guess(const struct sync_side *source,
			   const struct sync_side *dest);

/* TRUE if it is time to ask for more: at most half of the window is in use. So
   the server sends one half while the other one is being used, and commands do
   not get small. */
bool fetch_ahead_should_fill(const struct fetch_window *window);

/* The order in which dsync visits mailboxes: a mailbox before its children,
   and its children before a neighbour whose name is longer. */
int fetch_ahead_name_cmp(const char *name1, const char *name2, char separator);

#endif
