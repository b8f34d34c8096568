/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_FOLDERS_H
#define MIGRATION_FOLDERS_H

struct mail;

/* An archive: mails in one mailbox that say themselves in which folders they
   were. A plugin reads that, and the import puts them there. */

struct migration_folders {
	/* Names of folders, with "/" between a folder and those in it, or
	   special-use attributes ("\\Sent"). Valid until the next mail. */
	const char *const *names;
	/* the mail is also to be in the mailbox that the archive becomes */
	bool stays;
};

/* Returns FALSE if the mail does not say it. */
typedef bool migration_folders_func(struct mail *mail,
				    struct migration_folders *folders_r);

/* There is one such plugin at most. */
void migration_folders_register(migration_folders_func *func);
void migration_folders_unregister(void);

/* As migration_folders_func, of the plugin; FALSE without one. */
bool migration_folders_get(struct mail *mail,
			   struct migration_folders *folders_r);

#endif
