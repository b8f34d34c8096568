/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "array.h"
#include "hash.h"
#include "lib-event.h"
#include "time-util.h"
#include "mail-user.h"
#include "secret-mask.h"
#include "provider.h"
#include "migration-run.h"

static const char *const counter_names[] = {
	[MIGRATION_COUNTER_MAILBOXES] = "mailboxes",
	[MIGRATION_COUNTER_MAILS_SEEN] = "mails_seen",
	[MIGRATION_COUNTER_MAILS_FETCHED] = "mails_fetched",
	[MIGRATION_COUNTER_MAILS_SAVED] = "mails_saved",
	[MIGRATION_COUNTER_MAILS_SKIPPED] = "mails_skipped",
	[MIGRATION_COUNTER_MAILS_COPIED] = "mails_copied",
	[MIGRATION_COUNTER_MAILS_EXPUNGED] = "mails_expunged",
	[MIGRATION_COUNTER_MAILBOXES_DELETED] = "mailboxes_deleted",
	[MIGRATION_COUNTER_BYTES_FETCHED] = "bytes_fetched",
	[MIGRATION_COUNTER_IMAP_COMMANDS] = "imap_commands",
	[MIGRATION_COUNTER_WAITS] = "waits",
	[MIGRATION_COUNTER_RECONNECTS] = "reconnects",
	[MIGRATION_COUNTER_RETRIES] = "retries",
	[MIGRATION_COUNTER_PAUSE_MSECS] = "pause_msecs",
	[MIGRATION_COUNTER_POP3_MAILS] = "pop3_mails",
	[MIGRATION_COUNTER_POP3_MATCHED] = "pop3_matched",
	[MIGRATION_COUNTER_POP3_UNMATCHED] = "pop3_unmatched",
	[MIGRATION_COUNTER_POP3_TOPS] = "pop3_tops",
	[MIGRATION_COUNTER_POP3_RETRS] = "pop3_retrs",
	[MIGRATION_COUNTER_POP3_BYTES] = "pop3_bytes",
	[MIGRATION_COUNTER_MAILS_COMPARED] = "mails_compared",
	[MIGRATION_COUNTER_BODIES_COMPARED] = "bodies_compared",
};
_Static_assert(N_ELEMENTS(counter_names) == MIGRATION_COUNTER_COUNT,
	       "each counter has a name");

static const char *const severity_names[] = {
	[MIGRATION_SEVERITY_INFO] = "info",
	[MIGRATION_SEVERITY_WARNING] = "warning",
	[MIGRATION_SEVERITY_ERROR] = "error",
};
_Static_assert(N_ELEMENTS(severity_names) == MIGRATION_SEVERITY_COUNT,
	       "each severity has a name");

static struct event_category event_category_migration = {
	.name = "migration"
};

/* one process, one user at a time: see the header */
static struct migration_run *current_run;

static bool run_is_stopping = FALSE;

bool migration_run_is_stopping(void)
{
	return run_is_stopping;
}

bool migration_run_is_cut_short(const struct migration_run *run)
{
	return run->source_failure != NULL || run_is_stopping;
}

void migration_run_set_stopping(bool stopping)
{
	run_is_stopping = stopping;
}

const char *migration_counter_name(enum migration_counter counter)
{
	i_assert(counter < MIGRATION_COUNTER_COUNT);
	return counter_names[counter];
}

const char *migration_severity_name(enum migration_severity severity)
{
	i_assert(severity < MIGRATION_SEVERITY_COUNT);
	return severity_names[severity];
}

static struct migration_run *migration_run_alloc(struct mail_user *user)
{
	struct migration_run *run;
	pool_t pool = pool_alloconly_create("migration run", 4096);

	run = p_new(pool, struct migration_run, 1);
	run->pool = pool;
	run->username = p_strdup(pool, user->username);
	run->command = run->location = run->source = "";
	i_gettimeofday(&run->start_time);
	p_array_init(&run->findings, pool, 16);
	p_array_init(&run->sections, pool, 2);
	p_array_init(&run->mailboxes, pool, 32);
	p_array_init(&run->waits, pool, 2);
	p_array_init(&run->source_mailboxes, pool, 2);
	hash_table_create(&run->mailboxes_by_name, pool, 0, str_hash, strcmp);
	hash_table_create(&run->opened_mailboxes, pool, 0, str_hash, strcmp);

