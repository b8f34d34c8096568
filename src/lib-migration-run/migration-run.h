/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef MIGRATION_RUN_H
#define MIGRATION_RUN_H

#include "finding.h"
#include "mailbox-filter.h"
#include "migration-progress.h"

struct mail_user;
struct provider_profile;

/* The record of one user's run of one doveadm command: what was done, counted,
   and what was not carried over exactly, listed. The source and the destination
   user of the command share it. It is written by the plugins, read by the
   report, the summary and the exit code. It never holds a secret: no password,
   no token, no text of a mail.

   A doveadm process works for one user at a time, so there is one record at a
   time. It begins with the first migration_run_find() for a user (plugins may
   have something to say while the user is created, before the command runs)
   and ends with the command. */

enum migration_severity {
	/* worth knowing, nothing is missing */
	MIGRATION_SEVERITY_INFO,
	/* something differs, no mail and no UIDL is missing or wrong */
	MIGRATION_SEVERITY_WARNING,
	/* something was not carried over exactly: shows in the exit code */
	MIGRATION_SEVERITY_ERROR,

	MIGRATION_SEVERITY_COUNT
};

enum migration_counter {
	/* source mailboxes opened */
	MIGRATION_COUNTER_MAILBOXES,
	/* mails that the source's mailboxes have */
	MIGRATION_COUNTER_MAILS_SEEN,
	/* mails whose text came from the source */
	MIGRATION_COUNTER_MAILS_FETCHED,
	/* mails written to the destination */
	MIGRATION_COUNTER_MAILS_SAVED,
	/* mails that the destination had already */
	MIGRATION_COUNTER_MAILS_SKIPPED,
	/* mails that were saved with the text of another mail of the
	   destination, not the source's */
	MIGRATION_COUNTER_MAILS_COPIED,
	/* mails and mailboxes deleted at the destination */
	MIGRATION_COUNTER_MAILS_EXPUNGED,
	MIGRATION_COUNTER_MAILBOXES_DELETED,
	/* message bytes that came from the source over IMAP */
	MIGRATION_COUNTER_BYTES_FETCHED,
	/* IMAP commands of the suite's own (not stock imapc's) */
	MIGRATION_COUNTER_IMAP_COMMANDS,
	/* times that the run waited for a server's answer */
	MIGRATION_COUNTER_WAITS,
	/* connections lost and made again, commands tried again */
	MIGRATION_COUNTER_RECONNECTS,
	MIGRATION_COUNTER_RETRIES,
	/* how long the run paused so as not to go above migration_imapc_max_rate */
	MIGRATION_COUNTER_PAUSE_MSECS,
	/* mails that the source's POP3 server lists */
	MIGRATION_COUNTER_POP3_MAILS,
	/* ... that got, or did not get, their partner at the destination */
	MIGRATION_COUNTER_POP3_MATCHED,
	MIGRATION_COUNTER_POP3_UNMATCHED,
	/* what the matching cost */
	MIGRATION_COUNTER_POP3_TOPS,
	MIGRATION_COUNTER_POP3_RETRS,
	MIGRATION_COUNTER_POP3_BYTES,
	/* doveadm migration verify: mails compared, texts compared */
	MIGRATION_COUNTER_MAILS_COMPARED,
	MIGRATION_COUNTER_BODIES_COMPARED,

	MIGRATION_COUNTER_COUNT
};

struct migration_finding {
	enum migration_severity severity;
	/* mailbox's full name, or NULL if the finding concerns no mailbox */
	const char *mailbox;
	/* IMAP UID, or 0 if the finding concerns no single mail */
	uint32_t uid;
	enum finding_kind kind;
	/* one sentence for a person: why, and what to do */
	const char *why;
};
ARRAY_DEFINE_TYPE(migration_finding, struct migration_finding);

/* A part of the report that one command adds, already written as JSON. */
struct migration_run_section {
	const char *name;
	const char *json;
};
ARRAY_DEFINE_TYPE(migration_run_section, struct migration_run_section);

/* One mailbox, in numbers. */
struct migration_run_mailbox {
	const char *name;
	/* mails that the source has, when the run came to it */
	unsigned int source_mails;
	/* mails that the destination had then */
	unsigned int dest_mails;
	/* mails put into, and deleted from, the destination */
	unsigned int saved, deleted;
};

/* A command that reads the source's mailboxes one after the other, without
   being dsync, says what it will want of each of them: then that can be on its
   way before the mailbox is opened. */
