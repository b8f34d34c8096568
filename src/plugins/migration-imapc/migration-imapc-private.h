/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_IMAPC_PRIVATE_H
#define MIGRATION_IMAPC_PRIVATE_H

#include "mail-user.h"
#include "mail-storage-private.h"
#include "mailbox-list-private.h"
#include "seq-range-array.h"
#include "imapc-storage.h"
#include "imapc-list.h"
#include "fetch-plan.h"
#include "provider.h"
#include "sync-record.h"
#include "source-pause.h"
#include "migration-imapc-settings.h"

struct ahead_mailbox;
struct connection_slot;
struct fetch_window;
struct mail_reuse;
struct migration_imapc_ahead;
struct migration_imapc_changes_reader;
struct migration_imapc_mail_filter;
struct migration_imapc_names;
struct migration_imapc_record;
struct migration_imapc_renames;
struct migration_imapc_search;
struct migration_imapc_sides;
struct migration_imapc_status;
struct migration_budget;
struct migration_imapc_spare;
struct migration_imapc_placeholders;
struct migration_imapc_oauth2;

struct migration_imapc_user {
	union mail_user_module_context module_ctx;
	const struct migration_imapc_settings *set;
	struct event *event;

	struct mail_user *user;
	/* imapc_list_prefix of the settings that it was taken out of */
	const struct imapc_settings *prefix_set;
	const char *prefix;
	/* placeholders of this run and of earlier ones, or NULL */
	struct migration_imapc_placeholders *placeholders;
	/* at the destination: the source's user, once this run has made a
	   placeholder */
	struct migration_imapc_user *placeholders_source;

	/* what dsync's filters were seen to ask of each mail */
	enum fetch_plan_item learned;
	/* the destination has a place for METADATA; known once there is an
	   imapc storage */
	bool keeps_metadata;
	/* what source and destination of this run know of each other */
	struct migration_imapc_sides *sides;
};

struct migration_imapc_list {
	union mailbox_list_module_context module_ctx;
	struct migration_imapc_user *muser;
	struct imapc_mailbox_list *list;

	/* what the mailboxes are called at the destination */
	struct migration_imapc_names *names;
	/* patterns of the latest listing */
	const char *const *patterns;
	pool_t patterns_pool;

	/* what may be downloaded; NULL until a mailbox was opened */
	struct migration_budget *budget;
	/* where tokens come from, or NULL */
	struct migration_imapc_oauth2 *oauth2;
	/* answers to STATUS that nobody wanted yet */
	struct migration_imapc_status *status;
	/* mailboxes that are fetched before they are opened; NULL if that is
	   not possible, or not yet */
	struct migration_imapc_ahead *ahead;
	/* what both sides were at an earlier run, or NULL */
	struct migration_imapc_record *record;
	/* mailboxes that are left alone, and were told of */
	ARRAY_TYPE(const_string) hidden;
	/* which mailbox is which one of the destination, or NULL */
	struct migration_imapc_renames *renames;
	/* which mails are left alone; NULL until somebody asks */
	struct migration_imapc_mail_filter *mail_filter;
	/* mails of the destination that take the source's place, or NULL */
	struct mail_reuse *reuse;
	/* logins that were accepted */
	unsigned int login_count;
	/* mailboxes that LIST has shown */
	unsigned int listed_count;
	/* the server's MESSAGELIMIT, or 0 */
	unsigned int message_limit;
	/* what it is known by, or NULL: migration-imapc-provider.c */
	const char *greeting, *server_id;
	/* the program that it says it is, or NULL */
	const char *server_name;
	/* ... and what follows from that, with what settings replace */
	struct provider_profile profile;

	/* what the connections count as, the first one's and the spare one's, or
	   NULL: migration-imapc-slots.h */
	struct connection_slot *slot, *spare_slot;
	/* the connection for mails that the server does not give, or NULL */
	struct migration_imapc_spare *spare;
	/* failures in a row to open the spare connection */
	struct retry_state spare_failures;
	/* refusals in a row that are about the account, not the mail */
	struct retry_state throttlings;
	/* mails that were tried again until the patience was over */
	unsigned int given_up_mails;
	/* what they were waited for together */
	uint64_t unreadable_waited_msecs;
	/* the server's latest farewell, or NULL, and those in a row */
	char *bye;
	struct retry_state byes;

