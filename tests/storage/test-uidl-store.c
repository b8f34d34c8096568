/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* UIDLs and order put onto stored mail, on each format, in real storage: the
   mails stay what they were, also if the process is killed before any of the
   system calls that change something, and the next run finishes the work. */

#include "lib.h"
#include "array.h"
#include "str.h"
#include "istream.h"
#include "hostpid.h"
#include "hex-binary.h"
#include "sha1.h"
#include "ioloop.h"
#include "mail-user.h"
#include "mail-namespace.h"
#include "mail-storage-private.h"
#include "mail-cache.h"
#include "test-common.h"
#include "storage-test.h"
#include "test-mail-storage-common.h"
#include "uidl-store.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

/*
 * The process ends before the n-th call that changes a file.
 */

static unsigned int steps_left;

static void step(void)
{
	if (steps_left > 0 && --steps_left == 0)
		kill(getpid(), SIGKILL);
}

/* Dovecot's libraries call these instead of libc's. */
int rename(const char *from, const char *to)
{
	step();
	return syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path)
{
	step();
	return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ftruncate(int fd, off_t size)
{
	step();
	return syscall(SYS_ftruncate, fd, size);
}

ssize_t write(int fd, const void *data, size_t size)
{
	step();
	return syscall(SYS_write, fd, data, size);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
	step();
	return syscall(SYS_writev, fd, iov, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
	step();
	return syscall(SYS_pwrite64, fd, data, size, offset);
}

int fdatasync(int fd)
{
	step();
	return syscall(SYS_fdatasync, fd);
}

/*
 * What is done to an account is done by a child, which sees what is on the
 * disk and not what this process remembers.
 */

struct account {
	struct mail_user *user;
	/* changes that the child makes */
	const struct uidl_store_change *changes;
	unsigned int changes_count;
	unsigned int kill_at;
};

/* Writes its result to dest, "" if there is nothing to say. */
typedef void account_func_t(struct account *account, string_t *dest);

static void
child_error_handler(const struct failure_context *ctx ATTR_UNUSED,
		    const char *format ATTR_UNUSED, va_list args ATTR_UNUSED)
{
	/* Dovecot reports what a killed process left behind */
}

static void child_run(struct account *account, account_func_t *func, int fd)
{
	string_t *result = str_new(default_pool, 1024);

	hostpid_init();
	i_set_error_handler(child_error_handler);
	steps_left = account->kill_at;
	func(account, result);
	steps_left = 0;
	if (write(fd, str_data(result), str_len(result)) !=
	    (ssize_t)str_len(result))
		_exit(1);
	_exit(0);
}

/* Returns what the child said, or NULL if it was killed. */
static const char *in_child(struct account *account, account_func_t *func)
{
	string_t *result = t_str_new(1024);
	char data[4096];
	ssize_t size;
	int fds[2], status;
	pid_t pid;

	if (pipe(fds) < 0 || (pid = fork()) == -1)
		i_fatal("Can't make a child: %m");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		i_close_fd(&fds[0]);
		child_run(account, func, fds[1]);
	}
	i_close_fd(&fds[1]);
	while ((size = read(fds[0], data, sizeof(data))) > 0)
		str_append_data(result, data, size);
	i_close_fd(&fds[0]);
	if (waitpid(pid, &status, 0) != pid)
		i_fatal("waitpid() failed: %m");
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return NULL;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		str_printfa(result, "child ended with status %d", status);
	return str_c(result);
}

static struct mailbox *box_open(struct account *account, const char *name)
{
	struct mailbox *box;

	box = mailbox_alloc(mail_namespace_find_inbox(
				account->user->namespaces)->list, name, 0);
	if (mailbox_open(box) < 0 ||
	    mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0) {
		i_fatal("Can't open %s: %s", name,
			mailbox_get_last_internal_error(box, NULL));
	}
	return box;
}

/*
 * Accounts
 */

static void
mail_save(struct mailbox *box, unsigned int number, const char *uidl,
	  unsigned int order)
{
	const char *text = t_strdup_printf(
		"Subject: mail %u\r\nMessage-ID: <%u@test>\r\n\r\n%0*u\r\n",
		number, number, 20 + (int)number * 37, number);
	struct mailbox_transaction_context *t;
	struct mail_save_context *ctx;
	struct istream *input;
	int ret;

	t = mailbox_transaction_begin(box, MAILBOX_TRANSACTION_FLAG_EXTERNAL,
				      __func__);
	ctx = mailbox_save_alloc(t);
	mailbox_save_set_received_date(ctx, 1500000000 + number, 0);
	mailbox_save_set_save_date(ctx, 1600000000 + number);
	mailbox_save_set_flags(ctx, number % 2 == 0 ? MAIL_SEEN : MAIL_FLAGGED,
			       NULL);
	if (uidl != NULL)
		mailbox_save_set_pop3_uidl(ctx, uidl);
	if (order != 0)
		mailbox_save_set_pop3_order(ctx, order);
	input = i_stream_create_from_data(text, strlen(text));
	ret = mailbox_save_begin(&ctx, input);
	while (ret == 0 && i_stream_read(input) > 0)
		ret = mailbox_save_continue(ctx);
	if (ret == 0)
		ret = mailbox_save_finish(&ctx);
	i_stream_unref(&input);
	if (mailbox_transaction_commit(&t) < 0 || ret < 0)
		i_fatal("Can't save a mail");
}

static void mail_copy_to(struct mailbox *src, uint32_t uid, const char *name)
{
	struct mailbox_transaction_context *src_t, *dest_t;
	struct mail_save_context *ctx;
	struct mailbox *dest;
	struct mail *mail;

	dest = mailbox_alloc(src->list, name, 0);
	if (mailbox_create(dest, NULL, FALSE) < 0 || mailbox_open(dest) < 0)
		i_fatal("Can't create %s", name);
	src_t = mailbox_transaction_begin(src, 0, __func__);
	dest_t = mailbox_transaction_begin(dest,
		MAILBOX_TRANSACTION_FLAG_EXTERNAL, __func__);
	mail = mail_alloc(src_t, 0, NULL);
	mail_set_uid(mail, uid);
	ctx = mailbox_save_alloc(dest_t);
	mailbox_save_copy_flags(ctx, mail);
	if (mailbox_copy(&ctx, mail) < 0)
		i_fatal("Can't copy");
	mail_free(&mail);
	if (mailbox_transaction_commit(&dest_t) < 0 ||
	    mailbox_transaction_commit(&src_t) < 0)
		i_fatal("Can't commit the copy");
	mailbox_free(&dest);
}

static void mail_expunge_uid(struct mailbox *box, uint32_t uid)
{
	struct mailbox_transaction_context *t;
	struct mail *mail;

	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	if (mail_set_uid(mail, uid))
		mail_expunge(mail);
	mail_free(&mail);
	if (mailbox_transaction_commit(&t) < 0 || mailbox_sync(box, 0) < 0)
		i_fatal("Can't expunge");
}

/* Seven mails, one of them expunged, one with a copy in another mailbox. */
static void account_fill(struct account *account, bool with_uidls)
{
	struct mailbox *box = box_open(account, "INBOX");
	unsigned int i;

	for (i = 1; i <= 7; i++) T_BEGIN {
		mail_save(box, i, !with_uidls ? NULL :
			  t_strdup_printf("old-%u", i),
			  !with_uidls ? 0 : 100 - i);
	} T_END;
	if (mailbox_sync(box, 0) < 0)
		i_fatal("Can't sync");
	mail_copy_to(box, 2, "Other");
	mail_expunge_uid(box, 4);
	mailbox_free(&box);
}

static void account_fill_bare(struct account *account, string_t *dest ATTR_UNUSED)
{
	account_fill(account, FALSE);
}

static void account_fill_old(struct account *account, string_t *dest ATTR_UNUSED)
{
	account_fill(account, TRUE);
}

static const struct uidl_store_change changes[] = {
	{ .uid = 1, .uidl = "new-1", .order = 50, .write = TRUE },
	{ .uid = 2, .uidl = "new-2", .order = 40, .write = TRUE },
	{ .uid = 3, .uidl = "new-with-a-much-longer-name-3", .order = 30,
	  .write = TRUE },
	{ .uid = 5, .uidl = "new-5", .order = 20, .write = TRUE },
	/* nothing, or not any more */
	{ .uid = 6, .write = TRUE },
	/* without a number: comes last */
	{ .uid = 7, .uidl = "new-7", .write = TRUE },
};

static const char *const changed_list =
	"new-5 new-with-a-much-longer-name-3 new-2 new-1 - new-7";

/*
 * What an account has
 */

struct listed_mail {
	uint32_t uid, order;
	const char *uidl;
};

static int listed_mail_cmp(const struct listed_mail *m1,
			   const struct listed_mail *m2)
{
	if (m1->order != m2->order) {
		if (m1->order == 0 || m2->order == 0)
			return m1->order == 0 ? 1 : -1;
		return m1->order < m2->order ? -1 : 1;
	}
	return m1->uid < m2->uid ? -1 : 1;
}

/* Appends what the POP3 server would list. */
static void account_list(struct account *account, string_t *dest)
{
	struct mailbox *box = box_open(account, "INBOX");
	struct mailbox_transaction_context *t;
	struct listed_mail listed;
	ARRAY(struct listed_mail) list;
	const struct listed_mail *mailp;
	const char *uidl, *order;
	struct mail *mail;
	uint32_t seq, count = mail_index_view_get_messages_count(box->view);

	t_array_init(&list, 16);
	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	for (seq = 1; seq <= count; seq++) {
		mail_set_seq(mail, seq);
		if (mail_get_special(mail, MAIL_FETCH_UIDL_BACKEND, &uidl) < 0 ||
		    mail_get_special(mail, MAIL_FETCH_POP3_ORDER, &order) < 0)
			uidl = order = "error";
		listed.uid = mail->uid;
		listed.uidl = t_strdup(*uidl == '\0' ? "-" : uidl);
		if (str_to_uint32(order, &listed.order) < 0)
			listed.order = 0;
		array_push_back(&list, &listed);
	}
	mail_free(&mail);
	(void)mailbox_transaction_commit(&t);
	mailbox_free(&box);
	array_sort(&list, listed_mail_cmp);
	array_foreach(&list, mailp) {
		if (str_len(dest) > 0)
			str_append_c(dest, ' ');
		str_append(dest, mailp->uidl);
	}
}

static const char *mail_digest(struct mail *mail)
{
	unsigned char digest[SHA1_RESULTLEN];
	struct sha1_ctxt sha1;
	const unsigned char *data;
	struct istream *input;
	size_t size;

	if (mail_get_stream(mail, NULL, NULL, &input) < 0)
		return "unreadable";
	sha1_init(&sha1);
	while (i_stream_read_more(input, &data, &size) > 0) {
		sha1_loop(&sha1, data, size);
		i_stream_skip(input, size);
	}
	sha1_result(&sha1, digest);
	return binary_to_hex(digest, 4);
}

/* everything but UIDL and order */
static void
box_describe(struct account *account, const char *name, string_t *dest)
{
	struct mailbox *box = box_open(account, name);
	struct mailbox_transaction_context *t;
	struct mailbox_status status;
	struct mail *mail;
	const char *guid;
	time_t received, saved;
	uoff_t size, physical_size;
	uint32_t seq;

	mailbox_get_open_status(box, STATUS_MESSAGES | STATUS_UIDNEXT |
				STATUS_UIDVALIDITY, &status);
	str_printfa(dest, "%s %u messages, next %u, %u\n", name,
		    status.messages, status.uidnext, status.uidvalidity);
	t = mailbox_transaction_begin(box, 0, __func__);
	mail = mail_alloc(t, 0, NULL);
	for (seq = 1; seq <= status.messages; seq++) T_BEGIN {
		mail_set_seq(mail, seq);
		if (mail_get_special(mail, MAIL_FETCH_GUID, &guid) < 0 ||
		    mail_get_received_date(mail, &received) < 0 ||
		    mail_get_save_date(mail, &saved) < 0 ||
		    mail_get_virtual_size(mail, &size) < 0 ||
		    mail_get_physical_size(mail, &physical_size) < 0)
			str_append(dest, "error ");
		else {
			str_printfa(dest, "%u flags=%x guid=%s received=%ld "
				"saved=%ld size=%"PRIuUOFF_T"/%"PRIuUOFF_T" %s\n",
				mail->uid, mail_get_flags(mail) & MAIL_FLAGS_NONRECENT,
				guid, (long)received, (long)saved, size,
				physical_size, mail_digest(mail));
		}
	} T_END;
	mail_free(&mail);
	(void)mailbox_transaction_commit(&t);
	mailbox_free(&box);
}

static void account_describe(struct account *account, string_t *dest)
{
	box_describe(account, "INBOX", dest);
	box_describe(account, "Other", dest);
}

/*
 * What is done to it
 */

static void account_change(struct account *account, string_t *dest)
{
	struct mailbox *box = box_open(account, "INBOX");
	struct uidl_store_result result;
	const char *error;

	if (uidl_store_write(box, account->changes, account->changes_count,
			     &result, &error) < 0)
		str_append(dest, error);
	else
		str_printfa(dest, "%u written, %u shown, %u vanished",
			    result.written, result.shown, result.vanished);
	mailbox_free(&box);
}

/* What the command does: compare, then write only what differs. */
static void account_finish(struct account *account, string_t *dest)
{
	struct mailbox *box = box_open(account, "INBOX");
	ARRAY_TYPE(uidl_store_mail) mails;
	ARRAY(struct uidl_store_change) todo;
	const struct uidl_store_mail *mail;
	struct uidl_store_change change;
	struct uidl_store_result result;
	const char *error;
	unsigned int i = 0;
	pool_t pool = pool_alloconly_create("finish", 1024);

	p_array_init(&mails, pool, 16);
	p_array_init(&todo, pool, 16);
	if (uidl_store_read(box, pool, &mails, &error) < 0)
		str_append(dest, error);
	array_foreach(&mails, mail) {
		change = account->changes[i++];
		i_assert(change.uid == mail->uid);
		change.write = null_strcmp(mail->stored_uidl, change.uidl) != 0 ||
			mail->stored_order != change.order;
		if (change.write ||
		    null_strcmp(mail->served_uidl, change.uidl) != 0 ||
		    mail->served_order != change.order)
			array_push_back(&todo, &change);
	}
	if (uidl_store_write(box, array_count(&todo) == 0 ? NULL :
			     array_front(&todo), array_count(&todo),
			     &result, &error) < 0)
		str_append(dest, error);
	pool_unref(&pool);
	mailbox_free(&box);
}

static void account_resync(struct account *account, string_t *dest)
{
	struct mailbox *box = box_open(account, "INBOX");

	if (mailbox_sync(box, MAILBOX_SYNC_FLAG_FORCE_RESYNC |
			 MAILBOX_SYNC_FLAG_FIX_INCONSISTENT) < 0)
		str_append(dest, mailbox_get_last_internal_error(box, NULL));
	mailbox_free(&box);
}

/* A process that was killed between creating Maildir's lock file and writing
   its process id into it leaves a lock that Dovecot overrides only after two
   minutes. The test does not wait for that. */
static void account_age_lock(struct account *account, string_t *dest)
{
	const char *path, *home;
	struct stat st;

	if (mail_user_get_home(account->user, &home) <= 0)
		str_append(dest, "no home");
	path = t_strconcat(home, "/dovecot-uidlist.lock", NULL);
	if (stat(path, &st) == 0 && st.st_size == 0)
		i_unlink(path);
}

static void account_purge(struct account *account, string_t *dest)
{
	struct mail_namespace *ns =
		mail_namespace_find_inbox(account->user->namespaces);

	if (mail_storage_purge(mail_namespace_get_default_storage(ns)) < 0)
		str_append(dest, "purge failed");
}

static void account_drop_cache(struct account *account, string_t *dest)
{
	struct mailbox *box = box_open(account, "INBOX");
	const char *path;

	if (mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_INDEX, &path) <= 0 ||
	    unlink(t_strconcat(path, "/dovecot.index.cache", NULL)) < 0)
		str_append(dest, "no cache");
	mailbox_free(&box);
}

