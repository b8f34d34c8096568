/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_BUDGET_H
#define MIGRATION_BUDGET_H

#include "fetch-budget.h"

struct mail_user;
struct migration_budget;

/* What one user's runs may download from one source (fetch-budget.h), counted
   across runs in the file dovecot-migration-downloads of his home. Without a
   home only this run is counted. */

/* source tells accounts apart, such as host:port/user; it is no secret. */
struct migration_budget *
migration_budget_init(struct mail_user *user, const char *source,
		      const struct fetch_budget_limits *limits);
/* Writes the numbers. */
void migration_budget_deinit(struct migration_budget **budget);

/* The server turned out to be one whose operator allows so much. */
void migration_budget_set_daily_limit(struct migration_budget *budget,
				      uint64_t bytes, const char *whose);

/* May a mail be downloaded now? size and ahead as in fetch_budget_ask(). Pauses
   if bytes or mails are coming faster than they should. */
bool migration_budget_ask(struct migration_budget *budget,
			  const struct fetch_budget_ahead *ahead, uint64_t size);
/* FALSE if there is no limit at all: nothing need be asked. */
bool migration_budget_is_limited(const struct migration_budget *budget);
/* TRUE if a mail may be downloaded at once. Does not pause. */
bool migration_budget_has_room(const struct migration_budget *budget,
			       const struct fetch_budget_ahead *ahead,
			       uint64_t size);
/* The run has to stop at a mail of this size. Returns why and when to continue
   (data stack), which also becomes a finding, once. */
const char *migration_budget_stop(struct migration_budget *budget,
				  uint64_t size);

/* So much was downloaded. */
void migration_budget_count(struct migration_budget *budget, uint64_t bytes);

#endif