	/* no parent: the users of the run come and go, and an event that
	   outlives its parent's owner would keep the parent alive */
	run->event = event_create(NULL);
	event_add_category(run->event, &event_category_migration);
	event_add_str(run->event, "user", user->username);
	event_set_append_log_prefix(run->event, "migration: ");
	if (user->event != NULL && event_want_debug_log(user->event)) {
		/* doveadm -D */
		event_set_forced_debug(run->event, TRUE);
	}
	return run;
}

void migration_run_forget(void)
{
	struct migration_run *run = current_run;

	if (run == NULL)
		return;
	current_run = NULL;
	hash_table_destroy(&run->mailboxes_by_name);
	hash_table_destroy(&run->opened_mailboxes);
	event_unref(&run->event);
	pool_unref(&run->pool);
}

static bool
migration_run_is_of_user(const struct migration_run *run,
			 const struct mail_user *user)
{
	/* While a command runs, everything in the process belongs to it, also
	   the other user that `import -U` reads from. What comes after its end
	   belongs to the next one, if it is about the same user: a source user
	   can be freed later than the run that used it. */
	if (run->begun && !run->finished)
		return TRUE;
	return !run->finished && strcmp(run->username, user->username) == 0;
}

struct migration_run *migration_run_find(struct mail_user *user)
{
	if (current_run != NULL && !migration_run_is_of_user(current_run, user))
		migration_run_forget();
	if (current_run == NULL)
		current_run = migration_run_alloc(user);
	return current_run;
}

void migration_run_count(struct migration_run *run,
			 enum migration_counter counter, uint64_t n)
{
	i_assert(counter < MIGRATION_COUNTER_COUNT);
	run->counters[counter] += n;
}

uint64_t migration_run_get_count(const struct migration_run *run,
				 enum migration_counter counter)
{
	i_assert(counter < MIGRATION_COUNTER_COUNT);
	return run->counters[counter];
}

static const char *finding_where(const struct migration_finding *finding)
{
	if (finding->mailbox == NULL)
		return "";
	if (finding->uid == 0)
		return t_strdup_printf("Mailbox %s: ", finding->mailbox);
	return t_strdup_printf("Mailbox %s: UID %u: ", finding->mailbox,
			       finding->uid);
}

static void
migration_run_send_finding(struct migration_run *run,
			   const struct migration_finding *finding)
{
	struct event_passthrough *e =
		event_create_passthrough(run->event)->
		set_name("migration_finding")->
		add_str("command", run->command)->
		add_str("severity", severity_names[finding->severity])->
		add_str("what", finding_name(finding->kind))->
		add_str("reason", finding->why)->
		add_int_nonzero("uid", finding->uid);

	if (finding->mailbox != NULL)
		e = e->add_str("mailbox", finding->mailbox);
	e_debug(e->event(), "Finding (%s, %s): %s%s",
		severity_names[finding->severity], finding_name(finding->kind),
		finding_where(finding), finding->why);
}

void migration_run_finding(struct migration_run *run,
			   enum migration_severity severity,
			   const char *mailbox, uint32_t uid,
			   enum finding_kind kind, const char *why_fmt, ...)
{
	struct migration_finding finding;
	va_list args;

	i_assert(severity < MIGRATION_SEVERITY_COUNT);

	T_BEGIN {
		i_zero(&finding);
		finding.severity = severity;
		finding.mailbox = mailbox;
		finding.uid = uid;
		finding.kind = kind;
		va_start(args, why_fmt);
		finding.why = migration_secrets_mask(
			t_strdup_vprintf(why_fmt, args));
		va_end(args);

		run->finding_counts[severity]++;
		migration_run_send_finding(run, &finding);
		if (array_count(&run->findings) < MIGRATION_RUN_MAX_FINDINGS) {
			finding.mailbox = p_strdup(run->pool, mailbox);
			finding.why = p_strdup(run->pool, finding.why);
			array_push_back(&run->findings, &finding);
		}
	} T_END;
}

void migration_run_forget_findings(struct migration_run *run,
				   enum finding_kind kind)
{
	const struct migration_finding *findings;
	unsigned int i, count;

	findings = array_get(&run->findings, &count);
	for (i = count; i-- > 0; ) {
		if (findings[i].kind != kind)
			continue;
		run->finding_counts[findings[i].severity]--;
		array_delete(&run->findings, i, 1);
	}
}

