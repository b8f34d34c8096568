/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef SOURCE_FILTER_H
#define SOURCE_FILTER_H

struct mail_user;
struct mailbox_list;

/* Which mailboxes the run leaves alone on both sides (mailbox-filter.h). The
   destination may list its mailboxes before the source is known, and learns only
   later what holds no mail there: so such mailboxes are hidden in both lists as
   far as that is known, and are not deleted in any case. */

/* Patterns, see mailbox-filter.h. What is set first, before the source is known,
   is what the destination's list hides for the whole run. */
void source_filter_set(struct mail_user *user, const char *include,
		       const char *exclude);

/* TRUE if the run leaves alone the mailbox of this name in one of the user's
   lists; reason_r (data stack) is set then. Without a run, as in somebody's
   session, nothing is. */
bool source_filter_hides(struct mail_user *user, struct mailbox_list *list,
			 const char *vname, const char **reason_r);
/* The same, of what the destination's list hides. */
bool source_filter_hides_in_dest(struct mail_user *user,
				 struct mailbox_list *list, const char *vname);

#endif
