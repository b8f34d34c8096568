/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PLAN_LIMITS_H
#define PLAN_LIMITS_H

struct plan_context;
struct plan_limits;
struct plan_dsync_pair;
struct dsync_plan;
struct migration_run;

/* What stands in a run's way besides deletions: the destination's quota, mails
   that are too large for it, the source's speed and its daily limit. What does
   becomes a finding. */

struct plan_limits *plan_limits_init(struct plan_context *pctx, pool_t pool);

/* A mailbox that was planned. The first mails that are to be copied are read,
   to measure how long that takes. */
void plan_limits_add(struct plan_limits *limits,
		     const struct plan_dsync_pair *pair,
		     const struct dsync_plan *plan);

/* After the last mailbox. */
void plan_limits_finish(struct plan_limits *limits);

/* Tells what the source's server can do, if it is known. */
void plan_source_tell(const struct migration_run *run);
/* Appends the member "source". */
void plan_source_append_json(const struct migration_run *run, string_t *dest);

/* Appends the members "source" and "estimate". */
void plan_limits_append_json(const struct plan_limits *limits, string_t *dest);

#endif