	/* the connection broke while mailboxes were asked for their state, and
	   could not be made again */
	bool connection_lost:1;
	/* the first connection is closed for the time of the spare one */
	bool spare_in_turn:1;
	/* the first login failed, and was tried again as often as it may be */
	bool login_failed:1;
	/* a listing has failed, and its error was returned */
	bool listing_failed:1;
	/* the trees that a listing is filling have no separator yet */
	bool listing_needs_separator:1;
	/* subscriptions were listed, and nobody took them yet */
	bool have_subscriptions:1;
	/* the server's LIST-STATUS, OBJECTID and SPECIAL-USE */
	bool have_list_status:1;
	bool have_objectid:1;
	bool have_special_use:1;
};

struct migration_imapc_mailbox {
	union mailbox_module_context module_ctx;
	struct migration_imapc_user *muser;
	/* NULL if the mailbox is in no imapc list */
	struct migration_imapc_list *mlist;
	struct imapc_mailbox *mbox;

	/* it was not selected, it is served from this */
	struct ahead_mailbox *served;
	/* it was, until a sync of both directions changed it: header fields are
	   still found there */
	struct ahead_mailbox *kept;
	/* Nothing was asked for, it is as it was: the destination's answers
	   are given for it. It shows no mails. */
	bool unchanged;
	struct sync_side unchanged_dest;
	/* The server does not open it: it is open without having been selected,
	   and dsync is told that it cannot be synced. */
	bool left_out;
	/* dsync was told what it needs to begin with the mailbox */
	bool begun;

	/* the search that is looking for its next mail now */
	struct migration_imapc_search *searching;
	/* the search that returned its mail latest */
	struct migration_imapc_search *returned;
	/* sizes of mails that are wanted soon: UID -> size */
	HASH_TABLE(void *, void *) sizes;
	/* RFC822.SIZE commands that were not answered yet */
	unsigned int sizes_pending;
	/* what may be downloaded, the list's; or NULL */
	struct migration_budget *budget;
	/* nobody would get a debug event of one of its mails */
	bool unheard;
	/* latest mail that was counted as fetched */
	uint32_t counted_uid;
	/* the last mail that the server's flags say is not recent */
	uint32_t highest_nonrecent_uid;
	/* all sizes were asked for when the mailbox was opened */
	bool sizes_at_open;

	/* mails that are left alone, once that is known */
	ARRAY_TYPE(seq_range) filtered_uids;
	bool filtered;
	/* it is being found out */
	bool filtering;
};

extern MODULE_CONTEXT_DEFINE(migration_imapc_user_module,
			     &mail_user_module_register);
extern MODULE_CONTEXT_DEFINE(migration_imapc_list_module,
			     &mailbox_list_module_register);
extern MODULE_CONTEXT_DEFINE(migration_imapc_storage_module,
			     &mail_storage_module_register);
extern MODULE_CONTEXT_DEFINE(migration_imapc_mail_module,
			     &mail_module_register);

/* Mails that stock imapc holds at once. More gain nothing: each of them has
   index data of some 20 kB, and each reply of the server is compared with all
   of them. */
#define MIGRATION_IMAPC_STOCK_PREFETCH 500

#define MIGRATION_IMAPC_USER_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_imapc_user_module)
#define MIGRATION_IMAPC_LIST_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_imapc_list_module)
/* of struct mailbox and of struct mail_search_context */
#define MIGRATION_IMAPC_CONTEXT(obj) \
	MODULE_CONTEXT(obj, migration_imapc_storage_module)
#define MIGRATION_IMAPC_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_imapc_storage_module)
#define MIGRATION_IMAPC_MAIL_CONTEXT_REQUIRE(obj) \
	MODULE_CONTEXT_REQUIRE(obj, migration_imapc_mail_module)

/* The destination's user, or NULL if there is none in this process. */
struct mail_user *migration_imapc_user_find_dest(struct mail_user *source);
/* The same for commands other than dsync's, too. */
struct mail_user *migration_imapc_user_find_first(struct mail_user *source);
/* TRUE for the source of `doveadm import`. */
bool migration_imapc_user_is_imported(struct mail_user *user);
/* TRUE for both users of a sync in both directions. */
bool migration_imapc_user_is_synced(struct mail_user *user);
/* TRUE if the command reads the user's mailboxes one after the other: for dsync,
   an import, and the source of a command that says so (struct
   migration_run_ahead). */
