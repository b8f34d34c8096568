/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lib.h"
#include "istream.h"
#include "str.h"
#include "mail-user.h"
#include "mail-storage-private.h"
#include "maildir-storage.h"
#include "maildir-uidlist.h"
#include "maildir-filename.h"
#include "migration-file.h"
#include "maildir-swap.h"

#include <stdio.h>
#include <unistd.h>
#include <sys/stat.h>

#define SWAP_JOURNAL_NAME "dovecot-migration-swap"
#define SWAP_JOURNAL_MAX_SIZE 65536

/* ---- the mail's file, and its line in the list ---- */

struct maildir_found {
	/* not in the data stack, of which the caller has its own frame */
	char *path;
};

static int
maildir_found_file(struct maildir_mailbox *mbox ATTR_UNUSED, const char *path,
		   struct maildir_found *found)
{
	if (access(path, F_OK) < 0)
		return 0;
	i_free(found->path);
	found->path = i_strdup(path);
	return 1;
}

/* The mail's file, whatever flags are in its name by now. NULL if it is gone
   or cannot be looked for. */
static const char *maildir_find(struct maildir_mailbox *mbox, uint32_t uid)
{
	struct maildir_found found = { .path = NULL };
	const char *path = NULL;

	if (maildir_file_do(mbox, uid, maildir_found_file, &found) > 0)
		path = t_strdup(found.path);
	i_free(found.path);
	return path;
}

/* Where the file's name begins in a line of the list: "17 W400 :name". NULL if it
   is not the line of this UID; prefix is the UID and a blank. */
static const char *uidlist_line_name(const char *line, const char *prefix)
{
	const char *name = strncmp(line, prefix, strlen(prefix)) != 0 ? NULL :
		strchr(line, ':');

	return name == NULL ? NULL : name + 1;
}

/* Copies the list, with another file name in the line of this UID. Dovecot's own
   functions can only add names at the end. Returns FALSE if there is no such
   line. */
static bool
maildir_uidlist_copy(struct istream *input, uint32_t uid, const char *fname,
		     string_t *dest)
{
	const char *prefix = t_strdup_printf("%u ", uid), *line, *old_name;
	bool found = FALSE;

	while ((line = i_stream_read_next_line(input)) != NULL) {
		old_name = uidlist_line_name(line, prefix);
		if (old_name == NULL)
			str_append(dest, line);
		else {
			str_append_data(dest, line, old_name - line);
			str_append(dest, fname);
			found = TRUE;
		}
		str_append_c(dest, '\n');
	}
	return found && input->stream_errno == 0;
}

/* The list is locked. */
static int
maildir_uidlist_rename(const char *path, uint32_t uid, const char *fname,
		       const char **error_r)
{
	string_t *data = str_new(default_pool, 4096);
	struct istream *input;
	struct stat st;
	int ret = 0;

	input = i_stream_create_file(path, SIZE_MAX);
	if (!maildir_uidlist_copy(input, uid, fname, data)) {
		*error_r = t_strdup_printf("%s does not have UID %u", path, uid);
		ret = -1;
	} else if (stat(path, &st) < 0) {
		*error_r = t_strdup_printf("stat(%s) failed: %m", path);
		ret = -1;
	} else {
		ret = migration_file_replace(path, data, error_r);
		if (ret == 0 && chmod(path, st.st_mode & 0777) < 0) {
			*error_r = t_strdup_printf("chmod(%s) failed: %m", path);
			ret = -1;
		}
	}
	i_stream_destroy(&input);
	str_free(&data);
	return ret;
}

/* ---- what a killed run is known by ---- */

static const char *swap_journal_path(struct mail_user *user)
{
	const char *home;

	return mail_user_get_home(user, &home) <= 0 ? NULL :
		t_strconcat(home, "/", SWAP_JOURNAL_NAME, NULL);
}

static int
swap_begin(struct mail_user *user, uint32_t uid, const char *list_path,
	   const char *old_path, const char *new_path, const char **error_r)
{
	const char *path = swap_journal_path(user);
	string_t *data = t_str_new(512);

	if (path == NULL) {
		*error_r = "The user has no home";
		return -1;
	}
	str_printfa(data, "%u\n%s\n%s\n%s\n", uid, list_path, old_path,
		    new_path);
	return migration_file_replace(path, data, error_r);
}

static void swap_end(struct mail_user *user)
{
	i_unlink_if_exists(swap_journal_path(user));
}

