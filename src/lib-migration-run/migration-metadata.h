/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_METADATA_H
#define MIGRATION_METADATA_H

/* What plugins want to know of every mail of a source's mailboxes, such as
   Gmail's labels. migration_imapc asks for it in the FETCH by which it learns
   flags, dates and sizes, mostly long before the mailbox is opened, keeps the
   answers in the plugin's own table, and hands that over when the mailbox is
   opened. */

struct imap_arg;
struct mailbox;
struct mailbox_list;

enum migration_metadata_when {
	/* the mailbox may be fetched before it is opened */
	MIGRATION_METADATA_AHEAD,
	/* it has to be selected when its turn has come */
	MIGRATION_METADATA_IN_TURN,
	/* ... and it is opened after all others, if at all */
	MIGRATION_METADATA_LAST,
};

struct migration_metadata {
	/* The items of FETCH, such as "X-GM-MSGID X-GM-LABELS"; each of them is
	   answered by its own name and one value. NULL: nothing is wanted of
	   this account, and none of the others is called. Called once for each
	   account, when the server may be asked for something. Sets unsteady_r
	   if the values change without a change of the mailbox's state
	   (UIDNEXT, HIGHESTMODSEQ), so that all mailboxes are to be looked at in
	   each run. */
	const char *(*items)(struct mailbox_list *list, bool *unsteady_r);
	enum migration_metadata_when (*when)(struct mailbox_list *list,
					     const char *vname,
					     const char *remote_name);
	/* A table for what the server says of this mailbox's mails. */
	void *(*begin)(struct mailbox_list *list, const char *vname,
		       const char *remote_name);
	/* One value, of any item that was asked for, dates and sizes included.
	   imapc is waiting: nothing may be sent. */
	void (*add)(void *table, uint32_t uid, const char *item,
		    const struct imap_arg *value);
	/* TRUE if the mail's text need not come with this mailbox, because the
	   destination has it, or will have it when the text is needed. */
	bool (*has_text)(void *table, uint32_t uid);
	/* Nobody wants the mail's text: another mailbox may bring it. */
	void (*text_unwanted)(void *table, uint32_t uid);
	/* The mailbox is open, with all of its mails below uidnext: the table
	   is the plugin's now. It has to live until the mailbox is closed. */
	void (*opened)(void *table, struct mailbox *box, uint32_t uidnext);
	/* It was not opened: the table goes. */
	void (*end)(void *table);
};

/* By plugins, once. What metadata points to has to live as long as the
   process. */
void migration_metadata_register(const struct migration_metadata *metadata);
void migration_metadata_unregister(const struct migration_metadata *metadata);

/* The rest is for migration_imapc: all plugins together.

   The items of all of them (data stack), "" if there are none. */
const char *migration_metadata_items(struct mailbox_list *list,
				     bool *unsteady_r);
/* The latest of what the plugins say. */
enum migration_metadata_when
migration_metadata_when(struct mailbox_list *list, const char *vname,
			const char *remote_name);
struct migration_metadata_tables *
migration_metadata_begin(struct mailbox_list *list, const char *vname,
			 const char *remote_name);
void migration_metadata_add(struct migration_metadata_tables *tables,
			    uint32_t uid, const char *item,
			    const struct imap_arg *value);
bool migration_metadata_has_text(struct migration_metadata_tables *tables,
				 uint32_t uid);
void migration_metadata_text_unwanted(struct migration_metadata_tables *tables,
				      uint32_t uid);
void migration_metadata_opened(struct migration_metadata_tables *tables,
			       struct mailbox *box, uint32_t uidnext);
/* Ends those that were not handed over. NULL is fine. */
void migration_metadata_end(struct migration_metadata_tables **tables);

#endif