bool migration_imapc_user_is_source(struct mail_user *user);

/* migration-imapc-list.c: connection, login, listing */
void migration_imapc_list_created(struct mailbox_list *list);
/* The server as log lines name it: host:port */
const char *migration_imapc_list_source(struct migration_imapc_list *mlist);

/* What the latest listing is of; whether mailboxes beyond it exist does not
   matter. */
void migration_imapc_list_remember_patterns(struct migration_imapc_list *mlist,
					    const char *const *patterns);

/* migration-imapc-listing.c: all questions of the beginning in one burst */
void migration_imapc_listing_init(struct migration_imapc_list *mlist);
/* The server accepted a login. */
void migration_imapc_listing_login(struct migration_imapc_list *mlist,
				   const struct imapc_command_reply *reply);
/* Asks, if that is possible; if not, or if the server does not answer, stock
   asks. */
void migration_imapc_listing_ask(struct migration_imapc_list *mlist,
				 const char *const *patterns);
/* The same for one mailbox, if nothing is known of it: an import of mailboxes
   that its query names lists none, and all others look for the INBOX first. */
void migration_imapc_listing_ask_mailbox(struct migration_imapc_list *mlist,
					 const char *vname);
/* What is the prefix of the user's mailboxes, where is other users' mail? Asks
   now, if the server can say it. */
void migration_imapc_listing_ask_namespace(struct migration_imapc_list *mlist);
/* The subscriptions that were asked for become dest_list's. FALSE if there are
   none any more. */
bool migration_imapc_listing_take_subscriptions(struct migration_imapc_list *mlist,
						struct mailbox_list *dest_list);

/* migration-imapc-status.c: STATUS of all mailboxes at once.
   Returns 1 and fills the two fields of status_r if the answer is known, 0 if
   imapc has to ask for this mailbox alone, -1 if there is no server any more
   (the storage's error is set). */
int migration_imapc_status_get(struct migration_imapc_list *mlist,
			       struct mailbox *box,
			       struct mailbox_status *status_r);
/* Asks, unless that was done. FALSE if nothing can be asked, or no more. */
bool migration_imapc_status_prepare(struct migration_imapc_list *mlist);
/* Finds out which mailboxes were renamed, by the states that are known. */
void migration_imapc_status_find_renames(struct migration_imapc_list *mlist);
/* cyrus-mailboxid: together with numbers of mails Cyrus 3.6 tells bytes of its
   memory instead of the id, so the id is asked for alone. */
#define MIGRATION_IMAPC_STATUS_ID_ITEMS "UIDVALIDITY MAILBOXID"
/* What to ask STATUS for */
const char *migration_imapc_status_items(struct migration_imapc_list *mlist);
/* Answers to STATUS will come with the listing: they are the ones that
   migration_imapc_status_get() would ask for. */
void migration_imapc_status_expect(struct migration_imapc_list *mlist);
/* Asks for the states of all listed mailboxes, as far as they are not known,
   and waits. They are what the mailboxes are fetched ahead by. */
void migration_imapc_status_collect(struct migration_imapc_list *mlist);
void migration_imapc_status_free(struct migration_imapc_list *mlist);

/* migration-imapc-mailbox.c: opening, existence, status */
void migration_imapc_mailbox_allocated(struct mailbox *box);

/* migration-imapc-filter.c: what is left alone on both sides: source-filter.h */
void migration_imapc_filter_init(struct migration_imapc_user *muser);
/* The destination's list does not show such mailboxes. */
void migration_imapc_filter_dest_list(struct mailbox_list *list);

/* migration-imapc-mail-filter.c: mails that are left alone. Why the filter cannot
   be used by this command, or NULL. */
const char *
migration_imapc_mail_filter_refusal(struct migration_imapc_list *mlist);
/* Everything that it depends on, as text (data stack). */
const char *migration_imapc_mail_filter_key(struct migration_imapc_list *mlist);
/* Decides about all mails of a mailbox that was fetched ahead. Returns 1, 0 if
   stock has to open the mailbox, -1 if it cannot be opened (the storage's error
   is set). */
int migration_imapc_mail_filter_served(struct migration_imapc_mailbox *mmbox,
				       struct ahead_mailbox *mailbox);
