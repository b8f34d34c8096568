/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PLAN_DSYNC_H
#define PLAN_DSYNC_H

#include "dsync-plan.h"
#include "verify-storage.h"

struct mail_namespace;

/* Reads what the plan of a backup or sync wants to know. Nothing is written. */

/* A mailbox of the source, of the destination, or of both. */
struct plan_dsync_pair {
	/* NULL: there is none */
	const struct verify_name *source, *dest;
	/* what it is called at the destination when the run is over */
	const char *name;
	/* what the source calls it, or "" */
	const char *source_name;
	/* what it is called at the destination now, if that is another name: the
	   run renames it; else "" */
	const char *old_name;
	/* the source has it, and the destination's user deleted it */
	bool was_deleted;
};
ARRAY_DEFINE_TYPE(plan_dsync_pair, struct plan_dsync_pair);

/* Which mailboxes belong together: by name, and then by GUID, as dsync finds
   renamed mailboxes. Both lists are sorted by name. Strings lie in the pool. */
void plan_dsync_pair_names(struct mail_namespace *dest_namespaces,
			   const ARRAY_TYPE(verify_name) *source_names,
			   const ARRAY_TYPE(verify_name) *dest_names,
			   pool_t pool, ARRAY_TYPE(plan_dsync_pair) *pairs);

struct plan_dsync_sides {
	struct dsync_plan_side source, dest;
	/* the identities are GUIDs */
	bool guids;
	/* a run has completed the destination's mailbox before */
	bool completed;
};

/* Reads both sides; with merge also what was changed at the destination.
   Returns 0 and both sides (pool), or -1, error_r, and in *side_r the one that
   could not be read: "Source" or "Destination". */
int plan_dsync_read(const struct plan_dsync_pair *pair, bool merge, pool_t pool,
		    struct plan_dsync_sides *sides_r,
		    struct verify_error *error_r, const char **side_r);

/* Why the destination would not take a mailbox of this name, or NULL. */
const char *plan_dsync_bad_name(struct mail_namespace *dest_namespaces,
				const char *name);

#endif
