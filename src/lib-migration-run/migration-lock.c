/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "hostpid.h"
#include "iso8601-date.h"
#include "str.h"
#include "str-sanitize.h"
#include "mail-user.h"
#include "migration-lock.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#define LOCK_FILE_NAME "dovecot-migration-lock"
#define HOLDER_MAX_LEN 200

struct migration_lock {
	int fd;
};

static int try_lock(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_SETLK, &fl);
}

/* Who has it. The file's text is of no use if the disk was full. */
static const char *get_holder(int fd)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[HOLDER_MAX_LEN];
	ssize_t len = pread(fd, text, sizeof(text), 0);

	if (len > 0) {
		return str_sanitize(t_strcut(t_strndup(text, len), '\n'),
				    HOLDER_MAX_LEN);
	}
	if (fcntl(fd, F_GETLK, &fl) == 0 && fl.l_type != F_UNLCK)
		return t_strdup_printf("process %s", dec2str(fl.l_pid));
	return "another process";
}

static void write_holder(int fd, const char *command)
{
	const char *text;

	text = t_strdup_printf("process %s on %s, %s since %s\n",
		my_pid, my_hostname, command,
		iso8601_date_create(time(NULL)));
	/* only for people who ask what it is waiting for */
	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, text, strlen(text), 0);
}

int migration_lock_take(struct mail_user *user, const char *command,
			struct migration_lock **lock_r, const char **busy_r)
{
	const char *home, *path;
	int fd;

	*lock_r = NULL;
	if (mail_user_get_home(user, &home) <= 0)
		return 1;
	path = t_strdup_printf("%s/"LOCK_FILE_NAME, home);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1) {
		e_debug(user->event, "migration: no lock against a second run: "
			"open(%s) failed: %m", path);
		return 1;
	}
	if (try_lock(fd) < 0) {
		if (errno != EACCES && errno != EAGAIN) {
			e_debug(user->event, "migration: no lock against a "
				"second run: fcntl(%s) failed: %m", path);
			i_close_fd(&fd);
			return 1;
		}
		*busy_r = t_strdup_printf("Another migration of this user is "
			"running: %s (%s)", get_holder(fd), path);
		i_close_fd(&fd);
		return 0;
	}
	write_holder(fd, command);
	*lock_r = i_new(struct migration_lock, 1);
	(*lock_r)->fd = fd;
	return 1;
}

enum run_lock migration_lock_look(struct mail_user *user, const char **holder_r)
{
	struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	enum run_lock lock = RUN_LOCK_UNKNOWN;
	const char *home;
	int fd;

	if (mail_user_get_home(user, &home) <= 0)
		return RUN_LOCK_UNKNOWN;
	fd = open(t_strdup_printf("%s/"LOCK_FILE_NAME, home),
		  O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return RUN_LOCK_UNKNOWN;
	if (fcntl(fd, F_GETLK, &fl) == 0) {
		lock = fl.l_type == F_UNLCK ? RUN_LOCK_FREE : RUN_LOCK_HELD;
		if (lock == RUN_LOCK_HELD)
			*holder_r = get_holder(fd);
	}
	i_close_fd(&fd);
	return lock;
}

void migration_lock_release(struct migration_lock **_lock)
{
	struct migration_lock *lock = *_lock;

	*_lock = NULL;
	if (lock == NULL)
		return;
	i_close_fd(&lock->fd);
	i_free(lock);
}