/* The same before the mailbox is opened, as far as is known now: sets left_out
   of its mails. FALSE if that is not enough. */
bool migration_imapc_mail_filter_mark(struct migration_imapc_list *mlist,
				      struct ahead_mailbox *mailbox);
/* Nothing is asked of the mailbox, it is as it was. */
void migration_imapc_mail_filter_unchanged(struct migration_imapc_mailbox *mmbox,
					   const struct ahead_mailbox *mailbox);
/* The same for a mailbox that stock has selected, before its mails are searched.
   Returns -1 if that failed (the storage's error is set). */
int migration_imapc_mail_filter_search(struct migration_imapc_mailbox *mmbox);
/* TRUE if the mail is not to be seen. */
bool migration_imapc_mail_filter_hides(struct migration_imapc_mailbox *mmbox,
				       uint32_t uid);
void migration_imapc_mail_filter_deinit(struct migration_imapc_list *mlist);

/* migration-imapc-provider.c: who the source is */
void migration_imapc_provider_init(struct migration_imapc_list *mlist);
/* Fills mlist->profile from what the server has said so far. */
void migration_imapc_provider_detect(struct migration_imapc_list *mlist);

/* migration-imapc-budget.c: migration_imapc_daily_limit, _max_rate and
   _max_mail_rate */
/* The list's. To be called once the server is known. */
struct migration_budget *
migration_imapc_budget_get(struct migration_imapc_list *mlist);
/* The mailbox is open, so the server is known. */
void migration_imapc_budget_mailbox_opened(struct migration_imapc_mailbox *mmbox);
/* May the mail's text be asked for now, while what is in the window (which may be
   NULL) is on its way? size is 0 if it is not known. */
bool migration_imapc_budget_allows(struct migration_imapc_mailbox *mmbox,
				   const struct fetch_window *window,
				   uint64_t size);
/* Calls super's method for a mail whose text must not be asked for: what is
   there already is given, and nothing is sent. */
bool migration_imapc_budget_prefetch(const struct mail_vfuncs *super,
				     struct mail *mail);
int migration_imapc_budget_get_stream(struct migration_imapc_mailbox *mmbox,
				      const struct mail_vfuncs *super,
				      struct mail *mail, uint64_t size,
				      struct message_size *hdr_size,
				      struct message_size *body_size,
				      struct istream **stream_r);
/* migration-imapc-sides.c: what the destination had when the run began */
struct migration_imapc_sides *migration_imapc_sides_ref(const char *username);
void migration_imapc_sides_unref(struct migration_imapc_sides **sides);
void migration_imapc_sides_set_dest(struct migration_imapc_user *muser,
				    const char *vname,
				    const struct sync_side *side);
/* What dsync knows the destination's mailbox by. NULL if it said nothing of such
   a mailbox. To be opened and freed by the caller. */
void migration_imapc_sides_set_dest_name(struct migration_imapc_user *muser,
					 const char *vname,
					 const struct mailbox *dest);
/* A mailbox of the destination by its name there, to be read. To be freed by the
   caller. */
struct mailbox *migration_imapc_sides_alloc(struct mail_user *dest_user,
					    const char *vname);
struct mailbox *
migration_imapc_sides_alloc_dest(struct migration_imapc_user *muser,
				 const char *vname);
/* FALSE and all 0 if it said nothing of such a mailbox */
bool migration_imapc_sides_get_dest(struct migration_imapc_user *muser,
				    const char *vname,
				    struct sync_side *side_r);
/* The GUID by which dsync knows the destination's mailbox. */
void migration_imapc_sides_set_guid(struct migration_imapc_user *muser,
				    const char *vname, const guid_128_t guid);
/* All mailboxes of the destination whose GUID and state it said. */
typedef void migration_imapc_sides_dest_t(void *context, const char *vname,
					  const guid_128_t guid,
					  const struct sync_side *side);
void migration_imapc_sides_foreach_dest(struct migration_imapc_user *muser,
					migration_imapc_sides_dest_t *callback,
					void *context);
/* The run is over: another one of this user begins with nothing. */
void migration_imapc_sides_forget(struct migration_imapc_user *muser);
/* What the source's mailbox was when it was opened, with the digest of its
   mails: migration-imapc-record.c. Forgets that it was synced. */
void migration_imapc_sides_set_source(struct migration_imapc_user *muser,
				      const char *vname,
				      const struct sync_side *source,
				      const unsigned char *digest);