struct migration_run_ahead {
	bool wanted;
	/* full names of the mailboxes, sorted by strcmp(); others are not asked
	   for */
	ARRAY_TYPE(const_string) names;
	/* Full names of the destination's mailboxes, if it is planned what
	   `backup` would do: then a mailbox of the source has the GUID that it
	   has there, also where backup would rename it. Created before the
	   source is listed, filled before GUIDs are asked for. */
	ARRAY_TYPE(const_string) dest_names;
	/* the header fields by which dsync compares mails */
	bool headers;
	/* the texts of parity_sample_texts(), none with 0 and 0 */
	unsigned int sample_percent, sample_min;
	/* ... and none of these mailboxes; sorted by strcmp(), may be left
	   uncreated */
	ARRAY_TYPE(const_string) without_texts;
};

/* What the matching of the source's POP3 list with its mailboxes came to. */
struct migration_run_pop3 {
	/* FALSE: the POP3 server was not asked, and the rest is 0 */
	bool asked;
	/* mails that it lists; those that have an IMAP mail, and those that have
	   none although they were there when the run began */
	unsigned int mails, matched, unmatched;
	/* IMAP mails that it does not list */
	unsigned int imap_unmatched;
};

/* Time spent waiting on purpose: a server asked for it, or we did not want to
   hammer it. */
struct migration_run_wait {
	/* a stable word such as "throttled" */
	const char *cause;
	unsigned int times;
	uint64_t msecs;
};

/* Read the fields freely, write them with the functions below. */
struct migration_run {
	pool_t pool;
	/* parent of the run's named events, see doc/events.md */
	struct event *event;

	const char *username;
	/* "backup", "sync", "import", "migration verify"; "" before begin */
	const char *command;
	/* first word of the command's location, "" if it has none */
	const char *location;
	/* the command's options as name=value, NULL-terminated; several values
	   of one have tabs between them; NULL if they are not known */
	const char *const *options;
	struct timeval start_time, end_time;
	/* what doveadm exits with because of this user; valid once finished */
	int exit_code;

	uint64_t counters[MIGRATION_COUNTER_COUNT];
	/* at most MIGRATION_RUN_MAX_FINDINGS of them ... */
	ARRAY_TYPE(migration_finding) findings;
	/* ... but all of them are counted, also those that were left out */
	uint64_t finding_counts[MIGRATION_SEVERITY_COUNT];
	ARRAY_TYPE(migration_run_section) sections;
	/* in the order in which the run came to them */
	ARRAY(struct migration_run_mailbox *) mailboxes;
	HASH_TABLE(const char *, struct migration_run_mailbox *)
		mailboxes_by_name;
	ARRAY(struct migration_run_wait) waits;
	/* source mailboxes that were counted: name -> the same */
	HASH_TABLE(const char *, const char *) opened_mailboxes;

	/* set by the command, before the source is listed */
	struct migration_run_ahead ahead;

	/* once migration_pop3 has matched */
	struct migration_run_pop3 pop3;

	/* while it is running */
	struct migration_progress progress;

	/* doveadm -v: mailboxes are logged */
	bool verbose:1;
	/* The command runs for one user, not for -A, -F or a mask. */
	bool one_user:1;
	/* The command says what another one would do: plugins find out as much
	   as for that one, and write nothing. Set by the command, before the
	   source is made. */
	bool planning:1;
	bool mailbox_left_out:1;
	/* the first error in the log that error-advice.h knows, or NULL */
	const char *failure;
	/* the source's server as log lines name it; "" if there is none */
	const char *source;
	/* what it can do, in its own words, and how much its operator lets be
	   downloaded in any 24 hours and how much of it was; NULL and 0 if not
	   known, or not limited */
	const char *source_capabilities;
	uint64_t source_daily_bytes, source_used_bytes;
	/* the SASL mechanisms that it has named, with blanks between them, or
	   NULL */
	const char *source_auth;
	/* how long one row of its failures may be waited for */
	uint64_t patience_msecs;
	/* what the source was taken for, and why: provider.h; NULL if there was
	   none yet */
	struct provider_profile *provider;
	const char *provider_reason;
	/* which mailboxes are left alone: source-filter.h; NULLs if that is not
	   known yet */
	struct mailbox_filter filter, dest_filter;
	/* its words at the failure that ended, or will end, the command; or
	   NULL */
	const char *source_failure;
	/* mails fetched when the command was tried again the last time */
	uint64_t fetched_before;
	/* mailboxes that it does not open, and the one that the run works on or
	   NULL: source-mailbox.h */
	ARRAY(struct source_mailbox *) source_mailboxes;
	const char *source_mailbox;
	/* ... and the one that it worked on at that failure */
	const char *source_failure_mailbox;
	/* since the command was called the last time, a mailbox was refused with
	   words about the account */
	bool source_throttled:1;
	/* the command was called without such a mailbox after the patience was
	   used up */
	bool source_mailbox_given_up:1;