/*
 * Tests
 */

static const struct {
	const char *driver;
	/* the file's date is the mail's save date, which goes with the cache */
	bool save_date_is_cached;
	bool has_cached_uidls;
	const char *option;
} drivers[] = {
	{ "maildir", FALSE, FALSE, NULL },
	{ "sdbox", TRUE, TRUE, NULL },
	/* one file, and a file for one or two mails */
	{ "mdbox", FALSE, TRUE, NULL },
	{ "mdbox", FALSE, TRUE, "mdbox_rotate_size=600" },
};

static void
account_init(struct test_mail_storage_ctx *ctx, unsigned int i,
	     account_func_t *fill, bool fsync, struct account *account_r)
{
	const char *const extra[] = {
		/* a killed process loses nothing that was written */
		fsync ? "mail_fsync=optimized" : "mail_fsync=never",
		drivers[i].option, NULL
	};
	struct test_mail_storage_settings set = {
		.driver = drivers[i].driver,
		.hierarchy_sep = "/",
		.extra_input = extra,
	};

	test_mail_storage_init_user(ctx, &set);
	i_zero(account_r);
	account_r->user = ctx->user;
	account_r->changes = changes;
	account_r->changes_count = N_ELEMENTS(changes);
	test_assert_strcmp_idx(in_child(account_r, fill), "", i);
}

