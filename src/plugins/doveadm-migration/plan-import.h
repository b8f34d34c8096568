/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PLAN_IMPORT_H
#define PLAN_IMPORT_H

#include "import-plan.h"
#include "verify-storage.h"

struct mail_namespace;
struct doveadm_mail_cmd_context;

/* Reads what the plan of an import wants to know. Nothing is written. */

/* A mailbox of the source, of the destination, or of both. */
struct plan_import_pair {
	/* NULL: there is none */
	const struct verify_name *source, *dest;
	/* the destination's, which it has or is to get */
	const char *name;
	/* the mailbox of the source that has the name which this one would have
	   by stock's rule, or NULL */
	const char *rival;
};
ARRAY_DEFINE_TYPE(plan_import_pair, struct plan_import_pair);

/* Makes the user whose mail is the source: of an import as `doveadm import`
   makes it, where source_username is -U's, or NULL; otherwise as dsync does.
   Returns 0, or -1, has logged why and set the command's exit code. */
int plan_source_init(struct doveadm_mail_cmd_context *ctx,
		     struct mail_user *dest_user, bool import,
		     const char *source_username, const char *location,
		     const char *const *options, struct mail_user **user_r);

/* All mailboxes of the source, as verify_list_names(). That there are none is
   reported, as by the import. */
int plan_import_list_source(struct mail_user *source_user,
			    const struct verify_filter *filter, pool_t pool,
			    ARRAY_TYPE(verify_name) *names,
			    struct verify_error *error_r);

/* Which mailbox is imported into which one: parent is "" or the mailbox under
   which all are imported. What only the destination has comes last. Strings
   lie in the pool. */
void plan_import_pair_names(struct mail_namespace *dest_namespaces,
			    const char *parent,
			    const ARRAY_TYPE(verify_name) *source_names,
			    const ARRAY_TYPE(verify_name) *dest_names,
			    pool_t pool, ARRAY_TYPE(plan_import_pair) *pairs);

/* Finds out which mails both sides have, as the import will do it. Returns 0
   and both sides (pool), or -1, error_r, and in *side_r the one that could not
   be read: "Source" or "Destination". */
int plan_import_read(const struct plan_import_pair *pair, pool_t pool,
		     struct import_plan_side *source_r,
		     struct import_plan_side *dest_r,
		     struct verify_error *error_r, const char **side_r);

#endif