/* The command was called again: what was known of the source's mailbox says
   nothing any more. */
void migration_imapc_sides_forget_source(struct migration_imapc_user *muser,
					 const char *vname);
bool migration_imapc_sides_get_source(struct migration_imapc_user *muser,
				      const char *vname,
				      struct sync_side *source_r,
				      const unsigned char **digest_r);
/* What the destination is now that it is the same as the source was. */
void migration_imapc_sides_set_synced(struct migration_imapc_user *muser,
				      const char *vname,
				      const struct sync_side *dest);
bool migration_imapc_sides_get_synced(struct migration_imapc_user *muser,
				      const char *vname,
				      struct sync_side *dest_r);
/* What reads the destination's header fields for the source now, or NULL. */
void migration_imapc_sides_set_reader(struct migration_imapc_user *muser,
				      struct migration_imapc_changes_reader *reader);
struct migration_imapc_changes_reader *
migration_imapc_sides_get_reader(struct migration_imapc_user *muser);

/* migration-imapc-record.c: what did not change since the last run. init is
   called when the mailboxes were listed, deinit before they are forgotten. */
#define RECORD_STATUS_ITEMS \
	(STATUS_UIDVALIDITY | STATUS_UIDNEXT | STATUS_MESSAGES | \
	 STATUS_FIRST_RECENT_UID | STATUS_HIGHESTMODSEQ)
void migration_imapc_record_init(struct migration_imapc_list *mlist);
/* The file that migration_imapc_record names (data stack); others that remember
   something of the mailboxes lie beside it. NULL if it is empty, or in the home of
   a user who has none. */
const char *migration_imapc_record_path(struct migration_imapc_list *mlist);
void migration_imapc_record_deinit(struct migration_imapc_list *mlist);
/* Appends a small file's content. Returns -1 and reason_r (data stack) if it
   cannot be read, also if there is none. */
int migration_imapc_record_read_file(const char *path, string_t *text,
				     const char **reason_r);
void migration_imapc_record_fill_side(const struct mailbox_status *status,
				      struct sync_side *side_r);
/* The digest of UIDs, flags and keywords */
void migration_imapc_record_digest_source(const struct ahead_mailbox *mailbox,
					  unsigned char *digest_r);
/* The names of a mail's keywords in the mailbox's index; indexes is scratch room. */
void migration_imapc_record_get_keywords(struct mailbox *box, uint32_t seq,
					 ARRAY_TYPE(keyword_indexes) *indexes,
					 ARRAY_TYPE(const_string) *keywords);
/* dsync has finished with the destination's mailbox, it is still open. */
void migration_imapc_record_dest_synced(struct migration_imapc_user *muser,
					struct mailbox *box);
/* The source's mailbox is what it was at an earlier run. */
bool migration_imapc_record_source_is_same(struct migration_imapc_list *mlist,
					   const struct ahead_mailbox *mailbox);
/* ... and so is the destination's: dest_r */
bool migration_imapc_record_is_unchanged(struct migration_imapc_list *mlist,
					 const struct ahead_mailbox *mailbox,
					 struct sync_side *dest_r);
/* What the source's mailbox was at an earlier run. FALSE if nothing is known of
   it. */
bool migration_imapc_record_get_source(struct migration_imapc_list *mlist,
				       const struct ahead_mailbox *mailbox,
				       struct sync_side *source_r);
/* sync_changes_are_enough() if the destination is this now */
bool migration_imapc_record_changes_are_enough(
	struct migration_imapc_list *mlist, const struct ahead_mailbox *mailbox,
	const struct sync_side *dest, const char **reason_r);

/* migration-imapc-changes-headers.c: a mail of the destination */
void migration_imapc_changes_dest_mail_allocated(struct mail *mail);

/* migration-imapc-rename.c: mailboxes that are called otherwise at the
   destination. A mailbox that the source has; id is what the server knows it by,
   "" if it says nothing. */
void migration_imapc_renames_add_source(struct migration_imapc_list *mlist,
					const char *vname, const char *id,
					const struct sync_side *side);
/* All were added. */
void migration_imapc_renames_find(struct migration_imapc_list *mlist);
/* By which GUID dsync has to know the source's mailbox. FALSE if by imapc's. */
bool migration_imapc_renames_get_guid(struct migration_imapc_list *mlist,
				      const char *vname, guid_128_t guid_r);