static void test_change(account_func_t *fill, const char *before)
{
	struct test_mail_storage_ctx *ctx = test_mail_storage_init();
	struct account account;
	const char *described;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++) T_BEGIN {
		account_init(ctx, i, fill, TRUE, &account);
		described = in_child(&account, account_describe);
		test_assert_idx(strstr(described, "error") == NULL, i);
		test_assert_strcmp_idx(in_child(&account, account_list),
				       before, i);

		test_assert_strcmp_idx(in_child(&account, account_change),
				       "6 written, 0 shown, 0 vanished", i);
		test_assert_strcmp_idx(in_child(&account, account_list),
				       changed_list, i);
		test_assert_strcmp_idx(in_child(&account, account_describe),
				       described, i);
		/* again, whatever the need */
		test_assert_strcmp_idx(in_child(&account, account_change),
				       "6 written, 0 shown, 0 vanished", i);
		test_assert_strcmp_idx(in_child(&account, account_resync),
				       "", i);
		test_assert_strcmp_idx(in_child(&account, account_list),
				       changed_list, i);
		test_assert_strcmp_idx(in_child(&account, account_describe),
				       described, i);
		test_assert_strcmp_idx(in_child(&account, account_purge),
				       "", i);
		/* not only the cache knows it */
		if (drivers[i].has_cached_uidls) {
			test_assert_strcmp_idx(in_child(&account,
				account_drop_cache), "", i);
		}
		test_assert_strcmp_idx(in_child(&account, account_list),
				       changed_list, i);
		if (!drivers[i].save_date_is_cached) {
			test_assert_strcmp_idx(in_child(&account,
				account_describe), described, i);
		}
		test_mail_storage_deinit_user(ctx);
	} T_END;
	test_mail_storage_deinit(&ctx);
}

