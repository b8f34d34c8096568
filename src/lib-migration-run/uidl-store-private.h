/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef UIDL_STORE_PRIVATE_H
#define UIDL_STORE_PRIVATE_H

#include "uidl-store.h"

struct mail;
struct dbox_file;
struct ostream;

/* One format. */
struct uidl_store_vfuncs {
	/* storage's name */
	const char *name;
	/* What is stored with the mail; stored_uidl from the pool. Returns 1,
	   0 if the mail is gone, -1 and *error_r. */
	int (*read)(struct mail *mail, pool_t pool,
		    struct uidl_store_mail *mail_r, const char **error_r);
	/* Writes the mails whose change says so. Returns 0, or -1 and
	   *error_r. */
	int (*write)(struct mailbox *box,
		     const struct uidl_store_change *changes,
		     unsigned int count, struct uidl_store_result *result,
		     const char **error_r);
	/* Makes POP3 see what is stored, or NULL if it does anyway. */
	int (*show)(struct mailbox *box,
		    const struct uidl_store_change *changes,
		    unsigned int count, const char **error_r);
};

extern const struct uidl_store_vfuncs uidl_store_maildir;
extern const struct uidl_store_vfuncs uidl_store_sdbox;
extern const struct uidl_store_vfuncs uidl_store_mdbox;

/* Order numbers as text: 0 if there is none. */
uint32_t uidl_store_parse_order(const char *value);

/* -- for sdbox and mdbox */

int uidl_store_dbox_read(struct mail *mail, pool_t pool,
			 struct uidl_store_mail *mail_r, const char **error_r);
int uidl_store_dbox_show(struct mailbox *box,
			 const struct uidl_store_change *changes,
			 unsigned int count, const char **error_r);

/* Appends the message at offset (0 = the file's first, together with the
   file's header) to the output, byte for byte but for UIDL and order in its
   metadata. change is NULL if they stay, too.
   Returns 1, 0 if the file is damaged there, -1 on an I/O error; *error_r is
   set unless 1 is returned. */
int uidl_store_dbox_copy(struct dbox_file *file, uoff_t offset,
			 const struct uidl_store_change *change,
			 struct ostream *output, const char **error_r);

#endif