/* TRUE if the list has the file, whatever flags are in its name, under this
   UID. */
static bool
maildir_uidlist_has(const char *list_path, const char *uid, const char *fname)
{
	const char *prefix = t_strconcat(uid, " ", NULL), *line, *name;
	const char *base = t_strcut(fname, MAILDIR_INFO_SEP);
	struct istream *input = i_stream_create_file(list_path, SIZE_MAX);
	bool found = FALSE;

	while (!found && (line = i_stream_read_next_line(input)) != NULL) {
		name = uidlist_line_name(line, prefix);
		found = name != NULL &&
			strcmp(t_strcut(name, MAILDIR_INFO_SEP), base) == 0;
	}
	i_stream_destroy(&input);
	return found;
}

void maildir_swap_recover(struct mail_user *user)
{
	const char *path = swap_journal_path(user), *const *lines, *error;
	string_t *data = t_str_new(512);
	int ret;

	if (path == NULL)
		return;
	ret = migration_file_read(path, SWAP_JOURNAL_MAX_SIZE, data, &error);
	if (ret < 0)
		e_error(user->event, "%s", error);
	if (ret <= 0)
		return;
	lines = t_strsplit(str_c(data), "\n");
	if (str_array_length(lines) == 5) {
		/* a client may have been told of the other file as a new mail */
		i_unlink_if_exists(maildir_uidlist_has(lines[1], lines[0],
					strrchr(lines[3], '/') + 1) ?
				   lines[2] : lines[3]);
	}
	swap_end(user);
}

/* ---- the swap ---- */

static int
swap_files(uint32_t uid, const char *list_path, const char *path,
	   const char *temp_path, const char *new_path, const char **error_r)
{
	if (rename(temp_path, new_path) < 0) {
		*error_r = t_strdup_printf("rename(%s, %s) failed: %m",
					   temp_path, new_path);
		return -1;
	}
	if (maildir_uidlist_rename(list_path, uid, strrchr(new_path, '/') + 1,
				   error_r) < 0) {
		i_unlink(new_path);
		return -1;
	}
	if (unlink(path) < 0) {
		*error_r = t_strdup_printf("unlink(%s) failed: %m", path);
		return -1;
	}
	return 1;
}

static int
swap_locked(struct mailbox *box, uint32_t uid, struct mailbox *temp_box,
	    uint32_t temp_uid, const char **error_r)
{
	struct maildir_mailbox *mbox = MAILDIR_MAILBOX(box);
	const char *path, *temp_path, *new_path, *info, *dir, *list_path;
	int ret;

	path = maildir_find(mbox, uid);
	if (path == NULL)
		return 0;
	temp_path = maildir_find(MAILDIR_MAILBOX(temp_box), temp_uid);
	if (temp_path == NULL) {
		*error_r = "The temporary mailbox lost its mail";
		return -1;
	}
	/* the flags are in the name */
	info = strchr(strrchr(path, '/'), MAILDIR_INFO_SEP);
	new_path = t_strdup_printf("%s/%s%s",
		t_strdup_until(path, strrchr(path, '/')),
		t_strcut(strrchr(temp_path, '/') + 1, MAILDIR_INFO_SEP),
		info == NULL ? "" : info);
	if (mailbox_get_path_to(box, MAILBOX_LIST_PATH_TYPE_CONTROL,
				&dir) <= 0) {
		*error_r = "Control directory isn't known";
		return -1;
	}
	list_path = t_strconcat(dir, "/", MAILDIR_UIDLIST_NAME, NULL);
	if (swap_begin(box->storage->user, uid, list_path, path, new_path,
		       error_r) < 0)
		return -1;
	ret = swap_files(uid, list_path, path, temp_path, new_path, error_r);
	swap_end(box->storage->user);
	return ret;
}

int maildir_swap(struct mailbox *box, uint32_t uid, struct mailbox *temp_box,
		 uint32_t temp_uid, const char **error_r)
{
	struct maildir_mailbox *mbox = MAILDIR_MAILBOX(box);
	int ret;

	if (maildir_uidlist_lock(mbox->uidlist) <= 0) {
		*error_r = t_strdup_printf("dovecot-uidlist can't be locked: %s",
			mailbox_get_last_internal_error(box, NULL));
		return -1;
	}
	ret = swap_locked(box, uid, temp_box, temp_uid, error_r);
	maildir_uidlist_unlock(mbox->uidlist);
	return ret;
}
