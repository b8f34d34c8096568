/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_GMAIL_PRIVATE_H
#define MIGRATION_GMAIL_PRIVATE_H

#include "mail-user.h"
#include "mail-storage-private.h"
#include "mailbox-list-private.h"
#include "imapc-storage.h"
#include "imapc-list.h"
#include "gmail-label.h"
#include "migration-gmail-settings.h"

struct gmail_copy_mail;
struct imap_arg;
struct gmail_keywords;
struct migration_folders;
struct migration_pairing;
struct migration_gmail_count;
struct migration_gmail_takeout;

enum migration_gmail_all {
	/* a mailbox like any other */
	MIGRATION_GMAIL_ALL_WHOLE,
	/* only what no other mailbox of the destination has */
	MIGRATION_GMAIL_ALL_ARCHIVED,
	/* not migrated */
	MIGRATION_GMAIL_ALL_NONE,
};

struct migration_gmail_user {
	union mail_user_module_context module_ctx;
	struct mail_user *user;
	const struct migration_gmail_settings *set;
	enum gmail_label_policy policy;
	enum migration_gmail_all all;
	struct event *event;

	/* what the user has already; NULL if he is the command's second user,
	   the one of the source */
	struct migration_gmail_local *local;
	/* mails that share their text with another one since this run */
	unsigned int shared_count;
	/* an archive of Takeout that is being imported; NULL before its first
	   mail */
	struct migration_gmail_takeout *takeout;
};

/* A source account: an imapc list. */
struct migration_gmail_list {
	union mailbox_list_module_context module_ctx;
	struct migration_gmail_user *muser;
	struct imapc_mailbox_list *list;

	/* The rest is known once the server listed its mailboxes, and if it
	   turned out to be Gmail. */
	pool_t pool;
	/* what the names of Gmail's own folders begin with, or NULL */
	const char *system_prefix;
	/* remote names of the mailboxes that can be opened -> their place */
	HASH_TABLE(const char *, struct migration_gmail_place *) places;
	/* keywords of user labels */
	struct gmail_keywords *keywords;
	/* labels that were met already, by the name that they have in IMAP */
	HASH_TABLE(const char *, struct gmail_label *) labels;
	/* how many messages a folder and its label have. The key is the name of
	   the label in IMAP; Gmail's own begin with one backslash. */
	HASH_TABLE(const char *, struct migration_gmail_count *) counts;
	/* message ids -> the mail that brings the text, of what is fetched
	   ahead */
	pool_t claims_pool;
	HASH_TABLE(const char *, struct migration_gmail_claim *) claims;
	/* what migration_imapc asks for, or NULL */
	const char *items;
	/* full name of the folder of all mail, or NULL if there is none */
	const char *all_vname;
	/* what dsync is told of it, lives until the next one is listed */
	struct mailbox_info unmarked;
	/* messages in it, or UINT_MAX if it was not read in this run */
	unsigned int all_messages;
	/* the run is about the whole account, not about one mailbox */
	bool listed:1;
	bool listed_whole:1;
	/* mails of this account were read in this run */
	bool read:1;
	/* the server is not Gmail, but has OBJECTID; known once it was asked */
	bool objectid:1;
	bool objectid_asked:1;
	/* dsync is done, the archived messages are brought over */
	bool archiving:1;
	/* a mail could not be read, so the run does not go to its end */
	bool failed:1;
};

struct migration_gmail_place {
	/* UTF-8, without the namespace */
	const char *name;
	enum gmail_place place;
};

/* Messages with the same labels in the same mailbox share one of these. */
struct migration_gmail_mapping {
	enum mail_flags flags;
	/* NULL-terminated */
	const char *const *keywords;
	/* labels as in migration_gmail_list.counts, NULL-terminated */
	const char *const *labels;
	/* the mailboxes that show the message, for people */
	const char *shown_in;
};

/* What Gmail says of one message. */
struct migration_gmail_entry {
	uint32_t uid;
	/* POP3 does not show it (any more) */
	bool pop3_deleted;
	const char *msgid;
	/* UOFF_T_MAX and (time_t)-1 if the server did not say */
	uoff_t size;
	time_t received_date;
	const struct migration_gmail_mapping *mapping;
};

/* The metadata of a mailbox's messages. */
struct migration_gmail_table {
	pool_t pool;
	struct migration_gmail_list *mlist;
	const char *vname;
	enum gmail_place place;
	const char *place_name;
	/* sorted by UID, one for each mail, once they are complete */
	ARRAY(struct migration_gmail_entry) entries;
	/* labels as Gmail sent them -> what becomes of them in this mailbox */
	HASH_TABLE(const char *, struct migration_gmail_mapping *) mappings;
	/* UIDs below this one were asked for */
	uint32_t next_uid;
	/* of a server with OBJECTID, not of Gmail */
	bool objectid;
	bool finished;
};