static void test_change_bare(void)
{
	test_begin("UIDLs onto mail that has none");
	test_change(account_fill_bare, "- - - - - -");
	test_end();
}

static void test_change_old(void)
{
	test_begin("UIDLs onto mail that has others");
	test_change(account_fill_old, "old-7 old-6 old-5 old-3 old-2 old-1");
	test_end();
}

/* Returns FALSE if the run ended before it was killed. */
static bool
kill_once(struct test_mail_storage_ctx *ctx, unsigned int i,
	  account_func_t *fill, unsigned int kill_at)
{
	const char *described, *said;
	struct account account;

	account_init(ctx, i, fill, FALSE, &account);
	described = in_child(&account, account_describe);
	account.kill_at = kill_at;
	said = in_child(&account, account_finish);
	account.kill_at = 0;
	test_assert_strcmp_idx(in_child(&account, account_age_lock), "",
			       kill_at);
	/* no mail is lost or doubled ... */
	test_assert_strcmp_idx(in_child(&account, account_describe),
			       described, kill_at);
	/* ... and one more run puts it right, for good */
	test_assert_strcmp_idx(in_child(&account, account_finish), "", kill_at);
	test_assert_strcmp_idx(in_child(&account, account_list),
			       changed_list, kill_at);
	test_assert_strcmp_idx(in_child(&account, account_resync), "", kill_at);
	test_assert_strcmp_idx(in_child(&account, account_list),
			       changed_list, kill_at);
	test_assert_strcmp_idx(in_child(&account, account_describe),
			       described, kill_at);
	test_mail_storage_deinit_user(ctx);
	return said == NULL;
}

