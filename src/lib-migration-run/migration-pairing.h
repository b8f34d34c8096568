/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_PAIRING_H
#define MIGRATION_PAIRING_H

struct mail_user;

/* A mailbox whose mails have other UIDs at the destination than at the source,
   and not all of them: a plugin brought them over by a rule of its own. It
   tells verify which mails belong together. */

struct migration_pair {
	uint32_t dest_uid;
	/* 0: the destination must not have this mail */
	uint32_t source_uid;
};
ARRAY_DEFINE_TYPE(migration_pair, struct migration_pair);

struct migration_pairing {
	/* full name, on both sides */
	const char *vname;
	/* what the row of the comparison is called */
	const char *title;
	/* the mails of the source that the destination must have there,
	   ascending */
	ARRAY_TYPE(uint32_t) source_uids;
	/* all mails that the destination has there, ascending dest_uid */
	ARRAY_TYPE(migration_pair) pairs;
};

/* Returns 1 and pairing_r (from the pool), 0 if there is no such mailbox, -1 and
   error_r (data stack) if it could not be read. */
typedef int migration_pairing_func(struct mail_user *source,
				   struct mail_user *dest, pool_t pool,
				   struct migration_pairing *pairing_r,
				   const char **error_r);

/* There is one such plugin at most. */
void migration_pairing_register(migration_pairing_func *func);
void migration_pairing_unregister(void);

/* As migration_pairing_func, of the plugin. */
int migration_pairing_find(struct mail_user *source, struct mail_user *dest,
			   pool_t pool, struct migration_pairing *pairing_r,
			   const char **error_r);

#endif
