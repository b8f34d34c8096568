/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hostpid.h"
#include "ioloop.h"
#include "iso8601-date.h"
#include "sleep.h"
#include "str-sanitize.h"
#include "mail-user.h"
#include "mail-storage-settings.h"
#include "dict-open.h"
#include "lock-lease.h"
#include "migration-progress.h"
#include "migration-lock-dict.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define LOCK_KEY_PREFIX DICT_PATH_SHARED"dovecot-migration/lock/"
#define SETTLE_MAX_MSECS 1000
#define HOLDER_MAX_LEN 200

struct migration_lock_dict {
	pool_t pool, value_pool;
	struct event *event;
	struct dict *dict;
	const char *key, *holder;
	struct dict_op_settings set;
	struct lock_lease lease;
	unsigned int counter;
	uint64_t tried_at;
	bool lost;
};

/* The value stays until the next reading. */
static int lock_read(struct migration_lock_dict *lock, const char **value_r,
		     const char **error_r)
{
	int ret;

	p_clear(lock->value_pool);
	ret = dict_lookup(lock->dict, &lock->set, lock->value_pool, lock->key,
			  value_r, error_r);
	if (ret == 0)
		*value_r = NULL;
	return ret < 0 ? -1 : 0;
}

struct lock_commit {
	int ret;
	const char *error;
};

static void lock_committed(const struct dict_commit_result *result,
			   struct lock_commit *commit)
{
	commit->ret = result->ret < 0 ? -1 : 1;
	if (result->ret < 0)
		commit->error = t_strdup(result->error);
}

/* quirk: redis-commit-twice. 2.3.19.1's dict_transaction_commit() of redis calls
   back twice, the second time into memory that was freed. */
static int lock_commit(struct migration_lock_dict *lock,
		       struct dict_transaction_context *t,
		       const char **error_r)
{
	struct lock_commit commit = { .ret = 0 };

	dict_transaction_commit_async(&t, lock_committed, &commit);
	dict_wait(lock->dict);
	if (commit.ret > 0)
		return 0;
	*error_r = commit.error == NULL ? "no answer" : commit.error;
	return -1;
}

static int lock_write(struct migration_lock_dict *lock, const char **error_r)
{
	struct dict_transaction_context *t;

	t = dict_transaction_begin(lock->dict, &lock->set);
	dict_set(t, lock->key, t_strdup_printf("%s %u %s", lock->lease.token,
					       ++lock->counter, lock->holder));
	if (lock_commit(lock, t, error_r) < 0)
		return -1;
	lock_lease_written(&lock->lease, migration_progress_clock());
	return 0;
}

/* "token counter process 12 on host, backup imapc: since ..." */
static const char *value_holder(const char *value)
{
	const char *p = strchr(value, ' ');

	p = p == NULL ? NULL : strchr(p + 1, ' ');
	return str_sanitize(p == NULL ? value : p + 1, HOLDER_MAX_LEN);
}

/* Returns as migration_lock_dict_take(), after one step more: 2 if there are more
   to come. */
static int lock_step(struct migration_lock_dict *lock, const char **busy_r)
{
	const char *value, *error;
	unsigned int wait_msecs;

	if (lock_read(lock, &value, &error) < 0) {
		*busy_r = t_strdup_printf("lookup failed: %s", error);
		return -1;
	}
	switch (lock_lease_next(&lock->lease, migration_progress_clock(),
				value, &wait_msecs)) {
	case LOCK_LEASE_WAIT:
		if (!i_sleep_intr_msecs(wait_msecs)) {
			*busy_r = "ended by a signal";
			return -1;
		}
		return 2;
	case LOCK_LEASE_WRITE:
		if (lock_write(lock, &error) < 0) {
			*busy_r = t_strdup_printf("commit failed: %s", error);
			return -1;
		}
		return 2;
	case LOCK_LEASE_TAKEN:
		return 1;
	case LOCK_LEASE_BUSY:
		*busy_r = t_strdup(value_holder(value));
		return 0;
	}
	i_unreached();
}

static void lock_free(struct migration_lock_dict *lock)
{
	if (lock->dict != NULL)
		dict_deinit(&lock->dict);
	lock_lease_deinit(&lock->lease);
	event_unref(&lock->event);
	pool_unref(&lock->value_pool);
	pool_unref(&lock->pool);
}

