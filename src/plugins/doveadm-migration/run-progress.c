/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "ioloop.h"
#include "hostpid.h"
#include "str.h"
#include "mail-storage-private.h"
#include "mail-user.h"
#include "imapc-storage.h"
#include "migration-file.h"
#include "migration-lock-dict.h"
#include "migration-run.h"
#include "progress-line.h"
#include "progress-rate.h"
#include "run-status.h"
#include "progress-terminal.h"
#include "run-mailbox.h"
#include "run-progress.h"

#include <time.h>

/* dsync's question while it builds the tree of mailboxes */
#define STATUS_ITEMS_OF_TREE (STATUS_UIDVALIDITY | STATUS_UIDNEXT)
#define TICK_MSECS 1000
/* lines in a log: often enough to see that it goes on */
#define LOG_INTERVAL_MSECS (30*1000)
#define LOG_WIDTH 120

/* one user at a time */
static struct {
	/* the destination's; NULL while no run is watched */
	struct mail_user *user;
	struct migration_run *run;
	const char *path;
	struct progress_rate rate;
	struct timeout *to;
	struct migration_lock_dict *lock;
	uint64_t logged_at;
	bool draws, logs, file_failed;
} watched;

/*
 * Showing
 */

static void get_status(struct run_status *status)
{
	struct migration_run *run = watched.run;

	run_status_init(status);
	status->state = RUN_STATE_RUNNING;
	status->user = run->username;
	status->command = run->command;
	status->location = run->location;
	status->host = my_hostname;
	status->pid = getpid();
	status->started = run->start_time.tv_sec;
	status->updated = time(NULL);
	migration_progress_get(run, status);

	progress_rate_add(&watched.rate, migration_progress_clock(),
			  status->mails, status->bytes);
	status->mails_per_sec = progress_rate_mails(&watched.rate);
	status->bytes_per_sec = progress_rate_bytes(&watched.rate);
	if (status->mails_total != 0) {
		status->eta_secs = progress_rate_eta_secs(&watched.rate,
			status->mails_total - status->mails,
			status->wait_left_msecs);
	}
	if (run->finished) {
		status->state = RUN_STATE_FINISHED;
		status->finished = run->end_time.tv_sec;
		status->exit_code = run->exit_code;
		status->eta_secs = -1;
		/* dsync says nothing of mailboxes that are unchanged */
		if (run->exit_code == 0 && status->mails_total != 0) {
			status->mails = status->mails_total;
			status->mailbox_number = status->mailboxes;
		}
	}
}

static void write_file(const struct run_status *status)
{
	string_t *json;
	const char *error;

	if (watched.path[0] == '\0' || watched.file_failed)
		return;
	json = t_str_new(1024);
	run_status_append_json(json, status);
	if (migration_file_replace_unsynced(watched.path, json, &error) < 0) {
		/* once is enough; the mails are more important */
		watched.file_failed = TRUE;
		e_error(watched.run->event, "Can't write the status "
			"(migration_status_path): %s", error);
	}
}

static void log_line(const struct run_status *status)
{
	string_t *line = t_str_new(128);

	progress_line_append(line, LOG_WIDTH, status);
	i_info("%s", str_c(line));
}

static void run_progress_show(struct migration_run *run ATTR_UNUSED)
{
	struct run_status status;
	uint64_t now = migration_progress_clock();

	if (watched.lock != NULL)
		migration_lock_dict_refresh(watched.lock);
	get_status(&status);
	write_file(&status);
	if (watched.draws)
		progress_terminal_draw(&status);
	if (watched.logs && (watched.logged_at == 0 ||
			     now >= watched.logged_at + LOG_INTERVAL_MSECS)) {
		watched.logged_at = now;
		log_line(&status);
	}
}

/*
 * Time
 */

static void run_progress_timeout(void *context ATTR_UNUSED)
{
	migration_progress_tick(watched.run);
}

/* imapc waits for its server in a loop of its own, and the timer goes with it. */
static void run_progress_switched(struct ioloop *prev_ioloop ATTR_UNUSED)
{
	if (current_ioloop != NULL && watched.to != NULL)
		watched.to = io_loop_move_timeout(&watched.to);
}