/* The same with a rebuild, as stock does it by itself when it finds damage,
   between the killed run and the next one. */
static void
kill_and_resync(struct test_mail_storage_ctx *ctx, unsigned int i,
		account_func_t *fill, unsigned int kill_at)
{
	const char *described;
	struct account account;

	account_init(ctx, i, fill, FALSE, &account);
	described = in_child(&account, account_describe);
	account.kill_at = kill_at;
	(void)in_child(&account, account_finish);
	account.kill_at = 0;
	test_assert_strcmp_idx(in_child(&account, account_age_lock), "",
			       kill_at);
	test_assert_strcmp_idx(in_child(&account, account_resync), "", kill_at);
	test_assert_strcmp_idx(in_child(&account, account_describe),
			       described, kill_at);
	test_assert_strcmp_idx(in_child(&account, account_finish), "", kill_at);
	test_assert_strcmp_idx(in_child(&account, account_resync), "", kill_at);
	test_assert_strcmp_idx(in_child(&account, account_purge), "", kill_at);
	test_assert_strcmp_idx(in_child(&account, account_list),
			       changed_list, kill_at);
	test_assert_strcmp_idx(in_child(&account, account_describe),
			       described, kill_at);
	test_mail_storage_deinit_user(ctx);
}

static void test_killed(void)
{
	static account_func_t *const fills[] = {
		account_fill_bare, account_fill_old,
	};
	struct test_mail_storage_ctx *ctx;
	unsigned int i, f, kill_at, stride;
	bool killed;

	/* ./dev test --long takes every step */
	stride = getenv("DM_LONG") != NULL ? 1 : 5;
	for (i = 0; i < N_ELEMENTS(drivers); i++) {
		test_begin(t_strdup_printf("killed before each step (%s%s)",
			drivers[i].driver, drivers[i].option == NULL ? "" :
			", small files"));
		for (f = 0; f < N_ELEMENTS(fills); f++) {
			killed = TRUE;
			ctx = test_mail_storage_init();
			for (kill_at = 1 + (i + f) % stride; killed;
			     kill_at += stride) T_BEGIN {
				killed = kill_once(ctx, i, fills[f], kill_at);
				if (killed) {
					kill_and_resync(ctx, i, fills[f],
							kill_at);
				}
			} T_END;
			/* there are steps */
			test_assert_idx(kill_at > 5, i);
			test_mail_storage_deinit(&ctx);
		}
		test_end();
	}
}