static struct migration_lock_dict *
lock_alloc(struct mail_user *user, unsigned int lease_secs,
	   const char *command)
{
	pool_t pool = pool_alloconly_create("migration lock", 512);
	struct migration_lock_dict *lock =
		p_new(pool, struct migration_lock_dict, 1);
	unsigned int lease_msecs = lease_secs * 1000;

	lock->pool = pool;
	lock->value_pool = pool_alloconly_create("migration lock value", 512);
	lock->event = event_create(NULL);
	lock->set.username = p_strdup(pool, user->username);
	lock->key = p_strconcat(pool, LOCK_KEY_PREFIX,
				dict_escape_string(user->username), NULL);
	lock->holder = p_strdup_printf(pool, "process %s on %s, %s since %s",
		my_pid, my_hostname, command,
		iso8601_date_create(time(NULL)));
	lock_lease_init(&lock->lease,
		p_strdup_printf(pool, "%s/%s/%08x", my_hostname, my_pid,
				(unsigned int)i_rand()),
		lease_msecs, I_MIN(lease_msecs / 10, SETTLE_MAX_MSECS));
	return lock;
}

int migration_lock_dict_take(struct mail_user *user, const char *dict_name,
			     unsigned int lease_secs, const char *command,
			     struct migration_lock_dict **lock_r,
			     const char **busy_r)
{
	struct migration_lock_dict *lock;
	const char *text;
	int ret;

	lock = lock_alloc(user, lease_secs, command);
	if (dict_open(dict_name, "migration_locks", user->set->base_dir,
		      user->event, &lock->dict, &text) < 0) {
		*busy_r = t_strdup_printf("migration_lock_dict: %s", text);
		lock_free(lock);
		return -1;
	}
	while ((ret = lock_step(lock, &text)) == 2)
		;
	if (ret > 0) {
		*lock_r = lock;
		return 1;
	}
	*busy_r = ret < 0 ? t_strdup_printf("migration_lock_dict: %s", text) :
		t_strdup_printf("Another migration of this user is running: %s "
				"(migration_lock_dict)", text);
	lock_free(lock);
	return ret;
}

static void lock_lose(struct migration_lock_dict *lock, const char *value)
{
	lock->lost = TRUE;
	e_error(lock->event, "The lock of this run was taken over because it "
		"was not renewed in time, the run ends: %s "
		"(migration_lock_dict)", value == NULL ? "it is gone" :
		value_holder(value));
	(void)kill(getpid(), SIGTERM);
}

static void lock_renew(struct migration_lock_dict *lock, uint64_t now)
{
	const char *value, *error;

	if (lock_lease_is_late(&lock->lease, now)) {
		if (lock_read(lock, &value, &error) < 0)
			return;
		if (!lock_lease_is_ours(&lock->lease, value)) {
			lock_lose(lock, value);
			return;
		}
	}
	if (lock_write(lock, &error) < 0) {
		/* the next time it is late, and looks first */
		e_debug(lock->event, "migration_lock_dict: %s", error);
	}
}

void migration_lock_dict_refresh(struct migration_lock_dict *lock)
{
	uint64_t now = migration_progress_clock();
	struct ioloop *ioloop = current_ioloop;

	if (lock->lost ||
	    now < lock->tried_at + lock_lease_interval(&lock->lease))
		return;
	lock->tried_at = now;
	/* the dict's connection stays in the loop that outlives the others */
	io_loop_set_current(io_loop_get_root());
	T_BEGIN {
		lock_renew(lock, now);
	} T_END;
	io_loop_set_current(ioloop);
}

static void lock_give_back(struct migration_lock_dict *lock)
{
	struct dict_transaction_context *t;
	const char *value, *error;

	if (lock->lost || lock_read(lock, &value, &error) < 0 ||
	    !lock_lease_is_ours(&lock->lease, value))
		return;
	t = dict_transaction_begin(lock->dict, &lock->set);
	dict_unset(t, lock->key);
	/* a key that stays is found dead after the lease's time */
	if (lock_commit(lock, t, &error) < 0)
		e_debug(lock->event, "migration_lock_dict: %s", error);
}

void migration_lock_dict_release(struct migration_lock_dict **_lock)
{
	struct migration_lock_dict *lock = *_lock;
	struct ioloop *ioloop = current_ioloop;

	*_lock = NULL;
	if (lock == NULL)
		return;
	io_loop_set_current(io_loop_get_root());
	T_BEGIN {
		lock_give_back(lock);
	} T_END;
	lock_free(lock);
	io_loop_set_current(ioloop);
}