struct migration_gmail_mailbox {
	union mailbox_module_context module_ctx;
	struct migration_gmail_list *mlist;
	struct imapc_mailbox *mbox;

	/* once it was asked for, or fetched before the mailbox was opened */
	struct migration_gmail_table *table;
	/* tag of the search for messages that POP3 does not show, or NULL */
	const char *pop3_search_tag;
	ARRAY_TYPE(seq_range) pop3_deleted_uids;
	/* the answer is coming in */
	bool fetching:1;
};

extern MODULE_CONTEXT_DEFINE(migration_gmail_user_module,
			     &mail_user_module_register);
extern MODULE_CONTEXT_DEFINE(migration_gmail_list_module,
			     &mailbox_list_module_register);
extern MODULE_CONTEXT_DEFINE(migration_gmail_storage_module,
			     &mail_storage_module_register);
extern MODULE_CONTEXT_DEFINE(migration_gmail_mail_module,
			     &mail_module_register);

#define MIGRATION_GMAIL_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_gmail_user_module)
#define MIGRATION_GMAIL_LIST_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_gmail_list_module)
#define MIGRATION_GMAIL_LIST_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_gmail_list_module)
#define MIGRATION_GMAIL_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_gmail_storage_module)
#define MIGRATION_GMAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_gmail_storage_module)
#define MIGRATION_GMAIL_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_gmail_mail_module)

/* The list of the command's second user: the source, in a run of dsync. */
extern struct migration_gmail_list *migration_gmail_source_list;

/* migration-gmail-list.c: the account's mailboxes and labels */
void migration_gmail_list_created(struct mailbox_list *list);

/* Reads the account's mailboxes, if that was not done yet, which can cost a
   LIST. Not to be called while imapc waits for something. Returns TRUE if the
   server is Gmail. */
bool migration_gmail_list_load(struct migration_gmail_list *mlist);

/* FALSE if the mailbox is not migrated, or not as a mailbox. */
bool migration_gmail_list_shows(struct migration_gmail_list *mlist,
				const char *vname);

/* What becomes of a message's labels in a mailbox, from the pool. */
struct migration_gmail_mapping *
migration_gmail_list_map(struct migration_gmail_list *mlist,
			 const struct gmail_message *msg, pool_t pool);

/* migration-gmail-keywords.c: which label has which keyword, from run to run.
   What is known of them and of these labels; list is one of the source's. */
struct gmail_keywords *
migration_gmail_keywords_init(struct migration_gmail_user *source,
			      const struct mailbox_list *list,
			      const char *const *labels);
/* Keeps them at the destination. To be called at the end of a run, while both
   users exist. */
void migration_gmail_keywords_save(struct migration_gmail_user *source,
				   struct gmail_keywords *keywords);
/* Adds them to the run's report. */
void migration_gmail_keywords_report(struct migration_gmail_user *source,
				     struct gmail_keywords *keywords);

/* migration-gmail-mailbox.c: the metadata of a mailbox's messages */
void migration_gmail_mailbox_allocated(struct mailbox *box);

/* Returns what Gmail says of the message, or NULL if it said nothing (then
   stock has to do), which is the case for all servers that are not Gmail.
   Returns -1 and sets the storage's error if Gmail was asked and failed. */
int migration_gmail_mailbox_lookup(struct migration_gmail_mailbox *gbox,
				   uint32_t uid,
				   const struct migration_gmail_entry **entry_r);

/* The mailbox is open now, with all mails below uidnext, and the table is its. */
void migration_gmail_mailbox_take(struct mailbox *box,
				  struct migration_gmail_table *table,
				  uint32_t uidnext);

/* migration-gmail-table.c: what is known of a mailbox's messages */
struct migration_gmail_table *
migration_gmail_table_init(struct migration_gmail_list *mlist,
			   const char *vname, const char *remote_name,
			   bool objectid);
void migration_gmail_table_deinit(struct migration_gmail_table **table);
/* One value of a FETCH reply. */
void migration_gmail_table_add(struct migration_gmail_table *table,
			       uint32_t uid, const char *item,
			       const struct imap_arg *arg);
/* All replies are there; some may follow, and this be called again. */
void migration_gmail_table_finish(struct migration_gmail_table *table);
/* NULL if nothing was said of it. */
const struct migration_gmail_entry *
migration_gmail_table_lookup(struct migration_gmail_table *table,
			     uint32_t uid);
/* Returns a mail of the destination that has the message's text, or NULL; valid
   as that of migration_gmail_local_get_mail(). vname is the source's mailbox;
   entry may be NULL. */
struct mail *
migration_gmail_find_local(struct mail_user *source, const char *vname,
			   const struct migration_gmail_entry *entry);
void migration_gmail_claims_deinit(struct migration_gmail_list *mlist);
extern const struct migration_metadata migration_gmail_metadata;