struct migration_run_mailbox *
migration_run_mailbox(struct migration_run *run, const char *name)
{
	struct migration_run_mailbox *mailbox;

	mailbox = hash_table_lookup(run->mailboxes_by_name, name);
	if (mailbox == NULL) {
		mailbox = p_new(run->pool, struct migration_run_mailbox, 1);
		mailbox->name = p_strdup(run->pool, name);
		array_push_back(&run->mailboxes, &mailbox);
		hash_table_insert(run->mailboxes_by_name, mailbox->name,
				  mailbox);
	}
	return mailbox;
}

void migration_run_source_opened(struct migration_run *run, const char *name,
				 unsigned int mails)
{
	if (hash_table_lookup(run->opened_mailboxes, name) != NULL)
		return;
	name = p_strdup(run->pool, name);
	hash_table_insert(run->opened_mailboxes, name, name);
	migration_run_count(run, MIGRATION_COUNTER_MAILBOXES, 1);
	migration_run_count(run, MIGRATION_COUNTER_MAILS_SEEN, mails);
}

void migration_run_waited(struct migration_run *run, const char *cause,
			  uint64_t msecs)
{
	struct migration_run_wait *wait;

	array_foreach_modifiable(&run->waits, wait) {
		if (strcmp(wait->cause, cause) == 0) {
			wait->times++;
			wait->msecs += msecs;
			return;
		}
	}
	wait = array_append_space(&run->waits);
	wait->cause = p_strdup(run->pool, cause);
	wait->times = 1;
	wait->msecs = msecs;
}

void migration_run_leave_out_mailbox(struct migration_run *run)
{
	run->mailbox_left_out = TRUE;
}

void migration_run_add_section(struct migration_run *run, const char *name,
			       const char *json)
{
	struct migration_run_section *section;

	section = array_append_space(&run->sections);
	section->name = p_strdup(run->pool, name);
	section->json = p_strdup(run->pool, json);
}

void migration_run_set_provider(struct migration_run *run,
				const struct provider_profile *profile,
				const char *reason)
{
	if (run->provider == NULL)
		run->provider = p_new(run->pool, struct provider_profile, 1);
	*run->provider = *profile;
	/* a setting's value is gone with the source's user */
	run->provider->exclude = p_strdup(run->pool, profile->exclude);
	run->provider_reason = p_strdup(run->pool, reason);
}

struct migration_run *
migration_run_begin(struct mail_user *user, const char *command,
		    const char *location)
{
	struct migration_run *run;

	/* `doveadm batch` runs several commands for one user */
	if (current_run != NULL && current_run->begun)
		migration_run_forget();
	run = migration_run_find(user);
	run->begun = TRUE;
	run->command = p_strdup(run->pool, command);
	run->location = p_strdup(run->pool, location);
	i_gettimeofday(&run->start_time);

	e_debug(event_create_passthrough(run->event)->
		set_name("migration_run_started")->
		add_str("command", run->command)->
		add_str("location", run->location)->event(),
		"Run of %s %s started", run->command, run->location);
	return run;
}

void migration_run_set_options(struct migration_run *run,
			       const char *const *options)
{
	run->options = p_strarray_dup(run->pool, options);
}

static const char *
find_option(const struct migration_run *run, const char *name)
{
	const char *const *option = run->options;
	size_t len = strlen(name);

	for (; option != NULL && *option != NULL; option++) {
		if (strncmp(*option, name, len) == 0 && (*option)[len] == '=')
			return *option + len + 1;
	}
	return NULL;
}

bool migration_run_has_option(const struct migration_run *run, const char *name)
{
	return find_option(run, name) != NULL;
}

const char *const *
migration_run_get_option(const struct migration_run *run, const char *name)
{
	const char *value = find_option(run, name);

	return t_strsplit(value == NULL ? "" : value, "\t");
}

void migration_run_finish(struct migration_run *run, int exit_code)
{
	struct event_passthrough *e;
	unsigned int i;

	i_assert(run->begun && !run->finished);

	i_gettimeofday(&run->end_time);
	run->exit_code = exit_code;
	run->finished = TRUE;

	e = event_create_passthrough(run->event)->
		set_name("migration_run_finished")->
		add_str("command", run->command)->
		add_str("location", run->location)->
		add_int("exit_code", exit_code);
	for (i = 0; i < MIGRATION_COUNTER_COUNT; i++)
		e = e->add_int(counter_names[i], run->counters[i]);
	for (i = 0; i < MIGRATION_SEVERITY_COUNT; i++) {
		e = e->add_int(t_strdup_printf("findings_%s", severity_names[i]),
			       run->finding_counts[i]);
	}
	e_debug(e->event(), "Run of %s %s finished with exit code %d",
		run->command, run->location, exit_code);
}