/*
 * Other processes go on meanwhile
 */

#define TRAFFIC_ROUNDS 25
/* the highest UID of account_fill() */
#define LAST_KEPT_UID 7

static unsigned int traffic_errors;

static void
traffic_error_handler(const struct failure_context *ctx, const char *format,
		      va_list args)
{
	traffic_errors++;
	default_error_handler(ctx, format, args);
}

/* Expunges all that was delivered. A Maildir whose dovecot-uidlist is locked by
   the other process gives the newest mail its UID only later. */
static void expunge_delivered(struct mailbox *box)
{
	struct mailbox_status status;
	uint32_t uid;

	mailbox_get_open_status(box, STATUS_UIDNEXT, &status);
	for (uid = LAST_KEPT_UID + 1; uid < status.uidnext; uid++)
		mail_expunge_uid(box, uid);
}

/* deliveries, expunges and purges */
static void account_traffic(struct account *account, string_t *dest)
{
	struct mailbox *box = box_open(account, "INBOX");
	unsigned int i;

	i_set_error_handler(traffic_error_handler);
	for (i = 0; i < TRAFFIC_ROUNDS; i++) T_BEGIN {
		mail_save(box, 50 + i, NULL, 0);
		if (mailbox_sync(box, 0) < 0)
			str_append(dest, "sync failed ");
		expunge_delivered(box);
		if (i % 5 == 0)
			account_purge(account, dest);
	} T_END;
	mailbox_free(&box);
	box = box_open(account, "INBOX");
	if (mailbox_sync(box, MAILBOX_SYNC_FLAG_FULL_READ) < 0)
		str_append(dest, "sync failed ");
	expunge_delivered(box);
	mailbox_free(&box);
	if (traffic_errors > 0)
		str_printfa(dest, "%u errors", traffic_errors);
}