/* rename_box of the destination's mailboxes while dsync runs */
int migration_imapc_renames_rename_box(const struct mailbox_vfuncs *super,
				       struct mailbox *src,
				       struct mailbox *dest);
void migration_imapc_renames_deinit(struct migration_imapc_list *mlist);

/* migration-imapc-reuse.c: texts that the destination has kept of mailboxes that
   are made again. init is called before anything is fetched. */
void migration_imapc_reuse_init(struct migration_imapc_list *mlist);
void migration_imapc_reuse_deinit(struct migration_imapc_list *mlist);
/* The mail's text need not be fetched. */
bool migration_imapc_reuse_has(struct migration_imapc_list *mlist,
			       const struct ahead_mailbox *mailbox,
			       uint32_t uid);
void migration_imapc_reuse_mail_allocated(struct mail *mail);

/* migration-imapc-virtual.c: mailboxes that are open without being selected.
   Returns 1 if the mailbox is open, 0 if stock has to open it, -1 and the
   storage's error if it cannot be opened. */
int migration_imapc_virtual_open(struct migration_imapc_mailbox *mmbox);
/* Stock has closed the mailbox. */
void migration_imapc_virtual_closed(struct migration_imapc_mailbox *mmbox);
/* Selects the mailbox, if it is not. Returns -1 if that failed (the storage's
   error is set). */
int migration_imapc_virtual_leave(struct migration_imapc_mailbox *mmbox,
				  const char *reason);

/* migration-imapc-serve.c: mails of such mailboxes */
void migration_imapc_serve_mail_allocated(struct mail *mail);
/* This search wants texts. */
void migration_imapc_serve_search(struct migration_imapc_mailbox *mmbox,
				  struct mailbox_transaction_context *t,
				  const struct mail_search_args *args);

/* TRUE if the text of this mail is not here, and must not be asked for: the daily
   limit is used up. */
bool migration_imapc_serve_is_refused(struct migration_imapc_mailbox *mmbox,
				      uint32_t uid);

/* migration-imapc-query.c: the search of a command that copies what it finds.
   Sets known_r to whether the mails that it finds are known before it has come
   to them, so that their texts can be asked for up front. */
struct mail_search_context *
migration_imapc_query_init(struct migration_imapc_mailbox *mmbox,
			   struct mailbox_transaction_context *t,
			   struct mail_search_args *args,
			   const enum mail_sort_type *sort_program,
			   enum mail_fetch_field wanted_fields,
			   struct mailbox_header_lookup_ctx *wanted_headers,
			   bool *known_r);
/* For migration_source_compare_set() */
bool migration_imapc_query_compared(struct mailbox *box,
				    const ARRAY_TYPE(seq_range) *uids,
				    const char *const *headers);

/* migration-imapc-reply.c: the file that holds the literal arg of the reply, if it
   was too large for memory. Its descriptor is closed after the reply. */
bool migration_imapc_reply_file(const struct imapc_untagged_reply *reply,
				const struct imap_arg *arg, int *fd_r);

/* migration-imapc-log.c: what imapc tells the log only. Begins and ends. */
void migration_imapc_log_watch(void);
void migration_imapc_log_unwatch(void);
/* Returns what is to be logged instead of the text (data stack), or NULL if
   nothing is. */
typedef const char *migration_imapc_log_filter_t(const char *text);
/* Sees each error before it is logged or remembered. NULL: no filter. */
void migration_imapc_log_set_filter(migration_imapc_log_filter_t *filter);
/* The latest error, or NULL; forget it. */
const char *migration_imapc_log_words(void);
void migration_imapc_log_forget(void);

/* migration-imapc-pause.c: what the server says when it has enough */
void migration_imapc_pause_init(struct migration_imapc_list *mlist);
/* What is known of why the connection was lost, or NULL. */
const char *migration_imapc_lost_words(struct migration_imapc_list *mlist);
/* The server answered that it does not open the mailbox, or does not tell its
   state: notes it, and returns TRUE. FALSE if there was no answer, because the
   connection is lost, or one that is about the whole account. */
bool migration_imapc_was_refused(struct migration_imapc_list *mlist,
				 struct mailbox *box);