/* migration-gmail-dest.c: mailboxes of the destination */
void migration_gmail_dest_mailbox_allocated(struct mailbox *box);

/* TRUE if the command copies mails from one user to another one: backup, sync
   and import. */
bool migration_gmail_user_copies(struct mail_user *user);
/* sdbox and mdbox: mails that share their text share its metadata. */
bool migration_gmail_storage_is_dbox(const struct mail_storage *storage);
/* Returns the user to whom the command copies the mails of another one, or
   NULL. */
struct migration_gmail_user *
migration_gmail_user_find_dest(struct mail_user *source);
/* The same, also for commands that write nothing, such as verify. */
struct migration_gmail_user *
migration_gmail_user_find_other(struct mail_user *source);

/* The name of the mailbox, at source and destination, whose mails cannot be
   copied into vname: its own, because dsync may be about to remove them, or
   "", because import only adds mails. */
const char *migration_gmail_not_from(struct mail_user *user, const char *vname);

/* Reads what says whether a local mail is the message that Gmail has, except
   for its POP3 fields. */
int migration_gmail_local_mail_read(struct mail *mail,
				    struct gmail_copy_mail *mail_r);

/* Calls back for each message of the mailbox, in the order of UIDs. Returns -1
   if they are not known. */
int migration_gmail_mailbox_foreach(struct migration_gmail_mailbox *gbox,
	void (*callback)(const struct migration_gmail_entry *entry,
			 void *context), void *context);

/* migration-gmail-archive.c: All Mail without what other mailboxes have.
   Wraps the list of a destination, for verify. */
void migration_gmail_archive_list_created(struct mailbox_list *list);
/* TRUE if a command must not see this mailbox of the source. */
bool migration_gmail_archive_hides(struct migration_gmail_list *mlist,
				   const char *vname);
/* Returns info as dsync is to see it: without special-use attributes (in
   *unmarked) if it is about an All Mail that is brought over after dsync, so that
   -x '\All' does not make dsync delete it. */
const struct mailbox_info *
migration_gmail_archive_unmark(struct migration_gmail_list *mlist,
			       const struct mailbox_info *info,
			       struct mailbox_info *unmarked);
/* TRUE if dsync must leave the mails of this mailbox of the destination
   alone. */
bool migration_gmail_archive_skips(struct mailbox *box);
/* Brings the destination's All Mail up to date. source is the source's All
   Mail, synchronised. */
void migration_gmail_archive_run(struct migration_gmail_list *mlist,
				 struct migration_gmail_user *dest_user,
				 struct mailbox *source);

/* migration-gmail-counts.c: folders that Gmail does not show whole. Counts the
   messages of a mailbox whose metadata is known now. */
void migration_gmail_counts_add(struct migration_gmail_mailbox *gbox);
/* Compares what was counted. To be called at the end of a run. */
void migration_gmail_counts_report(struct migration_gmail_list *mlist);

/* migration-gmail-rest.c: messages that no mailbox of the destination has.
   To be called at the end of a run, while both users exist. */
void migration_gmail_rest_check(struct migration_gmail_list *mlist);

/* migration-gmail-elsewhere.c: as migration_elsewhere_func */
unsigned int
migration_gmail_elsewhere_count(struct mailbox *box,
				const ARRAY_TYPE(seq_range) *uids);

/* migration-gmail-objectid.c: TRUE if the messages of this server, which is not
   Gmail, have ids that are to be used. Can cost a wait. */
bool migration_gmail_objectid_is_used(struct migration_gmail_list *mlist);
/* The value of EMAILID, or NULL. */
const char *migration_gmail_objectid_parse(const struct imap_arg *arg);

/* migration-gmail-verify.c: as migration_pairing_func */
int migration_gmail_pairing_find(struct mail_user *source,
				 struct mail_user *dest, pool_t pool,
				 struct migration_pairing *pairing_r,
				 const char **error_r);

/* migration-gmail-mail.c: flags, keywords, GUID and UIDL of a message */
void migration_gmail_mail_allocated(struct mail *mail);
/* Unless it is there already. Case does not count. */
void migration_gmail_add_keyword(ARRAY_TYPE(const_string) *keywords,
				 const char *keyword);

/* Both lists are NULL-terminated. What is returned lives as long as the mail's
   data. */
const char *const *
migration_gmail_join_keywords(struct mail *mail, const char *const *keywords,
			      const char *const *added);

/* migration-gmail-takeout.c: the same for mails of an mbox that tell their
   labels themselves. */
void migration_gmail_takeout_mail_allocated(struct mail *mail);
/* as migration_folders_func */
bool migration_gmail_takeout_get_folders(struct mail *mail,
					 struct migration_folders *folders_r);
/* At the end of a run, while both users exist. Nothing if there was no such
   archive. */
void migration_gmail_takeout_finish(struct migration_gmail_user *muser);

#endif