/*
 * What happens
 */

static bool is_source(struct mailbox *box)
{
	return watched.user != NULL && box->storage->user != watched.user;
}

/* dsync asks for the cache fields when it has come to a mailbox, on both
   sides. */
int run_progress_get_metadata(struct mailbox *box,
			      enum mailbox_metadata_items items,
			      struct mailbox_metadata *metadata_r)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct migration_run_mailbox *mailbox;

	if (rbox->module_ctx.super.get_metadata(box, items, metadata_r) < 0)
		return -1;
	if (watched.user == NULL || box->view == NULL ||
	    (items & MAILBOX_METADATA_CACHE_FIELDS) == 0)
		return 0;
	mailbox = migration_run_mailbox(watched.run, box->vname);
	if (is_source(box))
		migration_progress_mailbox(watched.run, box->vname);
	else {
		mailbox->dest_mails =
			mail_index_view_get_messages_count(box->view);
	}
	return 0;
}

/* import comes to a mailbox when it searches it. */
static struct mail_search_context *
run_progress_search_init(struct mailbox_transaction_context *t,
			 struct mail_search_args *args,
			 const enum mail_sort_type *sort_program,
			 enum mail_fetch_field wanted_fields,
			 struct mailbox_header_lookup_ctx *wanted_headers)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(t->box);

	if (is_source(t->box) && strcmp(watched.run->command, "import") == 0) {
		migration_run_mailbox(watched.run, t->box->vname)->source_mails =
			mail_index_view_get_messages_count(t->view);
		migration_progress_mailbox(watched.run, t->box->vname);
	}
	return rbox->module_ctx.super.search_init(t, args, sort_program,
						  wanted_fields, wanted_headers);
}

/* What a remote source has comes from its answer for all mailboxes at once. */
int run_progress_get_status(struct mailbox *box,
			    enum mailbox_status_items items,
			    struct mailbox_status *status_r)
{
	struct run_mailbox *rbox = RUN_MAILBOX_REQUIRE(box);
	struct mailbox_status status;

	if (rbox->module_ctx.super.get_status(box, items, status_r) < 0)
		return -1;
	if (items == STATUS_ITEMS_OF_TREE && is_source(box) &&
	    strcmp(box->storage->name, IMAPC_STORAGE_NAME) != 0 &&
	    rbox->module_ctx.super.get_status(box, STATUS_MESSAGES,
					      &status) == 0)
		migration_progress_expect(watched.run, status.messages);
	return 0;
}

void run_progress_mailbox_init(struct mailbox_vfuncs *v)
{
	v->search_init = run_progress_search_init;
}

/*
 * The run
 */

void run_progress_begin(struct mail_user *user, struct migration_run *run,
			const char *path, enum run_progress_line line,
			struct migration_lock_dict *lock)
{
	bool terminal = progress_terminal_is_possible();

	i_assert(watched.user == NULL);

	watched.user = user;
	watched.run = run;
	watched.path = path;
	watched.draws = line != RUN_PROGRESS_LINE_NO && terminal;
	watched.logs = line == RUN_PROGRESS_LINE_YES && !terminal;
	watched.lock = lock;
	if (path[0] == '\0' && !watched.draws && !watched.logs && lock == NULL)
		return;

	if (watched.draws)
		progress_terminal_begin();
	migration_progress_watch(run_progress_show);
	watched.to = timeout_add(TICK_MSECS, run_progress_timeout, NULL);
	io_loop_add_switch_callback(run_progress_switched);
	T_BEGIN {
		run_progress_show(run);
	} T_END;
}

void run_progress_end(struct migration_run *run)
{
	struct run_status status;

	i_assert(watched.run == run);

	if (watched.to != NULL) {
		io_loop_remove_switch_callback(run_progress_switched);
		timeout_remove(&watched.to);
		migration_progress_watch(NULL);
		if (watched.draws)
			progress_terminal_end();
		T_BEGIN {
			get_status(&status);
			write_file(&status);
		} T_END;
	}
	i_zero(&watched);
}