/* The server failed while the mailbox was being read: notes it. */
void migration_imapc_mailbox_failed(struct migration_imapc_list *mlist,
				    struct mailbox *box);
/* The user's work is done. The connections are still there if all went well:
   otherwise notes that. */
void migration_imapc_pause_check(struct mail_user *user);
/* A failure happened. Waits as long as it has to be,
   and returns TRUE if the same thing shall be tried again. words is what the
   server said, or how the connection ended, or NULL. */
bool migration_imapc_pause(struct migration_imapc_list *mlist,
			   struct retry_state *state,
			   enum retry_failure failure, const char *words);
/* The run cannot go on because of the server: sets the storage's error. */
void migration_imapc_stop(struct migration_imapc_list *mlist,
			  struct mailbox *box, const char *words);

/* migration-imapc-unreadable.c: imapc could not get the mail. Gets it in
   other ways, or a placeholder for it, and puts it into the mail as if it had
   been fetched. Returns 0, or -1 if the run has to end (the storage's error is
   set). */
int migration_imapc_unreadable_replace(struct migration_imapc_mailbox *mmbox,
				       struct mail *mail);
/* The same for a mail whose header fields could not be fetched. *stream_r has
   the fields; unref'ed by the caller. */
int migration_imapc_unreadable_header(struct migration_imapc_mailbox *mmbox,
				      struct mail *mail,
				      struct mailbox_header_lookup_ctx *headers,
				      struct istream **stream_r);

/* The header fields of a mail that has a placeholder at the destination, which
   shall be taken for the same mail; unref'ed by the caller. NULL if it has
   none. */
struct istream *
migration_imapc_unreadable_known_header(struct migration_imapc_mailbox *mmbox,
					struct mail *mail,
					struct mailbox_header_lookup_ctx *headers);
/* migration-imapc-oauth2.c: logging in with tokens. All of it does nothing
   unless migration_oauth2_provider is set. */
void migration_imapc_oauth2_init(void);
void migration_imapc_oauth2_deinit(void);
void migration_imapc_oauth2_list_init(struct migration_imapc_list *mlist);
void migration_imapc_oauth2_list_deinit(struct migration_imapc_list *mlist);
/* Before the first login. Returns FALSE if there is no token: the client's
   auth_failed_state and _reason are set as if the login had failed. */
bool migration_imapc_oauth2_login_begin(struct migration_imapc_list *mlist);
/* After a login. Returns TRUE if it was refused and there is a new token, with
   which to try once more. */
bool migration_imapc_oauth2_login_again(struct migration_imapc_list *mlist);
/* After the last try: explains a refusal. */
void migration_imapc_oauth2_login_end(struct migration_imapc_list *mlist);
/* TRUE if the session's token expires soon: send nothing more, wait until all
   answers are there, and call reconnect. */
bool migration_imapc_oauth2_wants_reconnect(struct migration_imapc_mailbox *mmbox);
void migration_imapc_oauth2_reconnect(struct migration_imapc_mailbox *mmbox);
/* The same between two mailboxes. */
void migration_imapc_oauth2_mailbox_opening(struct migration_imapc_mailbox *mmbox);
/* The same for connections without a selected mailbox: TRUE if the token expires
   soon (mlist may be NULL); and once nothing is on its way, a new session. */
bool migration_imapc_oauth2_session_ends(struct migration_imapc_list *mlist);
void migration_imapc_oauth2_reconnect_idle(struct migration_imapc_list *mlist);

/* migration-imapc-metadata.c: a destination that keeps METADATA is given it */
void migration_imapc_metadata_mailbox_init(struct mailbox_vfuncs *v);
/* ... and for others it is as if the server had none (QUIRKS.md,
   "imapc-metadata"). */
void migration_imapc_metadata_leave_out(struct migration_imapc_mailbox *mmbox,
					struct mailbox_vfuncs *v);

/* migration-imapc-fetch.c: what is fetched, and how far ahead */
void migration_imapc_fetch_mailbox_init(struct migration_imapc_mailbox *mmbox,
					struct mailbox_vfuncs *v);
/* The mailbox is selected. */
void migration_imapc_fetch_mailbox_opened(struct migration_imapc_mailbox *mmbox);
void migration_imapc_fetch_mailbox_deinit(struct migration_imapc_mailbox *mmbox);
void migration_imapc_mail_allocated(struct mail *mail);

#endif
