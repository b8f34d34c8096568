/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_SLOTS_H
#define MIGRATION_IMAPC_SLOTS_H

struct migration_imapc_list;

/* Waits until the run may connect. FALSE and why_r (data stack) if it may not
   within its patience: the run has been recorded as one to be continued. */
bool migration_imapc_slots_take_first(struct migration_imapc_list *mlist,
				      const char **why_r);
/* Now the provider is known, and with it how many connections it allows. FALSE if
   this one is too many: the slot was given back, and the caller closes the
   connection. */
bool migration_imapc_slots_keep_first(struct migration_imapc_list *mlist);
/* Other runs are connected to the server now: it is there. */
bool migration_imapc_slots_have_neighbour(struct migration_imapc_list *mlist);

/* Before the spare connection is made: takes a slot, or closes the first
   connection and sets spare_in_turn. Never waits for other runs. */
void migration_imapc_slots_take_second(struct migration_imapc_list *mlist);
/* The spare connection is closed. */
void migration_imapc_slots_release_second(struct migration_imapc_list *mlist);

#endif