	/* the connection broke when all mailboxes were asked for their state at
	   once: they are asked one by one, which shows where it breaks */
	bool states_lost:1;
	/* the source was logged in to */
	bool source_reached:1;
	bool begun:1;
	bool finished:1;
	/* The run stopped on purpose before all was done: shows in the exit
	   code. Plugins may set it. */
	bool continue_later:1;
};

/* Findings kept in memory and in the report. More than anybody reads, and
   bounded: a hopeless POP3 server can have a finding for each of its mails. */
#define MIGRATION_RUN_MAX_FINDINGS 20000

/* The record of the run that the user takes part in. Never NULL. Ask again
   each time instead of keeping the pointer: the next user of -A gets another
   record. If no command writes a report, what is recorded is dropped. */
struct migration_run *migration_run_find(struct mail_user *user);

/* Adds to a counter. */
void migration_run_count(struct migration_run *run,
			 enum migration_counter counter, uint64_t n);
uint64_t migration_run_get_count(const struct migration_run *run,
				 enum migration_counter counter);

/* Records a finding and sends the event migration_finding. The log shows it
   with -D only, because the summary at the end shows the findings by kind:
   do not log it as well. mailbox may be NULL, uid may be 0. */
void migration_run_finding(struct migration_run *run,
			   enum migration_severity severity,
			   const char *mailbox, uint32_t uid,
			   enum finding_kind kind, const char *why_fmt, ...)
	ATTR_FORMAT(6, 7) ATTR_NULL(3);
/* Takes back what was true of one call of the command only: it is tried again,
   or did not get to its end. Findings beyond MIGRATION_RUN_MAX_FINDINGS stay
   counted. */
void migration_run_forget_findings(struct migration_run *run,
				   enum finding_kind kind);

/* The mailbox's numbers, to be changed by the caller. */
struct migration_run_mailbox *
migration_run_mailbox(struct migration_run *run, const char *name);
/* A mailbox of the source was opened: counts it and its mails, once however
   often it is opened. */
void migration_run_source_opened(struct migration_run *run, const char *name,
				 unsigned int mails);
/* The run waited on purpose. cause: one of a few words that stay the same. */
void migration_run_waited(struct migration_run *run, const char *cause,
			  uint64_t msecs);
/* A mailbox was not migrated on purpose; a finding says why. Stock takes it for
   one that changed meanwhile, so the exit code has to know. */
void migration_run_leave_out_mailbox(struct migration_run *run);

/* Adds a member to the report's top level. json is written as it is. */
void migration_run_add_section(struct migration_run *run, const char *name,
			       const char *json);

/* The source is this one: for the report, and for `doveadm migration plan`. */
void migration_run_set_provider(struct migration_run *run,
				const struct provider_profile *profile,
				const char *reason);

/* TRUE once the run was told to end (SIGINT, SIGTERM): whoever waits, retries or
   reconnects stops that. */
bool migration_run_is_stopping(void);
/* TRUE if this call of the command does not get to its end, because of that or
   because it lost its source: what is missing by then says nothing. */
bool migration_run_is_cut_short(const struct migration_run *run);
/* For the doveadm module. */
void migration_run_set_stopping(bool stopping);

/* Names used in reports and events. */
const char *migration_counter_name(enum migration_counter counter);
const char *migration_severity_name(enum migration_severity severity);

/* The rest is for the doveadm module.

   Begins the user's run: keeps what was recorded for this user since the
   previous run ended, drops everything else, sends migration_run_started. */
struct migration_run *
migration_run_begin(struct mail_user *user, const char *command,
		    const char *location);
/* The options are copied. */
void migration_run_set_options(struct migration_run *run,
			       const char *const *options);
/* TRUE if the command has the option of this name. */
bool migration_run_has_option(const struct migration_run *run,
			      const char *name);
/* Its values (data stack), NULL-terminated: none if it does not have it. */
const char *const *
migration_run_get_option(const struct migration_run *run, const char *name);
/* Ends it: sends migration_run_finished. The record stays readable until
   migration_run_forget(). */
void migration_run_finish(struct migration_run *run, int exit_code);
/* Frees the record, if there is one. */
void migration_run_forget(void);

#endif