/* all UIDLs changed again and again, and at last what is wanted */
static void account_change_often(struct account *account, string_t *dest)
{
	struct uidl_store_change others[N_ELEMENTS(changes)];
	struct uidl_store_result result;
	struct mailbox *box = box_open(account, "INBOX");
	const char *error;
	unsigned int i, j;
	int ret;

	i_set_error_handler(traffic_error_handler);
	for (i = 0; i <= 8; i++) T_BEGIN {
		memcpy(others, changes, sizeof(others));
		for (j = 0; j < N_ELEMENTS(others) && i < 8; j++)
			others[j].uidl = t_strdup_printf("round-%u-%u", i, j);
		ret = uidl_store_write(box, others, N_ELEMENTS(others),
				       &result, &error);
		if (ret < 0 || result.vanished > 0)
			str_printfa(dest, "%s ", ret < 0 ? error : "vanished");
	} T_END;
	mailbox_free(&box);
	if (traffic_errors > 0)
		str_printfa(dest, "%u errors", traffic_errors);
}

/* one process makes traffic while this one's other child changes UIDLs */
static const char *change_in_traffic(struct account *account)
{
	const char *said;
	int status;
	pid_t pid;

	if ((pid = fork()) == -1)
		i_fatal("Can't make a child: %m");
	if (pid == 0) {
		string_t *result = str_new(default_pool, 128);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		hostpid_init();
		account_traffic(account, result);
		status = str_len(result) == 0 ? 0 : 1;
		str_free(&result);
		_exit(status);
	}
	said = in_child(account, account_change_often);
	if (waitpid(pid, &status, 0) != pid)
		i_fatal("waitpid() failed: %m");
	test_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return said;
}

static void test_in_traffic(void)
{
	struct test_mail_storage_ctx *ctx;
	struct account account;
	string_t *expected;
	const char *described;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(drivers); i++) T_BEGIN {
		test_begin(t_strdup_printf("deliveries, expunges and purges "
			"meanwhile (%s%s)", drivers[i].driver,
			drivers[i].option == NULL ? "" : ", small files"));
		ctx = test_mail_storage_init();
		account_init(ctx, i, account_fill_old, FALSE, &account);
		described = in_child(&account, account_describe);
		test_assert_strcmp_idx(change_in_traffic(&account), "", i);
		test_assert_strcmp_idx(in_child(&account, account_list),
				       changed_list, i);
		test_assert_strcmp_idx(in_child(&account, account_resync),
				       "", i);
		/* only the UIDs of the mails that came and went are used up */
		expected = t_str_new(1024);
		str_printfa(expected, "INBOX 6 messages, next %u,%s",
			    LAST_KEPT_UID + 1 + TRAFFIC_ROUNDS,
			    strstr(described, " 8,") + strlen(" 8,"));
		test_assert_strcmp_idx(in_child(&account, account_describe),
				       str_c(expected), i);
		test_assert_strcmp_idx(in_child(&account, account_list),
				       changed_list, i);
		test_mail_storage_deinit_user(ctx);
		test_mail_storage_deinit(&ctx);
		test_end();
	} T_END;
}

int main(int argc, char **argv)
{
	static void (*const tests[])(void) = {
		test_change_bare,
		test_change_old,
		test_in_traffic,
		test_killed,
		NULL
	};
	static void (*const valgrind_tests[])(void) = {
		test_change_bare,
		test_change_old,
		NULL
	};

	if (null_strcmp(getenv("TEST_VALGRIND"), "yes") != 0)
		return storage_test_main("test-uidl-store", tests, argc, argv);
	printf("valgrind is silent about children: what only they do is "
	       "left out\n");
	return storage_test_main("test-uidl-store", valgrind_tests, argc, argv);
}
